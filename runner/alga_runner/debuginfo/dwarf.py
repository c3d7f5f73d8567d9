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
            yield from _Machine(unit, cursor, sections, table).run()
        except (Unreadable, OverflowError):
            table.drop_sequence()
        yield


class _Machine:
    """What a program's instructions work on (DWARF 5, section 6.2.2).

    Sequences of functions that the linker dropped start at 0 or outside the code: their rows are left out.
    """

    __slots__ = (
        "_alive",
        "_cursor",
        "_sections",
        "_size",
        "_table",
        "_unit",
        "address",
        "column",
        "file",
        "line",
    )

    def __init__(self, unit: Unit, cursor: Cursor, sections: Sections, table: LineTable) -> None:
        self._unit = unit
        self._cursor = cursor
        self._sections = sections
        self._size = sections.code_end - sections.code_start
        self._table = table
        self._start()

    def _start(self) -> None:
        self.address, self.file, self.line, self.column = 0, 1, 1, 0
        self._alive = False

    def run(self) -> Generator[None]:
        """Carry out the program, to its end."""
        cursor, unit = self._cursor, self._unit
        data, first = cursor.data, unit.opcode_base
        while not cursor.at_end and not self._table.full:
            yield
            stop = min(cursor.position + _STEP_BYTES, cursor.end)
            while cursor.position < stop:
                opcode = data[cursor.position]
                cursor.position += 1
                if opcode >= first:
                    advance, step = divmod(opcode - first, unit.line_range)
                    self.address += advance * unit.instruction_bytes
                    self.line += unit.line_base + step
                    if self._alive:
                        self._row()
                elif opcode:
                    self._standard(opcode)
                else:
                    self._extended(cursor.take(cursor.uleb()))
        self._table.drop_sequence()

    def _row(self) -> None:
        files, file = self._unit.files, self.file
        number = files[file] if file < len(files) else 0
        self._table.add(self._sections.code_start + self.address, number, self.line, self.column)

    def _standard(self, opcode: int) -> None:
        cursor, unit = self._cursor, self._unit
        match opcode:
            case 1:  # copy
                if self._alive:
                    self._row()
            case 2:  # advance_pc
                self.address += cursor.uleb() * unit.instruction_bytes
            case 3:  # advance_line
                self.line += cursor.sleb()
            case 4:  # set_file
                self.file = cursor.uleb()
            case 5:  # set_column
                self.column = cursor.uleb()
            case 8:  # const_add_pc
                self.address += (255 - unit.opcode_base) // unit.line_range * unit.instruction_bytes
            case 9:  # fixed_advance_pc
                self.address += cursor.unsigned(2)
            case _:  # marks, and whatever is newer
                for _ in range(unit.operands[opcode - 1]):
                    cursor.uleb()

    def _extended(self, instruction: bytes) -> None:
        match instruction[:1]:
            case b"\1":  # end_sequence
                self._table.end_sequence(self._sections.code_start + self.address)
                self._start()
            case b"\2":  # set_address
                self.address = int.from_bytes(instruction[1:9], "little")
                self._alive = 0 < self.address < self._size
