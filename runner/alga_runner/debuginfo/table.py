"""The line table: byte offsets of a module to lines of its source.

Its bytes are a count of rows, the rows by rising offset, and the files' names, each ended by a zero. A row holds
the line and column that apply up to the next row's offset, and where the file's name begins among the names.
"""

from __future__ import annotations

import struct
import sys
from bisect import bisect_right
from dataclasses import replace

from ..frames import Frame

MAX_ROWS = 200_000
"""Of one table; a module of a megabyte's code has about that many."""

_MAX_NAMES_BYTES = 512 * 1024
_MAX_NUMBER = 0xFFFFFFFF
_MAX_COLUMN = 0xFFFF
_SHOWN_PATH = 120
"""Characters of a file's path; of a longer one, the last."""

_MAX_NAME_BYTES = 4 * _SHOWN_PATH

_count = struct.Struct("=I")
_row = struct.Struct("=IIIH")

MAX_TABLE_BYTES = _count.size + MAX_ROWS * _row.size + _MAX_NAMES_BYTES

_Row = tuple[int, int, int, int]
"""Offset, line, beginning of the file's name, column."""


class LineTable:
    """Finds the line of a frame. A process that read hostile bytes wrote its content, so no value in it is trusted."""

    def __init__(self, content: bytes = _count.pack(0)) -> None:
        """Raises ``ValueError`` for bytes that are no table."""
        if not _count.size <= len(content) <= MAX_TABLE_BYTES:
            raise ValueError("a line table of the wrong size")
        self._rows = int(_count.unpack_from(content)[0])
        self._names = _count.size + self._rows * _row.size
        if self._names > len(content):
            raise ValueError("a line table with rows missing")
        self._content = content

    def __len__(self) -> int:
        return self._rows

    def locate(self, frame: Frame) -> Frame:
        """``frame`` with file, line and column, where the table knows its offset."""
        if frame.offset is None:
            return frame
        position = bisect_right(range(self._rows), frame.offset, key=self._offset) - 1
        if position < 0:
            return frame
        _, line, name, column = _row.unpack_from(self._content, _count.size + position * _row.size)
        start = self._names + name
        written = self._content[start : start + _MAX_NAME_BYTES].partition(b"\0")[0]
        file = written.decode("utf-8", "replace")[:_SHOWN_PATH]
        return replace(frame, file=file, line=line, column=column or None) if file and line else frame

    def _offset(self, position: int) -> int:
        start = _count.size + position * _row.size
        return int.from_bytes(self._content[start : start + 4], sys.byteorder)


class LineRows:
    """Collects the rows of a table, in sequences that may come in any order."""

    def __init__(self) -> None:
        self._sequence: list[_Row] = []
        self._sequences: list[tuple[int, int, list[_Row]]] = []
        self._ended = 0
        self._names = bytearray(1)
        self._positions: dict[str, int] = {}

    @property
    def full(self) -> bool:
        """Whether no row fits any more, with one for the end of its sequence."""
        return self._ended + len(self._sequence) + 1 >= MAX_ROWS

    def file(self, name: str) -> int:
        """The number of a file, for rows; 0 for one that has no name, or where no name fits any more."""
        shown = name if len(name) <= _SHOWN_PATH else "…" + name[1 - _SHOWN_PATH :]
        position = self._positions.get(shown)
        if position is None:
            written = shown.encode("utf-8", "replace") + b"\0"
            if len(self._names) + len(written) > _MAX_NAMES_BYTES:
                return 0
            position = self._positions[shown] = len(self._names)
            self._names += written
        return position

    def add(self, offset: int, file: int, line: int, column: int) -> None:
        """Add a row to the sequence. Raises ``OverflowError`` where a number needs more than 32 bits."""
        if not (0 <= offset <= _MAX_NUMBER and 0 <= line <= _MAX_NUMBER):
            raise OverflowError
        self._sequence.append((offset, line, file, max(0, min(column, _MAX_COLUMN))))

    def end_sequence(self, end: int) -> None:
        """End the sequence before the offset ``end``, and begin the next."""
        rows, self._sequence = self._sequence, []
        end = min(end, _MAX_NUMBER)
        if rows and rows[0][0] < end:
            rows.sort(key=_offset_of)
            self._sequences.append((rows[0][0], end, rows))
            self._ended += len(rows) + 1

    def drop_sequence(self) -> None:
        """Forget the rows that were added since the last sequence ended."""
        self._sequence = []

    def packed(self) -> bytes:
        """The table's content. Where sequences overlap, the one that begins later counts."""
        rows: list[_Row] = []
        self._sequences.sort(key=lambda sequence: sequence[:2])
        starts = [start for start, _, _ in self._sequences[1:]]
        for (_, end, sequence), following in zip(self._sequences, [*starts, _MAX_NUMBER], strict=False):
            rows += (row for row in sequence if row[0] < min(end, following))
            if end < following:
                rows.append((end, 0, 0, 0))
        return _count.pack(len(rows)) + b"".join(_row.pack(*row) for row in rows) + self._names


def _offset_of(row: _Row) -> int:
    return row[0]
