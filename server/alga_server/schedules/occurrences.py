"""When a schedule fires: the calendar decides the nominal times, the zone's clock decides their instants.

The rule is Debian cron's, as ``cronsim`` has it; docs/scheduling.md prints it with real instants.

- An expression whose minute and hour both name times (neither begins with ``*``) means times of day. One that the
  clocks jump over is made up for at the first minute after the jump; one that happens twice fires the first time.
- Any other expression means an interval. It follows the clock on the wall: a time that is jumped over does not fire, a
  time that happens twice fires twice.

So several nominal times can fall on one instant, and each is an occurrence of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import dropwhile
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from alga_common.time import rfc3339

UNUSABLE = (CronSimError, ZoneInfoNotFoundError, ValueError)
"""Raised for an expression, or a time zone, that this version does not know."""

_SIGHT = timedelta(hours=26)
"""Longer than any zone ever put its clocks back."""

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One firing: the instant at which it is due, in UTC, and its nominal time of day, with its offset."""

    due_at: datetime
    nominal: datetime

    @property
    def nominal_time(self) -> str:
        """RFC 3339 with milliseconds on the zone's clock, ``Z`` where that is UTC's. Names the occurrence."""
        return rfc3339(self.nominal)


def after(expression: str, timezone: str, instant: datetime) -> Iterator[Occurrence]:
    """The occurrences due later than ``instant``, in order. ``expression`` and ``timezone`` were checked."""
    zone = ZoneInfo(timezone)
    if _is_interval(expression):
        return _interval(expression, zone, instant)
    all_from_here = _times_of_day(expression, zone, _wall(instant, zone))
    return dropwhile(lambda occurrence: occurrence.due_at <= instant, all_from_here)


def following(expression: str, timezone: str, previous: Occurrence) -> Iterator[Occurrence]:
    """The occurrences after ``previous``, in order; the first ones may be due at its instant."""
    zone = ZoneInfo(timezone)
    if _is_interval(expression):
        return _interval(expression, zone, previous.due_at)
    return _times_of_day(expression, zone, previous.nominal.replace(tzinfo=None))


def _is_interval(expression: str) -> bool:
    minute, hour = expression.split()[:2]
    return minute.startswith("*") or hour.startswith("*")


def _times_of_day(expression: str, zone: ZoneInfo, wall: datetime) -> Iterator[Occurrence]:
    """Every time of day after ``wall``, each once. Later times are never due earlier."""
    for nominal in CronSim(expression, wall):
        shown = nominal
        while not (instants := _instants(shown, zone)):
            shown += _MINUTE
        yield Occurrence(instants[0], nominal.replace(tzinfo=zone))


def _interval(expression: str, zone: ZoneInfo, instant: datetime) -> Iterator[Occurrence]:
    while True:
        # In UTC: elsewhere two instants are equal where clocks go back.
        instant = _next_shown(expression, zone, instant.astimezone(UTC))
        yield Occurrence(instant, instant.astimezone(zone))


@lru_cache(maxsize=4_096)
def _next_shown(expression: str, zone: ZoneInfo, instant: datetime) -> datetime:
    """The first instant after ``instant`` at which the zone's clock shows a time that ``expression`` names.

    It is remembered: schedules that are due together have mostly the same few expressions.
    """
    # Where the clocks go back soon, times before the present one are still to be shown again.
    start = min(_wall(instant, zone), (instant + _offset(instant + _SIGHT, zone)).replace(tzinfo=None))
    best: datetime | None = None
    for wall in CronSim(expression, start):
        instants = _instants(wall, zone)
        if best is not None and instants and instants[0] >= best:
            break
        for candidate in instants:
            if candidate > instant and (best is None or candidate < best):
                best = candidate
    if best is None:
        raise LookupError(f"{expression} never fires")  # check_cron refuses such expressions
    return best


def _instants(wall: datetime, zone: ZoneInfo) -> list[datetime]:
    """When the zone's clock shows ``wall``: never, once or twice, in UTC and in order."""
    candidates = {wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return sorted(instant for instant in candidates if _wall(instant, zone) == wall)


def _wall(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def _offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta()
