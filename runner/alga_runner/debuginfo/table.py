"""Byte offsets of a module to lines of its source."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import replace

from ..frames import Frame

MAX_ROWS = 200_000
"""Of one table, 12 bytes each; a module of a megabyte's code has about that many."""

_MAX_SEQUENCES = 30_000
_MAX_FILES = 0xFFFF
_MAX_NUMBER = 0xFFFFFFFF
_MAX_COLUMN = 0xFFFF
_SHOWN_PATH = 120
"""Characters of a file's path; of a longer one, the last."""


class LineTable:
    """Which line each stretch of code came from.

    Rows are added in sequences of rising offsets; the sequences may come in any order.
    """

    def __init__(self) -> None:
        self._offsets = array("I")
        self._files = array("H")
        self._lines = array("I")
        self._columns = array("H")
        self._names: list[str] = []
        self._name_numbers: dict[str, int] = {}
        self._first = 0
        self._sequences: list[tuple[int, int, int, int]] = []
        self._sorted = True

    @property
    def full(self) -> bool:
        """Whether no row fits any more."""
        return len(self._offsets) >= MAX_ROWS

    def __len__(self) -> int:
        return len(self._offsets)

    def file(self, name: str) -> int:
        """The number of a file, for rows; 0 is none."""
        shown = name if len(name) <= _SHOWN_PATH else "…" + name[1 - _SHOWN_PATH :]
        number = self._name_numbers.get(shown)
        if number is None:
            if len(self._names) >= _MAX_FILES:
                return 0
            self._names.append(shown)
            number = self._name_numbers[shown] = len(self._names)
        return number

    def add(self, offset: int, file: int, line: int, column: int) -> None:
        """A row: from ``offset`` on, up to the next row's. Beyond 32 bits it raises ``OverflowError`` instead."""
        if not (0 <= offset <= _MAX_NUMBER and 0 <= line <= _MAX_NUMBER):
            raise OverflowError
        self._offsets.append(offset)
        self._files.append(file)
        self._lines.append(line)
        self._columns.append(max(0, min(column, _MAX_COLUMN)))

    def end_sequence(self, end: int) -> None:
        """The rows added since the last sequence are one, which ends before ``end``."""
        first, last = self._first, len(self._offsets)
        if last > first and self._offsets[first] < end and len(self._sequences) < _MAX_SEQUENCES:
            self._sequences.append((self._offsets[first], end, first, last))
            self._first, self._sorted = last, False
        else:
            self.drop_sequence()

    def drop_sequence(self) -> None:
        """Forget the rows added since the last sequence."""
        for column in (self._offsets, self._files, self._lines, self._columns):
            del column[self._first :]

    def locate(self, frame: Frame) -> Frame:
        """``frame`` with file, line and column, where the table knows its offset."""
        if frame.offset is None:
            return frame
        if not self._sorted:
            self._sequences.sort()
            self._sorted = True
        position = bisect_right(self._sequences, (frame.offset, 1 << 32, 0, 0)) - 1
        if position < 0:
            return frame
        _, end, first, last = self._sequences[position]
        if frame.offset >= end:
            return frame
        row = bisect_right(self._offsets, frame.offset, first, last) - 1
        file, line = self._files[row], self._lines[row]
        if not file or not line:
            return frame
        return replace(frame, file=self._names[file - 1], line=line, column=self._columns[row] or None)
