"""The clock of a test, without ``async``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial

from .embedded_clock import EmbeddedClock
from .loop import Loop
from .run import Runs


class Clock:
    """What time it is for the server and for guests: it stands still until it is put forward.

    What comes due on the way fires in order, each run with the clock at its own instant, and has ended before the
    clock goes on. A run that fails does not raise: it is one of the runs.
    """

    def __init__(self, loop: Loop, clock: EmbeddedClock) -> None:
        self._loop = loop
        self._clock = clock

    def __repr__(self) -> str:
        return f"<Clock at {self.now().isoformat()}>"

    def now(self) -> datetime:
        """The current instant, in UTC."""
        return self._clock.now()

    def advance(
        self,
        step: timedelta = timedelta(),
        *,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
    ) -> Runs:
        """Put the clock forward by ``step`` and the rest together; the runs that fired, oldest first.

        Raises ``ValueError`` for a step back.
        """
        __tracebackhide__ = True
        parts = {"days": days, "hours": hours, "minutes": minutes, "seconds": seconds}
        return self._noted(partial(self._clock.advance, step, **parts))

    def travel_to(self, instant: datetime | str) -> Runs:
        """Put the clock forward to ``instant``, a ``datetime`` or RFC 3339; the runs that fired, oldest first.

        Raises ``ValueError`` for an instant in the past, and for one without an offset.
        """
        __tracebackhide__ = True
        return self._noted(partial(self._clock.travel_to, instant))

    def _noted(self, go: Callable[[], Awaitable[Runs]]) -> Runs:
        __tracebackhide__ = True
        runs = self._loop.run(go)
        self._loop.note(run.response for run in runs if run.response)
        return runs
