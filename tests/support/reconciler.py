"""Schedules that no operation leaves behind, and calls of the reconciler."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, create_engine, select, update

from alga_server.storage import tables
from tests.support.server import Install

START = datetime(2026, 1, 1, tzinfo=UTC)
ONE = (START + timedelta(hours=1), "2026-01-01T01:00:00.000Z")
NEVER = (None, None)
DISTANT = START + timedelta(days=400)
RETRY = {
    "retry_at": START + timedelta(minutes=5),
    "retry_attempt": 2,
    "retry_nominal_time": "2026-01-01T00:00:00.000Z",
    "retry_due_at": START,
}
NO_RETRY = dict.fromkeys(RETRY)


def by_hand(install: Install, *statements: Any) -> None:
    """Leave in the database what no request could have put there, and what its keys forbid."""
    engine = create_engine(install.alga.server._services.settings.database_url)
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET session_replication_role = replica")
        for statement in statements:
            connection.execute(statement)
    engine.dispose()


def spoil(install: Install, schedule_id: str, **values: Any) -> None:
    by_hand(install, update(tables.schedule).where(tables.schedule.c.id == schedule_id).values(**values))


async def row_of(install: Install, schedule_id: str) -> Any:
    query = select(tables.schedule).where(tables.schedule.c.id == schedule_id)
    return await install.alga.server._services.database.read(lambda c: c.execute(query).one_or_none())


async def everything(install: Install) -> list[list[tuple[Any, ...]]]:
    def rows(connection: Connection) -> list[list[tuple[Any, ...]]]:
        return [[tuple(row) for row in connection.execute(select(t))] for t in tables.metadata.sorted_tables]

    state: list[list[tuple[Any, ...]]] = await install.alga.server._services.database.read(rows)
    return state


async def reconcile(install: Install, method: str = "POST") -> list[tuple[str, bool]]:
    """What was wrong, by an admin's call, and whether it was repaired."""
    response = await install.alga.admin(method, "/api/admin/reconciliation")
    assert response.status_code == 200, response.text
    return [
        (discrepancy["discrepancy"], discrepancy["repaired"])
        for discrepancy in response.json()["discrepancies"]
    ]
