"""The next occurrence, stored with each schedule: computed when the schedule changes, never when it is read.

Functions that take a connection run in its transaction, and name the tenant and the install.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, select, update

from ..storage import locks, tables
from .occurrences import UNUSABLE, Occurrence, after
from .policies import NONE_WAITING

NOTHING: dict[str, Any] = {"next_run_at": None, "next_nominal_time": None, **NONE_WAITING}
"""The columns of a schedule that does not fire."""


def columns(occurrence: Occurrence) -> dict[str, Any]:
    """The columns of a schedule that fires at ``occurrence`` next."""
    return {"next_run_at": occurrence.due_at, "next_nominal_time": occurrence.nominal_time}


def first_columns(expression: str, timezone: str, now: datetime) -> dict[str, Any]:
    """The columns of a schedule that is live from ``now`` on; no attempt of before waits."""
    # Clocks show whole minutes together with UTC since 1972: what follows now follows the minute's beginning.
    return columns(_first(expression, timezone, now.replace(second=0, microsecond=0))) | NONE_WAITING


@lru_cache(maxsize=4_096)
def _first(expression: str, timezone: str, minute: datetime) -> Occurrence:
    """It is remembered: schedules that are made in one minute have mostly the same few expressions."""
    return next(after(expression, timezone, minute))


def read(next_run_at: datetime, next_nominal_time: str) -> Occurrence:
    """The occurrence that the two columns hold."""
    return Occurrence(next_run_at, datetime.fromisoformat(next_nominal_time))


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
    of_install = (table.c.tenant_id == tenant_id) & (table.c.install_id == install_id)
    query = select(table.c.id, table.c.cron, table.c.timezone).where(of_install, table.c.enabled)
    for row in connection.execute(query).all():
        try:
            values = first_columns(row.cron, row.timezone, now)
        except UNUSABLE:  # of an older or a newer version; the reconciler reports it, and the others fire
            continue
        connection.execute(update(table).where(of_install, table.c.id == row.id).values(values))
