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
from alga_server.firing import claims, leases
from alga_server.firing.claims import Claim
from alga_server.firing.due import DueSchedule
from alga_server.firing.leases import Worker
from alga_server.storage.database import Database

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

START = datetime(2026, 1, 1, tzinfo=UTC)
HOURLY = "0 * * * *"


@pytest.fixture
def settings(settings: ServerSettings, database_url: str) -> ServerSettings:
    return settings.model_copy(update={"database_url": database_url, "shutdown_grace_seconds": 0})


@pytest.fixture
def runner_transport(played: Any) -> httpx.AsyncBaseTransport:
    return httpx.MockTransport(played)


@asynccontextmanager
async def another(mine: Any, played: Any, **changes: Any) -> AsyncIterator[Server]:
    """One more server on the same database, with the same clock and runner."""
    settings = mine.house.server._services.settings.model_copy(update=changes)
    transport = httpx.MockTransport(played)
    async with Server(settings, clock=mine.house.clock, runner_transport=transport) as server:
        yield server


def take(worker: Worker, mine: Any, schedule_id: str, now: datetime) -> Callable[[Connection], Any]:
    """The transaction by which ``worker`` claims the schedule."""
    due = DueSchedule(mine.tenant, mine.id, schedule_id, running=False)
    return partial(claims.claim, due=due, worker=worker, now=now, may_run=True)


def worker(name: str, *, lease: float = 60) -> Worker:
    return Worker(name, timedelta(seconds=lease), history=1000)


async def settle() -> None:
    """Let everything run that can run without time passing."""
    for _ in range(50):
        await anyio.lowlevel.checkpoint()
        await anyio.to_thread.run_sync(lambda: None)


async def test_two_dispatchers_fire_each_time_once(mine: Any, played: Any) -> None:
    ids = [await mine.create(cron=cron) for cron in (HOURLY, HOURLY, "*/30 * * * *", "15 */2 * * *")]
    rounds = 24
    async with another(mine, played) as second:
        for _ in range(rounds):
            mine.house.clock.advance(timedelta(minutes=30))
            async with anyio.create_task_group() as group:
                for server in (mine.house.server, second):
                    group.start_soon(server.dispatcher.run_due)

    fired = [(each["context"]["schedule_id"], each["context"]["nominal_time"]) for each in played.asked]
    assert len(fired) == len(set(fired))
    per_schedule = [sum(schedule_id == each for schedule_id, _ in fired) for each in ids]
    assert per_schedule == [12, 12, 24, 6]
    assert {run["status"] for run in await mine.runs()} == {"success"}
    assert {run["missed"] for run in await mine.runs()} == {0}


async def test_two_servers_on_their_own_fire_each_time_once(mine: Any, played: Any) -> None:
    await mine.create(cron=HOURLY)
    async with another(mine, played, dispatch_schedules=True), another(mine, played, dispatch_schedules=True):
        await settle()
        for hour in range(1, 13):
            mine.house.clock.advance(timedelta(hours=1))
            await played.was_asked(hour)
            while [run["status"] for run in await mine.runs()] != ["success"] * hour:
                await anyio.lowlevel.checkpoint()

    assert played.nominal_times() == [f"2026-01-01T{hour:02}:00:00.000Z" for hour in range(1, 13)]


async def test_of_many_claims_at_once_one_wins(mine: Any, settings: ServerSettings) -> None:
    schedule_id = await mine.create(cron=HOURLY)
    databases = [Database(settings.database_url) for _ in range(4)]
    for hour in range(1, 11):
        claimed: list[Any] = []

        async def one(number: int, now: datetime, into: list[Any]) -> None:
            database = databases[number % 4]
            into.append(await database.write(take(worker(f"worker-{number}"), mine, schedule_id, now)))

        async with anyio.create_task_group() as group:
            for number in range(12):
                group.start_soon(one, number, START + timedelta(hours=hour), claimed)
        [won] = [each for each in claimed if each is not None]
        assert isinstance(won, Claim)
        ended = leases.Ending("success")
        finish = partial(leases.finish, run=won.run, ending=ended, now=START, duration_ms=0)
        assert await databases[0].write(finish) is not None
    for database in databases:
        await database.aclose()

    assert [run["nominalTime"][11:13] for run in await mine.runs()] == [f"{hour:02}" for hour in range(1, 11)]


async def test_many_run_nows_at_once_run_once_and_are_all_recorded(mine: Any, played: Any) -> None:
    schedule_id = await mine.create(cron=HOURLY)
    played.hold()
    async with another(mine, played) as second, anyio.create_task_group() as group:
        for number in range(10):
            server = second if number % 2 else mine.house.server
            group.start_soon(server.dispatcher.run_now, mine.tenant, mine.id, schedule_id)
        while len(await mine.runs()) < 10:
            await anyio.lowlevel.checkpoint()
        played.let_go()

    runs = await mine.runs()
    assert sorted(run["status"] for run in runs) == ["skipped"] * 9 + ["success"]
    assert sorted(run["attempt"] for run in runs) == list(range(1, 11))
    assert len(played.asked) == 1


# ---- Dead workers


async def a_dead_workers_run(mine: Any) -> str:
    """A schedule whose first run was claimed by a worker that is never heard of again."""
    schedule_id: str = await mine.create(cron="*/5 * * * *")
    mine.house.clock.advance(timedelta(minutes=5))
    database = mine.house.server._services.database
    claimed = await database.write(take(worker("dead"), mine, schedule_id, mine.house.clock.now()))
    assert isinstance(claimed, Claim)
    return schedule_id


async def test_while_its_lease_lasts_a_silent_worker_is_believed(mine: Any, played: Any) -> None:
    await a_dead_workers_run(mine)

    await mine.house.pass_time(seconds=59)

    assert [run["status"] for run in await mine.runs()] == ["running"]


async def test_a_dead_workers_run_is_lost_and_its_schedule_free(mine: Any, played: Any) -> None:
    schedule_id = await a_dead_workers_run(mine)

    await mine.house.pass_time(seconds=60)
    schedule = await mine.get(schedule_id)
    await mine.house.pass_time(minutes=4)

    assert (schedule["lastRunStatus"], schedule["lastError"]) == (
        "error",
        "The run was lost: the server that ran it stopped answering",
    )
    lost, fired = await mine.runs()
    assert (lost["status"], lost["reason"], lost["errorCode"]) == ("lost", "lease_expired", "run_lost")
    assert (fired["status"], fired["missed"]) == ("success", 0)
    assert 'alga_server_schedule_lost_total{reason="lease_expired"} 1.0' in await mine.house.metrics()


async def test_run_now_frees_a_dead_workers_schedule_too(mine: Any, played: Any) -> None:
    schedule_id = await a_dead_workers_run(mine)
    mine.house.clock.advance(timedelta(seconds=60))

    assert (await mine.run_now(schedule_id)).json()["status"] == "success"


async def test_a_run_given_up_keeps_that_though_it_ends_later(mine: Any, played: Any) -> None:
    played.hold()
    schedule_id = await mine.create(cron=HOURLY)
    mine.house.clock.advance(timedelta(hours=1))
    async with anyio.create_task_group() as group:
        group.start_soon(mine.house.server.dispatcher.run_due)
        await played.was_asked(1)
        later = mine.house.clock.now() + timedelta(hours=1)
        await mine.house.server._services.database.write(partial(leases.reap, now=later))
        played.let_go()

    assert [run["status"] for run in await mine.runs()] == ["lost"]
    assert (await mine.get(schedule_id))["lastRunStatus"] == "error"


async def test_a_worker_that_is_alive_keeps_its_run_however_long(mine: Any, played: Any) -> None:
    played.hold()
    await mine.create(cron=HOURLY)
    mine.house.clock.advance(timedelta(hours=1))
    async with another(mine, played) as second, anyio.create_task_group() as group:
        group.start_soon(mine.house.server.dispatcher.run_due)
        await played.was_asked(1)
        for _ in range(9):
            mine.house.clock.advance(timedelta(seconds=20))
            await settle()
            await second.dispatcher.run_due()
        held = [run["status"] for run in await mine.runs()]
        played.let_go()

    assert held == ["running"]
    assert [run["status"] for run in await mine.runs()] == ["success"]


async def test_a_worker_does_not_give_up_its_own_run_when_the_clock_leaps(mine: Any, played: Any) -> None:
    played.hold()
    await mine.create(cron=HOURLY)
    mine.house.clock.advance(timedelta(hours=1))
    async with anyio.create_task_group() as group:
        group.start_soon(mine.house.server.dispatcher.run_due)
        await played.was_asked(1)
        mine.house.clock.advance(timedelta(days=1))
        group.start_soon(mine.house.server.dispatcher.run_due)
        while len(await mine.runs()) < 2:
            await anyio.lowlevel.checkpoint()
        played.let_go()

    assert [(run["status"], run["missed"]) for run in await mine.runs()] == [("success", 0), ("skipped", 23)]


# ---- The end of a server


async def test_a_stopped_servers_run_is_cut_off_and_recorded(mine: Any, played: Any) -> None:
    played.hold()
    schedule_id = await mine.create(cron=HOURLY)
    async with another(mine, played, dispatch_schedules=True):
        mine.house.clock.advance(timedelta(hours=1))
        await played.was_asked(1)

    assert played.running == 0
    [run] = await mine.runs()
    assert (run["status"], run["reason"]) == ("lost", "shutdown")
    assert (await mine.get(schedule_id))["lastRunStatus"] == "error"


async def test_a_stopping_server_lets_its_runs_end_for_a_while(mine: Any, played: Any) -> None:
    played.hold()
    await mine.create(cron=HOURLY)

    async def later() -> None:
        await settle()
        played.let_go()

    async with (
        anyio.create_task_group() as group,
        another(mine, played, dispatch_schedules=True, shutdown_grace_seconds=60),
    ):
        mine.house.clock.advance(timedelta(hours=1))
        await played.was_asked(1)
        group.start_soon(later)

    assert [run["status"] for run in await mine.runs()] == ["success"]


async def test_whoever_waits_for_the_runs_of_a_stopped_server_is_told(mine: Any, played: Any) -> None:
    played.hold()
    await mine.create(cron=HOURLY)
    mine.house.clock.advance(timedelta(hours=1))
    told = anyio.Event()

    async def wait(server: Server) -> None:
        with pytest.raises(DispatcherUnavailable):
            await server.dispatcher.run_due()
        told.set()

    async with anyio.create_task_group() as group, another(mine, played) as second:
        group.start_soon(wait, second)
        await played.was_asked(1)

    assert told.is_set()


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
    mine: Any, played: Any, monkeypatch: pytest.MonkeyPatch, crash: bool
) -> None:
    """Before and after every transaction and every call of the runner, one server after another."""
    schedule_id = await mine.create(cron=HOURLY)
    clock: ManualClock = mine.house.clock
    if crash:  # then nobody tidies up either
        monkeypatch.setattr(leases, "release", lambda *_, **__: [])
    at = 0
    while True:
        at += 1
        cut = _Cut(at)
        settings = mine.house.server._services.settings
        server = Server(settings, clock=clock, runner_transport=httpx.MockTransport(cut.around(played)))
        with cut.scope:
            async with server:
                database = server._services.database
                monkeypatch.setattr(database, "read", cut.around(database.read))
                monkeypatch.setattr(database, "write", cut.around(database.write))
                clock.advance(timedelta(hours=1))
                await server.dispatcher.run_due()
        if cut.passed < at:
            break
        asked = len(played.asked)
        clock.advance(timedelta(hours=1))
        await mine.house.server.dispatcher.run_due()
        assert len(played.asked) == asked + 1, f"stuck after {at}"
        assert (await mine.get(schedule_id))["lastRunStatus"] == "success"

    runs = await mine.runs()
    assert at > 8
    assert {run["status"] for run in runs} == {"success", "lost"}
    assert len({run["nominalTime"] for run in runs}) == len(runs)
    keys = [each["x-idempotency-key"] for each in played.headers]
    assert len(set(keys)) == len(keys)
