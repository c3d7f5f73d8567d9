"""Reads JSON that an Alga server sent; a large document in pieces, so that none holds the event loop for long."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NoReturn

from pydantic_core import from_json

from ..models import MAX_DEPTH, readable

PIECE_CHARACTERS = 32 * 1024
"""A piece ends with the item of a list that reaches so many; of nested arrays it takes about a millisecond."""

_DECODED_BYTES = 1024 * 1024
"""Decoding so much text is a piece of its own."""

_GAP = re.compile(r"[ \t\n\r]*")


class Replaced(dict[str, object]):
    """A document in which parts that could not be read were replaced."""


def read_json(body: bytes) -> object:
    """The value in ``body``; ``None`` if that is no JSON.

    What a strict parser refuses for its depth, or for half of a surrogate pair, which JavaScript escapes, is replaced.
    """
    try:
        content: object = from_json(body, allow_inf_nan=False)
    except ValueError:
        content = _with_replacements(body)
    return content


class JsonPieces:
    """The same, one piece at each ``step``; ``content`` is the value after the last.

    The lists that an object has are read an item at a time; any other value is one piece.
    """

    def __init__(self, body: bytes) -> None:
        self.content: object = None
        self._body = body
        self._steps = self._read()

    def step(self) -> bool:
        """Read one more piece; ``False`` if it was the last."""
        return next(self._steps, False)

    def _read(self) -> Iterator[bool]:
        try:
            text = _Text(self._body.decode())
            if len(self._body) >= _DECODED_BYTES:
                yield True
            if text.takes("{"):
                members: dict[str, object] = {}
                yield from _read_members(text, members)
                text.expect_end()
                self.content = Replaced(members) if text.replaced else members
            else:
                self.content = read_json(self._body)
        except (ValueError, RecursionError):
            pass  # it is no JSON


class _Text:
    """A JSON text and the place that is read next."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.place = self._past_gap(0)
        self.replaced = False

    def takes(self, sign: str) -> bool:
        """Whether ``sign`` was next; then it is passed."""
        if not self._text.startswith(sign, self.place):
            return False
        self.place = self._past_gap(self.place + 1)
        return True

    def expect(self, sign: str) -> None:
        """Pass ``sign``. Raises ``ValueError``."""
        if not self.takes(sign):
            raise ValueError(f"no {sign} at {self.place}")

    def expect_end(self) -> None:
        """Raises ``ValueError`` if anything is left."""
        if self.place != len(self._text):
            raise ValueError(f"more at {self.place}")

    def name(self) -> str:
        """The string that is next. Raises ``ValueError``."""
        if not self._text.startswith('"', self.place):
            raise ValueError(f"no name at {self.place}")
        return str(self.value(0))

    def value(self, levels: int) -> object:
        """The value that is next, with ``levels`` of containers where it has to be replaced. Raises ``ValueError``."""
        begun = self.place
        value, ended = _decoder.raw_decode(self._text, begun)
        self.place = self._past_gap(ended)
        try:
            content: object = from_json(self._text[begun:ended], allow_inf_nan=False)
        except ValueError:
            self.replaced = True
            content = readable(value, levels)
        return content

    def _past_gap(self, place: int) -> int:
        gap = _GAP.match(self._text, place)
        return gap.end() if gap else place


def _read_members(text: _Text, members: dict[str, object]) -> Iterator[bool]:
    """Read what follows the brace of an object into ``members``, piece by piece."""
    more = not text.takes("}")
    while more:
        name = text.name()
        text.expect(":")
        if text.takes("["):
            items: list[object] = []
            members[name] = items
            yield from _read_items(text, items)
        else:
            members[name] = text.value(MAX_DEPTH - 1)
        if not (more := text.takes(",")):
            text.expect("}")


def _read_items(text: _Text, items: list[object]) -> Iterator[bool]:
    """Read what follows the bracket of a list into ``items``, piece by piece."""
    more = not text.takes("]")
    begun = text.place
    while more:
        items.append(text.value(MAX_DEPTH - 2))
        if not (more := text.takes(",")):
            text.expect("]")
        if text.place - begun >= PIECE_CHARACTERS:
            begun = text.place
            yield True


def _with_replacements(body: bytes) -> object:
    try:
        content = readable(json.loads(body.decode(), parse_constant=_no_constant), MAX_DEPTH)
    except (ValueError, RecursionError):
        return None
    return Replaced(content) if isinstance(content, dict) else content


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(parse_constant=_no_constant)
