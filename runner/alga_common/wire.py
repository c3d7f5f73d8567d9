"""Ids, addresses and headers, checked the same way in the runner, the server and both command lines."""

from __future__ import annotations

import ipaddress
import re
from typing import ClassVar, Protocol

_TENANT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_tenant_id(text: str) -> bool:
    """Whether a tenant can have the id ``text``: letters, digits, and ``. _ -`` after the first character."""
    return _TENANT_ID.fullmatch(text) is not None


def is_uuid(text: str) -> bool:
    """Whether ``text`` is a UUID in lower case."""
    return _UUID.fullmatch(text) is not None


def is_loopback(host: str) -> bool:
    """Whether ``host``, an address or ``localhost``, is this machine's loopback."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def retry_after_s(header: str | None) -> int | None:
    """Parse a ``Retry-After`` header in its seconds form, of up to nine digits.

    ``None`` for a missing or malformed header, and for a date, which would need the sender's clock.
    """
    if header is None or not (header.isascii() and header.isdigit()) or len(header) > 9:
        return None
    return int(header)


class Coded(Protocol):
    """An error with a stable code."""

    code: ClassVar[str]


def codes_below(*roots: type[Coded]) -> set[str]:
    """Return the codes of the errors below ``roots``, and of those of them that declare one themselves."""
    codes = {root.code for root in roots if "code" in vars(root)}
    return codes.union(*(codes_below(*root.__subclasses__()) for root in roots))
