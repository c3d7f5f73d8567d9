"""Small reads of one SQLite file that share a transaction: what one does, or meets, is not the others' business."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from sqlalchemy import Connection, event, func, select, text
from sqlalchemy.exc import OperationalError

from alga_server.errors import DatabaseBusy, NotFound
from alga_server.storage import small_reads
from alga_server.storage.database import Database
from alga_server.storage.small_reads import SmallReads
from alga_server.storage.tables import bundle
from tests.support.patience import PATIENCE_S

from .test_database import add

pytestmark = pytest.mark.anyio


class Held:
    """A read that looks at the database, and then goes on once it may."""

    def __init__(self) -> None:
        self.begun, self.may_end = Event(), Event()

    def __call__(self, connection: Connection) -> int:
        seen = count(connection)
        self.begun.set()
        self.may_end.wait(PATIENCE_S)
        return seen


class Reads:
    """Small reads of a file with one bundle, asked for at the same time."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.small = SmallReads(database)
        self.transactions = 0
        event.listen(database._backend.reader, "begin", self._count)

    def _count(self, connection: Connection) -> None:
        self.transactions += 1

    async def behind(self, held: Held, *reads: Callable[[Connection], object]) -> list[object]:
        """What ``reads`` return, or raise, that wait until ``held`` has ended."""
        outcomes: list[object] = [None] * len(reads)

        async def keep(at: int) -> None:
            try:
                outcomes[at] = await self.small.read(reads[at])
            except (NotFound, DatabaseBusy, OperationalError, Panic) as failure:
                outcomes[at] = failure

        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.small.read, held)
                await until(held.begun.is_set)
                for at in range(len(reads)):
                    tasks.start_soon(keep, at)
                await until(lambda: len(self.small._waiting) == len(reads))
                held.may_end.set()
        return outcomes


def count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(bundle)).scalar_one()


def fail(connection: Connection) -> int:
    raise NotFound("of this read")


class Panic(BaseException):
    """As compiled libraries raise it."""


def panic(connection: Connection) -> int:
    raise Panic


def meet_a_fault(connection: Connection) -> int:
    return int(connection.execute(text("SELECT nothing FROM nowhere")).scalar_one())


def meet_an_outage(connection: Connection) -> int:
    cause = sqlite3.OperationalError("database is locked")
    cause.sqlite_errorcode = sqlite3.SQLITE_BUSY
    raise OperationalError(None, None, cause)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await anyio.lowlevel.checkpoint()


@pytest.fixture
async def reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Reads]:
    monkeypatch.setattr(small_reads, "_LONG_S", 3600.0)
    database = Database(f"sqlite:///{tmp_path / 'alga.db'}")
    await database.write(add)
    yield Reads(database)
    await database.aclose()


async def test_reads_that_wait_share_a_transaction(reads: Reads) -> None:
    assert await reads.behind(Held(), count, count, count) == [1, 1, 1]
    assert reads.transactions == 2


async def test_no_more_share_one_than_may(reads: Reads) -> None:
    most = reads.database.reads_together

    assert await reads.behind(Held(), *[count] * (most + 1)) == [1] * (most + 1)
    assert reads.transactions == 3


async def test_one_that_raises_costs_the_others_nothing(reads: Reads) -> None:
    before, failure, after = await reads.behind(Held(), count, fail, count)

    assert (before, str(failure), after) == (1, "of this read", 1)
    assert reads.transactions == 2


async def test_a_panic_is_what_its_read_raises(reads: Reads) -> None:
    before, failure, after = await reads.behind(Held(), count, panic, count)

    assert (before, type(failure), after) == (1, Panic, 1)


async def test_a_fault_of_the_database_is_met_by_the_read_that_has_it_alone(reads: Reads) -> None:
    before, fault, after = await reads.behind(Held(), count, meet_a_fault, count)

    assert (before, after) == (1, 1)
    assert isinstance(fault, OperationalError)


async def test_an_outage_in_a_group_is_what_its_read_raises(reads: Reads) -> None:
    before, outage, after = await reads.behind(Held(), count, meet_an_outage, count)

    assert (before, type(outage), after) == (1, DatabaseBusy, 1)


async def test_a_read_sees_what_was_committed_before_it_came(reads: Reads) -> None:
    held, seen = Held(), list[int]()

    async def read() -> None:
        seen.append(await reads.small.read(count))

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reads.small.read, held)
            await until(held.begun.is_set)  # it has its state of the database
            await reads.database.write(partial(add, key="sha256:2"))
            tasks.start_soon(read)
            await until(lambda: len(reads.small._waiting) == 1)
            held.may_end.set()

    assert seen == [2]


async def test_a_slow_read_holds_up_no_other(reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_reads, "_LONG_S", 0.001)
    held = Held()

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reads.small.read, held)
            await until(held.begun.is_set)
            try:
                assert await reads.small.read(count) == 1
            finally:
                held.may_end.set()


async def test_a_read_that_is_done_does_not_wait_for_a_slow_one_of_its_group(
    reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, slow = Held(), Held()

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reads.small.read, first)
            await until(first.begun.is_set)
            tasks.start_soon(reads.small.read, count)  # leads the group of the next two
            await until(lambda: len(reads.small._waiting) == 1)
            quick = asyncio.create_task(reads.small.read(count))
            await until(lambda: len(reads.small._waiting) == 2)
            tasks.start_soon(reads.small.read, slow)
            await until(lambda: len(reads.small._waiting) == 3)
            monkeypatch.setattr(small_reads, "_LONG_S", 0.001)
            monkeypatch.setattr(small_reads, "monotonic", lambda: 0.0)  # yet all join the group,
            leader, pass_on = reads.small._leader, reads.small._pass_on

            def pass_on_late(of: Any) -> None:
                if of is leader or slow.begun.is_set():  # and none leads another one
                    pass_on(of)

            monkeypatch.setattr(reads.small, "_pass_on", pass_on_late)
            first.may_end.set()
            await until(slow.begun.is_set)
            try:
                with anyio.fail_after(PATIENCE_S / 2):
                    assert await quick == 1
            finally:
                slow.may_end.set()

    assert reads.transactions == 2


async def test_nothing_joins_a_group_that_takes_long(reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(small_reads, "monotonic", lambda: now)

    def slow(connection: Connection) -> int:
        nonlocal now
        now += 0.6 * small_reads._LONG_S
        return count(connection)

    assert await reads.behind(Held(), *[slow] * 6) == [1] * 6
    assert reads.transactions == 1 + 3


async def test_a_cancelled_caller_s_read_that_waits_is_not_run(reads: Reads) -> None:
    held, ran = Held(), list[Connection]()

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reads.small.read, held)
            await until(held.begun.is_set)
            async with anyio.create_task_group() as cancelled:
                cancelled.start_soon(reads.small.read, ran.append)
                await until(lambda: len(reads.small._waiting) == 1)
                cancelled.cancel_scope.cancel()
            held.may_end.set()

    assert ran == []
    assert await reads.small.read(count) == 1


async def test_a_cancelled_caller_waits_for_its_read_that_runs(reads: Reads) -> None:
    first, second = Held(), Held()
    ended_by_then = list[bool]()

    async def read() -> None:
        try:
            await reads.small.read(second)
        finally:
            ended_by_then.append(second.may_end.is_set())

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reads.small.read, first)
            await until(first.begun.is_set)
            tasks.start_soon(reads.small.read, count)  # leads the group of the next
            await until(lambda: len(reads.small._waiting) == 1)
            async with anyio.create_task_group() as cancelled:
                cancelled.start_soon(read)
                await until(lambda: len(reads.small._waiting) == 2)
                first.may_end.set()
                await until(second.begun.is_set)
                cancelled.cancel_scope.cancel()
                for _ in range(5):
                    await anyio.lowlevel.cancel_shielded_checkpoint()
                second.may_end.set()

    assert ended_by_then == [True]


@pytest.mark.parametrize("given_the_lead", [False, True])
async def test_others_are_read_when_the_caller_that_is_next_is_cancelled(
    reads: Reads, given_the_lead: bool
) -> None:
    held = Held()

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reads.small.read, held)
            await until(held.begun.is_set)
            following = asyncio.create_task(reads.small.read(count))
            await until(lambda: len(reads.small._waiting) == 1)
            tasks.start_soon(reads.small.read, count)
            await until(lambda: len(reads.small._waiting) == 2)
            assert reads.small._leader is not None
            if given_the_lead:
                reads.small._pass_on(reads.small._leader)
                following.cancel()
            else:
                following.cancel()
                reads.small._pass_on(reads.small._leader)
            held.may_end.set()

        assert following.cancelled()
        assert reads.small._leader is None
        assert await reads.small.read(count) == 1


async def test_a_caller_whose_task_is_cancelled_waits_for_the_group_that_it_leads(reads: Reads) -> None:
    """Otherwise nothing would wake the callers of reads that join the group later."""
    held, following = Held(), Held()

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reads.small.read, held)
            await until(held.begun.is_set)
            leader = asyncio.create_task(reads.small.read(following))
            await until(lambda: len(reads.small._waiting) == 1)
            held.may_end.set()
            await until(following.begun.is_set)
            leader.cancel()
            await anyio.wait_all_tasks_blocked()
            ended_by_then = leader.done()
            following.may_end.set()
            await asyncio.wait([leader])

    assert leader.cancelled()
    assert not ended_by_then
