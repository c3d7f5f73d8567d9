"""A claim that is not to wait takes free schedules only, and waits for no other transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from threading import Event
from typing import Any

import anyio
import pytest
from sqlalchemy import Connection, text

from alga_server.storage import locks
from alga_server.storage.database import Database
from tests.support.patience import PATIENCE_S
from tests.support.server import Alga, Install

from .test_locks import WAITING, claiming_free, uninstalling

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


@pytest.fixture
def database(alga: Alga) -> Database:
    database: Database = alga.server._services.database
    return database


@asynccontextmanager
async def held(database: Database, rows: str) -> AsyncIterator[None]:
    """Another transaction has the rows locked meanwhile."""
    done, go_on = Event(), Event()

    def hold(connection: Connection) -> None:
        connection.execute(text(f"{rows} FOR UPDATE"))
        done.set()
        assert go_on.wait(PATIENCE_S)

    async with anyio.create_task_group() as group:
        group.start_soon(database.write, hold)
        try:
            assert await anyio.to_thread.run_sync(done.wait, PATIENCE_S)
            yield
        finally:
            go_on.set()


@pytest.mark.parametrize("table", ["tenant_extension_schedule", "tenant_extension_install"])
async def test_it_ends_while_another_transaction_has_all_locked(
    database: Database, install: Install, table: str
) -> None:
    ids = [await install.create(cron="0 12 * * *") for _ in range(2)]

    async with held(database, f"SELECT 1 FROM {table}"):
        outcomes = await database.write(claiming_free(install, ids, together=2))

    assert outcomes == dict.fromkeys(ids, "locked")


async def test_it_claims_a_free_schedule_behind_a_locked_one(database: Database, install: Install) -> None:
    ids = [await install.create(cron="0 12 * * *") for _ in range(3)]

    async with held(database, f"SELECT 1 FROM tenant_extension_schedule WHERE id = '{ids[0]}'"):
        outcomes = await database.write(claiming_free(install, ids, together=1))

    assert [outcomes[one] for one in ids] == ["locked", "claimed", "rest"]


async def test_it_gives_way_to_an_uninstall_that_comes_between_its_locks(
    database: Database, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the schedules, for which the uninstall waits, which has the install: neither may wait for the other."""
    ids = [await install.create(cron="0 12 * * *") for _ in range(3)]
    between, go_on, tries = Event(), Event(), list[dict[str, str]]()
    keep = locks.keep_free_installs

    def paused(connection: Connection, places: Any) -> Any:
        between.set()
        assert go_on.wait(PATIENCE_S)
        return keep(connection, places)

    monkeypatch.setattr(locks, "keep_free_installs", paused)
    claiming = claiming_free(install, ids, together=3)

    def claim(connection: Connection) -> None:
        tries.append({})
        tries[-1] = claiming(connection)

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group:
            group.start_soon(database.write, claim)
            await anyio.to_thread.run_sync(between.wait, PATIENCE_S)
            group.start_soon(database.write, uninstalling(install))
            while not await database.read(lambda c: c.execute(text(WAITING)).scalar_one()):
                pass
            go_on.set()

    assert tries == [dict.fromkeys(ids, "locked")]
    assert (await install.alga.admin("GET", install.admin_path)).status_code == 404
