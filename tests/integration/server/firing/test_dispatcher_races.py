"""Each time fires once, and no schedule stays stuck: many dispatchers, dead workers, cuts at every await."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import anyio
import httpx
import pytest
from sqlalchemy import Connection

from alga_server import ManualClock, Server, ServerSettings
from alga_server.errors import DispatcherUnavailable
from alga_server.firing import claims, recording
from alga_server.firing.claims import Claim
from alga_server.firing.due import DueSchedule
from alga_server.firing.recording import Worker
from alga_server.storage.database import Database
from tests.support.firing import HOURLY, fire_during_runs, settle
from tests.support.server import FakeRunner, Install

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def settings(settings: ServerSettings, database_url: str) -> ServerSettings:
    return settings.model_copy(update={"database_url": database_url, "shutdown_grace_seconds": 0})


@asynccontextmanager
async def another(install: Install, fake_runner: FakeRunner, **changes: Any) -> AsyncIterator[Server]:
    """One more server on the same database, with the same clock and runner."""
    settings = install.alga.server._services.settings.model_copy(update=changes)
    transport = httpx.MockTransport(fake_runner)
    async with Server(settings, clock=install.alga.clock, runner_transport=transport) as server:
        yield server


def take(worker: Worker, install: Install, schedule_id: str, now: datetime) -> Callable[[Connection], Any]:
    """The transaction by which ``worker`` claims the schedule."""
    due = DueSchedule(install.tenant, install.id, schedule_id, running=False)
    return lambda connection: claims.claim_many(connection, [due], worker, ManualClock(now), room=1)[0]


def worker(name: str, *, lease: float = 60) -> Worker:
    return Worker(name, timedelta(seconds=lease))


async def test_two_dispatchers_fire_each_time_once(install: Install, fake_runner: FakeRunner) -> None:
    ids = [await install.create(cron=cron) for cron in (HOURLY, HOURLY, "*/30 * * * *", "15 */2 * * *")]
    rounds = 24
    async with another(install, fake_runner) as second:
        for _ in range(rounds):
            install.alga.clock.advance(timedelta(minutes=30))
            async with anyio.create_task_group() as group:
                for server in (install.alga.server, second):
                    group.start_soon(server.dispatcher.run_due)

    fired = [
        (request["context"]["schedule_id"], request["context"]["nominal_time"])
        for request in fake_runner.asked
    ]
    assert len(fired) == len(set(fired))
    per_schedule = [sum(schedule_id == of_schedule for schedule_id, _ in fired) for of_schedule in ids]
    assert per_schedule == [12, 12, 24, 6]
    assert {run["status"] for run in await install.runs()} == {"success"}
    assert {run["missed"] for run in await install.runs()} == {0}


async def test_two_servers_on_their_own_fire_each_time_once(
    install: Install, fake_runner: FakeRunner
) -> None:
    await install.create(cron=HOURLY)
    async with (
        another(install, fake_runner, dispatch_schedules=True) as one,
        another(install, fake_runner, dispatch_schedules=True) as other,
    ):
        await settle(one, other)
        for hour in range(1, 13):
            install.alga.clock.advance(timedelta(hours=1))
            await fake_runner.was_asked(hour)
            while [run["status"] for run in await install.runs()] != ["success"] * hour:
                await anyio.lowlevel.checkpoint()

    assert fake_runner.nominal_times() == [f"2026-01-01T{hour:02}:00:00.000Z" for hour in range(1, 13)]


async def test_of_many_claims_at_once_one_wins(install: Install, settings: ServerSettings) -> None:
    schedule_id = await install.create(cron=HOURLY)
    databases = [Database(settings.database_url) for _ in range(4)]
    for hour in range(1, 11):
        claimed: list[Any] = []

        async def one(number: int, now: datetime, into: list[Any]) -> None:
            database = databases[number % 4]
            into.append(await database.write(take(worker(f"worker-{number}"), install, schedule_id, now)))

        async with anyio.create_task_group() as group:
            for number in range(12):
                group.start_soon(one, number, START + timedelta(hours=hour), claimed)
        [won] = [outcome for outcome in claimed if outcome != "nothing"]
        assert isinstance(won, Claim)
        ended = recording.Ending("success")
        finish = partial(recording.finish, run=won.run, ending=ended, duration_ms=0)
        assert await databases[0].write(finish) is not None
    for database in databases:
        await database.aclose()

    assert [run["nominalTime"][11:13] for run in await install.runs()] == [
        f"{hour:02}" for hour in range(1, 11)
    ]


async def test_many_run_nows_at_once_run_once_and_are_all_recorded(
    install: Install, fake_runner: FakeRunner
) -> None:
    schedule_id = await install.create(cron=HOURLY)
    fake_runner.hold()
    async with another(install, fake_runner) as second, anyio.create_task_group() as group:
        for number in range(10):
            server = second if number % 2 else install.alga.server
            group.start_soon(server.dispatcher.run_now, install.tenant, install.id, schedule_id)
        while len(await install.runs()) < 10:
            await anyio.lowlevel.checkpoint()
        fake_runner.let_go()

    runs = await install.runs()
    assert sorted(run["status"] for run in runs) == ["skipped"] * 9 + ["success"]
    assert sorted(run["attempt"] for run in runs) == list(range(1, 11))
    assert len(fake_runner.asked) == 1


# ---- Dead workers


async def a_dead_workers_run(install: Install) -> str:
    """A schedule whose first run was claimed by a worker that is never heard of again."""
    schedule_id: str = await install.create(cron="*/5 * * * *")
    install.alga.clock.advance(timedelta(minutes=5))
    database = install.alga.server._services.database
    claimed = await database.write(take(worker("dead"), install, schedule_id, install.alga.clock.now()))
    assert isinstance(claimed, Claim)
    return schedule_id


async def test_while_its_lease_lasts_a_silent_worker_is_believed(
    install: Install, fake_runner: FakeRunner
) -> None:
    await a_dead_workers_run(install)

    await install.alga.pass_time(seconds=59)

    assert [run["status"] for run in await install.runs()] == ["running"]


async def test_a_dead_workers_run_is_lost_and_its_schedule_free(
    install: Install, fake_runner: FakeRunner
) -> None:
    schedule_id = await a_dead_workers_run(install)

    await install.alga.pass_time(seconds=60)
    schedule = await install.get(schedule_id)
    await install.alga.pass_time(minutes=4)

    assert (schedule["lastRunStatus"], schedule["lastError"]) == (
        "error",
        "The run was lost: the server that ran it stopped answering",
    )
    lost, fired = await install.runs()
    assert (lost["status"], lost["reason"], lost["errorCode"]) == ("lost", "lease_expired", "run_lost")
    assert (fired["status"], fired["missed"]) == ("success", 0)
    assert 'alga_server_schedule_lost_total{reason="lease_expired"} 1.0' in await install.alga.metrics()


async def test_run_now_frees_a_dead_workers_schedule_too(install: Install, fake_runner: FakeRunner) -> None:
    schedule_id = await a_dead_workers_run(install)
    install.alga.clock.advance(timedelta(seconds=60))

    assert (await install.run_now(schedule_id)).json()["status"] == "success"


async def test_a_run_given_up_keeps_that_though_it_ends_later(
    install: Install, fake_runner: FakeRunner
) -> None:
    fake_runner.hold()
    schedule_id = await install.create(cron=HOURLY)
    install.alga.clock.advance(timedelta(hours=1))
    async with anyio.create_task_group() as group:
        group.start_soon(install.alga.server.dispatcher.run_due)
        await fake_runner.was_asked(1)
        later = install.alga.clock.now() + timedelta(hours=1)
        await install.alga.server._services.database.write(
            partial(recording.reap, expired_at=later, clock=ManualClock(later))
        )
        fake_runner.let_go()

    assert [run["status"] for run in await install.runs()] == ["lost"]
    assert (await install.get(schedule_id))["lastRunStatus"] == "error"


async def test_a_worker_that_is_alive_keeps_its_run_however_long(
    install: Install, fake_runner: FakeRunner
) -> None:
    fake_runner.hold()
    await install.create(cron=HOURLY)
    install.alga.clock.advance(timedelta(hours=1))
    async with another(install, fake_runner) as second, anyio.create_task_group() as group:
        group.start_soon(install.alga.server.dispatcher.run_due)
        await fake_runner.was_asked(1)
        for _ in range(9):
            install.alga.clock.advance(timedelta(seconds=20))
            await settle(install.alga.server)
            await second.dispatcher.run_due()
        held = [run["status"] for run in await install.runs()]
        fake_runner.let_go()

    assert held == ["running"]
    assert [run["status"] for run in await install.runs()] == ["success"]


async def test_a_worker_does_not_give_up_its_own_run_when_the_clock_leaps(
    install: Install, fake_runner: FakeRunner
) -> None:
    fake_runner.hold()
    await install.create(cron=HOURLY)
    await fire_during_runs(install, fake_runner, then=timedelta(days=1))

    assert [(run["status"], run["missed"]) for run in await install.runs()] == [
        ("success", 0),
        ("skipped", 23),
    ]


# ---- The end of a server


async def test_a_stopped_servers_run_is_cut_off_and_recorded(
    install: Install, fake_runner: FakeRunner
) -> None:
    fake_runner.hold()
    schedule_id = await install.create(cron=HOURLY)
    async with another(install, fake_runner, dispatch_schedules=True):
        install.alga.clock.advance(timedelta(hours=1))
        await fake_runner.was_asked(1)

    assert fake_runner.running == 0
    [run] = await install.runs()
    assert (run["status"], run["reason"]) == ("lost", "shutdown")
    assert (await install.get(schedule_id))["lastRunStatus"] == "error"


async def test_a_stopping_server_lets_its_runs_end_for_a_while(
    install: Install, fake_runner: FakeRunner
) -> None:
    fake_runner.hold()
    await install.create(cron=HOURLY)

    async def later() -> None:
        await settle(install.alga.server)
        fake_runner.let_go()

    async with (
        anyio.create_task_group() as group,
        another(install, fake_runner, dispatch_schedules=True, shutdown_grace_seconds=60),
    ):
        install.alga.clock.advance(timedelta(hours=1))
        await fake_runner.was_asked(1)
        group.start_soon(later)

    assert [run["status"] for run in await install.runs()] == ["success"]


async def test_whoever_waits_for_the_runs_of_a_stopped_server_is_told(
    install: Install, fake_runner: FakeRunner
) -> None:
    fake_runner.hold()
    await install.create(cron=HOURLY)
    install.alga.clock.advance(timedelta(hours=1))
    logged = anyio.Event()

    async def wait(server: Server) -> None:
        with pytest.raises(DispatcherUnavailable):
            await server.dispatcher.run_due()
        logged.set()

    async with anyio.create_task_group() as group, another(install, fake_runner) as second:
        group.start_soon(wait, second)
        await fake_runner.was_asked(1)

    assert logged.is_set()


class _Cut:
    """Cancels ``scope`` at the ``at``-th await that matters."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.passed = 0
        self.scope = anyio.CancelScope()

    def point(self) -> None:
        self.passed += 1
        if self.passed == self.at:
            self.scope.cancel()

    def around(self, call: Any) -> Any:
        async def wrapped(*args: Any) -> Any:
            self.point()
            result = await call(*args)
            self.point()
            await anyio.lowlevel.checkpoint()
            return result

        return wrapped


@pytest.mark.parametrize("crash", [False, True], ids=["cancelled", "crashed"])
async def test_wherever_a_server_is_cut_off_no_schedule_stays_stuck(
    install: Install, fake_runner: FakeRunner, monkeypatch: pytest.MonkeyPatch, crash: bool
) -> None:
    """Before and after every transaction and every call of the runner, one server after another."""
    schedule_id = await install.create(cron=HOURLY)
    clock: ManualClock = install.alga.clock
    if crash:  # then nothing is tidied up either
        monkeypatch.setattr(recording, "release", lambda *_, **__: [])
    at = 0
    while True:
        at += 1
        cut = _Cut(at)
        settings = install.alga.server._services.settings
        server = Server(settings, clock=clock, runner_transport=httpx.MockTransport(cut.around(fake_runner)))
        with cut.scope:
            async with server:
                database = server._services.database
                monkeypatch.setattr(database, "read", cut.around(database.read))
                monkeypatch.setattr(database, "write", cut.around(database.write))
                clock.advance(timedelta(hours=1))
                await server.dispatcher.run_due()
        if cut.passed < at:
            break
        asked = len(fake_runner.asked)
        clock.advance(timedelta(hours=1))
        await install.alga.server.dispatcher.run_due()
        assert len(fake_runner.asked) == asked + 1, f"stuck after {at}"
        assert (await install.get(schedule_id))["lastRunStatus"] == "success"

    runs = await install.runs()
    assert at > 8
    assert {run["status"] for run in runs} == {"success", "lost"}
    assert len({run["nominalTime"] for run in runs}) == len(runs)
    keys = [headers["x-idempotency-key"] for headers in fake_runner.headers]
    assert len(set(keys)) == len(keys)
