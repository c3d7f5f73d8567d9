"""What a run's times are, and what becomes of a firing, when the database makes it wait."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import anyio
import httpx
import pytest

from alga_server import Server, ServerSettings
from alga_server.errors import DatabaseBusy
from tests.support.databases import locked
from tests.support.firing import HOURLY
from tests.support.patience import PATIENCE_S
from tests.support.server import FakeRunner, Install

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(settings: ServerSettings, database_url: str) -> ServerSettings:
    return settings.model_copy(update={"database_url": database_url})


@pytest.fixture
def write_begins(install: Install, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Awaitable[None]]:
    """Returns once the server asks for the next write."""
    database = install.alga.server._services.database
    write, asked = database.write, anyio.Event()

    async def noted(fn: Any) -> Any:
        asked.set()
        return await write(fn)

    async def wait() -> None:
        nonlocal asked
        asked = anyio.Event()
        await asked.wait()

    monkeypatch.setattr(database, "write", noted)
    return wait


async def test_a_run_begins_when_its_claim_has_the_lock_and_ends_when_its_handler_does(
    install: Install,
    fake_runner: FakeRunner,
    write_begins: Callable[[], Awaitable[None]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "alga_server")
    await install.create(cron=HOURLY)
    clock = install.alga.clock
    clock.advance(timedelta(hours=1))
    fake_runner.hold()
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group:
            with locked(install.alga.server):
                group.start_soon(install.alga.server.dispatcher.run_due)
                await write_begins()
                clock.advance(timedelta(seconds=7))
            await fake_runner.was_asked(1)
            clock.advance(timedelta(seconds=3))
            with locked(install.alga.server):
                fake_runner.let_go()
                await write_begins()
                clock.advance(timedelta(seconds=20))

    [run] = await install.runs()
    assert (run["startedAt"], run["durationMs"], run["finishedAt"]) == (
        "2026-01-01T01:00:07.000Z",
        3000,
        "2026-01-01T01:00:10.000Z",
    )
    assert fake_runner.asked[0]["context"]["started_at"] == run["startedAt"]
    [line] = [record for record in caplog.records if getattr(record, "action", "") == "schedule_run"]
    assert line.duration_ms == 3000  # type: ignore[attr-defined]
    assert "alga_server_schedule_lag_seconds_sum 7.0" in await install.alga.metrics()


async def test_a_run_by_hand_begins_when_it_has_the_lock(
    install: Install, write_begins: Callable[[], Awaitable[None]]
) -> None:
    schedule_id = await install.create(cron=HOURLY)
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group:
            with locked(install.alga.server):
                group.start_soon(install.run_now, schedule_id)
                await write_begins()
                install.alga.clock.advance(timedelta(seconds=7))

    [run] = await install.runs()
    assert (run["nominalTime"], run["startedAt"]) == ("2026-01-01T00:00:07.000Z",) * 2


async def test_a_version_is_published_when_it_has_the_lock(
    install: Install, write_begins: Callable[[], Awaitable[None]]
) -> None:
    published: list[dict[str, Any]] = []

    async def publish() -> None:
        published.append(await install.alga.publish(name="com.example.other"))

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group:
            with locked(install.alga.server):
                group.start_soon(publish)
                await write_begins()
                install.alga.clock.advance(timedelta(seconds=7))

    shown = await install.alga.admin("GET", f"/api/admin/extensions/{published[0]['extensionId']}")
    assert [version["createdAt"] for version in shown.json()["versions"]] == ["2026-01-01T00:00:07.000Z"]


async def test_the_firing_loop_waits_for_a_locked_database_and_then_fires_once(
    settings: ServerSettings,
    install: Install,
    fake_runner: FakeRunner,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("alga_server.storage.sqlite._BUSY_TIMEOUT_S", 0.01)
    await install.create(cron=HOURLY)
    clock = install.alga.clock
    firing = settings.model_copy(update={"dispatch_schedules": True})
    with anyio.fail_after(PATIENCE_S):
        async with Server(firing, clock=clock, runner_transport=httpx.MockTransport(fake_runner)) as server:
            with locked(server):
                clock.advance(timedelta(hours=1))
                for _ in range(3):  # each time it looks again, a second later
                    await refused_write(server, monkeypatch)
                    clock.advance(timedelta(seconds=1))
            clock.advance(timedelta(seconds=1))
            await fake_runner.was_asked(1)

    assert [run["status"] for run in await install.runs()] == ["success"]
    [outage] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert (outage.action, outage.exc_info) == ("database_busy", None)  # type: ignore[attr-defined]


async def test_a_run_that_ends_while_the_database_is_locked_is_recorded_later_and_not_called_again(
    install: Install,
    fake_runner: FakeRunner,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("alga_server.storage.sqlite._BUSY_TIMEOUT_S", 0.01)
    await install.alga.server._services.database.aclose()  # so that its connections wait for so long only
    schedule_id = await install.create(cron=HOURLY, maxAttempts=3)
    clock = install.alga.clock
    clock.advance(timedelta(hours=1))
    fake_runner.hold()
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group:
            group.start_soon(install.alga.server.dispatcher.run_due)
            await fake_runner.was_asked(1)
            clock.advance(timedelta(seconds=3))
            with locked(install.alga.server):
                fake_runner.let_go()
                await refused_write(install.alga.server, monkeypatch)
            clock.advance(timedelta(seconds=30))

    [run] = await install.runs(schedule_id)
    assert (run["status"], run["durationMs"], run["finishedAt"]) == (
        "success",
        3000,
        "2026-01-01T01:00:03.000Z",
    )
    assert len(fake_runner.asked) == 1
    assert [record.exc_info for record in caplog.records if record.levelno >= logging.ERROR] == [None]


async def refused_write(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Return once the server was refused a write, and waits for its next try."""
    database = server._services.database
    refused = anyio.Event()
    write = database.write

    async def noted(fn: Any) -> Any:
        try:
            return await write(fn)
        except DatabaseBusy:
            refused.set()
            raise

    with monkeypatch.context() as patch:
        patch.setattr(database, "write", noted)
        await refused.wait()
        await anyio.wait_all_tasks_blocked()
