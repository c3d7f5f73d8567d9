"""The reports that commands print: coloured and fitted in a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..text import escape_controls

_UNBOUNDED = 1_000_000
"""Columns of a pipe: enough that nothing is ever wrapped or cut."""


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

        Columns that have no names at all have no heading.
        """
        if not rows:
            if empty is not None:
                self.line(empty)
            return
        table = Table(
            box=None, show_header=any(columns), header_style="dim", padding=(0, 2, 0, 0), pad_edge=False
        )
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            cells = [cell for _, cell in zip(columns, row, strict=True)]
            table.add_row(*(Text("-" if cell is None else escape_controls(cell)) for cell in cells))
        width = max(self._console.width - indent, 1)
        with self._console.capture() as captured:
            self._console.print(table, width=width)
        for line in captured.get().splitlines():
            self._console.file.write((" " * indent + line).rstrip() + "\n")
        self._console.file.flush()
