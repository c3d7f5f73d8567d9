"""What an HTTP message may hold (RFC 9110): each rule once, for guests' responses, the gateway and both services."""

from __future__ import annotations

import re

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
"""The methods that an endpoint can have (alga-contract 3.1)."""

STATUSES = range(200, 600)
"""What a response may have as its status; after 1xx the response is still to come."""

_WITHOUT_BODY = frozenset({204, 205, 304})

_ABSOLUTE = re.compile(r"https?://[^/]*", re.IGNORECASE)

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
