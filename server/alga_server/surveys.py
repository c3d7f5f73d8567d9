"""What is due, and when to look again. The statements are made once: this is asked after every change.

Functions take a connection and run in its transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Integer, and_, bindparam, exists, func, or_, select

from . import tables


@dataclass(frozen=True, slots=True)
class DueSchedule:
    """A schedule whose time has come; ``running`` says that a run of it is under way."""

    tenant_id: str
    install_id: str
    schedule_id: str
    running: bool


@dataclass(frozen=True, slots=True)
class Survey:
    """What there is to do: ``due`` in the order of firing; whether leases ran out; when to look again at the latest."""

    due: list[DueSchedule]
    expired: bool
    next_at: datetime | None


_schedule, _run = tables.schedule.c, tables.schedule_run.c
_now, _most = bindparam("now", type_=tables.schedule.c.next_run_at.type), bindparam("most", type_=Integer())

_RUNNING = exists().where(_run.schedule_id == _schedule.id, _run.status == "running")

# Occurrences that share an instant wait for one another, and so do missed ones that all run: what had come when the
# run began is no overlap.
_WAITS = exists().where(
    _run.schedule_id == _schedule.id,
    _run.status == "running",
    or_(
        and_(_run.trigger == "schedule", _run.due_at == _schedule.next_run_at),
        and_(_schedule.missed_policy == "all", _schedule.next_run_at <= _run.started_at),
    ),
)

# With "all", a time does not take the place of an attempt that waits.
_WAITS_FOR_ATTEMPT = and_(_schedule.missed_policy == "all", _schedule.retry_at.is_not(None))

_DUE = (
    select(_schedule.tenant_id, _schedule.install_id, _schedule.id, _RUNNING, _schedule.next_run_at)
    .where(_schedule.next_run_at <= _now, ~_WAITS, ~_WAITS_FOR_ATTEMPT)
    .order_by(
        _schedule.next_run_at,
        _schedule.next_nominal_time,
        _schedule.created_at,
        _schedule.ordinal,
        _schedule.id,
    )
    .limit(_most)
)

_ATTEMPTS = (
    select(_schedule.tenant_id, _schedule.install_id, _schedule.id, _RUNNING, _schedule.retry_at)
    .where(_schedule.retry_at <= _now, ~_RUNNING, or_(_schedule.next_run_at > _now, _WAITS_FOR_ATTEMPT))
    .order_by(_schedule.retry_at, _schedule.id)
    .limit(_most)
)

_NEXT_LEASE = select(func.min(_run.lease_expires_at)).where(_run.status == "running")
_NEXT = tuple(
    select(func.min(column)).where(column > _now) for column in (_schedule.next_run_at, _schedule.retry_at)
)


def survey(connection: Connection, now: datetime, *, limit: int) -> Survey:
    """What there is to do at ``now``; at most ``limit`` due schedules."""
    given = {"now": now, "most": limit}
    found = []
    for statement in (_DUE, _ATTEMPTS) if limit else ():
        found += [(row[4], DueSchedule(*row[:4])) for row in connection.execute(statement, given)]
    next_at = next_due(connection, now)
    lease = connection.execute(_NEXT_LEASE).scalar_one()
    expired = lease is not None and lease <= now
    times = [each for each in (next_at, lease) if each is not None and each > now]
    return Survey(
        due=[each for _, each in sorted(found, key=lambda one: one[0])[:limit]],
        expired=expired,
        next_at=min(times, default=None),
    )


def next_due(connection: Connection, now: datetime) -> datetime | None:
    """When the next schedule after ``now`` is due, or an attempt of one."""
    found = [connection.execute(statement, {"now": now}).scalar_one() for statement in _NEXT]
    return min((each for each in found if each is not None), default=None)


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
    times: list[datetime] = [each for each in row if each is not None]
    return min(times)
