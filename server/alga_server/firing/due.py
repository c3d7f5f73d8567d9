"""Queries which schedules are due, and when the next one is. The statements are built once, for every change queries.

Functions take a connection and run in its transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    and_,
    bindparam,
    exists,
    func,
    literal_column,
    or_,
    select,
    tuple_,
)

from ..storage import batches, plans, tables


@dataclass(frozen=True, slots=True)
class DueSchedule:
    """A schedule whose time has come; ``running`` if a run of it is under way."""

    tenant_id: str
    install_id: str
    schedule_id: str
    running: bool


Key = tuple[Any, ...]
"""Of a row in its statement's order."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a survey went among times that are due, and among attempts; ``None`` is not begun."""

    time: Key | None = None
    attempt: Key | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """What there is to do: ``due`` in the order of firing; whether leases ran out; when to look again at the latest.

    ``more`` is where the next page of due schedules begins, ``None`` after the last.
    """

    due: list[DueSchedule]
    expired: bool
    next_at: datetime | None
    more: Position | None


_schedule, _run = tables.schedule.c, tables.schedule_run.c
_now, _most = bindparam("now", type_=tables.schedule.c.next_run_at.type), bindparam("most", type_=Integer())

# In the statement's text. After ten executions PostgreSQL makes a plan for any parameters; if the status were one, that
# plan could not use the index of runs under way, and would read every run of a schedule.
_UNDER_WAY = _run.status == literal_column("'running'")
RUNNING = exists().where(_run.schedule_id == _schedule.id, _UNDER_WAY)

# Occurrences that share an instant wait for one another, and so do missed ones that all run: what had come when the
# run began is no overlap.
WAITS = exists().where(
    _run.schedule_id == _schedule.id,
    _UNDER_WAY,
    or_(
        and_(_run.trigger == "schedule", _run.due_at == _schedule.next_run_at),
        and_(_schedule.missed_policy == "all", _schedule.next_run_at <= _run.started_at),
    ),
)

# With "all", a time does not take the place of an attempt that waits.
WAITS_FOR_ATTEMPT = and_(
    _schedule.missed_policy == "all", _schedule.retry_at.is_not(None), _schedule.next_run_at.is_not(None)
)

# The order of an index, which saves sorting. On one instant, installs take turns.
_TIMES = (_schedule.next_run_at, _schedule.ordinal, _schedule.id)
_ATTEMPTS = (_schedule.retry_at, _schedule.id)


def _statements(order: tuple[ColumnElement[Any], ...], *which: ColumnElement[bool]) -> tuple[Any, Any]:
    """From the first on, and from after the row that ``key_0`` and so on name."""
    query = select(_schedule.tenant_id, _schedule.install_id, _schedule.id, RUNNING, *order).where(*which)
    query = query.order_by(*order).limit(_most)
    key = [bindparam(f"key_{at}", type_=column.type) for at, column in enumerate(order)]
    return query, query.where(order[0] >= key[0], tuple_(*order) > tuple_(*key))


# Which of them a survey shows: those that can be claimed.
TIME_IS_DUE = (_schedule.next_run_at <= _now, ~WAITS, ~WAITS_FOR_ATTEMPT)
ATTEMPT_IS_DUE = (
    _schedule.retry_at <= _now,
    ~RUNNING,
    or_(_schedule.next_run_at > _now, WAITS_FOR_ATTEMPT),
)
_DUE_TIMES = _statements(_TIMES, *TIME_IS_DUE)
_DUE_ATTEMPTS = _statements(_ATTEMPTS, *ATTEMPT_IS_DUE)

_STILL_DUE = {
    dialect: select(_schedule.id).where(
        listed, or_(_schedule.next_run_at <= _now, _schedule.retry_at <= _now)
    )
    for dialect, listed in batches.listed(_schedule.id).items()
}
_NEXT_LEASE = select(func.min(_run.lease_expires_at)).where(_UNDER_WAY, _run.lease_expires_at.is_not(None))
_NEXT = tuple(
    select(func.min(column)).where(column > _now) for column in (_schedule.next_run_at, _schedule.retry_at)
)


def survey(connection: Connection, now: datetime, *, limit: int, after: Position | None = None) -> Survey:
    """What there is to do at ``now``: at most ``limit`` due schedules, from ``after`` an earlier survey's end on."""
    after = after or Position()
    plans.in_order(connection)  # a page costs what it has, not what all that is due has
    rows = [("time", row) for row in _rows(connection, _DUE_TIMES, now, limit, after.time)]
    rows += [("attempt", row) for row in _rows(connection, _DUE_ATTEMPTS, now, limit, after.attempt)]
    rows = sorted(rows, key=lambda one: one[1][4])[:limit]
    ends = {kind: tuple(row[4:]) for kind, row in rows}
    next_at = next_due(connection, now)
    lease = connection.execute(_NEXT_LEASE).scalar_one()
    expired = lease is not None and lease <= now
    times = [instant for instant in (next_at, lease) if instant is not None and instant > now]
    return Survey(
        due=[DueSchedule(*row[:4]) for _, row in rows],
        expired=expired,
        next_at=min(times, default=None),
        more=Position(ends.get("time", after.time), ends.get("attempt", after.attempt))
        if limit and len(rows) == limit
        else None,
    )


def _rows(
    connection: Connection, statements: tuple[Any, Any], now: datetime, most: int, after: Key | None
) -> list[Any]:
    if not most:
        return []
    given = {"now": now, "most": most}
    first, later = statements
    if after is None:
        return list(connection.execute(first, given))
    return list(connection.execute(later, given | {f"key_{at}": value for at, value in enumerate(after)}))


def still_due(connection: Connection, due: Sequence[DueSchedule], now: datetime) -> list[DueSchedule]:
    """Return those of ``due``, in their order, whose time or attempt no server has claimed since they were read."""
    plans.by_index(connection)
    given = batches.ids(connection, [schedule.schedule_id for schedule in due]) | {"now": now}
    there = set(connection.execute(_STILL_DUE[connection.dialect.name], given).scalars())
    return [schedule for schedule in due if schedule.schedule_id in there]


def next_due(connection: Connection, now: datetime) -> datetime | None:
    """When the next schedule after ``now`` is due, or an attempt of one."""
    instants = [connection.execute(statement, {"now": now}).scalar_one() for statement in _NEXT]
    return min((instant for instant in instants if instant is not None), default=None)


def due_at(connection: Connection, due: DueSchedule) -> datetime | None:
    """When the schedule is due, or an attempt of it; ``None`` if it is gone or disabled."""
    schedule = tables.schedule.c
    query = select(schedule.next_run_at, schedule.retry_at).where(
        schedule.tenant_id == due.tenant_id,
        schedule.install_id == due.install_id,
        schedule.id == due.schedule_id,
    )
    row = connection.execute(query).one_or_none()
    if row is None or row.next_run_at is None:
        return None
    times: list[datetime] = [instant for instant in row if instant is not None]
    return min(times)
