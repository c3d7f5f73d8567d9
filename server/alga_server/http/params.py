"""Ids from outside: in a path or a header, a malformed id means the same as an unknown one."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from alga_common.wire import is_tenant_id, is_uuid

UNKNOWN_ID = ""
"""An id that no object has."""


def parse_uuid(text: str) -> str:
    """``text`` as ids are stored, or ``UNKNOWN_ID`` if it is not a UUID."""
    lowered = text.strip().lower()
    return lowered if is_uuid(lowered) else UNKNOWN_ID


def parse_tenant(text: str) -> str:
    """``text`` if a tenant can have that id, else ``UNKNOWN_ID``."""
    return text if is_tenant_id(text) else UNKNOWN_ID


Id = Annotated[str, AfterValidator(parse_uuid)]
TenantId = Annotated[str, AfterValidator(parse_tenant)]
