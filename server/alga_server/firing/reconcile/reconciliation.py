"""Finding and healing what is wrong with jobs, in transactions that live changes do not meet.

Functions take a connection and run in its transaction. Schedules are looked at in pages, without a lock; whatever looks
wrong is looked at again under the locks of those who change it, and only then healed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, delete, func, or_, select, update

from ...storage import locks, tables
from .checks import LONGEST_LEASE, Calendar, Discrepancy, judge

PAGE = 500


@dataclass(frozen=True, slots=True)
class Page:
    """Some schedules by id: how many, what is wrong with them, and after which id the next page begins, if any."""

    examined: int
    suspects: list[Discrepancy]
    cursor: str | None


def schedules(connection: Connection, after_id: str, calendar: Calendar) -> Page:
    """The next page of schedules after ``after_id``, which is empty for the first."""
    query = _query().where(tables.schedule.c.id > after_id).order_by(tables.schedule.c.id).limit(PAGE)
    rows = connection.execute(query).all()
    suspects = [each for row in rows for each in _discrepancies(row, calendar)]
    return Page(len(rows), suspects, rows[-1].id if len(rows) == PAGE else None)


def heal(connection: Connection, suspects: Iterable[Discrepancy], calendar: Calendar) -> list[Discrepancy]:
    """Heal the schedules of ``suspects`` that are still wrong; what was wrong with them."""
    found: list[Discrepancy] = []
    named = sorted({(each.tenant_id, each.install_id, each.schedule_id) for each in suspects})
    # The locks of those who change them.
    locks.change_several(connection, [each[:2] for each in named], [each[2] for each in named])
    for tenant_id, install_id, schedule_id in named:
        schedule = tables.schedule
        this = and_(
            schedule.c.tenant_id == tenant_id,
            schedule.c.install_id == install_id,
            schedule.c.id == schedule_id,
        )
        row = connection.execute(_query().where(this)).one_or_none()
        verdict = None if row is None else judge(row, calendar)
        if row is None or verdict is None:
            continue
        if verdict.values is None:
            connection.execute(delete(schedule).where(this))
        elif verdict.values:
            connection.execute(update(schedule).where(this).values(verdict.values))
        healed = verdict.values is None or bool(verdict.values)
        found += [replace(each, healed=healed) for each in _discrepancies(row, calendar)]
    return found


def runs(connection: Connection, now: datetime, lease: timedelta) -> list[Discrepancy]:
    """Runs under way whose lease never ends, or not for long."""
    run = tables.schedule_run.c
    query = select(run.id, run.tenant_id, run.install_id, run.schedule_id, run.lease_expires_at)
    return [
        Discrepancy(
            "run_without_lease" if row.lease_expires_at is None else "distant_lease",
            row.tenant_id,
            row.install_id,
            row.schedule_id,
            run_id=row.id,
        )
        for row in connection.execute(query.where(_unending(now, lease)).order_by(run.ordinal).limit(PAGE))
    ]


def lease(
    connection: Connection, suspects: Iterable[Discrepancy], now: datetime, lease: timedelta
) -> list[Discrepancy]:
    """Give the runs of ``suspects`` a lease from now on: who is at one renews it, a dead worker's is lost."""
    run = tables.schedule_run
    found = []
    for each in suspects:
        wrong = and_(
            run.c.tenant_id == each.tenant_id, run.c.install_id == each.install_id, run.c.id == each.run_id
        )
        again = update(run).where(wrong, _unending(now, lease)).values(lease_expires_at=now + lease)
        if connection.execute(again).rowcount:
            found.append(replace(each, healed=True))
    return found


def _unending(now: datetime, lease: timedelta) -> Any:
    run = tables.schedule_run.c
    until = run.lease_expires_at
    return and_(run.status == "running", or_(until.is_(None), until > now + lease + LONGEST_LEASE))


def _query() -> Select[Any]:
    """Schedules with what they hang on, there or not."""
    schedule, install, endpoint = tables.schedule, tables.install, tables.endpoint
    run = tables.schedule_run.c
    last = select(func.max(run.due_at)).where(run.schedule_id == schedule.c.id).scalar_subquery()
    owner = and_(install.c.tenant_id == schedule.c.tenant_id, install.c.id == schedule.c.install_id)
    return (
        select(
            schedule,
            install.c.enabled.label("install_enabled"),
            endpoint.c.method.label("endpoint_method"),
            last.label("last_due_at"),
        )
        .outerjoin(install, owner)
        .outerjoin(endpoint, endpoint.c.id == schedule.c.endpoint_id)
    )


def _discrepancies(row: Row[Any], calendar: Calendar) -> list[Discrepancy]:
    verdict = judge(row, calendar)
    kinds = verdict.kinds if verdict is not None else []
    return [Discrepancy(kind, row.tenant_id, row.install_id, row.id) for kind in kinds]
