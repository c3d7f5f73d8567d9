"""Reads the body of one HTTP/1.1 request, piece by piece, as its framing has it (RFC 9112, sections 6 and 7.1)."""

from __future__ import annotations

from typing import Protocol

from .grammar import CHUNK_LINE, HEADER_LINE, MAX_CHUNK_LINE, MAX_TRAILER_LINE

MAX_TRAILERS = 64
_FRAMINGS = (b"content-length", b"transfer-encoding")


class BadBody(Exception):
    """The body's framing is broken."""


class Body(Protocol):
    """A body; ``complete`` once its last byte was read."""

    complete: bool

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Read ``data``: what it has of the body, and what it has after the body's end. Raises ``BadBody``."""


class SizedBody:
    """A body of a declared length."""

    def __init__(self, size: int) -> None:
        self.complete = False
        self._left = size

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Read ``data``."""
        piece = data[: self._left]
        self._left -= len(piece)
        self.complete = not self._left
        return piece, data[len(piece) :]


class ChunkedBody:
    """A body in chunks. Their extensions, and trailers, are checked and passed over."""

    def __init__(self) -> None:
        self.complete = False
        self._step = self._size
        self._left = 0
        self._trailers = 0
        self._pending = b""
        """The beginning of a line, or of a chunk's end."""
        self._at = 0
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Read ``data``."""
        data = self._pending + data
        self._at = 0
        self._pieces = []
        while not self.complete and self._step(data):
            pass
        rest = data[self._at :]
        self._pending = b"" if self.complete else rest
        return b"".join(self._pieces), rest if self.complete else b""

    def _size(self, data: bytes) -> bool:
        line = self._line(data, MAX_CHUNK_LINE)
        if line is None:
            return False
        size = CHUNK_LINE.fullmatch(line)
        if size is None:
            raise BadBody
        self._left = int(size[1], 16)
        self._step = self._chunk if self._left else self._trailer
        return True

    def _chunk(self, data: bytes) -> bool:
        piece = data[self._at : self._at + self._left]
        self._pieces.append(piece)
        self._at += len(piece)
        self._left -= len(piece)
        if not self._left:
            self._step = self._end_of_chunk
        return not self._left

    def _end_of_chunk(self, data: bytes) -> bool:
        end = data[self._at : self._at + 2]
        if not b"\r\n".startswith(end):
            raise BadBody
        if len(end) < 2:
            return False
        self._at += 2
        self._step = self._size
        return True

    def _trailer(self, data: bytes) -> bool:
        line = self._line(data, MAX_TRAILER_LINE)
        if line is None:
            return False
        if not line:
            self.complete = True
            return False
        self._trailers += 1
        field = HEADER_LINE.fullmatch(line)
        if field is None or field[1].lower() in _FRAMINGS or self._trailers > MAX_TRAILERS:
            raise BadBody
        return True

    def _line(self, data: bytes, max_bytes: int) -> bytes | None:
        end = data.find(b"\r\n", self._at, self._at + max_bytes)
        if end < 0:
            if len(data) - self._at >= max_bytes or data.find(b"\n", self._at) >= 0:
                raise BadBody
            return None
        line = data[self._at : end]
        self._at = end + 2
        return line
