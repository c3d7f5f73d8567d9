"""Requests that two parsers could read differently, unusual ones that are sound, and the verdict on each (RFC 9112).

``{}`` in a request is the target. The verdicts are those of a server that answers each sound request.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

MARK = b"/marked"
"""The target of the request that is sent behind each; who smuggles would have it read as part of another's request."""

FOLLOWING = b"GET " + MARK + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


class Verdict(Enum):
    """What becomes of a request, and of the next one on its connection."""

    REFUSED = "answered with 400, or not at all; the connection is closed"
    LAST = "answered; the connection is closed"
    ANSWERED = "answered, and so is the next one"


class Case(NamedTuple):
    """A request, and its body as it is read."""

    sent: bytes
    body: bytes = b""


_POST = b"POST / HTTP/1.1\r\nhost: x\r\n"
_CHUNKED = _POST + b"transfer-encoding: chunked\r\n\r\n"
_END = b"0\r\n\r\n"


def _post(header: bytes, body: bytes = b"") -> bytes:
    return _POST + header + b"\r\n\r\n" + body


REFUSED = {
    # Which framing, and which length
    "two lengths that differ": _post(b"content-length: 1\r\ncontent-length: 2", b"ab"),
    "two lengths in other cases": _post(b"content-length: 1\r\nContent-Length: 2", b"ab"),
    "a list of lengths that differ": _post(b"content-length: 1, 2", b"ab"),
    "a positive length with its sign": _post(b"content-length: +1", b"a"),
    "a negative length": _post(b"content-length: -1", b"a"),
    "a length in words": _post(b"content-length: one", b"a"),
    "a length in hexadecimal": _post(b"content-length: 0x1", b"a"),
    "a length with a point": _post(b"content-length: 1.0", b"a"),
    "a length with a space inside": _post(b"content-length: 1 1", b"a" * 11),
    "a length with an underscore": _post(b"content-length: 1_1", b"a" * 11),
    "a length in other digits": _post("content-length: \u0661".encode(), b"a"),
    "a length without digits": _post(b"content-length:", b"a"),
    "a length of a hundred digits": _post(b"content-length: " + b"1" * 100, b"a"),
    "both framings": _post(b"content-length: 5\r\ntransfer-encoding: chunked", _END),
    "both framings the other way round": _post(b"transfer-encoding: chunked\r\ncontent-length: 5", _END),
    "both framings in other cases": _post(b"Transfer-Encoding: chunked\r\nCONTENT-LENGTH: 5", _END),
    "both framings with no length": _post(b"transfer-encoding: chunked\r\ncontent-length: 0", _END),
    "chunked, then identity": _post(b"transfer-encoding: chunked, identity", _END),
    "identity": _post(b"transfer-encoding: identity", _END),
    "gzip, then chunked": _post(b"transfer-encoding: gzip, chunked", _END),
    "chunked twice": _post(b"transfer-encoding: chunked, chunked", _END),
    "two codings in two headers": _post(b"transfer-encoding: chunked\r\ntransfer-encoding: identity", _END),
    "chunked in quotes": _post(b'transfer-encoding: "chunked"', _END),
    "chunked with a tab and more": _post(b"transfer-encoding: chunked\tx", _END),
    "chunked with a vertical tab": _post(b"transfer-encoding: \x0bchunked", _END),
    "an unknown coding": _post(b"transfer-encoding: xchunked", _END),
    "an empty coding": _post(b"transfer-encoding:", _END),
    "two lengths that are equal": _post(b"content-length: 1\r\ncontent-length: 1", b"a"),
    "a list of lengths that are equal": _post(b"content-length: 1, 1", b"a"),
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n" + _END,
    # How lines end
    "lines that end in LF": b"POST / HTTP/1.1\nhost: x\n\n",
    "one line that ends in LF": b"POST / HTTP/1.1\r\nhost: x\nx-hidden: 1\r\n\r\n",
    "a head that ends in LF": _POST + b"\n",
    "a head that ends in LF and CRLF": _POST + b"x: 1\n\r\n",
    "lines that end in CR": b"POST / HTTP/1.1\rhost: x\r\r",
    "a line that ends in CR CR LF": b"POST / HTTP/1.1\r\r\nhost: x\r\n\r\n",
    "a header folded by a space": _post(b"x-folded: a\r\n b"),
    "a header folded by a tab": _post(b"x-folded: a\r\n\tb"),
    "a length that is folded": _post(b"content-length:\r\n 1", b"a"),
    "a first header that begins with a space": b"POST / HTTP/1.1\r\n host: x\r\n\r\n",
    "an empty line before the request": b"\r\n" + _POST + b"\r\n",
    # Names and values of headers
    "a space before the colon": _post(b"content-length : 0"),
    "a tab before the colon": _post(b"content-length\t: 0"),
    "a header without a colon": _post(b"x-alone"),
    "a header without a name": _post(b": a"),
    "a space in a name": _post(b"x y: a"),
    "a null in a name": _post(b"x\0y: a"),
    "a letter that is not ASCII in a name": _post("x-\u00e9: a".encode()),
    "a null in a value": _post(b"x-null: a\0b"),
    "a carriage return in a value": _post(b"x-return: a\rb"),
    "a control character in a value": _post(b"x-bell: \x07"),
    "no host": b"POST / HTTP/1.1\r\n\r\n",
    "two hosts": _post(b"host: y"),
    "a huge head": _post(b"x-huge: " + b"a" * 70_000),
    "very many headers": _post(b"\r\n".join(b"x-%d: a" % number for number in range(10_000))),
    "a huge target": b"POST /" + b"a" * 70_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    # The request line
    "no method": b" / HTTP/1.1\r\nhost: x\r\n\r\n",
    "a method with a slash": b"PO/ST / HTTP/1.1\r\nhost: x\r\n\r\n",
    "no target": b"POST HTTP/1.1\r\nhost: x\r\n\r\n",
    "two spaces before the target": b"POST  / HTTP/1.1\r\nhost: x\r\n\r\n",
    "a tab before the target": b"POST\t/ HTTP/1.1\r\nhost: x\r\n\r\n",
    "a space in the target": b"POST /a b HTTP/1.1\r\nhost: x\r\n\r\n",
    "a null in the target": b"POST /\0 HTTP/1.1\r\nhost: x\r\n\r\n",
    "a byte in the target that is not ASCII": b"POST /\xe9 HTTP/1.1\r\nhost: x\r\n\r\n",
    "no version": b"POST /\r\nhost: x\r\n\r\n",
    "a version in lower case": b"POST / http/1.1\r\nhost: x\r\n\r\n",
    "a version with two digits": b"POST / HTTP/1.10\r\nhost: x\r\n\r\n",
    "a version and a space": b"POST / HTTP/1.1 \r\nhost: x\r\n\r\n",
    "another version": b"POST / HTTP/1.2\r\nhost: x\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "another protocol": b"POST / RTSP/1.1\r\nhost: x\r\n\r\n",
    "a greeting of TLS": b"\x16\x03\x01\x02\0\x01\0\r\n\r\n",
    # Chunks
    "a size that is no number": _CHUNKED + b"x\r\na\r\n" + _END,
    "a size with its sign": _CHUNKED + b"+1\r\na\r\n" + _END,
    "a negative size": _CHUNKED + b"-1\r\na\r\n" + _END,
    "a size that begins with 0x": _CHUNKED + b"0x1\r\na\r\n" + _END,
    "a size after a space": _CHUNKED + b" 1\r\na\r\n" + _END,
    "a size with an underscore": _CHUNKED + b"1_0\r\n" + b"a" * 16 + b"\r\n" + _END,
    "a size of fifty digits": _CHUNKED + b"0" * 49 + b"1\r\na\r\n" + _END,
    "no size": _CHUNKED + b"\r\na\r\n" + _END,
    "only an extension": _CHUNKED + b";x\r\na\r\n" + _END,
    "a size that ends in LF": _CHUNKED + b"1\na\r\n" + _END,
    "a size that ends in CR": _CHUNKED + b"1\ra\r\n" + _END,
    "an extension that ends in LF": _CHUNKED + b"1;x\na\r\n" + _END,
    "a chunk that ends in LF": _CHUNKED + b"1\r\na\n" + _END,
    "a chunk that is longer than its size": _CHUNKED + b"1\r\nab\r\n" + _END,
    "a chunk that is followed by no line's end": _CHUNKED + b"1\r\na" + _END,
    "an endless extension": _CHUNKED + b"1;" + b"x" * 400_000 + b"\r\na\r\n" + _END,
    "a trailer without a colon": _CHUNKED + b"0\r\nx-alone\r\n\r\n",
    "a trailer with a space before its colon": _CHUNKED + b"0\r\nx-trailer : a\r\n\r\n",
    "a trailer with a null": _CHUNKED + b"0\r\nx-trailer: \0\r\n\r\n",
    "a trailer that is a framing": _CHUNKED + b"0\r\ntransfer-encoding: x\r\n\r\n",
    "a trailer that is a length": _CHUNKED + b"0\r\ncontent-length: x\r\n\r\n",
    "endless trailers": _CHUNKED + b"0\r\n" + b"x-trailer: a\r\n" * 30_000 + b"\r\n",
}

LAST = {
    "a request that asks to close": Case(_post(b"connection: close")),
    "a request that asks to close in a list": Case(_post(b"connection: x, Close")),
    "HTTP/1.0": Case(b"GET / HTTP/1.0\r\n\r\n"),
    "HTTP/1.0 with a length": Case(b"POST / HTTP/1.0\r\ncontent-length: 1\r\n\r\na", b"a"),
    "HTTP/1.0 that asks for more": Case(b"GET / HTTP/1.0\r\nhost: x\r\nconnection: keep-alive\r\n\r\n"),
}

ANSWERED = {
    "no body": Case(_post(b"x: 1")),
    "a length": Case(_post(b"content-length: 3", b"a\nb"), b"a\nb"),
    "a length of zero": Case(_post(b"content-length: 0")),
    "a length that begins with zeros": Case(_post(b"content-length: 0003", b"abc"), b"abc"),
    "spaces around a length": Case(_post(b"content-length: \t 3 \t", b"abc"), b"abc"),
    "a body that looks like a bad head": Case(
        _post(b"content-length: 9", b"x\n y\n\tz\n\n"), b"x\n y\n\tz\n\n"
    ),
    "a body that looks like a request": Case(
        _post(b"content-length: 28", b"GET / HTTP/1.1\r\nhost: y\r\n\r\nz"),
        b"GET / HTTP/1.1\r\nhost: y\r\n\r\nz",
    ),
    "a GET with a body": Case(b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc", b"abc"),
    "chunks": Case(_CHUNKED + b"3\r\na\nb\r\n0A\r\n0123456789\r\n" + _END, b"a\nb0123456789"),
    "no chunk": Case(_CHUNKED + _END),
    "an end of many zeros": Case(_CHUNKED + b"1\r\na\r\n00000\r\n\r\n", b"a"),
    "chunked in other cases": Case(_post(b"Transfer-Encoding: Chunked", b"1\r\na\r\n" + _END), b"a"),
    "a chunk that looks like an end": Case(_CHUNKED + b"5\r\n0\r\n\r\n\r\n" + _END, b"0\r\n\r\n"),
    "an extension": Case(_CHUNKED + b'1;x=y;z="a b"\r\na\r\n' + _END, b"a"),
    "trailers": Case(_CHUNKED + b"1\r\na\r\n0\r\nx-trailer: a\r\nhost: y\r\n\r\n", b"a"),
    "an empty value": Case(_post(b"x-empty:")),
    "no space after the colon": Case(_post(b"content-length:1", b"a"), b"a"),
    "a value that is not ASCII": Case(_post(b"x-value: \xe9\xff")),
    "a tab in a value": Case(_post(b"x-value: a\tb")),
    "many headers": Case(_post(b"\r\n".join(b"x-%d: a" % number for number in range(200)))),
    "a large head": Case(_post(b"x-large: " + b"a" * 60_000)),
    "a large target": Case(b"GET /?" + b"a" * 60_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n"),
    "absolute form": Case(b"GET http://other.test/ HTTP/1.1\r\nhost: x\r\n\r\n"),
    "a query with odd characters": Case(b"GET /?a=1&&b[]=\"'|%zz HTTP/1.1\r\nhost: x\r\n\r\n"),
    "an upgrade to WebSocket": Case(
        _post(b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x")
    ),
    "an upgrade to HTTP/2, with a body": Case(
        _post(
            b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings:\r\ncontent-length: 1",
            b"a",
        ),
        b"a",
    ),
    "a body that was announced and sent": Case(
        _post(b"expect: 100-continue\r\ncontent-length: 1", b"a"), b"a"
    ),
}
