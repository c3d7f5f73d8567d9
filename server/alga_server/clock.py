"""The server's time: every instant, every duration and every wait is read from one injected clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import anyio

from alga_common.time import Clock, MovableClock

__all__ = ["Clock", "ManualClock", "MovableClock", "OffsetClock", "SystemClock"]


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """The current instant, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds of ``time.monotonic()``."""
        return time.monotonic()

    async def sleep_until(self, instant: datetime) -> None:
        """Return once the clock shows ``instant`` or later."""
        while (remaining := instant - self.now()) > timedelta():  # noqa: ASYNC110 - it may have been set back
            await anyio.sleep(remaining.total_seconds())


class _Moves:
    """Wakes the tasks that wait for the next move of a clock."""

    def __init__(self) -> None:
        self._next = anyio.Event()

    def tell(self) -> None:
        """The clock was moved."""
        moved, self._next = self._next, anyio.Event()
        moved.set()

    async def wait(self) -> None:
        """Return at the next move."""
        await self._next.wait()


class OffsetClock:
    """The machine's clocks, put forward. Time goes on by itself between the moves."""

    def __init__(self) -> None:
        self._offset = timedelta()
        self._moves = _Moves()

    def now(self) -> datetime:
        """The machine's instant and what it was put forward by."""
        return datetime.now(UTC) + self._offset

    def monotonic(self) -> float:
        """Seconds of ``time.monotonic()``, which no move changes."""
        return time.monotonic()

    def move_to(self, instant: datetime) -> None:
        """Show ``instant`` now; ``ValueError`` if that is in the past."""
        step = instant - self.now()
        if step < timedelta():
            raise ValueError("a clock does not go back")
        self._offset += step
        self._moves.tell()

    async def sleep_until(self, instant: datetime) -> None:
        """Return once the clock shows ``instant`` or later, by itself or moved."""
        while (remaining := instant - self.now()) > timedelta():
            with anyio.move_on_after(remaining.total_seconds()):
                await self._moves.wait()


class ManualClock:
    """A clock that does not go on until it is moved. ``start`` is aware; by default the first of January 2026."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = self._now = start.astimezone(UTC)
        self._moves = _Moves()

    def now(self) -> datetime:
        """The instant it was moved to."""
        return self._now

    def monotonic(self) -> float:
        """Seconds it was moved by since it was made."""
        return (self._now - self._start).total_seconds()

    def advance(self, step: timedelta) -> None:
        """Move on by ``step``; ``ValueError`` if that is backwards."""
        self.move_to(self._now + step)

    def move_to(self, instant: datetime) -> None:
        """Show ``instant`` from now on; ``ValueError`` if that is in the past."""
        if instant < self._now:
            raise ValueError("a clock does not go back")
        self._now = instant.astimezone(UTC)
        self._moves.tell()

    async def sleep_until(self, instant: datetime) -> None:
        """Return once it was moved to ``instant`` or later. The machine's time does not matter."""
        while self._now < instant:
            await self._moves.wait()
