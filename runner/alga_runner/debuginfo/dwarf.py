"""DWARF's line number programs (versions 2 to 5, 32 bits), as LLVM writes them for C, C++, Rust and Zig.

A program is a small machine whose instructions make rows: offset in the code section, file, line, column. There is one
for each compilation unit, after a header with its files and the meaning of its instructions (DWARF 5, section 6.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from .cursor import Cursor, Unreadable
from .sections import Sections
from .table import LineRows

MAX_BYTES = 4 * 1024 * 1024
"""Of line programs that are read; the rest is left out."""

_LONGEST_UNIT = 0xFFFFFFEF
_MAX_FIELDS = 8
_MAX_PATH_BYTES = 1_000
_MAX_DIRECTORIES = 4_000
"""Of one program: four bytes can name a path of a thousand."""
_PATH, _DIRECTORY = 1, 2
_STRING, _BLOCK, _STRP, _UDATA, _LINE_STRP = 0x08, 0x09, 0x0E, 0x0F, 0x1F
_FIXED = {0x0B: 1, 0x05: 2, 0x06: 4, 0x07: 8, 0x1E: 16}
_STRINGS = {_STRP: b".debug_str", _LINE_STRP: b".debug_line_str"}

_Entries = Iterator[tuple[str, int]]
"""Paths, each with the number of its directory. They are read one after the other: not all of them fit in memory."""


def read_line_programs(sections: Sections, rows: LineRows) -> None:
    """Add the rows of every program. Of one that cannot be read to its end, those before count."""
    data = sections.custom[b".debug_line"][:MAX_BYTES]
    start = 0
    while start + 4 <= len(data) and not rows.full:
        cursor = Cursor(data, start, len(data))
        length = cursor.unsigned(4)
        if length > _LONGEST_UNIT:
            return
        start = cursor.position + length
        cursor.end = min(start, len(data))
        with suppress(Unreadable, OverflowError):
            _Machine(_read_header(cursor, sections, rows), cursor, sections, rows).run()
        rows.drop_sequence()


@dataclass(slots=True)
class _Unit:
    """The numbers of a program's header (DWARF 5, section 6.2.4), and its files by their number in the program."""

    line_base: int
    line_range: int
    opcode_base: int
    instruction_bytes: int
    operands: bytes
    files: list[int]


class _Machine:
    """The state that a program's instructions change (DWARF 5, section 6.2.2).

    Sequences of functions that the linker dropped start at 0 or outside the code: their rows are left out.
    """

    def __init__(self, unit: _Unit, cursor: Cursor, sections: Sections, rows: LineRows) -> None:
        self._unit = unit
        self._cursor = cursor
        self._code_start = sections.code_start
        self._code_bytes = sections.code_end - sections.code_start
        self._rows = rows
        self._reset()

    def _reset(self) -> None:
        self._address, self._file, self._line, self._column = 0, 1, 1, 0
        self._alive = False

    def run(self) -> None:
        """Carry out the program, to its end."""
        cursor, unit = self._cursor, self._unit
        while not cursor.at_end and not self._rows.full:
            opcode = cursor.byte()
            if opcode >= unit.opcode_base:
                advance, step = divmod(opcode - unit.opcode_base, unit.line_range)
                self._address += advance * unit.instruction_bytes
                self._line += unit.line_base + step
                self._add_row()
            elif opcode:
                self._standard(opcode)
            else:
                self._extended(cursor.take(cursor.uleb()))

    def _add_row(self) -> None:
        if self._alive:
            files = self._unit.files
            file = files[self._file] if self._file < len(files) else 0
            self._rows.add(self._code_start + self._address, file, self._line, self._column)

    def _standard(self, opcode: int) -> None:
        cursor, unit = self._cursor, self._unit
        match opcode:
            case 1:  # copy
                self._add_row()
            case 2:  # advance_pc
                self._address += cursor.uleb() * unit.instruction_bytes
            case 3:  # advance_line
                self._line += cursor.sleb()
            case 4:  # set_file
                self._file = cursor.uleb()
            case 5:  # set_column
                self._column = cursor.uleb()
            case 8:  # const_add_pc
                self._address += (255 - unit.opcode_base) // unit.line_range * unit.instruction_bytes
            case 9:  # fixed_advance_pc
                self._address += cursor.unsigned(2)
            case _:  # marks, and instructions of later versions
                for _ in range(unit.operands[opcode - 1]):
                    cursor.uleb()

    def _extended(self, instruction: bytes) -> None:
        match instruction[:1]:
            case b"\1":  # end_sequence
                self._rows.end_sequence(self._code_start + self._address)
                self._reset()
            case b"\2":  # set_address
                self._address = int.from_bytes(instruction[1:9], "little")
                self._alive = 0 < self._address < self._code_bytes


def _read_header(cursor: Cursor, sections: Sections, rows: LineRows) -> _Unit:
    """The header at ``cursor``, which moves on to the program. Raises ``Unreadable``."""
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
        directories = _directories(_entries(cursor, sections))
        entries = _entries(cursor, sections)
        files = []
    else:
        directories = ["", *_directories(_old_entries(cursor, fields=0))]
        entries = _old_entries(cursor, fields=3)
        files = [0]  # the first has the number 1
    home = directories[0] if directories else ""
    folders = ["" if path in {home, "."} else path.removeprefix(home + "/") for path in directories]
    for path, folder in entries:
        parent = folders[folder] if folder < len(folders) and not path.startswith("/") else ""
        files.append(rows.file(f"{parent}/{path}" if parent else path))
    cursor.position = program
    return _Unit(line_base, line_range, opcode_base, instruction_bytes, operands, files)


def _directories(entries: _Entries) -> list[str]:
    directories = [path for path, _ in islice(entries, _MAX_DIRECTORIES)]
    if next(entries, None) is not None:
        raise Unreadable("too many directories")
    return directories


def _old_entries(cursor: Cursor, fields: int) -> _Entries:
    """Texts up to an empty one, each followed by ``fields`` numbers, the first of them the directory's."""
    while path := cursor.text():
        numbers = [cursor.uleb() for _ in range(fields)]
        yield _decoded(path), numbers[0] if numbers else 0


def _entries(cursor: Cursor, sections: Sections) -> _Entries:
    """A table of version 5, which begins with the list of its entries' fields."""
    field_count = cursor.byte()
    if field_count > _MAX_FIELDS:
        raise Unreadable("too many fields")
    layout = [(cursor.uleb(), cursor.uleb()) for _ in range(field_count)]
    for _ in range(cursor.uleb()):
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
        yield path, folder


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
