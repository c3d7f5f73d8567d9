"""What stands before a line number program: the meaning of its instructions, and the files it names."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from .cursor import Cursor, Unreadable
from .sections import Sections
from .table import LineTable

_STEP_NAMES = 200
_PATH, _DIRECTORY = 1, 2
_STRING, _BLOCK, _STRP, _UDATA, _LINE_STRP = 0x08, 0x09, 0x0E, 0x0F, 0x1F
_FIXED = {0x0B: 1, 0x05: 2, 0x06: 4, 0x07: 8, 0x1E: 16}
_STRINGS = {_STRP: b".debug_str", _LINE_STRP: b".debug_line_str"}
_MAX_FIELDS = 8
_MAX_PATH_BYTES = 1_000

_Entries = list[tuple[str, int]]
"""Paths, each with the number of the directory it lies in."""


@dataclass(frozen=True, slots=True)
class Unit:
    """The numbers of one program's header (DWARF 5, section 6.2.4), and its files by their number in the table."""

    line_base: int
    line_range: int
    opcode_base: int
    instruction_bytes: int
    operands: bytes
    files: list[int]


def read_header(cursor: Cursor, sections: Sections, table: LineTable) -> Generator[None, None, Unit]:
    """The header at ``cursor``, which then stands at the program. Raises ``Unreadable``."""
    version = cursor.unsigned(2)
    if not 2 <= version <= 5:
        raise Unreadable("another version")
    if version == 5:
        cursor.skip(2)
    length = cursor.unsigned(4)
    program = cursor.position + length
    instruction_bytes = cursor.byte()
    cursor.skip(1 if version < 4 else 2)
    line_base = (cursor.byte() ^ 0x80) - 0x80
    line_range, opcode_base = cursor.byte(), cursor.byte()
    if not line_range or not opcode_base:
        raise Unreadable("no instructions")
    operands = cursor.take(opcode_base - 1)
    if version == 5:
        directories = yield from _entries(cursor, sections)
        named = yield from _entries(cursor, sections)
        home = directories[0][0] if directories else ""
        folders = [_inside(home, path) for path, _ in directories]
        files = []
    else:
        folders = [""]
        folders += [_inside("", path) for path, _ in (yield from _old_entries(cursor, fields=0))]
        named = yield from _old_entries(cursor, fields=3)
        files = [0]  # the first has the number 1
    for position, (path, folder) in enumerate(named):
        if position % _STEP_NAMES == 0:
            yield
        parent = folders[folder] if folder < len(folders) else ""
        files.append(table.file(f"{parent}/{path}" if parent and not path.startswith("/") else path))
    cursor.position = program
    return Unit(line_base, line_range, opcode_base, instruction_bytes, operands, files)


def _inside(home: str, path: str) -> str:
    """``path`` relative to ``home``, where the compiler ran, if it lies there."""
    return "" if path in {home, "."} else path.removeprefix(home + "/")


def _old_entries(cursor: Cursor, fields: int) -> Generator[None, None, _Entries]:
    """Texts up to an empty one, each followed by ``fields`` numbers, the first of them the directory's."""
    entries: _Entries = []
    while path := cursor.text():
        numbers = [cursor.uleb() for _ in range(fields)]
        entries.append((_decoded(path), numbers[0] if numbers else 0))
        if len(entries) % _STEP_NAMES == 0:
            yield
    return entries


def _entries(cursor: Cursor, sections: Sections) -> Generator[None, None, _Entries]:
    """A table that says itself which fields its entries have."""
    field_count = cursor.byte()
    if field_count > _MAX_FIELDS:
        raise Unreadable("too many fields")
    layout = [(cursor.uleb(), cursor.uleb()) for _ in range(field_count)]
    entries: _Entries = []
    for position in range(cursor.uleb()):
        path, folder = "", 0
        before = cursor.position
        for content, form in layout:
            value = _field(cursor, form, sections)
            if content == _PATH and isinstance(value, bytes):
                path = _decoded(value)
            elif content == _DIRECTORY and isinstance(value, int):
                folder = value
        if cursor.position == before:
            raise Unreadable("entries of nothing")
        entries.append((path, folder))
        if position % _STEP_NAMES == 0:
            yield
    return entries


def _field(cursor: Cursor, form: int, sections: Sections) -> bytes | int:
    if form == _STRING:
        return cursor.text()
    if form == _UDATA:
        return cursor.uleb()
    if form in _FIXED:
        return cursor.unsigned(_FIXED[form])
    if form == _BLOCK:
        return cursor.take(cursor.uleb())
    if form in _STRINGS:
        texts = sections.custom.get(_STRINGS[form], b"")
        start = cursor.unsigned(4)
        return texts[start : start + _MAX_PATH_BYTES].partition(b"\0")[0]
    raise Unreadable("an unknown form")


def _decoded(path: bytes) -> str:
    return path[:_MAX_PATH_BYTES].decode("utf-8", "replace")
