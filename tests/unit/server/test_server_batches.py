"""Many schedules at once: claims and endings share transactions, and nobody pays for another's trouble."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from alga_server import ServerSettings, claims, leases, runs, tables
from alga_server.endings import Endings
from alga_server.leases import Ending

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(settings: ServerSettings, database_url: str) -> ServerSettings:
    return settings.model_copy(update={"database_url": database_url, "max_schedule_runs": 40})


@pytest.fixture
def runner_transport(played: Any) -> httpx.AsyncBaseTransport:
    return httpx.MockTransport(played)


@pytest.fixture
def writes(house: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A name for each transaction that wrote."""
    database = house.server._services.database
    write = database.write
    names: list[str] = []

    def counted(fn: Callable[..., Any]) -> Any:
        names.append(getattr(getattr(fn, "func", fn), "__qualname__", "?"))
        return write(fn)

    monkeypatch.setattr(database, "write", counted)
    return names


async def test_fifty_schedules_take_few_transactions_and_fire_in_order(
    mine: Any, played: Any, writes: list[str]
) -> None:
    ids = [await mine.create() for _ in range(50)]
    writes.clear()

    fired = await mine.house.pass_time(hours=1)

    assert [run.schedule_id for run in fired] == ids
    assert {run.status for run in fired} == {"success"}
    assert played.most_running <= 40
    assert len(writes) < 50


async def test_who_finds_no_room_fires_when_there_is(mine: Any, played: Any) -> None:
    ids = [await mine.create() for _ in range(50)]
    played.hold()
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: mine.house.pass_time(hours=1))
            await played.was_asked(40)
            assert played.running == 40
            played.let_go()

    assert sorted(each["context"]["schedule_id"] for each in played.asked) == sorted(ids)


async def test_a_time_that_was_fired_already_is_passed_over_and_stops_no_other(
    mine: Any, played: Any
) -> None:
    """As when a backup of the schedules is older than that of their history."""
    fired, other = await mine.create(), await mine.create()
    await mine.house.pass_time(hours=1)
    first = select(tables.schedule.c.next_run_at).where(tables.schedule.c.id == fired)
    database = mine.house.server._services.database
    before = {"next_run_at": mine.house.clock.now(), "next_nominal_time": "2026-01-01T01:00:00.000Z"}
    await database.write(
        lambda c: c.execute(update(tables.schedule).where(tables.schedule.c.id == fired).values(before))
    )
    played.asked.clear()

    await mine.house.server.dispatcher.run_due()
    moved_on = await database.read(lambda c: c.execute(first).scalar_one())
    await mine.house.pass_time(hours=1)

    assert moved_on > mine.house.clock.now().replace(hour=1)
    assert sorted(played.nominal_times()) == ["2026-01-01T02:00:00.000Z"] * 2
    assert {each["context"]["schedule_id"] for each in played.asked} == {fired, other}


async def some_runs(mine: Any, count: int) -> list[Any]:
    """Runs under way, of nobody who would end them."""
    worker = leases.Worker(id="test", lease=mine.house.server.dispatcher._worker.lease, history=1000)
    database = mine.house.server._services.database
    found = []
    for _ in range(count):
        schedule_id = await mine.create()
        claim = await database.write(
            lambda c, wanted=schedule_id: claims.claim_now(
                c, mine.tenant, mine.id, wanted, worker=worker, now=mine.house.clock.now()
            )
        )
        found.append(claim.run)
    return found


async def test_runs_that_end_at_once_are_recorded_together(mine: Any, writes: list[str]) -> None:
    under_way = await some_runs(mine, 10)
    endings = Endings(mine.house.server._services.database)
    writes.clear()
    records = []

    async def end(run: Any) -> None:
        records.append(
            await endings.record(run, Ending("success", 200), mine.house.clock.now(), duration_ms=1)
        )

    async with anyio.create_task_group() as group:
        for run in under_way:
            group.start_soon(end, run)

    assert len(writes) <= 2
    assert {record.id for record in records if record} == {run.id for run in under_way}
    assert {run["status"] for run in await mine.runs()} == {"success"}


async def test_a_record_is_what_the_history_has(mine: Any) -> None:
    [run] = await some_runs(mine, 1)
    endings = Endings(mine.house.server._services.database)
    ending = Ending("error", 500, "handler_status", "Runner returned status 500")

    record = await endings.record(run, ending, mine.house.clock.now(), duration_ms=7)

    database = mine.house.server._services.database
    assert record == await database.read(lambda c: runs.get(c, mine.tenant, mine.id, run.id))


@pytest.mark.parametrize(
    ("failure", "failed"), [(ValueError("it"), 1), (OperationalError("it", None, OSError()), 5)]
)
async def test_an_ending_that_cannot_be_recorded_is_nothing_to_the_others_unless_the_database_is_at_fault(
    mine: Any, monkeypatch: pytest.MonkeyPatch, failure: Exception, failed: int
) -> None:
    under_way = await some_runs(mine, 5)
    finish = leases.finish

    def failing(connection: Any, run: Any, *rest: Any, **more: Any) -> Any:
        if run.id == under_way[2].id:
            raise failure
        return finish(connection, run, *rest, **more)

    monkeypatch.setattr(leases, "finish", failing)
    endings = Endings(mine.house.server._services.database)
    failures: list[Exception] = []

    async def end(run: Any) -> None:
        try:
            await endings.record(run, Ending("success"), mine.house.clock.now(), duration_ms=1)
        except Exception as error:  # noqa: BLE001 - told below
            failures.append(error)

    async with endings._turn:  # so that all of them wait for it
        group = await anyio.create_task_group().__aenter__()
        for run in under_way:
            group.start_soon(end, run)
        while len(endings._waiting) < 5:
            await anyio.lowlevel.checkpoint()
    await group.__aexit__(None, None, None)

    assert failures == [failure] * failed
    assert [run["status"] for run in await mine.runs()].count("success") == 5 - failed
