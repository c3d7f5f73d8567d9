"""Ids, addresses, headers and bounds, checked the same way in the runner, the server and both command lines."""

from __future__ import annotations

import ipaddress
import re
from typing import ClassVar, Protocol

WELL_KNOWN_TOKENS = frozenset({"local-runner-key", "changeme", "change-me", "secret"})
"""Tokens that example configurations carry, so they are no secrets (alga-contract 4)."""

MAX_ARCHIVE_BYTES = 200 * 1024 * 1024
"""Of a packed bundle, compressed (alga-contract 3.2); the server has a setting to allow less."""

MAX_PAYLOAD_UNITS = 100_000
"""UTF-16 code units of a schedule's payload as JSON text (alga-contract 5.2)."""

MAX_PAYLOAD_BYTES = 3 * MAX_PAYLOAD_UNITS
"""UTF-8 takes up to three bytes for a unit, and MessagePack in its shortest forms no more than that."""

MAX_ERROR_CHARACTERS = 2_000
"""Of the runner's error string, which may hold text of a guest."""

MAX_RETRY_AFTER_S = 24 * 60 * 60
"""The longest ``Retry-After`` that is believed."""

MAX_EXTENSION_NAME = 256
"""Characters of an extension's name, and of its publisher's."""

MAX_VERSION = 128
"""Characters of a version's number."""

MAX_ENDPOINTS = 1_000
"""Endpoints of one version."""

MAX_ENDPOINT_PATH_BYTES = 2_000
"""Of an endpoint's path in UTF-8: PostgreSQL's unique index of paths takes 2,704 bytes, with the version's id."""

MAX_ENDPOINT_SEGMENTS = 32
"""Segments of an endpoint's path."""

MAX_SELECTOR = 256
"""Characters of ``METHOD /path``, by which a schedule names an endpoint (alga-contract 5.1)."""

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
    """Parse a ``Retry-After`` header in its seconds form, up to ``MAX_RETRY_AFTER_S``.

    ``None`` for a missing or malformed header, and for a date, which would need the sender's clock.
    """
    if header is None or not (header.isascii() and header.isdigit()) or len(header) > 9:
        return None
    return min(int(header), MAX_RETRY_AFTER_S)


class Coded(Protocol):
    """An error with a stable code."""

    code: ClassVar[str]


def codes_below(*roots: type[Coded]) -> set[str]:
    """Return the codes of the errors below ``roots``, and of those of them that declare one themselves."""
    codes = {root.code for root in roots if "code" in vars(root)}
    return codes.union(*(codes_below(*root.__subclasses__()) for root in roots))
