"""Headers that pass the gateway in each direction: those listed here and no others (alga-contract 1.9)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.datastructures import Headers

from alga_common.http.semantics import TO_CALLER, TO_GUEST
from alga_runner.models import User

from ...errors import ValidationFailed
from .location import is_own

_ALWAYS = {
    # The browser sees the answer as one of Alga's origin: it must not run as a page with the rights of that origin.
    "content-security-policy": "sandbox",
    "x-content-type-options": "nosniff",
}
_VALUE = re.compile(r"[\t\x20-\x7e]{0,4096}")
_LISTS = frozenset({"cache-control", "content-encoding", "vary"})
"""Headers whose values are lists: several of one name are one, joined by commas (RFC 9110, 5.2)."""

_MAX_USER_FIELD = 256

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_TRACESTATE = re.compile(r"[\t\x20-\x7e]{1,512}")


def for_guest(headers: Headers, request_id: str) -> dict[str, str]:
    """Return the caller's ``headers`` that the guest sees; values of one name are joined by commas."""
    passed = {name: ", ".join(headers.getlist(name)) for name in TO_GUEST if name in headers}
    return {**passed, "x-request-id": request_id}


def for_caller(headers: Iterable[tuple[str, str]], asked: str, root: str) -> dict[str, str]:
    """Return the guest's ``headers`` that the caller of the path ``asked`` sees.

    Of a name given twice the last value counts, or all if they are lists. A value that HTTP cannot carry is left out,
    and so is a ``location`` outside ``root``, the extension's own paths.
    """
    given: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        given[key] = f"{given[key]}, {value}" if key in _LISTS and key in given else value
    passed = {name: given[name] for name in TO_CALLER if _VALUE.fullmatch(given.get(name, "\0"))}
    if is_own(given.get("location", ""), asked, root):
        passed["location"] = given["location"]
    return {"cache-control": "no-store", **passed, **_ALWAYS}


def trace(headers: Headers) -> dict[str, str]:
    """Return the caller's span, as the runner is asked with it: nothing without a ``traceparent`` of the right form."""
    parent, state = (", ".join(headers.getlist(name)) for name in ("traceparent", "tracestate"))
    if not _TRACEPARENT.fullmatch(parent):
        return {}
    return {"traceparent": parent, **({"tracestate": state} if _TRACESTATE.fullmatch(state) else {})}


def user(headers: Headers) -> User | None:
    """Return the person whom Alga's session layer authenticated; ``None`` without ``x-alga-user-id``.

    Raises ``ValidationFailed`` for a value that is too long, or is not UTF-8.
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
        raise ValidationFailed(f"The header {name} was sent twice or is too long")
    return text
