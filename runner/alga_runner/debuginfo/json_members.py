"""The members of a JSON object that are texts or lists of texts, found without building the rest.

Python's own reader takes a quarter of a second for four megabytes made to be slow, in one go; this one works in steps.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator

from .cursor import Unreadable

Members = dict[bytes, bytes | list[bytes]]
"""Texts as they are written, without their quotes."""

_STEP_TEXTS = 300
_WHITE = frozenset((b" ", b"\t", b"\n", b"\r"))
_SCALAR = re.compile(rb"[-+.0-9a-zE]{1,40}")


def plain_text(written: bytes) -> str:
    """What a text that was written so says. Raises ``Unreadable``."""
    try:
        text: str = json.loads(b'"' + written + b'"')
    except ValueError:
        raise Unreadable("not a text") from None
    return text


def read_members(text: bytes, wanted: frozenset[bytes]) -> Generator[None, None, Members]:
    """Those of the object in ``text`` whose names are ``wanted``.

    Numbers and the like are passed over. Raises ``Unreadable`` for objects and lists further inside: no source map that
    is in one piece has any.
    """
    reader = _Reader(text)
    reader.expect(b"{")
    members: Members = {}
    while reader.next() != b"}":
        name = yield from reader.text()
        reader.expect(b":")
        value: bytes | list[bytes]
        if reader.next() == b"[":
            value = yield from reader.texts(keep=name in wanted)
        else:
            value = yield from reader.value()
        if name in wanted:
            members[name] = value
        if reader.next() != b"}":
            reader.expect(b",")
    return members


class _Reader:
    def __init__(self, text: bytes) -> None:
        self._text = text
        self._position = 0
        self._texts = 0

    def next(self) -> bytes:
        """The next character that is not white."""
        while (character := self._text[self._position : self._position + 1]) in _WHITE:
            self._position += 1
        return character

    def expect(self, character: bytes) -> None:
        if self.next() != character:
            raise Unreadable(f"no {character!r}")
        self._position += 1

    def texts(self, *, keep: bool) -> Generator[None, None, list[bytes]]:
        self.expect(b"[")
        found: list[bytes] = []
        while self.next() != b"]":
            value = yield from self.value()
            if keep:
                found.append(value)
            if self.next() != b"]":
                self.expect(b",")
        self.expect(b"]")
        return found

    def value(self) -> Generator[None, None, bytes]:
        """A text, or nothing for another scalar, which is passed over."""
        if self.next() == b'"':
            return (yield from self.text())
        match = _SCALAR.match(self._text, self._position)
        if match is None:
            raise Unreadable("a value inside a value")
        self._position = match.end()
        yield from self._count()
        return b""

    def text(self) -> Generator[None, None, bytes]:
        self.expect(b'"')
        first = start = self._position
        while True:
            quote = self._text.find(b'"', start)
            if quote < 0:
                raise Unreadable("an endless text")
            yield from self._count()
            piece = self._text[start:quote]
            start = quote + 1
            if (len(piece) - len(piece.rstrip(b"\\"))) % 2 == 0:
                self._position = start
                return self._text[first:quote]

    def _count(self) -> Generator[None]:
        self._texts += 1
        if self._texts % _STEP_TEXTS == 0:
            yield
