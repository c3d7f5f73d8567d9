"""Checks whether a schedule's row agrees with its expression, its install and its endpoint, and how to repair it.

Every operation changes a schedule and its job in one transaction, so a crash leaves no discrepancy but the job of a
dead worker. The others come from a restored backup, a clock that was wrong, or a newer time zone database.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import takewhile
from typing import Any, Literal

from sqlalchemy import Row

from ...errors import FieldRefused
from ...schedules import next_run
from ...schedules.cron import check_cron, check_zone
from ...schedules.occurrences import Occurrence, after
from ...schedules.policies import MAX_DELAY_S, NONE_WAITING
from ..claims import ENDPOINT_GONE

Kind = Literal[
    "install_gone",
    "endpoint_gone",
    "unusable_expression",
    "not_scheduled",
    "still_scheduled",
    "wrong_next_time",
    "distant_next_time",
    "wrong_retry",
    "distant_lease",
    "job_missing",
    "job_without_schedule",
    "job_at_wrong_time",
    "job_stalled",
]
"""Documented in docs/scheduling.md, with the repair of each kind."""

TOLERANCE = timedelta(minutes=10)
"""How far the clocks of two servers may be apart before one takes the other's next time for wrong."""

LONGEST_LEASE = timedelta(days=1)
"""Beyond its own setting, the longest lease that a server believes another to give."""

_RETRY = tuple(NONE_WAITING)
_JUST_BEFORE = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """A discrepancy of a schedule, or of its run ``run_id``; not ``repaired`` where only a person can."""

    kind: Kind
    tenant_id: str
    install_id: str
    schedule_id: str
    run_id: str | None = None
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong with a schedule; ``values`` are the columns that right it, ``None`` that its row should go.

    Without values, in a mapping that is empty, nothing can be done about it.
    """

    kinds: list[Kind]
    values: dict[str, Any] | None


class Calendar:
    """What the expressions say at ``now``; the same question is computed once."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.usable = cache(_usable)
        self._first_after = cache(_first_after)
        self._names = cache(_names)

    def coming(self, cron: str, zone: str) -> Occurrence:
        """The first occurrence from now on."""
        return self._first_after(cron, zone, self.now)

    def from_then(self, cron: str, zone: str, then: datetime | None) -> Occurrence:
        """The first occurrence at ``then`` or later; from now on, if that is later than now."""
        if then is None or then > self.now:
            return self.coming(cron, zone)
        return self._first_after(cron, zone, then - _JUST_BEFORE)

    def names(self, cron: str, zone: str, due_at: datetime, nominal_time: str) -> bool:
        """Whether the expression has that occurrence."""
        return self._names(cron, zone, due_at, nominal_time)

    def distant(self, cron: str, zone: str, due_at: datetime) -> bool:
        """Whether the expression names a time before ``due_at`` that is still to come on every server's clock."""
        return self._first_after(cron, zone, self.now + TOLERANCE).due_at < due_at


def judge(row: Row[Any], calendar: Calendar) -> Verdict | None:
    """What is wrong with a schedule; ``None`` if nothing.

    ``row`` has its columns, ``install_enabled`` and ``endpoint_method``, which are null where there is no such row, and
    ``last_due_at``, the latest instant that it fired for.
    """
    if row.install_enabled is None:
        return Verdict(["install_gone"], None)
    scheduled = row.next_run_at is not None or row.next_nominal_time is not None
    waiting = [getattr(row, name) for name in _RETRY]
    anything = scheduled or any(value is not None for value in waiting)
    if row.endpoint_method is None:
        gone = {"enabled": False, "last_run_status": "error", "last_error": ENDPOINT_GONE, **next_run.NOTHING}
        return Verdict(["endpoint_gone"], gone) if row.enabled or anything else None
    if not (row.enabled and row.install_enabled):
        return Verdict(["still_scheduled"], next_run.NOTHING) if anything else None
    if not calendar.usable(row.cron, row.timezone):
        return Verdict(["unusable_expression"], {})
    kinds: list[Kind] = []
    values: dict[str, Any] = {}
    if (wrong := _next_time(row, calendar)) is not None:
        kinds.append(wrong[0])
        values |= next_run.columns(wrong[1])
    if _wrong_retry(row, waiting, calendar.now):
        kinds.append("wrong_retry")
        values |= NONE_WAITING
    return Verdict(kinds, values) if kinds else None


def _next_time(row: Row[Any], calendar: Calendar) -> tuple[Kind, Occurrence] | None:
    """What is wrong with when it fires next, and when it should."""
    due_at, nominal_time = row.next_run_at, row.next_nominal_time
    if due_at is None and nominal_time is None:
        return "not_scheduled", calendar.coming(row.cron, row.timezone)
    if (
        due_at is None
        or nominal_time is None
        or not calendar.names(row.cron, row.timezone, due_at, nominal_time)
    ):
        # If the stored instant is past, not later than that: the occurrence was missed, and the misfire policy applies.
        return "wrong_next_time", calendar.from_then(row.cron, row.timezone, due_at)
    if calendar.distant(row.cron, row.timezone, due_at) and not _from_later(row, calendar.now):
        return "distant_next_time", calendar.coming(row.cron, row.timezone)
    return None


def _from_later(row: Row[Any], now: datetime) -> bool:
    """Whether a server wrote to the schedule, or fired it, at a time that is still to come here.

    Then it is this server's clock that is behind, and to go back to a time that was fired could fire it twice.
    """
    return any(
        instant is not None and instant > now
        for instant in (row.updated_at, row.last_run_at, row.last_due_at)
    )


def _wrong_retry(row: Row[Any], waiting: list[Any], now: datetime) -> bool:
    if all(value is None for value in waiting):
        return False
    if any(value is None for value in waiting) or row.retry_attempt < 2:
        return True
    return bool(row.retry_at > now + timedelta(seconds=MAX_DELAY_S) + TOLERANCE)


def _usable(cron: str, zone: str) -> bool:
    """Whether it can be computed when they fire, however often that is."""
    try:
        return check_cron(cron, min_interval_minutes=1) == cron and check_zone(zone) == zone
    except FieldRefused:
        return False


def _first_after(cron: str, zone: str, instant: datetime) -> Occurrence:
    return next(after(cron, zone, instant))


def _names(cron: str, zone: str, due_at: datetime, nominal_time: str) -> bool:
    return any(occurrence.nominal_time == nominal_time for occurrence in _at(cron, zone, due_at))


def _at(cron: str, zone: str, due_at: datetime) -> Iterator[Occurrence]:
    return takewhile(lambda occurrence: occurrence.due_at == due_at, after(cron, zone, due_at - _JUST_BEFORE))
