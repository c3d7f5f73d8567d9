"""Ids from outside: in a path or a header a malformed one is simply unknown."""

from __future__ import annotations

import re

_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

UNKNOWN_ID = ""
"""An id that nothing has."""


def parse_uuid(text: str) -> str:
    """``text`` as ids are stored, or ``UNKNOWN_ID`` if it is not a UUID."""
    lowered = text.strip().lower()
    return lowered if _UUID.fullmatch(lowered) else UNKNOWN_ID


def parse_tenant(text: str) -> str:
    """``text`` if a tenant can have that id, else ``UNKNOWN_ID``."""
    return text if _TENANT.fullmatch(text) else UNKNOWN_ID
