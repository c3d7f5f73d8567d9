"""Source maps (version 3), as AssemblyScript writes them: the generated column is a byte offset in the module."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Generator

from .cursor import Unreadable
from .json_members import plain_text, read_members
from .sections import Sections
from .table import LineTable

MAX_BYTES = 4 * 1024 * 1024
"""Of a map that is read, the sources that it quotes included."""

_STEP_SEGMENTS = 150
_MAX_SOURCES = 5_000
_MAX_SOURCE_BYTES = 1_000
_WANTED = frozenset({b"sources", b"mappings"})
_INLINE = b"data:application/json;base64,"

_DIGITS = {
    digit: value
    for value, digit in enumerate(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
}
_MORE = 32
_MAX_SHIFT = 40
_STEP_BYTES = 2_000
_SEGMENT_NUMBERS = (1, 4, 5)
_LONGEST_SEGMENT = 50
_MAX_INLINE_BYTES = 1024 * 1024


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


def read_source_map(text: bytes, sections: Sections, table: LineTable) -> Generator[None]:
    """Add what the map says to ``table``, a step at a time; of a map that is broken somewhere, what stands before."""
    if len(text) > MAX_BYTES:
        return
    try:
        members = yield from read_members(text, _WANTED)
        sources, mappings = members.get(b"sources"), members.get(b"mappings")
        if isinstance(sources, list) and isinstance(mappings, bytes):
            files = yield from _files(sources, table)
            yield from _read_mappings(mappings, files, table)
    except (Unreadable, OverflowError):
        pass
    table.end_sequence(sections.code_end)


def _files(sources: list[bytes], table: LineTable) -> Generator[None, None, list[int]]:
    files: list[int] = []
    for source in sources[:_MAX_SOURCES]:
        if len(files) % _STEP_SEGMENTS == 0:
            yield
        files.append(table.file(plain_text(source)) if 0 < len(source) <= _MAX_SOURCE_BYTES else 0)
    return files


def _read_mappings(mappings: bytes, files: list[int], table: LineTable) -> Generator[None]:
    """Segments of base64 numbers, each the difference to the one before: offset, source, line, column."""
    offset = source = line = column = 0
    position, end = 0, len(mappings)
    while position < end and not table.full:
        yield
        stop = min(position + _STEP_BYTES, end)
        while position < stop:
            comma = mappings.find(b",", position, position + _LONGEST_SEGMENT)
            if comma < 0:
                if end - position > _LONGEST_SEGMENT:
                    raise Unreadable("an endless segment")
                comma = end
            numbers = _numbers(mappings[position:comma])
            position = comma + 1
            offset += numbers[0]
            if len(numbers) == 1:
                table.add(offset, 0, 0, 0)
                continue
            source += numbers[1]
            line += numbers[2]
            column += numbers[3]
            file = files[source] if 0 <= source < len(files) else 0
            table.add(offset, file, line + 1, column + 1)


def _numbers(segment: bytes) -> list[int]:
    """The numbers of one segment. A ``;``, which begins a second line, belongs to no module."""
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
