"""Where the server's time comes from: every instant and every duration is read from one injected clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Time as the server sees it."""

    def now(self) -> datetime:
        """The current instant, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back, for measuring durations."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """The current instant, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds of ``time.monotonic()``."""
        return time.monotonic()


class ManualClock:
    """A clock that stands still until it is moved. ``start`` is aware; by default the first of January 2026."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        """The instant it was moved to."""
        return self._now

    def monotonic(self) -> float:
        """Seconds it was moved by since it was made."""
        return (self._now - self._start).total_seconds()

    def advance(self, step: timedelta) -> None:
        """Move on by ``step``; ``ValueError`` if that is backwards."""
        if step < timedelta(0):
            raise ValueError("a clock does not go back")
        self._now += step
