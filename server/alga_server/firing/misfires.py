"""Misfires, occurrences that no server fired in time: how a schedule's policy treats them (docs/scheduling.md).

``skip`` passes over them, ``latest`` runs once for all of them, ``all`` runs for every one, in order. An occurrence is
missed when a later one is due, or when it is more than a grace late; the policy's window limits how late it may run.
One that came while a server was there, and had no room for it, was not missed: it runs, or a later one does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

from ..schedules.occurrences import Occurrence, after, following
from ..schedules.policies import MisfireKind

MAX_COUNTED = 1_000
"""Missed occurrences are counted up to about here; a server that was away longer missed at least as many."""

MAX_MADE_UP = 100
"""With ``all``, the latest so many occurrences run; earlier ones are passed over."""


@dataclass(frozen=True, slots=True)
class MisfirePolicy:
    """How a schedule treats missed times.

    ``window`` is how late one may run, ``None`` however late; within ``grace`` of its instant, none is missed, and none
    that came when a server was there, from ``since`` on.
    """

    kind: MisfireKind
    window: timedelta | None
    grace: timedelta
    since: datetime | None = None

    def attended(self, occurrence: Occurrence) -> bool:
        """Whether a server was there when it came."""
        return self.since is not None and occurrence.due_at >= self.since

    def late(self, occurrence: Occurrence, now: datetime) -> bool:
        """Whether it is so late that it was missed, unless it was attended."""
        return now - occurrence.due_at > self.grace

    def too_late(self, occurrence: Occurrence, now: datetime) -> bool:
        """Whether its time to run is over."""
        if self.attended(occurrence):
            return False
        window = timedelta() if self.kind == "skip" else self.window
        return window is not None and now - occurrence.due_at > max(window, self.grace)


@dataclass(frozen=True, slots=True)
class Due:
    """What a due schedule does: ``fire`` that one, with ``missed`` earlier ones passed over; ``then`` is next."""

    fire: Occurrence
    missed: int
    then: Occurrence


@dataclass(frozen=True, slots=True)
class Plan:
    """What a due schedule does: ``occurrence`` is recorded, and runs unless it is too late; ``then`` is next.

    ``missed`` counts the occurrences passed over, itself included if it does not run; ``made_up``: it runs late.
    """

    occurrence: Occurrence
    runs: bool
    missed: int
    made_up: bool
    then: Occurrence


def plan(expression: str, timezone: str, first: Occurrence, now: datetime, policy: MisfirePolicy) -> Plan:
    """What to do at ``now``, which is not before ``first``."""
    if policy.kind == "all":
        return _each(expression, timezone, first, now, policy)
    step = due(expression, timezone, first, now)
    if not policy.too_late(step.fire, now):
        made_up = step.missed > 0 or policy.late(step.fire, now)
        return Plan(step.fire, runs=True, missed=step.missed, made_up=made_up, then=step.then)
    return _none(step.missed, step.fire, following(expression, timezone, step.fire), now)


def due(expression: str, timezone: str, first: Occurrence, now: datetime) -> Due:
    """What to do at ``now``, which is not before ``first``: the latest instant's first occurrence fires.

    Occurrences that share that instant follow one by one; those of earlier instants were missed.
    """
    fire, missed = first, 0
    on_its_instant: list[Occurrence] = []
    coming, leapt = following(expression, timezone, first), False
    while (occurrence := next(coming)).due_at <= now:
        if occurrence.due_at == fire.due_at:
            on_its_instant.append(occurrence)
            continue
        missed += 1 + len(on_its_instant)
        fire, on_its_instant = occurrence, []
        if missed >= MAX_COUNTED and not leapt:
            fire = max(fire, _latest_hours(expression, timezone, now), key=lambda one: one.due_at)
            coming, leapt = following(expression, timezone, fire), True
    return Due(fire, min(missed, MAX_COUNTED), on_its_instant[0] if on_its_instant else occurrence)


def _latest_hours(expression: str, timezone: str, now: datetime) -> Occurrence:
    """The first occurrence of the shortest time before ``now`` that has one."""
    back = timedelta(hours=1)
    while (first := next(after(expression, timezone, now - back))).due_at > now:
        back *= 2
    return first


def _none(missed: int, first: Occurrence, coming: Iterator[Occurrence], now: datetime) -> Plan:
    """Pass over ``first`` and every occurrence that came after it."""
    last = first
    for occurrence in coming:
        missed += 1
        if occurrence.due_at > now:
            return Plan(last, runs=False, missed=min(missed, MAX_COUNTED), made_up=False, then=occurrence)
        last = occurrence
    raise LookupError("the expression never fires again")  # an expression has no last time


def _each(expression: str, timezone: str, first: Occurrence, now: datetime, policy: MisfirePolicy) -> Plan:
    outstanding, count = _outstanding(expression, timezone, first, now)
    in_time = [occurrence for occurrence in outstanding if not policy.too_late(occurrence, now)]
    missed = min(count - len(in_time), MAX_COUNTED)
    fire = in_time[0] if in_time else outstanding[-1]
    then = in_time[1] if len(in_time) > 1 else next(following(expression, timezone, outstanding[-1]))
    behind = missed > 0 or outstanding[-1].due_at > fire.due_at or policy.late(fire, now)
    return Plan(fire, runs=bool(in_time), missed=missed, made_up=bool(in_time) and behind, then=then)


def _outstanding(
    expression: str, timezone: str, first: Occurrence, now: datetime
) -> tuple[deque[Occurrence], int]:
    """The latest occurrences that have come, as many as are made up for; of how many, which is counted to a bound."""
    latest: deque[Occurrence] = deque(maxlen=MAX_MADE_UP)
    count = 0
    for occurrence in chain([first], following(expression, timezone, first)):
        if occurrence.due_at > now:
            break
        count += 1
        latest.append(occurrence)
        if count >= MAX_COUNTED + MAX_MADE_UP:
            return _latest(expression, timezone, now), count
    return latest, count


def _latest(expression: str, timezone: str, now: datetime) -> deque[Occurrence]:
    """The latest occurrences, as many as are made up for; there are that many."""
    back = timedelta(hours=8)
    while True:
        latest: deque[Occurrence] = deque(maxlen=MAX_MADE_UP)
        for occurrence in after(expression, timezone, now - back):
            if occurrence.due_at > now:
                break
            latest.append(occurrence)
        if len(latest) == MAX_MADE_UP:
            return latest
        back *= 2
