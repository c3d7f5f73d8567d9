"""Source maps (version 3), as AssemblyScript writes them: the generated column is a byte offset in the module."""

from __future__ import annotations

import base64
import binascii
import json
from contextlib import suppress

from .cursor import Unreadable
from .sections import Sections
from .table import MAX_ROWS, LineRows

MAX_BYTES = 4 * 1024 * 1024
"""Of a map that is read, with the sources that it quotes."""

_INLINE = b"data:application/json;base64,"
_MAX_INLINE_BYTES = 1024 * 1024
_MAX_SOURCE_CHARACTERS = 1_000
_DIGITS = {
    digit: value
    for value, digit in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
}
_MORE = 32
_MAX_SHIFT = 40
_SEGMENT_NUMBERS = (1, 4, 5)
_MAX_DIGITS = 45
"""Of a segment: nine for each of its numbers."""


def inline_map(sections: Sections) -> bytes | None:
    """The map that the module's ``sourceMappingURL`` carries itself, instead of naming a file."""
    section = sections.custom.get(b"sourceMappingURL", b"")
    start = section.find(_INLINE, 0, 64)
    if start < 0 or len(section) > _MAX_INLINE_BYTES:
        return None
    try:
        return base64.b64decode(section[start + len(_INLINE) :], validate=True)
    except binascii.Error:
        return None


def read_source_map(text: bytes, sections: Sections, rows: LineRows) -> None:
    """Add the map's rows; of mappings that are broken somewhere, those before."""
    try:
        members = json.loads(text) if len(text) <= MAX_BYTES else None
    except (ValueError, RecursionError):
        return
    if not isinstance(members, dict):
        return
    sources, mappings = members.get("sources"), members.get("mappings")
    if isinstance(sources, list) and isinstance(mappings, str):
        with suppress(Unreadable, OverflowError):
            _read_mappings(mappings, [_file(source, rows) for source in sources], rows)
        rows.end_sequence(sections.code_end)


def _file(source: object, rows: LineRows) -> int:
    if isinstance(source, str) and 0 < len(source) <= _MAX_SOURCE_CHARACTERS:
        return rows.file(source)
    return 0


def _read_mappings(mappings: str, files: list[int], rows: LineRows) -> None:
    """Read the segments of base64 numbers, each the difference to the one before: offset, source, line, column."""
    offset = source = line = column = 0
    for segment in mappings.split(",", MAX_ROWS):
        if rows.full:
            return
        numbers = _numbers(segment)
        offset += numbers[0]
        if len(numbers) == 1:
            rows.add(offset, 0, 0, 0)
            continue
        source += numbers[1]
        line += numbers[2]
        column += numbers[3]
        file = files[source] if 0 <= source < len(files) else 0
        rows.add(offset, file, line + 1, column + 1)


def _numbers(segment: str) -> list[int]:
    """The numbers of one segment. A ``;`` begins the map's second line, which no module has."""
    if len(segment) > _MAX_DIGITS:
        raise Unreadable("not a segment")
    numbers, value, shift = [], 0, 0
    for character in segment:
        digit = _DIGITS.get(character)
        if digit is None or shift > _MAX_SHIFT:
            raise Unreadable("not a segment")
        value |= (digit & ~_MORE) << shift
        if digit & _MORE:
            shift += 5
        else:
            numbers.append(-(value >> 1) if value & 1 else value >> 1)
            value, shift = 0, 0
    if shift or len(numbers) not in _SEGMENT_NUMBERS:
        raise Unreadable("not a segment")
    return numbers
