"""What commands print on: tables fitted to a terminal, plain lines in a pipe, one JSON document for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_UNBOUNDED = 1_000_000
"""Columns of a pipe, so that nothing is ever wrapped or cut there."""


class Page:
    """Standard output. What is given is shown literally, with what a terminal would obey escaped."""

    def __init__(self) -> None:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="backslashreplace")
        self._console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
        if not sys.stdout.isatty():
            self._console.width = _UNBOUNDED

    def line(self, text: str = "") -> None:
        """One line, however long."""
        self._console.print(Text(tame(text)), soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str | None]], *, empty: str) -> None:
        """Rows under named columns, ``-`` for ``None``; the sentence ``empty`` if there are none."""
        if not rows:
            self.line(empty)
            return
        table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            cells = [cell for _, cell in zip(columns, row, strict=True)]
            table.add_row(*(Text("-" if cell is None else tame(cell)) for cell in cells))
        with self._console.capture() as captured:
            self._console.print(table)
        for line in captured.get().splitlines():
            self._console.file.write(line.rstrip() + "\n")
        self._console.file.flush()

    def document(self, value: Any) -> None:
        """One JSON document."""
        self._console.file.write(json.dumps(value, indent=2) + "\n")
        self._console.file.flush()


def tame(text: str) -> str:
    """``text`` with every character escaped that is not for reading: controls, escapes, bidirectional marks."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "surrogatepass").decode("ascii")
        for each in text
    )


def listed(items: Sequence[str], *, nothing: str = "nothing") -> str:
    """``a, b``, or ``nothing``."""
    return ", ".join(items) or nothing


def counted(count: int, noun: str) -> str:
    """``1 schedule``, ``2 schedules``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def minute(instant: str | None) -> str | None:
    """An instant of the server's, UTC, to the second: ``2026-01-24 19:00:00``."""
    return None if instant is None else instant[:19].replace("T", " ")
