"""Idempotency keys that are a day old, and that another transaction holds while they are to be deleted."""

from __future__ import annotations

from datetime import datetime, timedelta
from threading import Event

import anyio
import pytest
from sqlalchemy import Connection, select, update

from alga_server.schedules import idempotency
from alga_server.storage.tables import schedule_creation
from tests.support.patience import PATIENCE_S
from tests.support.server import Install

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

MANY = 3


async def test_expired_keys_that_another_transaction_holds_are_left_for_the_next_time(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    await install.create(idempotencyKey="k")
    services = install.alga.server._services
    old = update(schedule_creation).values(created_at=services.clock.now() - timedelta(days=2))
    await services.database.write(lambda connection: connection.execute(old))
    held, go_on, looks = Event(), Event(), list[bool]()
    any_expired = idempotency.any_expired

    def hold(connection: Connection) -> None:
        connection.execute(select(schedule_creation.c.idempotency_key).with_for_update()).one()
        held.set()
        assert go_on.wait(PATIENCE_S)

    def counted(connection: Connection, now: datetime) -> bool:
        looks.append(any_expired(connection, now))
        if len(looks) == MANY:
            go_on.set()
        return looks[-1]

    monkeypatch.setattr(idempotency, "any_expired", counted)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(services.database.write, hold)
        assert await anyio.to_thread.run_sync(held.wait, PATIENCE_S)
        await services.reconciler.reconcile()
        looks_while_held = list(looks)
        go_on.set()

    await services.reconciler.reconcile()

    assert looks_while_held == [True]
    assert looks == [True, True, False]
