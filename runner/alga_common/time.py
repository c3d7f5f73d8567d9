"""The clock that the server reads, and instants as text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol, runtime_checkable


class Clock(Protocol):
    """The time that a process goes by."""

    def now(self) -> datetime:
        """Return the current instant, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds on a clock that never goes back, for measuring durations."""
        ...

    async def sleep_until(self, instant: datetime) -> None:
        """Return once the clock shows ``instant`` or later."""
        ...


@runtime_checkable
class MovableClock(Clock, Protocol):
    """A clock that can be put forward, which wakes those who sleep on it: ``alga_server.ManualClock``, or your own."""

    def move_to(self, instant: datetime) -> None:
        """Show ``instant`` from now on; ``ValueError`` if that is in the past."""
        ...


def rfc3339(instant: datetime) -> str:
    """Format ``instant`` as RFC 3339 with milliseconds, ``Z`` where its offset is UTC's."""
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rfc3339_of(seconds: float) -> str:
    """Format seconds since 1970 as RFC 3339 in UTC."""
    return rfc3339(datetime.fromtimestamp(seconds, UTC))
