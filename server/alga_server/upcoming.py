"""What fires next, as it stands beside each schedule: computed when something changes, never when somebody asks.

Functions that take a connection run in its transaction, and name the tenant and the install.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select, update

from . import locks, tables
from .occurrences import Occurrence, after, following
from .retries import NONE_WAITING

MAX_COUNTED = 1_000
"""Missed occurrences are counted up to about here; a server that was away longer missed at least as many."""

NOTHING: dict[str, Any] = {"next_run_at": None, "next_nominal_time": None, **NONE_WAITING}
"""The columns of a schedule that does not fire."""


@dataclass(frozen=True, slots=True)
class Due:
    """What a due schedule does: ``fire`` that one, with ``missed`` earlier ones passed over; ``then`` comes next."""

    fire: Occurrence
    missed: int
    then: Occurrence


def columns(occurrence: Occurrence) -> dict[str, Any]:
    """The columns of a schedule that fires at ``occurrence`` next."""
    return {"next_run_at": occurrence.due_at, "next_nominal_time": occurrence.nominal_time}


def first_columns(expression: str, timezone: str, now: datetime) -> dict[str, Any]:
    """The columns of a schedule that is live from ``now`` on; no attempt of before waits."""
    return columns(next(after(expression, timezone, now))) | NONE_WAITING


def read(next_run_at: datetime, next_nominal_time: str) -> Occurrence:
    """The occurrence that the two columns hold."""
    return Occurrence(next_run_at, datetime.fromisoformat(next_nominal_time))


def due(expression: str, timezone: str, first: Occurrence, now: datetime) -> Due:
    """What to do at ``now``, which is not before ``first``: the latest instant's first occurrence fires.

    Occurrences that share that instant follow one by one; those of earlier instants were missed.
    """
    fire, missed = first, 0
    on_its_instant: list[Occurrence] = []
    coming, leapt = following(expression, timezone, first), False
    while (each := next(coming)).due_at <= now:
        if each.due_at == fire.due_at:
            on_its_instant.append(each)
            continue
        missed += 1 + len(on_its_instant)
        fire, on_its_instant = each, []
        if missed >= MAX_COUNTED and not leapt:
            fire = max(fire, _latest_hours(expression, timezone, now), key=lambda one: one.due_at)
            coming, leapt = following(expression, timezone, fire), True
    return Due(fire, min(missed, MAX_COUNTED), on_its_instant[0] if on_its_instant else each)


def _latest_hours(expression: str, timezone: str, now: datetime) -> Occurrence:
    """The first occurrence of the shortest time before ``now`` that has one."""
    back = timedelta(hours=1)
    while (found := next(after(expression, timezone, now - back))).due_at > now:
        back *= 2
    return found


def stop_install(connection: Connection, tenant_id: str, install_id: str) -> None:
    """The install was disabled: nothing of it fires."""
    locks.change_schedules(connection, locks.of_install(tenant_id, install_id))
    connection.execute(
        update(tables.schedule)
        .where(tables.schedule.c.tenant_id == tenant_id, tables.schedule.c.install_id == install_id)
        .values(NOTHING)
    )


def start_install(connection: Connection, tenant_id: str, install_id: str, now: datetime) -> None:
    """The install was enabled: its enabled schedules fire from ``now`` on."""
    locks.change_schedules(connection, locks.of_install(tenant_id, install_id))
    table = tables.schedule
    mine = (table.c.tenant_id == tenant_id) & (table.c.install_id == install_id)
    query = select(table.c.id, table.c.cron, table.c.timezone).where(mine, table.c.enabled)
    for row in connection.execute(query).all():
        values = first_columns(row.cron, row.timezone, now)
        connection.execute(update(table).where(mine, table.c.id == row.id).values(values))
