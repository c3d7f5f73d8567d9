"""DWARF's line number programs (versions 2 to 5, 32 bits), as LLVM writes them for C, C++, Rust and Zig.

A program is a small machine whose instructions yield rows: offset in the code section, file, line, column. There is one
for each compilation unit, behind a header that names its files (DWARF 5, section 6.2).
"""

from __future__ import annotations

from collections.abc import Generator

from .cursor import Cursor, Unreadable
from .dwarf_header import Unit, read_header
from .sections import Sections
from .table import LineTable

MAX_BYTES = 4 * 1024 * 1024
"""Of line programs that are read; what lies behind is not."""

_MAX_UNITS = 5_000
_STEP_BYTES = 1_000
"""A step runs that much, a few tenths of a millisecond."""

_LONGEST_UNIT = 0xFFFFFFEF
_COPY, _ADVANCE_PC, _ADVANCE_LINE, _SET_FILE, _SET_COLUMN = 1, 2, 3, 4, 5
_CONST_ADD_PC, _FIXED_ADVANCE_PC = 8, 9
_END_SEQUENCE, _SET_ADDRESS = 1, 2


def read_line_programs(sections: Sections, table: LineTable) -> Generator[None]:
    """Add the rows of every program to ``table``, a step at a time. A unit that cannot be read adds nothing more."""
    data = sections.custom[b".debug_line"][:MAX_BYTES]
    start = 0
    for _ in range(_MAX_UNITS):
        cursor = Cursor(data, start, len(data))
        try:
            length = cursor.unsigned(4)
        except Unreadable:
            return
        if length > _LONGEST_UNIT or table.full:
            return
        start = cursor.position + length
        cursor.end = min(start, len(data))
        try:
            unit = yield from read_header(cursor, sections, table)
            yield from _run(unit, cursor, sections, table)
        except (Unreadable, OverflowError):
            table.drop_sequence()
        yield


def _run(unit: Unit, cursor: Cursor, sections: Sections, table: LineTable) -> Generator[None]:
    """Carry out a unit's program. Sequences of functions that the linker dropped start at 0 or outside the code."""
    data = cursor.data
    base, size = sections.code_start, sections.code_end - sections.code_start
    opcode_base, line_base, line_range = unit.opcode_base, unit.line_base, unit.line_range
    wide = unit.instruction_bytes
    skipped = (255 - opcode_base) // line_range * wide
    files, file_count = unit.files, len(unit.files)
    address, file, line, column = 0, 1, 1, 0
    alive = False
    while not cursor.at_end and not table.full:
        yield
        stop = min(cursor.position + _STEP_BYTES, cursor.end)
        while cursor.position < stop:
            opcode = data[cursor.position]
            cursor.position += 1
            if opcode >= opcode_base:
                opcode -= opcode_base
                address += opcode // line_range * wide
                line += line_base + opcode % line_range
                if alive:
                    table.add(base + address, files[file] if file < file_count else 0, line, column)
            elif opcode == _COPY:
                if alive:
                    table.add(base + address, files[file] if file < file_count else 0, line, column)
            elif opcode == _SET_COLUMN:
                column = cursor.uleb()
            elif opcode == _ADVANCE_LINE:
                line += cursor.sleb()
            elif opcode == _ADVANCE_PC:
                address += cursor.uleb() * wide
            elif opcode == _CONST_ADD_PC:
                address += skipped
            elif opcode == _SET_FILE:
                file = cursor.uleb()
            elif opcode == _FIXED_ADVANCE_PC:
                address += cursor.unsigned(2)
            elif opcode:
                for _ in range(unit.operands[opcode - 1]):
                    cursor.uleb()
            else:
                length = cursor.uleb()
                extended = cursor.take(length)
                if extended[:1] == bytes([_SET_ADDRESS]):
                    address = int.from_bytes(extended[1:], "little")
                    alive = 0 < address < size
                elif extended[:1] == bytes([_END_SEQUENCE]):
                    table.end_sequence(base + address)
                    address, file, line, column = 0, 1, 1, 0
                    alive = False
    table.drop_sequence()
