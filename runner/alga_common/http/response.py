"""Reads one HTTP/1.1 response off a connection, strictly: anything doubtful ends the connection.

A pooled connection carries many tenants' answers one after the other, so a byte too many in one must never become part
of the next. Hence one framing per message, no line folding, no bare line feeds, and every size bounded (RFC 9112,
sections 2.2, 6.3 and 7.1). h11 accepts folded lines, bare line feeds, a length next to chunks and equal lengths twice,
and a whole forwarded host call with it costs 1.45 times as much CPU (docs/performance.md, "One forwarded host call").
"""

from __future__ import annotations

import httpx

from .grammar import CHUNK_LINE, LENGTH, MAX_CHUNK_LINE, MAX_TRAILER_LINE, RESPONSE_HEAD, STATUS_LINE

MAX_HEAD_BYTES = 32 * 1024
_MAX_INTERIM = 4


class HttpProtocolError(httpx.RemoteProtocolError):
    """The response cannot be used; the message completes "The server's answer ..."."""


class IncompleteResponse(HttpProtocolError):
    """The connection ended inside the response."""

    def __init__(self) -> None:
        super().__init__("breaks off in the middle")


class AnswerTooLarge(HttpProtocolError):
    """The body is larger than it may be."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"is larger than {max_bytes} bytes")


class ResponseReader:
    """Reads one response, piece by piece, until it is ``complete``.

    Then ``status``, ``headers`` and ``body`` hold it, and ``reusable`` is whether the connection may carry another
    exchange. ``header_lines`` are the headers as they came. ``begun`` is whether any byte was received. The response to
    a HEAD request is ``bodiless``. Raises ``HttpProtocolError``.
    """

    # Class attributes, since most answers change few of them.
    status = 0
    begun = False
    complete = False
    header_lines = b""
    _searched = b""
    _left = 0
    _until_close = False
    _keep_alive = False
    _interim = 0

    def __init__(self, max_body_bytes: int, *, bodiless: bool = False) -> None:
        self.body: bytes | bytearray = b""
        self._max_body_bytes = max_body_bytes
        self._bodiless = bodiless
        self._buffer = bytearray()
        # Functions, since a method would hold its reader, and an answer would stay until garbage is collected.
        self._step = ResponseReader._head

    @property
    def reusable(self) -> bool:
        """Whether the connection may carry another exchange: the server keeps it open, and no byte follows."""
        return self.complete and self._keep_alive and not self._until_close and not self._buffer

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """All headers, their names in small letters."""
        return headers_in(self.header_lines)

    def feed(self, data: bytes) -> bool:
        """Read the next bytes; returns whether the response is complete."""
        if not self.begun:
            self.begun = True
            if self._read_at_once(data):
                return True
        else:
            self._buffer += data
        while not self.complete and self._step(self):
            pass
        return self.complete

    def _read_at_once(self, data: bytes) -> bool:
        """Read the first bytes; whether they are a response of a known length, as nearly all are."""
        end = data.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES)
        if end < 0:
            self._buffer += data
            return False
        self._read_head(data[: end + 2])
        rest = data[end + 4 :]
        if self._step is ResponseReader._fixed and len(rest) == self._left:
            self.body, self._left, self.complete = rest, 0, True
            return True
        self._buffer += rest
        return False

    def end(self) -> None:
        """Finish after the connection's last byte. Raises ``IncompleteResponse``."""
        if self._until_close:
            self.complete = True
        if not self.complete:
            raise IncompleteResponse

    def _head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES)
        if end < 0:
            if len(self._buffer) >= MAX_HEAD_BYTES or not b"HTTP/1.".startswith(bytes(self._buffer[:7])):
                raise HttpProtocolError("is not HTTP")
            return False
        head = bytes(self._buffer[: end + 2])
        del self._buffer[: end + 4]
        self._read_head(head)
        return True

    def _read_head(self, head: bytes) -> None:
        parts = RESPONSE_HEAD.fullmatch(head)
        if parts is None:
            is_http = STATUS_LINE.fullmatch(head.partition(b"\r\n")[0])
            raise HttpProtocolError("has a broken header" if is_http else "is not HTTP")
        version, status, lines = parts.groups()
        self.status = int(status)
        if self.status < 200:
            self._interim += 1
            if self.status == 101 or self._interim > _MAX_INTERIM:
                raise HttpProtocolError("is not a response")
            return
        self.header_lines, self._searched = lines, b"\r\n" + lines.lower()
        self._keep_alive = version == b"1"
        if b"\r\nconnection:" in self._searched and b"close" in self._tokens(b"connection"):
            self._keep_alive = False
        self._frame()

    def _frame(self) -> None:
        """Decide how the body ends."""
        lengths = self.values(b"content-length")
        codings = self._tokens(b"transfer-encoding") if b"\r\ntransfer-encoding:" in self._searched else []
        if self._bodiless or self.status in {204, 304}:
            self.complete = True
        elif codings:
            if codings != [b"chunked"] or lengths:
                raise HttpProtocolError("has two framings")
            self._step = ResponseReader._chunk_line
        elif lengths:
            if len(lengths) > 1 or not LENGTH.fullmatch(lengths[0]):
                raise HttpProtocolError("has no clear length")
            self._left = int(lengths[0])
            self._check_size(self._left)
            self._step = ResponseReader._fixed
        else:
            self._until_close = True
            self._step = ResponseReader._rest

    def _fixed(self) -> bool:
        self._take()
        self.complete = self._left == 0
        return False

    def _rest(self) -> bool:
        self._left = len(self._buffer)
        self._check_size(self._left)
        self._take()
        return False

    def _chunk_line(self) -> bool:
        line = self._line(MAX_CHUNK_LINE)
        if line is None:
            return False
        size = CHUNK_LINE.fullmatch(line)
        if size is None:
            raise HttpProtocolError("has a broken chunk")
        self._left = int(size[1], 16)
        self._check_size(self._left)
        self._step = ResponseReader._chunk if self._left else ResponseReader._trailer
        return True

    def _chunk(self) -> bool:
        self._take()
        if self._left or len(self._buffer) < 2:
            return False
        if self._buffer[:2] != b"\r\n":
            raise HttpProtocolError("has a broken chunk")
        del self._buffer[:2]
        self._step = ResponseReader._chunk_line
        return True

    def _trailer(self) -> bool:
        line = self._line(MAX_TRAILER_LINE)
        if line:
            raise HttpProtocolError("has trailers, which were not requested")
        self.complete = line is not None
        return False

    def _line(self, max_bytes: int) -> bytes | None:
        end = self._buffer.find(b"\r\n", 0, max_bytes)
        if end < 0:
            if len(self._buffer) >= max_bytes:
                raise HttpProtocolError("has a broken chunk")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _take(self) -> None:
        part = self._buffer[: self._left]
        del self._buffer[: len(part)]
        self._left -= len(part)
        if not isinstance(self.body, bytearray):
            self.body = bytearray(self.body)
        self.body += part

    def _check_size(self, more: int) -> None:
        if len(self.body) + more > self._max_body_bytes:
            raise AnswerTooLarge(self._max_body_bytes)

    def values(self, name: bytes) -> list[bytes]:
        """The values of the headers ``name``, all in small letters."""
        start = b"\r\n%b:" % name
        if start not in self._searched:
            return []
        _, *after = self._searched.split(start)
        return [part.partition(b"\r\n")[0].strip() for part in after]

    def _tokens(self, name: bytes) -> list[bytes]:
        parts = [part for value in self.values(name) for part in value.split(b",")]
        return [token for part in parts if (token := part.strip())]


def headers_in(lines: bytes) -> list[tuple[bytes, bytes]]:
    """The headers in valid ``lines``, which each end with CRLF; their names are in small letters."""
    parts = [line.partition(b":") for line in lines.split(b"\r\n")[:-1]]
    return [(name.lower(), value.strip()) for name, _, value in parts]
