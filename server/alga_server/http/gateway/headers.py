"""Which headers pass the gateway, both ways: named ones, and nothing else (alga-contract 1.9)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from starlette.datastructures import Headers

from alga_runner.models import User

from ...errors import ValidationFailed

TO_GUEST = ("accept", "accept-encoding", "content-type", "user-agent")
"""Of the caller's headers; ``x-request-id`` goes with them. Cookies and ``authorization`` never do."""

TO_CALLER = ("content-type", "cache-control", "etag", "x-ext-request-id", "x-ext-warning")
"""Of the guest's headers. ``set-cookie`` and what governs a connection never are."""

_ALWAYS = {
    # An extension's answer comes from Alga's own origin, and must not become a page with its rights.
    "content-security-policy": "sandbox",
    "x-content-type-options": "nosniff",
}
_VALUE = re.compile(r"[\t\x20-\x7e]{0,4096}")
_MAX_USER_FIELD = 256


def for_guest(headers: Headers, request_id: str) -> dict[str, str]:
    """What the guest sees of the caller's ``headers``; several of one name are joined as HTTP joins them."""
    passed = {name: ", ".join(headers.getlist(name)) for name in TO_GUEST if name in headers}
    return {**passed, "x-request-id": request_id}


def for_caller(headers: Mapping[str, str]) -> dict[str, str]:
    """What the caller sees of the guest's ``headers``; a value that HTTP cannot carry is left out."""
    given = {name.lower(): value for name, value in headers.items()}
    passed = {name: given[name] for name in TO_CALLER if _VALUE.fullmatch(given.get(name, "\0"))}
    return {"cache-control": "no-store", **passed, **_ALWAYS}


def user(headers: Headers) -> User | None:
    """The person whom the layer before the gateway has authenticated; ``None`` without ``x-alga-user-id``.

    Values are UTF-8. Raises ``ValidationFailed`` for one that is too long or is not.
    """
    if not any(headers.getlist("x-alga-user-id")):
        return None
    fields = {name: _text(headers, f"x-alga-user-{name}") for name in ("id", "email", "name", "type")}
    return User(**{f"user_{name}": value for name, value in fields.items()})


def _text(headers: Headers, name: str) -> str:
    values = headers.getlist(name)
    try:
        text = values[0].encode("latin-1").decode() if values else ""
    except UnicodeDecodeError:
        raise ValidationFailed(f"The header {name} is not UTF-8") from None
    if len(values) > 1 or len(text) > _MAX_USER_FIELD:
        raise ValidationFailed(f"The header {name} stands there twice or is too long")
    return text
