"""Installs keep their newest runs; neither a claim nor, for each run, the trimming reads more where they keep more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import anyio
import pytest
from sqlalchemy import Connection, insert, select, text, update

from alga_server import ServerSettings
from alga_server.errors import DatabaseUnavailable
from alga_server.firing import claims, history
from alga_server.firing.due import DueSchedule
from alga_server.firing.history import History
from alga_server.firing.recording import Worker
from alga_server.firing.runs import Run, last_ordinal, read
from alga_server.storage import tables
from alga_server.storage.database import Database
from tests.support.firing import HOURLY, settle
from tests.support.server import Install

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

WORKER = Worker("worker-1", timedelta(seconds=60))


def add_runs(connection: Connection, install: Install, count: int, status: str = "success") -> list[Run]:
    """Runs of a schedule that is gone."""
    now, schedule_id = install.alga.clock.now(), str(uuid4())
    rows = [
        {
            "id": str(uuid4()),
            "tenant_id": install.tenant,
            "install_id": install.id,
            "schedule_id": schedule_id,
            "trigger": "schedule",
            "nominal_time": str(at),
            "due_at": now,
            "attempt": 1,
            "status": status,
            "missed": 0,
            "request_id": str(uuid4()),
            "worker_id": WORKER.id,
            "started_at": now,
        }
        for at in range(count)
    ]
    table, before = tables.schedule_run, last_ordinal(connection)
    connection.execute(insert(table), rows)
    added = connection.execute(select(table).where(table.c.ordinal > before).order_by(table.c.ordinal))
    return [read(row) for row in added]


def ordinals(connection: Connection, install: Install) -> list[int]:
    table = tables.schedule_run.c
    of_install = (table.tenant_id == install.tenant) & (table.install_id == install.id)
    return list(connection.execute(select(table.ordinal).where(of_install).order_by(table.ordinal)).scalars())


@contextmanager
def counting(connection: Connection) -> Iterator[Callable[[], int]]:
    """How much the database read in the block: rows on PostgreSQL, steps of SQLite's machine."""
    if connection.dialect.name == "postgresql":
        rows = text("SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables")
        before = int(connection.execute(rows).scalar_one())
        yield lambda: int(connection.execute(rows).scalar_one()) - before
        return
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    driver: Any = connection.connection.driver_connection
    driver.set_progress_handler(step, 1)
    try:
        yield lambda: steps
    finally:
        driver.set_progress_handler(None, 0)


def database_of(install: Install) -> Database:
    return install.alga.server._services.database


# ---- In a server


class TestInAServer:
    @pytest.fixture
    def settings(self, settings: ServerSettings) -> ServerSettings:
        return settings.model_copy(update={"run_history_per_install": 3})

    async def test_firing_costs_the_history_its_oldest_runs(self, install: Install) -> None:
        await install.create(cron=HOURLY)
        for _ in range(6):
            await install.alga.pass_time(hours=1)
        await settle(install.alga.server)

        kept = [run["nominalTime"] for run in await install.runs()]
        assert kept == [f"2026-01-01T0{hour}:00:00.000Z" for hour in (4, 5, 6)]

    async def test_so_does_run_now(self, install: Install) -> None:
        schedule_id = await install.create(cron=HOURLY)
        for _ in range(5):
            await install.run_now(schedule_id)
        await settle(install.alga.server)

        assert [run["attempt"] for run in await install.runs()] == [3, 4, 5]

    async def test_a_failure_is_logged_and_the_next_attempt_succeeds(
        self, install: Install, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("a defect")

        await database_of(install).write(lambda c: add_runs(c, install, 5))
        with monkeypatch.context() as patch:
            patch.setattr(history, "forget", fail)
            await install.run_now(await install.create(cron=HOURLY))
            await settle(install.alga.server)
        before = len(await install.runs())
        install.alga.clock.advance(timedelta(seconds=1))
        await settle(install.alga.server)

        assert (before, len(await install.runs())) == (6, 3)
        assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
            "Trimming the history of runs failed"
        ]


# ---- What it reads


async def _read_by_a_claim(install: Install) -> int:
    clock = install.alga.clock
    due = [DueSchedule(install.tenant, install.id, await install.create(cron=HOURLY), running=False)]
    clock.advance(timedelta(hours=1))

    def claim(connection: Connection) -> int:
        with counting(connection) as count:
            [outcome] = claims.claim_many(connection, due, WORKER, clock, room=10)
            assert isinstance(outcome, claims.Claim)
            return count()

    return await database_of(install).write(claim)


async def test_a_claim_reads_no_more_of_an_install_with_a_long_history(install: Install) -> None:
    other = await install.alga.install("tenant-b")
    await database_of(install).write(lambda c: add_runs(c, other, 1200))

    short, long = await _read_by_a_claim(install), await _read_by_a_claim(other)

    assert long <= short + 30


async def test_trimming_reads_about_ten_runs_for_each_that_was_recorded(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = _count_owners(monkeypatch)
    trimmer = History(database_of(install), install.alga.clock, keep=200)

    for run in await database_of(install).write(lambda c: add_runs(c, install, 1000)):
        trimmer.recorded(run)
        await trimmer.trim()

    assert len(looked) == 1 + 50  # each of them reads the 200 runs that are kept


async def test_installs_that_are_met_together_have_their_turns_apart(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [await install.alga.install(f"tenant-{number}") for number in range(20)]
    runs = [
        (await database_of(install).write(lambda c, own=other: add_runs(c, own, 1)))[0] for other in others
    ]
    trimmer = History(database_of(install), install.alga.clock, keep=200)
    at_a_time = []

    for _ in range(1 + 2 * 20):
        looked = _count_owners(monkeypatch)
        for run in runs:
            trimmer.recorded(run)
        await trimmer.trim()
        at_a_time.append(len(looked))

    assert at_a_time == [20] + [1] * 40


def _count_owners(monkeypatch: pytest.MonkeyPatch) -> list[history.Owner]:
    """A list that grows by each install whose history is looked at."""
    looked: list[history.Owner] = []
    look = history.newest_too_old

    def counted(connection: Connection, owners: list[history.Owner], *, keep: int) -> Any:
        looked.extend(owners)
        return look(connection, owners, keep=keep)

    monkeypatch.setattr(history, "newest_too_old", counted)
    return looked


# ---- What it keeps


async def test_two_servers_keep_the_newest_and_at_most_a_tenth_more_each(install: Install) -> None:
    database = database_of(install)
    trimmers = [History(database, install.alga.clock, keep=50) for _ in range(2)]
    recorded, most = 0, 0
    for _ in range(60):
        for trimmer in trimmers:
            [run] = await database.write(lambda c: add_runs(c, install, 1))
            recorded += 1
            trimmer.recorded(run)
        async with anyio.create_task_group() as group:
            for trimmer in trimmers:
                group.start_soon(trimmer.trim)
        kept = await database.read(lambda c: ordinals(c, install))
        most = max(most, len(kept))
        assert len(kept) >= min(recorded, 50)
        assert kept == list(range(run.ordinal - len(kept) + 1, run.ordinal + 1))

    assert 50 < most <= 50 + 2 * 5


async def test_other_installs_keep_theirs(install: Install) -> None:
    database = database_of(install)
    other = await install.alga.install("tenant-b")
    await database.write(lambda c: add_runs(c, other, 9))
    trimmer = History(database, install.alga.clock, keep=3)
    for run in await database.write(lambda c: add_runs(c, install, 9)):
        trimmer.recorded(run)

    await trimmer.trim()

    kept = [len(await database.read(lambda c, own=own: ordinals(c, own))) for own in (install, other)]
    assert kept == [3, 9]


async def test_a_run_under_way_stays_until_it_has_ended(install: Install) -> None:
    database = database_of(install)
    [running] = await database.write(lambda c: add_runs(c, install, 1, "running"))
    later = await database.write(lambda c: add_runs(c, install, 4))
    trimmer = History(database, install.alga.clock, keep=2)
    table = tables.schedule_run

    trimmer.recorded(later[0])
    await trimmer.trim()
    during = await database.read(lambda c: ordinals(c, install))
    await database.write(lambda c: c.execute(update(table).values(status="success")))
    trimmer.recorded(later[1])
    await trimmer.trim()

    newest = [run.ordinal for run in later[2:]]
    assert during == [running.ordinal, *newest]
    assert await database.read(lambda c: ordinals(c, install)) == newest


async def test_a_long_history_goes_a_few_runs_in_each_transaction(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after the setting was lowered."""
    database = database_of(install)
    run = (await database.write(lambda c: add_runs(c, install, 1000)))[-1]
    deleted, forget = list[int](), history.forget

    def counted(connection: Connection, owner: history.Owner, ordinal: int) -> int:
        deleted.append(forget(connection, owner, ordinal))
        return deleted[-1]

    monkeypatch.setattr(history, "forget", counted)
    trimmer = History(database, install.alga.clock, keep=10)
    trimmer.recorded(run)

    await trimmer.trim()

    assert deleted == [200, 200, 200, 200, 190]
    assert len(await database.read(lambda c: ordinals(c, install))) == 10


async def test_after_an_outage_an_install_has_its_turn_still(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = database_of(install)
    run = (await database.write(lambda c: add_runs(c, install, 9)))[-1]
    trimmer = History(database, install.alga.clock, keep=3)
    trimmer.recorded(run)

    def fail(*_: object, **__: object) -> None:
        raise DatabaseUnavailable

    for function in ("newest_too_old", "forget"):
        with monkeypatch.context() as patch:
            patch.setattr(history, function, fail)
            with pytest.raises(DatabaseUnavailable):
                await trimmer.trim()
    await trimmer.trim()

    assert len(await database.read(lambda c: ordinals(c, install))) == 3


async def test_an_install_that_it_does_not_know_any_more_has_its_turn_at_its_next_run(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_KNOWN", 2)
    looked = _count_owners(monkeypatch)
    others = [await install.alga.install(f"tenant-{number}") for number in range(3)]
    trimmer = History(database_of(install), install.alga.clock, keep=1000)

    for other in [*others, others[0]]:
        [run] = await database_of(install).write(lambda c, own=other: add_runs(c, own, 1))
        trimmer.recorded(run)
        await trimmer.trim()

    assert [tenant for tenant, _ in looked] == ["tenant-0", "tenant-1", "tenant-2", "tenant-0"]
    assert (len(trimmer._left), len(trimmer._due)) == (2, 0)
