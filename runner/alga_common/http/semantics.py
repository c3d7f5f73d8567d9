"""What an HTTP message may hold (RFC 9110): each rule once, for guests' responses, the gateway and both services."""

from __future__ import annotations

import re
from hashlib import sha256

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
"""The methods that an endpoint can have (alga-contract 3.1)."""

STATUSES = range(200, 600)
"""What a response may have as its status; after 1xx the response is still to come."""

TO_GUEST = ("accept", "accept-encoding", "content-encoding", "content-type", "user-agent")
"""The caller's headers that reach the guest, besides ``x-request-id``. Cookies and ``authorization`` never do."""

TO_CALLER = (
    "content-type",
    "content-encoding",
    "vary",
    "cache-control",
    "etag",
    "x-ext-request-id",
    "x-ext-warning",
)
"""The guest's headers that reach the caller, besides a ``location`` of its own (``location.is_own``).

``set-cookie`` and the headers of a connection never do.
"""

_WITHOUT_BODY = frozenset({204, 205, 304})

_ABSOLUTE = re.compile(r"https?://[^/]*", re.IGNORECASE)

ID_PATTERN = "[!-~]{1,128}"
"""What an id in a header looks like: of a request, a tenant, an install; an idempotency key."""

_MAX_ID = 128
_DIGEST = 16
_ID = re.compile(ID_PATTERN)
_UNFIT_IN_ID = re.compile("[^!-~]")
_VALUE = re.compile(r"[!-~](?:[ -~]{0,510}[!-~])?")
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def origin_form(path: str) -> str:
    """``path``, the target of a request up to its query, without the scheme and host of the absolute form.

    A server must accept that form, whichever host it names (RFC 9112, 3.2.2).
    """
    absolute = _ABSOLUTE.match(path)
    return path if absolute is None else path[absolute.end() :] or "/"


def may_have_body(method: str, status: int) -> bool:
    """Whether a response of ``status`` to ``method`` may have a body; none to HEAD has, nor 204, 205 and 304."""
    return status not in _WITHOUT_BODY and method.upper() != "HEAD"


def is_header_name(text: str) -> bool:
    """Whether ``text`` is a token, as every header's name is."""
    return _NAME.fullmatch(text) is not None


def is_header_value(text: str) -> bool:
    """Whether ``text`` can be sent as a header's value: 1 to 512 printable ASCII characters, no space at an end."""
    return _VALUE.fullmatch(text) is not None


def is_id(text: str) -> bool:
    """Whether ``text`` can be sent as an id in a header: 1 to 128 visible ASCII characters."""
    return _ID.fullmatch(text) is not None


def clean_id(text: str) -> str | None:
    """``text``, an id from outside, as one that can be sent in a header; ``None`` for a blank one.

    Of an id that cannot be sent the characters that fit stay, and a digest is added: two ids stay two.
    """
    if is_id(text) or not text.strip():
        return text.strip() or None
    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    return _UNFIT_IN_ID.sub("_", text.strip()[: _MAX_ID - _DIGEST - 1]) + "-" + digest
