"""Many schedules due together: claims and endings share transactions, and a failing one delays no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import pytest
from sqlalchemy import insert, select, update

from alga_server import ServerSettings
from alga_server.errors import DatabaseUnavailable
from alga_server.firing import claims, recording, runs
from alga_server.firing import due as due_schedules
from alga_server.firing.dispatcher import _BATCH
from alga_server.firing.due import Survey
from alga_server.firing.places import Places
from alga_server.firing.recording import Ending, RunRecorder
from alga_server.storage import tables
from tests.support.firing import settle
from tests.support.patience import PATIENCE_S
from tests.support.server import Alga, FakeRunner, Install

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


@pytest.fixture
def settings(settings: ServerSettings, database_url: str) -> ServerSettings:
    return settings.model_copy(update={"database_url": database_url, "max_schedule_runs": 40})


@pytest.fixture
def writes(alga: Alga, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A name for each transaction that wrote."""
    database = alga.server._services.database
    write = database.write
    names: list[str] = []

    def counted(fn: Callable[..., Any]) -> Any:
        names.append(getattr(getattr(fn, "func", fn), "__qualname__", "?"))
        return write(fn)

    monkeypatch.setattr(database, "write", counted)
    return names


async def test_fifty_schedules_take_few_transactions_and_fire_in_order(
    install: Install, fake_runner: FakeRunner, writes: list[str]
) -> None:
    ids = [await install.create() for _ in range(50)]
    writes.clear()

    fired = await install.alga.pass_time(hours=1)

    assert [run.schedule_id for run in fired] == ids
    assert {run.status for run in fired} == {"success"}
    assert fake_runner.most_running <= 40
    assert len(writes) < 50


async def test_who_finds_no_room_fires_when_there_is(install: Install, fake_runner: FakeRunner) -> None:
    ids = [await install.create() for _ in range(50)]
    fake_runner.hold()
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: install.alga.pass_time(hours=1))
            await fake_runner.was_asked(30)  # a quarter of the 40 places stays free for other tenants
            await settle(install.alga.server)
            assert fake_runner.running == 30
            fake_runner.let_go()

    assert sorted(request["context"]["schedule_id"] for request in fake_runner.asked) == sorted(ids)


async def test_a_time_that_was_fired_already_is_passed_over_and_stops_no_other(
    install: Install, fake_runner: FakeRunner
) -> None:
    """As when a backup of the schedules is older than that of their history."""
    fired, other = await install.create(), await install.create()
    await install.alga.pass_time(hours=1)
    first = select(tables.schedule.c.next_run_at).where(tables.schedule.c.id == fired)
    database = install.alga.server._services.database
    before = {"next_run_at": install.alga.clock.now(), "next_nominal_time": "2026-01-01T01:00:00.000Z"}
    await database.write(
        lambda c: c.execute(update(tables.schedule).where(tables.schedule.c.id == fired).values(before))
    )
    fake_runner.asked.clear()

    await install.alga.server.dispatcher.run_due()
    moved_on = await database.read(lambda c: c.execute(first).scalar_one())
    await install.alga.pass_time(hours=1)

    assert moved_on > install.alga.clock.now().replace(hour=1)
    assert sorted(fake_runner.nominal_times()) == ["2026-01-01T02:00:00.000Z"] * 2
    assert {request["context"]["schedule_id"] for request in fake_runner.asked} == {fired, other}


async def test_a_run_that_the_database_refuses_costs_the_others_nothing_and_loses_no_occurrence(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    ids = [await install.create() for _ in range(9)]
    refused = ids[4]
    install.alga.clock.advance(timedelta(hours=1))
    database, now = install.alga.server._services.database, install.alga.clock.now()
    due = (await database.read(lambda c: due_schedules.survey(c, now, limit=100))).due
    worker = recording.Worker(id="test", lease=timedelta(minutes=1))
    plan = claims._plan

    def refusing(row: Any, *rest: Any) -> Any:
        planned = plan(row, *rest)
        if planned is None or row.id != refused:
            return planned
        row, owner, run, changes = planned
        return row, owner, replace(run, install_id="unknown"), changes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims, "_plan", refusing)
        outcomes = await database.write(
            lambda c: claims.claim_many(c, due, worker, install.alga.clock, room=9)
        )
    again = await database.write(lambda c: claims.claim_many(c, due, worker, install.alga.clock, room=9))

    assert [outcome if isinstance(outcome, str) else outcome.run.schedule_id for outcome in outcomes] == [
        "failed" if schedule_id == refused else schedule_id for schedule_id in ids
    ]
    [failure] = [record for record in caplog.records if getattr(record, "action", "") == "dispatch_failure"]
    assert failure.schedule_id == refused  # type: ignore[attr-defined]
    assert [outcome.run.schedule_id for outcome in again if isinstance(outcome, claims.Claim)] == [refused]


async def test_no_more_runs_begin_than_there_is_room_for_and_the_rest_stay_due(install: Install) -> None:
    ids = [await install.create() for _ in range(4)]
    install.alga.clock.advance(timedelta(hours=1))
    database, now = install.alga.server._services.database, install.alga.clock.now()
    due = (await database.read(lambda c: due_schedules.survey(c, now, limit=100))).due
    worker = recording.Worker(id="test", lease=timedelta(minutes=1))

    outcomes = await database.write(lambda c: claims.claim_many(c, due, worker, install.alga.clock, room=2))
    left = (await database.read(lambda c: due_schedules.survey(c, now, limit=100))).due

    assert [isinstance(outcome, claims.Claim) for outcome in outcomes] == [True, True, False, False]
    assert outcomes[2:] == ["no_room", "no_room"]
    assert [schedule.schedule_id for schedule in left] == ids[2:]


async def test_servers_that_read_the_same_page_claim_different_schedules_of_it(install: Install) -> None:
    """The second picks once it is its turn; what the first claimed meanwhile costs it no turn."""
    ids = [await install.create() for _ in range(6)]
    install.alga.clock.advance(timedelta(hours=1))
    database, clock = install.alga.server._services.database, install.alga.clock
    due = (await database.read(lambda c: due_schedules.survey(c, clock.now(), limit=100))).due

    async def claim(server: str) -> claims.Claimed:
        worker = recording.Worker(id=server, lease=timedelta(minutes=1))
        pick = Places(9).pick
        return await database.write(
            lambda c: claims.claim_some(c, due, pick, worker, clock, together=3, room=9, wait=False)
        )

    first, second = await claim("first"), await claim("second")

    def claimed(of: claims.Claimed) -> list[str]:
        return [one.schedule_id for one, outcome in of.outcomes if isinstance(outcome, claims.Claim)]

    assert (claimed(first), claimed(second)) == (ids[:3], ids[3:])
    assert [one.schedule_id for one, outcome in second.outcomes if outcome == "nothing"] == ids[:3]
    assert (first.rest, second.rest, second.full) == (due[3:], [], False)


async def copies(install: Install, schedule_id: str, changes: list[dict[str, Any]]) -> None:
    """Copies of that schedule, with the given changes."""

    def add(connection: Any) -> None:
        query = select(tables.schedule).where(tables.schedule.c.id == schedule_id)
        row = dict(connection.execute(query).mappings().one())
        made = [
            {**row, "id": f"copy-{at:04}", "ordinal": 100 + at, **change} for at, change in enumerate(changes)
        ]
        connection.execute(insert(tables.schedule), made)

    await install.alga.server._services.database.write(add)


async def test_more_than_it_looks_at_at_once_that_nobody_can_claim_hold_up_no_other(
    install: Install, fake_runner: FakeRunner
) -> None:
    first = await install.create()
    later = await install.create(cron="30 1 * * *")
    await copies(install, first, [{"cron": "nonsense"}] * (_BATCH + 1))

    await install.alga.pass_time(minutes=100)

    assert sorted(request["context"]["schedule_id"] for request in fake_runner.asked) == sorted(
        [first, later]
    )


async def test_looking_on_where_a_look_ended_leaves_nothing_out_and_shows_nothing_twice(
    install: Install,
) -> None:
    hour = install.alga.clock.now() + timedelta(hours=1)
    nominal = "2026-01-01T0{}:00:00.000Z"
    attempt = {"retry_attempt": 2, "retry_nominal_time": nominal.format(0), "retry_due_at": hour}
    changes: list[dict[str, Any]] = [
        {"next_run_at": hour + timedelta(minutes=at // 4), "next_nominal_time": nominal.format(at % 3)}
        for at in range(16)
    ]
    changes += [{"next_nominal_time": None}] * 3
    far = {"next_run_at": hour + timedelta(days=1)}
    changes += [
        {**far, **attempt, "retry_at": hour + timedelta(minutes=at // 2), "created_at": hour}
        for at in range(7)
    ]
    await copies(install, await install.create(), changes)
    database, now = install.alga.server._services.database, hour + timedelta(hours=1)
    whole = await database.read(lambda c: due_schedules.survey(c, now, limit=100))

    for limit in (1, 2, 3, 5, 27):
        due, after = [], None
        while True:
            look = await database.read(
                lambda c, limit=limit, after=after: due_schedules.survey(c, now, limit=limit, after=after)
            )
            due += look.due
            if (after := look.more) is None:
                break
        assert due == whole.due, limit

    assert len(whole.due) == 1 + len(changes)
    assert whole.more is None


async def some_runs(install: Install, count: int) -> list[Any]:
    """Runs under way that no server ends."""
    worker = recording.Worker(id="test", lease=install.alga.server.dispatcher._worker.lease)
    database = install.alga.server._services.database
    runs = []
    for _ in range(count):
        schedule_id = await install.create()
        claim = await database.write(
            lambda c, of_schedule=schedule_id: claims.claim_now(
                c, install.tenant, install.id, of_schedule, worker=worker, clock=install.alga.clock
            )
        )
        runs.append(claim.run)
    return runs


async def test_runs_that_end_at_once_are_recorded_together(install: Install, writes: list[str]) -> None:
    under_way = await some_runs(install, 10)
    endings = RunRecorder(install.alga.server._services.database)
    writes.clear()
    records = []

    async def end(run: Any) -> None:
        records.append(await endings.record(run, Ending("success", 200), duration_ms=1))

    async with anyio.create_task_group() as group:
        for run in under_way:
            group.start_soon(end, run)

    assert len(writes) <= 2
    assert {record.id for record in records if record} == {run.id for run in under_way}
    assert {run["status"] for run in await install.runs()} == {"success"}


async def test_a_record_is_what_the_history_has(install: Install) -> None:
    [run] = await some_runs(install, 1)
    endings = RunRecorder(install.alga.server._services.database)
    ending = Ending("error", 500, "handler_status", "The handler POST /sync answered 500")

    record = await endings.record(run, ending, duration_ms=7)

    database = install.alga.server._services.database
    assert record == await database.read(lambda c: runs.get(c, install.tenant, install.id, run.id))


@pytest.mark.parametrize(("failure", "failed"), [(ValueError("it"), 1), (DatabaseUnavailable(), 5)])
async def test_an_ending_that_cannot_be_recorded_is_nothing_to_the_others_unless_the_database_is_at_fault(
    install: Install, monkeypatch: pytest.MonkeyPatch, failure: Exception, failed: int
) -> None:
    under_way = await some_runs(install, 5)
    finish_all = recording.finish_all

    def failing(connection: Any, records: Any) -> Any:
        if under_way[2].id in {record.id for record in records}:
            raise failure
        return finish_all(connection, records)

    monkeypatch.setattr(recording, "finish_all", failing)
    endings = RunRecorder(install.alga.server._services.database)
    failures: list[Exception] = []

    async def end(run: Any) -> None:
        try:
            await endings.record(run, Ending("success"), duration_ms=1)
        except Exception as error:  # noqa: BLE001 - asserted below
            failures.append(error)

    async with endings._turn:  # so that all of them wait for it
        group = await anyio.create_task_group().__aenter__()
        for run in under_way:
            group.start_soon(end, run)
        while len(endings._waiting) < 5:
            await anyio.lowlevel.checkpoint()
    await group.__aexit__(None, None, None)

    assert failures == [failure] * failed
    assert [run["status"] for run in await install.runs()].count("success") == 5 - failed


async def test_who_comes_too_late_for_all_that_it_saw_looks_again(
    install: Install, fake_runner: FakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise it would idle until its next look while another server has more than it can run."""
    monkeypatch.setattr("alga_server.firing.dispatcher._BATCH", 5)
    for _ in range(12):
        await install.create()
    database = install.alga.server._services.database
    read = database.read
    others = recording.Worker(id="other", lease=install.alga.server.dispatcher._worker.lease)

    async def late(fn: Callable[..., Any]) -> Any:
        """Between its first look and its claims another server claims the same schedules."""
        result = await read(fn)
        if isinstance(result, Survey) and len(result.due) == 5:
            monkeypatch.setattr(database, "read", read)
            await database.write(
                lambda c: claims.claim_many(c, result.due, others, install.alga.clock, room=5)
            )
        return result

    monkeypatch.setattr(database, "read", late)
    await install.alga.pass_time(hours=1)

    assert len(fake_runner.asked) == 7
