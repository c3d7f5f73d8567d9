"""A guest's stack: one ``Frame`` for each call, innermost first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Frame:
    """One call: the function, and where in it the guest was.

    ``offset`` is that place in bytes from the module's first. ``file``, ``line`` and ``column`` (both from 1) are known
    where the bundle has debug information. All of it is the author's word: show it, do not act on it.
    """

    function: str
    offset: int | None = None
    file: str | None = None
    line: int | None = None
    column: int | None = None

    @property
    def place(self) -> str:
        """``src/main.c:12:5``; without debug information ``offset 0x77``."""
        if self.file is None:
            return "" if self.offset is None else f"offset {self.offset:#x}"
        numbers = (number for number in (self.line, self.column) if number)
        return ":".join((self.file, *map(str, numbers)))

    def __str__(self) -> str:
        return f"{self.function} ({self.place})" if self.place else self.function


def stack_lines(frames: Sequence[Frame]) -> list[str]:
    """A line for each frame, and one for all of the same in a row: ``dig (a.c:37:26), 19 times``."""
    lines = []
    for frame, same in groupby(frames):
        count = sum(1 for _ in same)
        lines.append(str(frame) if count == 1 else f"{frame}, {count} times")
    return lines


def stack_line(frames: Sequence[Frame], shown: int = _SHOWN) -> str:
    """The stack on one line, at most ``shown`` lines of it: ``divide (a.c:5:12) < total (a.c:10:16) < 3 more``."""
    lines = stack_lines(frames)
    if len(lines) > shown:
        lines[shown:] = [f"{len(lines) - shown} more"]
    return " < ".join(lines)
