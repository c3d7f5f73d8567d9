"""What commands print on: coloured and fitted in a terminal, plain lines in a pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .values import plain, tame

_WIDE = 1_000_000
"""Columns of a pipe: enough that nothing is ever wrapped or cut."""


class Page:
    """Standard output, or any other text stream, written line by line.

    In a terminal lines are as wide as it is and coloured (``NO_COLOR`` is honoured). Elsewhere nothing is wrapped,
    padded or coloured. Whatever is given is shown literally, with what a terminal would obey escaped.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        stream = stream or sys.stdout
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._begun = False
        if not stream.isatty():
            self._console.width = _WIDE

    def line(self, text: str = "", *, style: str = "") -> None:
        """One line; the terminal itself folds a long one."""
        self._begun = True
        self._console.print(Text(tame(text), style=style), soft_wrap=True)

    def block(self, text: str) -> None:
        """Several lines, literally."""
        self._console.print(Text(tame(text, lines=True)), soft_wrap=True)

    def gap(self) -> None:
        """An empty line, except at the top."""
        if self._begun:
            self.line()

    def heading(self, text: str) -> None:
        """A title, set off from what is above it."""
        self.gap()
        self.line(text, style="bold")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, indent: int = 2) -> None:
        """Rows under named columns; columns without any name have no line of names; no rows are no
        table."""
        if not rows:
            return
        table = Table(
            box=None,
            show_header=any(columns),
            header_style="dim",
            padding=(0, 2, 0, 0),
            pad_edge=False,
        )
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(tame(cell)) for cell in row))
        width = self._console.width
        with self._console.capture() as captured:
            self._console.print(table, width=max(width - indent, 1))
        for line in captured.get().splitlines():
            self._console.file.write((" " * indent + line).rstrip() + "\n")
        self._console.file.flush()

    def document(self, value: Any) -> None:
        """One JSON document, for machines."""
        text = json.dumps(plain(value), indent=2, ensure_ascii=True)
        self._console.file.write(text + "\n")
        self._console.file.flush()
