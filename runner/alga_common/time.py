"""The clock that the server reads; instants and durations as text."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Protocol, runtime_checkable

_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_DURATION = re.compile(r"(?:[0-9]{1,9}[dhms])+")


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
    """Format seconds since 1970 as RFC 3339 in UTC, with milliseconds."""
    whole, milliseconds = divmod(int(seconds * 1000), 1000)
    return f"{_second(whole)}.{milliseconds:03}Z"


@lru_cache(maxsize=4)
def _second(whole: int) -> str:
    """The beginning that all instants of one second share: log lines have hundreds of them in a second."""
    return datetime.fromtimestamp(whole, UTC).isoformat(timespec="seconds").removesuffix("+00:00")


def parse_instant(text: str, *, zone: tzinfo | None = UTC) -> datetime:
    """Read RFC 3339, such as ``2026-03-29T02:30:00Z``, as an instant in UTC.

    Text without an offset is local time in ``zone``. Raises ``ValueError`` if that is ``None``, and for other text.
    """
    instant = datetime.fromisoformat(text.strip())
    if instant.tzinfo is None:
        if zone is None:
            raise ValueError(f"{text} has no offset from UTC: write {text.strip()}Z, or give a time zone")
        instant = instant.replace(tzinfo=zone)
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text} is beyond the years 1 to 9999") from None


def parse_duration(text: str) -> timedelta:
    """Read a duration such as ``6h``, ``30m`` or ``1d12h``, each unit at most once. Raises ``ValueError``."""
    lowered = text.strip().lower()
    parts = re.findall(r"([0-9]+)([dhms])", lowered) if _DURATION.fullmatch(lowered) else []
    units = {_UNITS[unit]: int(count) for count, unit in parts}
    if not parts or len(units) != len(parts):
        raise ValueError(f"{text!r} is not a duration such as 6h, 30m or 1d12h")
    try:
        return timedelta(**units)
    except OverflowError:
        raise ValueError(f"{text!r} is longer than any time") from None


def parse_since(text: str, now: datetime) -> datetime:
    """Read an instant, or a duration before ``now``. Raises ``ValueError``."""
    try:
        return now - parse_duration(text)
    except OverflowError:
        raise ValueError(f"{text!r} is longer than any time") from None
    except ValueError:
        pass
    try:
        return parse_instant(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is neither a duration such as 1h nor an instant such as 2026-03-29T02:30:00Z"
        ) from None
