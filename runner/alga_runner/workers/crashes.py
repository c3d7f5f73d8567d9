"""When a worker that died is replaced: at once, then after longer and longer pauses, and not for ever."""

from __future__ import annotations

MAX_IN_A_ROW = 5
"""So many deaths in a row end the service: whoever started it can do more about it than another try."""

LONG_LIFE_S = 60.0
"""A worker that lived so long begins a new row."""

FIRST_PAUSE_S = 0.5
"""The pause before the second replacement in a row; it doubles with each."""


class Crashes:
    """The deaths in a row of one worker and its replacements."""

    def __init__(self, *, first_pause_s: float = FIRST_PAUSE_S) -> None:
        self._first_pause_s = first_pause_s
        self._in_a_row = 0

    def pause_s(self, lived_s: float) -> float | None:
        """Seconds until the replacement of a worker that lived ``lived_s`` seconds; ``None`` for no more of them."""
        self._in_a_row = 1 if lived_s >= LONG_LIFE_S else self._in_a_row + 1
        if self._in_a_row >= MAX_IN_A_ROW:
            return None
        return 0.0 if self._in_a_row == 1 else float(self._first_pause_s * 2 ** (self._in_a_row - 2))
