"""The clock of an embedded Alga, with ``async`` and without: while it is put forward, schedules fire."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial

from alga_common.time import MovableClock, parse_instant

from .admin import Admin
from .runs import Chronicle, Loop, Runs

_LEAP = timedelta(days=366)
"""The longest step that the server's clock is asked to make."""


class EmbeddedClock:
    """The clock of the server and of guests. Schedules fire while it is put forward, and only then.

    runs = await alga.clock.advance(hours=24)
    """

    def __init__(self, clock: MovableClock, admin: Admin, chronicle: Chronicle) -> None:
        self._clock = clock
        self._admin = admin
        self._chronicle = chronicle

    def now(self) -> datetime:
        """The current instant, in UTC."""
        return self._clock.now()

    async def advance(
        self,
        step: timedelta = timedelta(),
        *,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
    ) -> Runs:
        """Put the clock forward by ``step`` and the rest together; the runs that fired, oldest first.

        Occurrences on the way fire in order, each run with the clock at its own instant, and each run has ended before
        the clock goes on. A run that fails does not raise; it is one of the runs. Raises ``ValueError`` for a negative
        step.
        """
        whole = step + timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        if whole < timedelta():
            raise ValueError(f"the clock does not go back: {whole.total_seconds():g} seconds")
        return await self._go(whole)

    async def travel_to(self, instant: datetime | str) -> Runs:
        """Put the clock forward to ``instant``, like ``advance``. A text is RFC 3339, with ``Z`` or an offset.

        Raises ``ValueError`` for an instant in the past, and for one without an offset.
        """
        target = read_instant(instant)
        if target < self.now():
            raise ValueError(f"the clock does not go back: it is {self.now().isoformat()}")
        return await self._go(target - self.now())

    async def _go(self, step: timedelta) -> Runs:
        target = self.now() + step
        await self._chronicle.learn_names()
        fired = Runs()
        while True:
            left = max(target - self.now(), timedelta())
            answer = await self._admin.advance_clock(min(left, _LEAP))
            fired += await self._chronicle.add(answer["fired"])
            if answer["arrived"] and left <= _LEAP:
                return fired


def read_instant(instant: datetime | str) -> datetime:
    """``instant`` in UTC. Raises ``ValueError`` if it is not RFC 3339, or has no offset."""
    return parse_instant(instant if isinstance(instant, str) else instant.isoformat(), zone=None)


class Clock:
    """The clock of the server and of guests. It does not advance by itself; a test puts it forward.

        runs = alga.clock.advance(hours=2)
        assert not runs.failed

    Occurrences on the way fire in order, each run with the clock at its own instant, and each run has ended before the
    clock goes on. A run that fails does not raise; it is one of the runs.
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

        Raises ``ValueError`` for a negative step.
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

    def _noted(self, move: Callable[[], Awaitable[Runs]]) -> Runs:
        __tracebackhide__ = True
        runs = self._loop.run(move)
        self._loop.note(run.response for run in runs if run.response)
        return runs
