"""A full database is a refusal with a code, and an outage that ends by itself: no run is lost for it."""

from __future__ import annotations

import base64
import logging
from collections.abc import AsyncIterator
from datetime import timedelta

import anyio
import httpx
import pytest
from sqlalchemy import Connection, func, insert, select

from alga_server import ManualClock, Server, ServerSettings
from alga_server.errors import DatabaseFull
from alga_server.storage import tables
from alga_server.storage.database import Database
from tests.support.databases import full
from tests.support.firing import HOURLY, settle
from tests.support.patience import PATIENCE_S
from tests.support.server import SUCCESS, Alga, FakeRunner, Install
from tests.support.sockets import serving

pytestmark = pytest.mark.anyio

PAYLOAD = {"text": "x" * 20_000}


@pytest.fixture
def settings(settings: ServerSettings, database_url: str) -> ServerSettings:
    changes = {"database_url": database_url, "dispatch_schedules": True, "shutdown_grace_seconds": 0}
    return settings.model_copy(update=changes)


@pytest.fixture
async def alga(settings: ServerSettings, fake_runner: FakeRunner) -> AsyncIterator[Alga]:
    """On a socket."""
    clock = ManualClock()
    transport = httpx.MockTransport(fake_runner)
    async with (
        Server(settings, clock=clock, runner_transport=transport) as server,
        serving(server.app) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        yield Alga(server, client, clock)


async def fill(install: Install) -> httpx.Response:
    """Create schedules until the database has no room for another; that refusal."""
    for _ in range(100):
        answer = await install.call("create", endpoint="/sync", cron="0 12 * * *", payload=PAYLOAD)
        if answer.status_code != 201:
            return answer
    raise AssertionError("there was room for 2 MB")


async def test_every_door_says_that_there_is_no_room_and_the_log_once(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    with full(install.alga.server):
        by_guest = await fill(install)
        body = {"endpoint": "/sync", "cron": HOURLY, "payload": PAYLOAD}
        by_admin = await install.alga.admin("POST", f"{install.admin_path}/schedules", json=body)
        read = await install.alga.admin("GET", f"{install.admin_path}/schedules")
    later = await install.call("create", endpoint="/sync", cron=HOURLY, payload=PAYLOAD)

    assert [answer.status_code for answer in (by_guest, by_admin, read, later)] == [503, 503, 200, 201]
    assert (by_guest.json()["code"], by_admin.json()["code"]) == ("DATABASE_FULL", "database_full")
    assert {by_guest.headers["retry-after"], by_admin.headers["retry-after"]} == {"30"}
    assert 'status="database_full"' in await install.alga.metrics()
    problems = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [(getattr(record, "action", ""), record.exc_info) for record in problems] == [
        ("database_full", None),
        ("database_recovered", None),
    ]


async def test_a_run_that_ends_meanwhile_is_recorded_when_there_is_room(
    install: Install, fake_runner: FakeRunner, caplog: pytest.LogCaptureFixture
) -> None:
    ids = [await install.create(cron=HOURLY) for _ in range(5)]
    fake_runner.hold()
    body = base64.b64encode(b"why" * 1000).decode()
    fake_runner.answer = httpx.Response(200, json={**SUCCESS, "status": 500, "body_b64": body})
    alga = install.alga
    with anyio.fail_after(PATIENCE_S):
        alga.clock.advance(timedelta(hours=1))
        await fake_runner.was_asked(5)
        with full(alga.server):
            await fill(install)
            fake_runner.let_go()
            for _ in range(90):  # longer than a lease
                await settle(alga.server)
                alga.clock.advance(timedelta(seconds=1))
            meanwhile = {run["status"] for run in await install.runs()}
        while {run["status"] for run in await install.runs()} != {"error"}:
            alga.clock.advance(timedelta(seconds=1))
            await settle(alga.server)

    assert "running" in meanwhile
    assert len(fake_runner.asked) == len(ids), "no handler was called again"
    assert [run["errorCode"] for run in await install.runs()] == ["handler_status"] * 5
    assert not [record for record in caplog.records if record.exc_info]


async def test_what_is_due_meanwhile_fires_when_there_is_room(
    install: Install, fake_runner: FakeRunner, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(30):
        await install.create(cron=HOURLY)
    alga = install.alga
    with anyio.fail_after(PATIENCE_S):
        with full(alga.server):
            await fill(install)
            alga.clock.advance(timedelta(hours=1))
            for _ in range(5):
                await settle(alga.server)
                alga.clock.advance(timedelta(seconds=1))
            early = len(fake_runner.asked)
        while len(fake_runner.asked) < 30:
            alga.clock.advance(timedelta(seconds=1))
            await settle(alga.server)
        while "running" in {run["status"] for run in await install.runs()}:
            alga.clock.advance(timedelta(seconds=1))
            await settle(alga.server)

    assert early < 30
    assert {run["status"] for run in await install.runs()} == {"success"}
    assert not [record for record in caplog.records if record.exc_info]


async def test_what_fills_up_within_a_savepoint_is_full_too_and_leaves_nothing(database_url: str) -> None:
    """SQLite ends the transaction then: the error that is raised names a savepoint that does not exist."""
    database = Database(database_url)
    row = {"name": "x" * 40_000, "generation": 1, "secret": b"", "created_at": ManualClock().now()}

    def overflow(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count = 1").close()
        connection.execute(insert(tables.server_secret).values({**row, "name": "first"}))
        with connection.begin_nested():
            connection.execute(insert(tables.server_secret).values(row))

    with pytest.raises(DatabaseFull):
        await database.write(overflow)
    count = select(func.count()).select_from(tables.server_secret)
    assert await database.read(lambda c: c.execute(count).scalar_one()) == 0
    await database.aclose()
