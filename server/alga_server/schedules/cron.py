"""Which cron expressions a schedule may have. ``occurrences`` computes when they fire.

Five fields as Debian's cron reads them, parsed by ``cronsim``; messages from alga-contract 5.2. Unlike Alga's server,
ranges are checked and the minimum interval is the real one: the smallest gap between any two firings on a calendar
without time zones. Firings are a product (minutes of the hour, times hours of the day, times days), so that gap is
within an hour, or over the seam between two adjacent hours, the last of which may be midnight.

Which time zones a schedule may have: the IANA names of the ``tzdata`` package, the same on every machine.

Names are compared, never opened: no path, no ``localtime``, no ``posixrules`` of the machine is used.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib import resources
from itertools import pairwise

from cronsim import CronSimError
from cronsim.cronsim import Field

from ..errors import FieldRefused

MAX_LENGTH = 128

_FIELD = re.compile(r"[0-9*/,-]+")
_MONTH_NAMES = re.compile(r"JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC")
_DAY_NAMES = re.compile(r"SUN|MON|TUE|WED|THU|FRI|SAT")
_LONGEST = {1: 31, 2: 29, 3: 31, 4: 30, 5: 31, 6: 30, 7: 31, 8: 31, 9: 30, 10: 31, 11: 30, 12: 31}
"""Days of each month in its longest year."""

_WEEK = frozenset(range(7))


def check_cron(value: str, *, min_interval_minutes: int = 5) -> str:
    """``value`` trimmed, if a schedule may have it. Raises ``FieldRefused`` with the reason."""
    expression = value.strip()
    if len(expression) > MAX_LENGTH:
        raise FieldRefused("Cron expression too long")
    _judge(expression, min_interval_minutes)
    return expression


@lru_cache(maxsize=1_024)
def _judge(expression: str, min_interval_minutes: int) -> None:
    """Raise ``FieldRefused`` unless a schedule may have it; what may is remembered, for tenants choose the same few."""
    fields = expression.split()
    if len(fields) != 5:
        raise FieldRefused("Invalid cron expression (expected 5 fields: m h dom mon dow)")
    if not all(map(_FIELD.fullmatch, _without_names(fields))):
        raise FieldRefused("Invalid cron expression (unsupported characters)")
    if fields[2] != "*" and fields[4] != "*":
        raise FieldRefused("Cron cannot set both day-of-month and day-of-week")
    firings = _Firings(fields)
    if not firings.ever():
        raise FieldRefused("Cron never fires (no month has such a day)")
    if firings.smallest_gap_minutes() < min_interval_minutes:
        raise FieldRefused(f"Cron too frequent (minimum interval is {min_interval_minutes} minutes)")


def _without_names(fields: list[str]) -> list[str]:
    """The fields with month and day names, where they are allowed, replaced by a digit."""
    minute, hour, day, month, weekday = fields
    return [
        minute,
        hour,
        day,
        _MONTH_NAMES.sub("1", month.upper()),
        _DAY_NAMES.sub("1", weekday.upper()),
    ]


class _Firings:
    """When an expression fires, on a calendar without time zones. Either its days or its weekdays are all of them."""

    def __init__(self, fields: list[str]) -> None:
        minute, hour, day, month, weekday = (field.upper() for field in fields)
        # Read by the library that will fire them: the sets judged here are the sets that fire.
        self._minutes = _parse(Field.MINUTE, minute)
        self._hours = _parse(Field.HOUR, hour)
        self._days = _parse(Field.DAY, day)
        self._months = _parse(Field.MONTH, month)
        self._weekdays = {number % 7 for number in _parse(Field.DOW, weekday)}

    def ever(self) -> bool:
        """Whether any month is long enough for any of the days."""
        return any(min(self._days) <= _LONGEST[month] for month in self._months)

    def smallest_gap_minutes(self) -> int:
        """Minutes between the two firings that are closest; exact below an hour, else at least an hour."""
        minutes = sorted(self._minutes)
        gaps = [later - earlier for earlier, later in pairwise(minutes)]
        if self._fires_in_adjacent_hours():
            gaps.append(60 + minutes[0] - minutes[-1])
        return min(gaps, default=60)

    def _fires_in_adjacent_hours(self) -> bool:
        if any(hour + 1 in self._hours for hour in self._hours):
            return True
        return {0, 23} <= self._hours and self._fires_on_adjacent_days()

    def _fires_on_adjacent_days(self) -> bool:
        if self._weekdays != _WEEK:  # any two adjacent weekdays meet within every month
            return any((day + 1) % 7 in self._weekdays for day in self._weekdays)
        return any(self._adjacent_days_from(month) for month in self._months)

    def _adjacent_days_from(self, month: int) -> bool:
        within = any(day + 1 in self._days and day < _LONGEST[month] for day in self._days)
        last_days = {28, 29} if month == 2 else {_LONGEST[month]}
        onward = bool(last_days & self._days) and 1 in self._days and month % 12 + 1 in self._months
        return within or onward


def _parse(field: Field, text: str) -> set[int]:
    try:
        return {number for number in field.parse(text) if isinstance(number, int)}
    except CronSimError as error:
        raise FieldRefused(f"Invalid cron expression ({str(error).lower()})") from None


MAX_ZONE_LENGTH = 64
DEFAULT = "UTC"

_NOT_ZONES = frozenset({"Factory", "localtime", "posixrules"})


def check_zone(value: str) -> str:
    """``value`` trimmed if it is the exact name of a zone, ``UTC`` if it is blank. Raises ``FieldRefused``."""
    name = value.strip()
    if not name:
        return DEFAULT
    if len(name) > MAX_ZONE_LENGTH:
        raise FieldRefused("Timezone too long")
    if name not in _names():
        raise FieldRefused("Invalid timezone")
    return name


@cache
def _names() -> frozenset[str]:
    listed = resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8")
    return frozenset(listed.split()) - _NOT_ZONES
