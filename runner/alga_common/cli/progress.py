"""A line on stderr that moves while a command works: what it does, and for how long. Only a terminal shows it."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ..text import escape_controls

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class ProgressLine:
    """Shows ``text`` while the block runs::

    with ProgressLine("Compiling") as line:
        ...
        line.update("Compiling the second module")
    """

    def __init__(self, text: str) -> None:
        self._text = escape_controls(text)
        self._shown: tuple[Progress, TaskID] | None = None

    @property
    def shown(self) -> bool:
        """Whether stderr is a terminal, so that the line is seen."""
        return self._shown is not None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            # Imported for terminals alone: it takes a tenth of a command's time to start.
            from rich.console import Console  # noqa: PLC0415
            from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

            progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                TimeElapsedColumn(),
                console=Console(file=sys.stderr, highlight=False),
                transient=True,
            )
            self._shown = progress, progress.add_task(self._text, total=None)
            progress.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._shown is not None:
            self._shown[0].stop()

    def update(self, text: str) -> None:
        """Show ``text`` in place of the earlier one."""
        if self._shown is not None:
            progress, task = self._shown
            progress.update(task, description=escape_controls(text))
