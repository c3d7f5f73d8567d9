"""Reads numbers and texts out of bytes that may be hostile."""

from __future__ import annotations

_MAX_LEB_BITS = 70


class Unreadable(ValueError):
    """The bytes break the rules of their format. Only this package raises and catches it."""


class Cursor:
    """Reads ``data`` from ``position`` on. Raises ``Unreadable`` for a read beyond ``end``."""

    __slots__ = ("data", "end", "position")

    def __init__(self, data: bytes, position: int, end: int) -> None:
        self.data = data
        self.position = position
        self.end = min(end, len(data))

    @property
    def at_end(self) -> bool:
        """Whether nothing is left."""
        return self.position >= self.end

    def skip(self, count: int) -> None:
        """Move on by ``count`` bytes."""
        if count > self.end - self.position:
            raise Unreadable("cut off")
        self.position += count

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        start = self.position
        self.skip(count)
        return self.data[start : self.position]

    def byte(self) -> int:
        """The next byte."""
        position = self.position
        if position >= self.end:
            raise Unreadable("cut off")
        self.position = position + 1
        return self.data[position]

    def unsigned(self, size: int) -> int:
        """An unsigned integer of ``size`` bytes, little endian."""
        return int.from_bytes(self.take(size), "little")

    def uleb(self) -> int:
        """An unsigned LEB128 integer."""
        value = self.byte()
        if value < 0x80:
            return value
        return self._leb(value)[0]

    def sleb(self) -> int:
        """A signed LEB128 integer."""
        value, bits = self._leb(self.byte())
        return value - (1 << bits) if value >> (bits - 1) else value

    def _leb(self, first: int) -> tuple[int, int]:
        """A LEB128 integer that begins with the byte ``first``, and how many bits it was written with."""
        value, bits, byte = first & 0x7F, 7, first
        while byte >= 0x80:
            if bits >= _MAX_LEB_BITS:
                raise Unreadable("an endless number")
            byte = self.byte()
            value |= (byte & 0x7F) << bits
            bits += 7
        return value, bits

    def text(self) -> bytes:
        """The bytes up to a zero, which is skipped."""
        zero = self.data.find(b"\0", self.position, self.end)
        if zero < 0:
            raise Unreadable("an endless text")
        start, self.position = self.position, zero + 1
        return self.data[start:zero]
