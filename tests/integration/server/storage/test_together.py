"""Writes in one transaction: each caller hears what became of its own, and none pays for another's fault."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from threading import Event
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from alga_server.errors import DatabaseBusy, DatabaseFull, ServerError
from alga_server.storage import sqlite, together
from alga_server.storage.database import Database
from alga_server.storage.tables import bundle, grant
from tests.support.patience import PATIENCE_S

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_pause_ends_a_group")]

Write = Callable[[Connection], Any]


class Panic(BaseException):
    """As compiled libraries raise it."""


def add(key: str, size: int = 1) -> Write:
    """Adds a row, and returns its transaction."""

    def write(connection: Connection) -> object:
        row = {"content_hash": key, "archive": b"x" * size, "created_at": datetime.now(UTC)}
        connection.execute(insert(bundle).values(row))
        return connection.get_transaction()

    return write


def refused_after(write: Write) -> Write:
    def refused(connection: Connection) -> None:
        write(connection)
        raise ServerError("refused")

    return refused


async def stored(database: Database) -> list[str]:
    query = select(bundle.c.content_hash).order_by(bundle.c.content_hash)
    keys: list[str] = await database.read(lambda connection: list(connection.execute(query).scalars()))
    return keys


@asynccontextmanager
async def while_another_writes(database: Database) -> AsyncIterator[TaskGroup]:
    """Tasks that are started in the group wait until the end of this."""
    begun, go_on = Event(), Event()

    def hold(_: Connection) -> None:
        begun.set()
        assert go_on.wait(PATIENCE_S)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(database.write, hold)
        assert await anyio.to_thread.run_sync(begun.wait, PATIENCE_S)
        try:
            yield tasks
            await anyio.wait_all_tasks_blocked()
        finally:
            go_on.set()


async def all_of(database: Database, *writes: Write) -> list[Any]:
    """What became of writes that waited together, in their order."""
    outcomes: list[Any] = [None] * len(writes)

    async def call(number: int, write: Write) -> None:
        try:
            outcomes[number] = await database.write_together(write)
        except (Exception, Panic) as error:  # noqa: BLE001 - the test looks at it
            outcomes[number] = error

    async with while_another_writes(database) as tasks:
        for number, write in enumerate(writes):
            tasks.start_soon(call, number, write)
    return outcomes


async def test_writes_that_wait_share_a_transaction_in_their_order(database: Database) -> None:
    order: list[int] = []

    def noted(number: int, connection: Connection) -> object:
        order.append(number)
        return connection.get_transaction()

    outcomes = await all_of(database, *(partial(noted, number) for number in range(8)))

    assert order == list(range(8))
    assert len(set(outcomes)) == 1


async def test_one_that_is_refused_takes_back_its_own_changes_alone(database: Database) -> None:
    first, refused, last = await all_of(database, add("1"), refused_after(add("2")), add("3"))

    assert str(refused) == "refused"
    assert first == last
    assert await stored(database) == ["1", "3"]


async def test_one_that_breaks_a_rule_of_the_database_fails_alone(database: Database) -> None:
    outcomes = await all_of(database, add("1"), add("1"), add("2"))

    assert isinstance(outcomes[1], IntegrityError)
    assert await stored(database) == ["1", "2"]


@pytest.mark.parametrize("failure", [LookupError, Panic])
async def test_a_failure_of_the_program_is_its_callers_alone(
    database: Database, failure: type[BaseException]
) -> None:
    def wrong(connection: Connection) -> None:
        add("2")(connection)
        raise failure

    outcomes = await all_of(database, add("1"), wrong, add("3"))

    assert [type(outcome) for outcome in outcomes[1:]] == [failure, type(outcomes[0])]
    assert await stored(database) == ["1", "3"]


async def test_what_the_commit_refuses_is_not_answered_with_success(database: Database) -> None:
    """SQLite looks at this key when the transaction ends."""

    def orphan(connection: Connection) -> str:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON").close()
        connection.execute(insert(grant).values(tenant_id="t", install_id="i", capability="c"))
        return "written"

    outcomes = await all_of(database, add("1"), orphan, refused_after(add("2")), add("3"))

    assert isinstance(outcomes[1], IntegrityError)
    assert str(outcomes[2]) == "refused"
    assert await stored(database) == ["1", "3"]


async def test_a_database_that_is_full_in_the_middle_refuses_what_does_not_fit(database_url: str) -> None:
    database = Database(database_url)
    await database.start()

    def limit(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}").close()

    await database.write(limit)
    outcomes = await all_of(database, add("1"), add("2", 10_000_000), refused_after(add("3")), add("4"))

    assert isinstance(outcomes[1], DatabaseFull)
    assert str(outcomes[2]) == "refused"
    assert await stored(database) == ["1", "4"]
    await database.aclose()


async def test_a_lock_that_others_hold_makes_all_wait_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []
    once_free = sqlite._executed_once_free

    def counted(*arguments: Any) -> bool:
        tries.append(arguments[1])
        return once_free(*arguments)

    database, other = Database(database_url), Database(database_url)
    await database.start()
    go_on = Event()
    monkeypatch.setattr(sqlite, "_BUSY_TIMEOUT_S", 0.01)
    monkeypatch.setattr(sqlite, "_executed_once_free", counted)
    outcomes: list[str] = []

    async def call(number: int) -> None:
        with pytest.raises(DatabaseBusy):
            await database.write_together(add(f"{number}"))
        outcomes.append("busy")

    async with anyio.create_task_group() as holding:
        holding.start_soon(other.write, lambda _: go_on.wait(PATIENCE_S))
        await anyio.wait_all_tasks_blocked()
        async with anyio.create_task_group() as tasks:
            for number in range(together.MAX_TOGETHER):
                tasks.start_soon(call, number)
        go_on.set()

    assert outcomes == ["busy"] * together.MAX_TOGETHER
    assert tries.count("BEGIN IMMEDIATE") <= 1 + 2
    assert await stored(database) == []
    await database.aclose()
    await other.aclose()


async def test_a_lock_that_others_take_before_each_is_tried_alone_makes_them_wait_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, begun = Database(database_url), list[object]()
    await database.start()
    file = sqlite.sqlite_file(database_url)
    assert file is not None
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    begin_to_write = sqlite._begin_to_write

    def begin(connection: Connection) -> None:
        begun.append(connection)
        if len(begun) == 3:  # after the one that all waited for, and the group's
            other.execute("BEGIN IMMEDIATE").close()
        begin_to_write(connection)

    def wrong(_: Connection) -> None:
        raise LookupError

    monkeypatch.setattr(sqlite, "_BUSY_TIMEOUT_S", 0.01)
    monkeypatch.setattr(sqlite, "_begin_to_write", begin)
    outcomes = await all_of(database, add("1"), add("2"), wrong)
    other.close()

    assert [type(outcome) for outcome in outcomes] == [DatabaseBusy] * 3
    assert len(begun) == 3
    assert await stored(database) == []
    await database.aclose()


async def test_a_group_is_bounded_by_its_number(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "MAX_TOGETHER", 3)

    transactions = await all_of(database, *(add(f"{number}") for number in range(8)))

    assert [transactions.count(one) for one in dict.fromkeys(transactions)] == [3, 3, 2]


async def test_nothing_joins_a_transaction_that_takes_long(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.undo()
    monkeypatch.setattr(together, "monotonic", lambda: now)

    def slow(connection: Connection) -> object:
        nonlocal now
        now += 0.004
        return connection.get_transaction()

    transactions = await all_of(database, *[slow] * 6)

    assert [transactions.count(one) for one in dict.fromkeys(transactions)] == [3, 3]


async def test_those_who_wait_too_long_for_their_turn_are_refused_each(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alga_server.storage.database._TURN_S", 0.01)
    database, refused = Database(database_url), list[str]()
    await database.start()

    async def call() -> None:
        with pytest.raises(DatabaseBusy):
            await database.write_together(add("1"))
        refused.append("busy")

    begun, go_on = Event(), Event()

    def hold(_: Connection) -> None:
        begun.set()
        assert go_on.wait(PATIENCE_S)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(database.write, hold)
        assert await anyio.to_thread.run_sync(begun.wait, PATIENCE_S)
        async with anyio.create_task_group() as calls:
            for _ in range(3):
                calls.start_soon(call)
        go_on.set()

    assert refused == ["busy"] * 3
    assert await stored(database) == []
    await database.aclose()
