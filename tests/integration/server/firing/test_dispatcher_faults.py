"""One schedule's trouble is its own, and a server that stops loses nothing that it took."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import anyio
import httpx
import pytest
from sqlalchemy import update

from alga_server import ManualClock, Server, ServerSettings
from alga_server.firing import claims, recording
from alga_server.storage import tables
from tests.support.firing import HOURLY
from tests.support.patience import PATIENCE_S
from tests.support.server import FakeRunner, Install

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(settings: ServerSettings, database_url: str) -> ServerSettings:
    return settings.model_copy(update={"database_url": database_url})


async def spoil(install: Install, schedule_id: str, **values: Any) -> None:
    """Leave in the database what no request could have put there."""
    statement = update(tables.schedule).where(tables.schedule.c.id == schedule_id).values(**values)
    await install.alga.server._services.database.write(lambda c: c.execute(statement))


@pytest.mark.parametrize(
    "values", [{"timezone": "Mars/Olympus"}, {"cron": "0 0 31 2 *"}, {"cron": "nonsense"}]
)
async def test_a_schedule_that_cannot_be_claimed_stops_no_other(
    install: Install, fake_runner: FakeRunner, caplog: pytest.LogCaptureFixture, values: dict[str, str]
) -> None:
    spoilt = await install.create(cron=HOURLY)
    sound = await install.create(cron=HOURLY)
    await spoil(install, spoilt, **values)

    for _ in range(2):
        await install.alga.pass_time(hours=1)

    assert [asked["context"]["schedule_id"] for asked in fake_runner.asked] == [sound, sound]
    failures = [record for record in caplog.records if getattr(record, "action", "") == "dispatch_failure"]
    assert {(failure.levelno, getattr(failure, "schedule_id", None)) for failure in failures} == {
        (logging.ERROR, spoilt)
    }


@pytest.mark.parametrize("by_hand", [False, True], ids=["by the clock", "by an admin"])
async def test_a_run_that_is_claimed_while_the_server_stops_is_carried_out(
    install: Install, fake_runner: FakeRunner, monkeypatch: pytest.MonkeyPatch, by_hand: bool
) -> None:
    schedule_id = await install.create(cron=HOURLY)
    install.alga.clock.advance(timedelta(hours=1))
    settings = install.alga.server._services.settings
    claimed, stopping = anyio.Event(), anyio.Event()

    def slow(write: Callable[..., Any]) -> Callable[..., Any]:
        async def wrapped(transaction: Any) -> Any:
            result = await write(transaction)
            several = isinstance(result, claims.Claimed)
            outcomes = [outcome for _, outcome in result.outcomes] if several else [result]
            if any(isinstance(outcome, claims.Claim) for outcome in outcomes):
                claimed.set()
                await stopping.wait()
            return result

        return wrapped

    async def fire(server: Server) -> None:
        if by_hand:
            await server.dispatcher.run_now(install.tenant, install.id, schedule_id)
        else:
            await server.dispatcher._look(install.alga.clock.now(), may_fire=True)

    async with (
        anyio.create_task_group() as group,
        Server(settings, clock=install.alga.clock, runner_transport=httpx.MockTransport(fake_runner)) as ends,
    ):
        database = ends._services.database
        monkeypatch.setattr(database, "write", slow(database.write))
        group.start_soon(fire, ends)
        await claimed.wait()

        async def stop() -> None:
            while not ends.dispatcher._places.closed:
                await anyio.lowlevel.checkpoint()
            stopping.set()

        group.start_soon(stop)

    assert len(fake_runner.asked) == 1
    assert [run["status"] for run in await install.runs()] == ["success"]


@pytest.mark.parametrize("removed", [False, True], ids=["given up", "uninstalled"])
async def test_a_handler_whose_run_is_no_longer_held_is_cut_off(
    install: Install, fake_runner: FakeRunner, removed: bool
) -> None:
    """Otherwise it would go on during the next run of its schedule."""
    await install.create(cron=HOURLY)
    fake_runner.hold()
    install.alga.clock.advance(timedelta(hours=1))
    dispatcher = install.alga.server.dispatcher
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group:
            group.start_soon(dispatcher.run_due)
            await fake_runner.was_asked(1)
            if removed:
                await install.alga.admin("DELETE", install.admin_path)
            else:
                later = install.alga.clock.now() + timedelta(hours=1)
                await install.alga.server._services.database.write(
                    partial(recording.reap, expired_at=later, clock=ManualClock(later))
                )
            install.alga.clock.advance(timedelta(seconds=30))
            await dispatcher.run_due()

    assert fake_runner.running == 0
