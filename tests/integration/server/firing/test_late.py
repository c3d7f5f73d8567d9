"""A time for which the servers had no room was not missed: it runs when there is room."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from httpx import MockTransport
from sqlalchemy import Connection

from alga_server import Server, ServerSettings
from alga_server.firing.attendance import attend
from alga_server.storage import tables
from tests.support.firing import HOURLY, settle
from tests.support.patience import PATIENCE_S
from tests.support.server import Alga, FakeRunner

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

FROM_ONE_ON = "*/5 1-23 * * *"


@pytest.fixture
def settings(settings: ServerSettings, database_url: str) -> ServerSettings:
    changes = {"database_url": database_url, "max_schedule_runs": 1, "dispatch_schedules": True}
    return settings.model_copy(update=changes)


async def time_passes(alga: Alga, minutes: float, *servers: Server) -> None:
    """While the servers look every fifteen seconds."""
    for _ in range(int(4 * minutes)):
        alga.clock.advance(timedelta(seconds=15))
        await settle(alga.server, *servers)


@asynccontextmanager
async def crowded(alga: Alga, fake_runner: FakeRunner) -> AsyncIterator[None]:
    """At 00:55 a run takes the only place, until the end."""
    await (await alga.install("greedy")).create(cron="55 0 * * *")
    fake_runner.hold()
    with anyio.fail_after(PATIENCE_S):
        alga.clock.advance(timedelta(minutes=55))
        await fake_runner.was_asked(1)
        await settle(alga.server)
        yield
        asked = len(fake_runner.asked)
        fake_runner.let_go()
        await fake_runner.was_asked(asked + 1)
        await settle(alga.server)


def shown(run: dict[str, object]) -> tuple[object, ...]:
    return run["status"], run["reason"], run["missed"], run["nominalTime"]


@pytest.mark.parametrize(
    "policy", [{"missedRuns": "skip"}, {"missedRuns": "latest", "missedWindowSeconds": 60}, {}], ids=str
)
async def test_what_waited_for_room_runs_late_whatever_becomes_of_missed_times(
    alga: Alga, fake_runner: FakeRunner, policy: dict[str, object]
) -> None:
    modest = await alga.install("modest")
    await modest.create(cron=HOURLY, **policy)
    async with crowded(alga, fake_runner):
        await time_passes(alga, 8)

    [run] = await modest.runs()
    assert shown(run) == ("success", "late", 0, "2026-01-01T01:00:00.000Z")
    metrics = await alga.metrics()
    assert "alga_server_schedule_late_total 1.0" in metrics
    assert "alga_server_schedule_missed_total 0.0" in metrics
    assert "alga_server_schedule_made_up_total 0.0" in metrics


async def test_of_several_times_that_waited_for_room_the_latest_runs(
    alga: Alga, fake_runner: FakeRunner
) -> None:
    modest = await alga.install("modest")
    await modest.create(cron=FROM_ONE_ON, missedRuns="skip")
    async with crowded(alga, fake_runner):
        await time_passes(alga, 13)

    [run] = await modest.runs()
    assert shown(run) == ("success", "late", 1, "2026-01-01T01:05:00.000Z")


async def test_what_begins_within_the_grace_says_nothing(alga: Alga, fake_runner: FakeRunner) -> None:
    modest = await alga.install("modest")
    await modest.create(cron=HOURLY, missedRuns="skip")
    async with crowded(alga, fake_runner):
        await time_passes(alga, 5.5)

    [run] = await modest.runs()
    assert shown(run) == ("success", None, 0, "2026-01-01T01:00:00.000Z")


async def test_what_came_while_no_server_looked_was_missed(alga: Alga, fake_runner: FakeRunner) -> None:
    modest = await alga.install("modest")
    await modest.create(cron=HOURLY, missedRuns="skip")
    async with crowded(alga, fake_runner):
        alga.clock.advance(timedelta(minutes=8))  # at one stroke, as when the machine sleeps
        await settle(alga.server)
        await modest.create(cron="4 1 * * *")
        await time_passes(alga, 2)

    skipped, *_ = await modest.runs()
    assert shown(skipped) == ("skipped", "missed", 1, "2026-01-01T01:00:00.000Z")


class TestServersOneAfterAnother:
    @pytest.fixture
    def settings(self, settings: ServerSettings) -> ServerSettings:
        """Of the server that the test calls, which fires nothing."""
        return settings.model_copy(update={"dispatch_schedules": False, "shutdown_grace_seconds": 0})

    @pytest.mark.parametrize(("away", "reason"), [(30, "late"), (300, "missed")])
    async def test_the_next_knows_whether_one_was_there(
        self, alga: Alga, fake_runner: FakeRunner, settings: ServerSettings, away: float, reason: str
    ) -> None:
        modest = await alga.install("modest")
        await modest.create(cron=HOURLY)
        await (await alga.install("greedy")).create(cron="55 0 * * *")
        fires = settings.model_copy(update={"dispatch_schedules": True})
        fake_runner.hold()
        with anyio.fail_after(PATIENCE_S):
            async with Server(fires, clock=alga.clock, runner_transport=MockTransport(fake_runner)) as first:
                alga.clock.advance(timedelta(minutes=55))
                await fake_runner.was_asked(1)
                await time_passes(alga, 8, first)
            alga.clock.advance(timedelta(seconds=away))
            async with Server(fires, clock=alga.clock, runner_transport=MockTransport(fake_runner)) as later:
                await fake_runner.was_asked(2)
                fake_runner.let_go()
                await settle(later)

        [run] = await modest.runs()
        assert (run["reason"], run["nominalTime"]) == (reason, "2026-01-01T01:00:00.000Z")


async def test_attendance_ends_with_a_gap_and_with_a_clock_that_is_far_off(alga: Alga) -> None:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    gap = timedelta(seconds=60)

    def at(seconds: float) -> datetime:
        return began + timedelta(seconds=seconds)

    def since(connection: Connection) -> list[datetime]:
        connection.execute(tables.attendance.delete())
        return [attend(connection, at(seconds), gap=gap) for seconds in (0, 60, 50, 110, 171, 100_000, 200)]

    assert await alga.server._services.database.write(since) == [
        *(began,) * 4,
        at(171),
        at(100_000),
        at(200),
    ]
