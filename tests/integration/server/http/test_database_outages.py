"""While its database cannot be used the server answers 503 with a code and a time to retry, and logs one line."""

from __future__ import annotations

import logging
from datetime import timedelta
from threading import Event
from typing import Any

import anyio
import httpx
import pytest
from sqlalchemy import Connection, select

from alga_server import ManualClock, Server, ServerSettings
from alga_server.errors import DatabaseBusy, DatabaseUnavailable
from alga_server.firing.queue.procrastinate import QueuedJobs
from alga_server.storage import tables
from alga_server.storage.database import Database
from tests.support.databases import POSTGRES, locked
from tests.support.patience import PATIENCE_S
from tests.support.server import ADMIN_TOKEN, Alga, Install

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(settings: ServerSettings, database_url: str, monkeypatch: pytest.MonkeyPatch) -> ServerSettings:
    monkeypatch.setattr("alga_server.storage.sqlite._BUSY_TIMEOUT_S", 0.01)
    return settings.model_copy(update={"database_url": database_url})


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, Any]]:
    return [
        (record.action, record.exc_info)  # type: ignore[attr-defined]
        for record in caplog.records
        if record.levelno >= logging.WARNING and hasattr(record, "action")
    ]


async def test_a_locked_database_is_busy_at_every_door_and_the_log_says_it_once(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    with locked(install.alga.server):
        by_guest = await install.call("create", endpoint="/sync", cron="0 * * * *")
        path = f"{install.admin_path}/schedules"
        by_admin = await install.alga.admin("POST", path, json={"endpoint": "/sync", "cron": "0 * * * *"})
        read = await install.list()

    assert (by_guest.status_code, by_admin.status_code, read) == (503, 503, [])
    assert (by_guest.json()["code"], by_guest.json()["success"]) == ("DATABASE_BUSY", False)
    assert by_admin.json()["code"] == "database_busy"
    assert {by_guest.headers["retry-after"], by_admin.headers["retry-after"]} == {"5"}
    assert lines(caplog) == [("database_busy", None)]
    assert 'status="database_busy"' in await install.alga.metrics()

    await install.create()
    assert lines(caplog)[1:] == [("database_recovered", None)]


async def test_a_call_through_the_gateway_is_told_to_come_back(settings: ServerSettings) -> None:
    """The first execution needs the key of its token, which is made then."""
    checking = settings.model_copy(update={"require_execution_token": True})
    async with Server(checking, clock=ManualClock()) as server:
        transport = httpx.ASGITransport(server.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            install = await Alga(server, client, ManualClock()).install()
            with locked(server):
                answer = await install.ask("POST", "/sync")

    assert (answer.status_code, answer.json()["error"]) == (503, "database_busy")
    assert answer.headers["retry-after"] == "5"


async def test_a_transaction_that_waits_too_long_for_its_turn_is_refused_and_the_one_before_it_is_not(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alga_server.storage.database._TURN_S", 0.01)
    database = Database(database_url)
    await database.start()
    go_on, ended = Event(), []

    def slow(_: Connection) -> str:
        assert go_on.wait(PATIENCE_S)
        return "done"

    async def first() -> None:
        ended.append(await database.write(slow))

    async with anyio.create_task_group() as group:
        group.start_soon(first)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(DatabaseBusy):
            await database.write(lambda _: None)
        go_on.set()

    assert ended == ["done"]
    await database.aclose()


async def test_an_outage_that_a_write_met_lasts_until_a_write_succeeds(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA query_only = ON")
        try:
            connection.execute(tables.extension.delete())
        finally:
            connection.exec_driver_sql("PRAGMA query_only = OFF")

    database = Database(database_url)
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            await database.write(refused)
        await database.read(lambda connection: connection.execute(select(tables.extension)).all())

    assert lines(caplog) == [("database_unavailable", None)]

    await database.write(lambda connection: connection.execute(tables.extension.delete()))
    await database.aclose()
    assert lines(caplog)[1:] == [("database_recovered", None)]


async def test_postgresql_that_is_down_is_unavailable(
    settings: ServerSettings, caplog: pytest.LogCaptureFixture
) -> None:
    down = settings.model_copy(update={"database_url": "postgresql://alga:hunter2@127.0.0.1:1/alga"})
    server = Server(down)
    server._services.database._tables_made = True  # it was there when the server started
    transport = httpx.ASGITransport(server.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        health = await client.get("/healthz")
        listed = await client.get("/api/admin/extensions", headers={"authorization": f"Bearer {ADMIN_TOKEN}"})
    await server.aclose()

    assert (health.status_code, listed.status_code) == (503, 503)
    assert (listed.json()["code"], listed.headers["retry-after"]) == ("database_unavailable", "5")
    assert lines(caplog) == [("database_unavailable", None)]
    assert "hunter2" not in caplog.text
    assert "127.0.0.1" in caplog.text


async def test_a_queue_without_its_database_is_one_line_for_all_its_tries(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("alga_server.firing.queue.procrastinate._OPENS_WITHIN_S", 0.05)
    clock = ManualClock()
    jobs = QueuedJobs(ServerSettings(database_url="postgresql://alga@127.0.0.1:1/alga"), clock)
    work, tries = jobs._work, 0

    async def counted(fire: Any) -> None:
        nonlocal tries
        tries += 1
        await work(fire)

    async def never(*_: Any) -> None:
        raise AssertionError("nothing is due")

    monkeypatch.setattr(jobs, "_work", counted)
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group:
            group.start_soon(jobs.run, never)
            while tries < 3:
                clock.advance(timedelta(seconds=1))
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()

    assert lines(caplog) == [("queue_unavailable", None)]


@pytest.mark.skipif(POSTGRES is not None, reason="a folder in place of SQLite's file")
async def test_a_database_that_vanished_is_unavailable(
    settings: ServerSettings, caplog: pytest.LogCaptureFixture, tmp_path: Any
) -> None:
    gone = settings.model_copy(update={"database_url": f"sqlite:///{tmp_path}/gone/alga.db"})
    server = Server(gone)
    server._services.database._tables_made = True
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(server.app), base_url="http://server"
    ) as client:
        health = await client.get("/healthz")
    await server.aclose()

    assert (health.status_code, health.json()["code"]) == (503, "database_unavailable")
    assert lines(caplog) == [("database_unavailable", None)]
