"""The reports that commands print: coloured and fitted in a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..text import escape_controls

_UNBOUNDED = 1_000_000
"""Columns of a pipe: enough that nothing is ever wrapped or cut."""

_GAP = 2
"""Spaces between two columns."""


class Page:
    """Standard output, or another text stream, written line by line.

    In a terminal lines are as wide as it is and coloured (``NO_COLOR`` is honoured). Elsewhere nothing is wrapped,
    padded or coloured. Text is printed literally, with every character escaped that a terminal would obey.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        stream = stream or sys.stdout
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._begun = False
        if not stream.isatty():
            self._console.width = _UNBOUNDED

    def line(self, text: str = "", *, style: str = "") -> None:
        """Print one line; the terminal itself wraps a long one."""
        self._begun = True
        self._console.print(Text(escape_controls(text), style=style), soft_wrap=True)

    def block(self, text: str) -> None:
        """Print several lines."""
        self._console.print(Text(escape_controls(text, keep_lines=True)), soft_wrap=True)

    def gap(self) -> None:
        """Print an empty line, except at the top."""
        if self._begun:
            self.line()

    def heading(self, text: str) -> None:
        """Print a title, with a gap above it."""
        self.gap()
        self.line(text, style="bold")

    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[str | None]],
        *,
        indent: int = 0,
        empty: str | None = None,
    ) -> None:
        """Print rows under named columns, ``-`` for ``None``; without rows, the sentence ``empty`` if it is given.

        Words, and with them ids, are never cut, so that they can be copied: where a terminal is too narrow, cells are
        wrapped between words; where that is not enough, each row becomes a block with a line for each column. Columns
        that have no names at all have no heading.
        """
        if not rows:
            if empty is not None:
                self.line(empty)
            return
        shown = [
            ["-" if cell is None else escape_controls(cell) for _, cell in zip(columns, row, strict=True)]
            for row in rows
        ]
        room = max(self._console.width - indent, 1)
        widths = _widths([columns, *shown], room)
        if widths is None:
            self._blocks(columns, shown, indent)
            return
        table = Table(
            box=None, show_header=any(columns), header_style="dim", padding=(0, _GAP, 0, 0), pad_edge=False
        )
        for column, width in zip(columns, widths, strict=True):
            table.add_column(column, width=width)
        for row in shown:
            table.add_row(*map(Text, row))
        with self._console.capture() as captured:
            self._console.print(table, width=sum(widths) + _GAP * len(widths))
        for line in captured.get().splitlines():
            self._console.file.write((" " * indent + line).rstrip() + "\n")
        self._console.file.flush()

    def _blocks(self, columns: Sequence[str], rows: Sequence[Sequence[str]], indent: int) -> None:
        """Print each row as lines of a column's name and the cell; as one line where columns have no names."""
        if not any(columns):
            widths = _natural(rows)
            for row in rows:
                padded = [
                    cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
                ]
                text = " " * indent + (" " * _GAP).join(padded).rstrip()
                self._console.print(Text(text), soft_wrap=True)
            return
        width = max(map(cell_len, columns))
        for number, row in enumerate(rows):
            if number:
                self.line()
            for column, cell in zip(columns, row, strict=True):
                label = Text(" " * indent + column + " " * (width - cell_len(column) + _GAP), style="dim")
                self._console.print(label + Text(cell), soft_wrap=True)


def _widths(rows: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """Return the columns' widths within ``room``, the first ones as wide as can be; ``None`` if words do not fit."""
    natural = _natural(rows)
    least = [
        max(cell_len(word) for cell in column for word in (cell.split() or [""]))
        for column in zip(*rows, strict=True)
    ]
    spare = room - sum(least) - _GAP * (len(least) - 1)
    if spare < 0:
        return None
    widths = []
    for most, needed in zip(natural, least, strict=True):
        widths.append(needed + min(most - needed, spare))
        spare -= widths[-1] - needed
    return widths


def _natural(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
