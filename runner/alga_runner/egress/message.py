"""What a guest's request may carry in its head, and how the body of an answer is unpacked."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence

from alga_common.http.response import AnswerTooLarge, HttpProtocolError
from alga_common.http.semantics import is_header_name

Header = tuple[str, str]

MAX_HEADERS = 256
MAX_HEADER_BYTES = 64 * 1024

OWN = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade", "expect", "host", "content-length"),
    }
)
"""Headers of the connection and of the message's framing: the runner's own."""

OF_ORIGIN = frozenset({"authorization", "cookie"})
"""Headers that a redirect to another origin does not carry on."""

CODINGS = ("gzip", "deflate")
"""Content codings that are unpacked."""

MAX_MEMBERS = 100
"""Members that a gzip body may have: to find the next one copies all of the rest."""

_METHOD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}")
_NO_METHODS = frozenset({"CONNECT", "TRACE"})
_VALUE = re.compile(r"[\t -~]*")


class HeadRefused(ValueError):
    """A head that is not sent; the message is a sentence without any header's value."""


def checked_method(method: str) -> str:
    """``method`` in capitals. Raises ``HeadRefused``."""
    if not _METHOD.fullmatch(method) or method.upper() in _NO_METHODS:
        raise HeadRefused("The method is not one that can be sent.")
    return method.upper()


def checked_headers(headers: Iterable[Header], host: str, body_bytes: int) -> list[Header]:
    """``headers`` that can be sent: no line breaks, and none that are the runner's to set.

    The right ``host`` and ``content-length`` are left out: they are sent anyway. Raises
    ``HeadRefused``.
    """
    checked, size = [], 0
    own = {"host": host.lower(), "content-length": str(body_bytes)}
    for name, value in headers:
        if not is_header_name(name):
            raise HeadRefused("A header has a name that is not one.")
        value = value.strip(" \t")  # noqa: PLW2901 - as a receiver reads it
        if not _VALUE.fullmatch(value):
            raise HeadRefused(f"The header {name[:80]} has a value that is not visible ASCII on one line.")
        if name.lower() in OWN:
            if own.get(name.lower()) == value.lower():
                continue
            raise HeadRefused(f"The header {name[:80]} is the runner's to set: leave it out.")
        size += len(name) + len(value) + 4
        checked.append((name, value))
    if len(checked) > MAX_HEADERS or size > MAX_HEADER_BYTES:
        raise HeadRefused(f"There are more than {MAX_HEADERS} headers, or {MAX_HEADER_BYTES} bytes of them.")
    return checked


def content_coding(values: Sequence[str]) -> str | None:
    """The coding to unpack, of the values of ``content-encoding``; ``None`` for none.

    Raises ``HttpProtocolError`` for one that was not requested, and for several.
    """
    codings = [coding for value in values for text in value.split(",") if (coding := text.strip().lower())]
    codings = ["gzip" if coding == "x-gzip" else coding for coding in codings if coding != "identity"]
    if not codings:
        return None
    if len(codings) > 1 or codings[0] not in CODINGS:
        raise HttpProtocolError("is compressed in a way that was not requested")
    return codings[0]


def unpacked(body: bytes, coding: str, max_bytes: int) -> bytes:
    """``body`` without its coding; no more than ``max_bytes`` are ever made of it.

    Raises ``HttpProtocolError``, ``AnswerTooLarge`` among them.
    """
    try:
        return _inflated(body, 31 if coding == "gzip" else 15, max_bytes)
    except zlib.error:
        pass
    try:  # many servers mean deflate without the frame of zlib
        if coding == "deflate":
            return _inflated(body, -15, max_bytes)
    except zlib.error:
        pass
    raise HttpProtocolError("is not compressed as it claims")


def _inflated(body: bytes, window_bits: int, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    left = max_bytes
    while body:
        if len(parts) == MAX_MEMBERS:
            raise HttpProtocolError(f"has more than {MAX_MEMBERS} compressed members")
        stream = zlib.decompressobj(window_bits)
        part = stream.decompress(body, left + 1)
        if len(part) > left:
            raise AnswerTooLarge(max_bytes)
        if not stream.eof:
            raise HttpProtocolError("breaks off in the middle")
        parts.append(part)
        left -= len(part)
        body = stream.unused_data  # gzip may have further members
    return b"".join(parts)
