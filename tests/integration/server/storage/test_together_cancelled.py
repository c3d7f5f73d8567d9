"""Writes in one transaction whose callers are cancelled: before it, in it, and as the one that runs it for all."""

from __future__ import annotations

import asyncio
from threading import Event
from typing import Any

import anyio
import pytest
from sqlalchemy import Connection

from alga_server.storage import together
from alga_server.storage.database import Database
from tests.support.patience import PATIENCE_S

from .test_together import Write, add, stored, while_another_writes

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_pause_ends_a_group")]


async def test_a_caller_that_is_cancelled_while_it_waits_writes_nothing(database: Database) -> None:
    outcomes: list[Any] = []

    async def call(key: str) -> None:
        outcomes.append(await database.write_together(add(key)))

    async def cancelled(key: str, scope: anyio.CancelScope) -> None:
        with scope:
            await database.write_together(add(key))

    first, last = anyio.CancelScope(), anyio.CancelScope()
    async with while_another_writes(database) as tasks:
        tasks.start_soon(cancelled, "1", first)  # it would have run the others
        tasks.start_soon(call, "2")
        tasks.start_soon(cancelled, "3", last)
        tasks.start_soon(call, "4")
        await anyio.wait_all_tasks_blocked()
        first.cancel()
        last.cancel()

    assert await stored(database) == ["2", "4"]
    assert len(outcomes) == 2


async def test_the_last_that_waits_may_be_cancelled_while_its_group_looks_for_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    last, errors = anyio.CancelScope(), list[BaseException]()

    async def leave() -> None:
        last.cancel()
        await anyio.wait_all_tasks_blocked()

    def looked_at() -> float:
        if last.cancel_called or not added:
            return 0.0
        anyio.from_thread.run(leave)
        return 0.0

    added = list[object]()

    async def call() -> None:
        try:
            await database.write_together(lambda connection: added.append(add("1")(connection)))
        except Exception as error:  # noqa: BLE001 - the test looks at it
            errors.append(error)

    async def cancelled() -> None:
        with last:
            await database.write_together(add("2"))

    monkeypatch.setattr(together, "monotonic", looked_at)
    async with while_another_writes(database) as tasks:
        tasks.start_soon(call)
        tasks.start_soon(cancelled)

    assert (errors, len(added)) == ([], 1)
    assert await stored(database) == ["1"]


@pytest.mark.parametrize("which", [0, 1])
async def test_a_caller_that_is_cancelled_in_its_transaction_waits_for_the_end(
    database: Database, which: int
) -> None:
    begun, go_on, left = Event(), Event(), []
    scopes = [anyio.CancelScope(), anyio.CancelScope()]

    def slow(connection: Connection) -> None:
        add("1")(connection)
        begun.set()
        assert go_on.wait(PATIENCE_S)

    async def call(number: int, write: Write) -> None:
        with scopes[number]:
            await database.write_together(write)
        left.append(number)

    async with anyio.create_task_group() as tasks:
        async with while_another_writes(database):
            tasks.start_soon(call, 0, add("0"))
            tasks.start_soon(call, 1, slow)
        assert await anyio.to_thread.run_sync(begun.wait, PATIENCE_S)
        scopes[which].cancel()
        await anyio.wait_all_tasks_blocked()
        assert left == []
        go_on.set()

    assert await stored(database) == ["0", "1"]


async def test_others_are_not_answered_before_the_commit_when_the_task_of_their_groups_caller_is_cancelled(
    database: Database,
) -> None:
    """``asyncio.wait_for`` around a caller, and uvicorn at its end, cancel a task without regard to its scopes."""
    begun, go_on, answers = Event(), Event(), list[object]()

    def slow(connection: Connection) -> object:
        begun.set()
        assert go_on.wait(PATIENCE_S)
        return add("2")(connection)

    async def call() -> None:
        answers.append(await database.write_together(slow))

    async with anyio.create_task_group() as tasks:
        async with while_another_writes(database):
            first = asyncio.create_task(database.write_together(add("1")))
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(call)
        assert await anyio.to_thread.run_sync(begun.wait, PATIENCE_S)
        first.cancel()
        await anyio.wait_all_tasks_blocked()
        try:
            assert (first.done(), answers) == (False, [])
        finally:
            go_on.set()

    with pytest.raises(asyncio.CancelledError):
        await first
    assert len(answers) == 1
    assert answers != [None]
    assert await stored(database) == ["1", "2"]
