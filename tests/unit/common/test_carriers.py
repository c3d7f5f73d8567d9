"""A coroutine that never waits takes no task, and one that waits has one, as if it had begun in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar

import anyio
import anyio.lowlevel
import pytest

from alga_common.http.carriers import MAX_IDLE, Carriers, Make
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.anyio

tenant: ContextVar[str] = ContextVar("tenant", default="unknown")


@pytest.fixture
async def carriers():
    carriers = Carriers()
    await begin(carriers, lambda scope: asyncio.sleep(0))  # makes the first task
    await ended(carriers)
    yield carriers
    carriers.close()


async def begin(carriers: Carriers, *makes: Make, then: Callable[[], object] | None = None) -> None:
    """Start them as connections do: in no task, in one turn of the loop; and call ``then`` in it."""
    begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start() -> None:
        try:
            for make in makes:
                carriers.start(make)
            if then is not None:
                then()
        except (RuntimeError, ZeroDivisionError) as error:
            begun.set_exception(error)
        else:
            begun.set_result(None)

    asyncio.get_running_loop().call_soon(start)
    await begun


async def ended(carriers: Carriers) -> None:
    with anyio.fail_after(PATIENCE_S):
        while carriers.under_way:
            await anyio.lowlevel.checkpoint()


def make_of(work: Callable[[], object]) -> Make:
    async def call(_scope: anyio.CancelScope) -> None:
        work()

    return call


async def test_a_coroutine_that_does_not_wait_ends_at_once_without_a_task_of_its_own(carriers: Carriers):
    tasks = asyncio.all_tasks()
    seen: list[object] = []

    await begin(carriers, make_of(lambda: seen.append(set(carriers.under_way))))

    assert seen == [set()]
    assert asyncio.all_tasks() == tasks


async def test_a_coroutine_that_waits_goes_on_in_the_task_it_began_in(carriers: Carriers):
    seen: list[object] = []
    go_on = asyncio.Event()

    async def work(_scope: anyio.CancelScope) -> None:
        seen.append(asyncio.current_task())
        await go_on.wait()
        seen.append(asyncio.current_task())

    await begin(carriers, work)
    under_way = set(carriers.under_way)
    go_on.set()
    await ended(carriers)

    assert len(seen) == 2
    assert set(seen) == under_way


async def test_a_coroutine_that_waits_for_the_next_turn_goes_on_in_that_one(carriers: Carriers):
    loop, turns = asyncio.get_running_loop(), 0
    seen: list[int] = []

    def count() -> None:
        nonlocal turns
        turns += 1
        if len(seen) < 2:
            loop.call_soon(count)

    async def work(_scope: anyio.CancelScope) -> None:
        seen.append(turns)
        await asyncio.sleep(0)
        seen.append(turns)

    count()
    await begin(carriers, work)
    await ended(carriers)

    assert seen[1] == seen[0] + 1


async def test_a_coroutine_that_is_cancelled_before_the_turn_it_waits_for_does_not_go_on(carriers: Carriers):
    seen: list[str] = []

    async def work(scope: anyio.CancelScope) -> None:
        asyncio.get_running_loop().call_soon(scope.cancel)  # runs first in the next turn
        await asyncio.sleep(0)
        seen.append("went on")

    await begin(carriers, work)
    await ended(carriers)

    assert seen == []


async def test_a_task_that_carried_one_to_its_end_carries_the_next(carriers: Carriers):
    seen: list[object] = []

    async def work(_scope: anyio.CancelScope) -> None:
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())

    for _ in range(2):
        await begin(carriers, work)
        await ended(carriers)

    assert seen[0] is seen[1]


async def test_more_tasks_than_are_kept_end(carriers: Carriers):
    tasks = asyncio.all_tasks()
    go_on = asyncio.Event()

    async def work(_scope: anyio.CancelScope) -> None:
        await go_on.wait()

    for _ in range(MAX_IDLE + 3):
        await begin(carriers, work)
    assert len(carriers.under_way) == MAX_IDLE + 3
    go_on.set()
    await ended(carriers)
    await asyncio.sleep(0)

    assert len(asyncio.all_tasks() - tasks) == MAX_IDLE - 1  # the first was there before


async def test_tasks_that_carry_nothing_end_when_they_are_closed(carriers: Carriers):
    before = asyncio.all_tasks()

    carriers.close()
    await asyncio.sleep(0)

    assert len(before) - len(asyncio.all_tasks()) == 1


async def test_a_time_limit_that_was_opened_before_a_wait_ends_that_wait(carriers: Carriers):
    outcome: list[str] = []

    async def work(_scope: anyio.CancelScope) -> None:
        with anyio.move_on_after(0) as limit:
            await anyio.sleep_forever()
        outcome.append("late" if limit.cancelled_caught else "in time")
        await asyncio.sleep(0)  # nothing of it is left
        outcome.append("went on")

    await begin(carriers, work)
    await ended(carriers)

    assert outcome == ["late", "went on"]


async def test_a_task_group_works_across_the_first_wait(carriers: Carriers):
    done: list[int] = []

    async def child(number: int) -> None:
        await asyncio.sleep(0)
        done.append(number)

    async def work(_scope: anyio.CancelScope) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child, 1)
            tasks.start_soon(child, 2)

    await begin(carriers, work)
    await ended(carriers)

    assert sorted(done) == [1, 2]


async def test_a_cancelled_scope_that_was_left_ends_no_later_wait(carriers: Carriers):
    outcome: list[str] = []
    scopes: list[anyio.CancelScope] = []

    async def work(scope: anyio.CancelScope) -> None:
        scopes.append(scope)
        try:
            await anyio.sleep_forever()
        except asyncio.CancelledError as error:
            if scope.__exit__(type(error), error, None):
                outcome.append("cancelled")
        await asyncio.sleep(0)
        outcome.append("went on")

    await begin(carriers, work)
    scopes[0].cancel()
    await ended(carriers)
    await begin(carriers, make_of(lambda: outcome.append("another")))
    await ended(carriers)

    assert outcome == ["cancelled", "went on", "another"]


async def test_a_shield_holds_against_the_open_scope(carriers: Carriers):
    outcome: list[str] = []
    scopes: list[anyio.CancelScope] = []
    go_on = asyncio.Event()

    async def work(scope: anyio.CancelScope) -> None:
        scopes.append(scope)
        with anyio.CancelScope(shield=True):
            await go_on.wait()
            outcome.append("finished")

    await begin(carriers, work)
    scopes[0].cancel()
    await asyncio.sleep(0)
    go_on.set()
    await ended(carriers)

    assert outcome == ["finished"]


@pytest.mark.parametrize("turns", [0, 1, 3])
async def test_a_cancelled_task_cancels_what_it_carries(carriers: Carriers, turns: int):
    outcome: list[str] = []

    async def work(_scope: anyio.CancelScope) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            outcome.append("cancelled")
            raise

    await begin(carriers, work)
    for _ in range(turns):
        await asyncio.sleep(0)
    (task,) = carriers.under_way
    task.cancel()
    await ended(carriers)
    await begin(carriers, make_of(lambda: outcome.append("another")))
    await ended(carriers)

    assert outcome == ["cancelled", "another"]


async def test_what_it_waits_for_is_cancelled_with_it_in_the_turn_in_which_it_began(carriers: Carriers):
    children: list[asyncio.Task[None]] = []

    async def work(_scope: anyio.CancelScope) -> None:
        children.append(asyncio.get_running_loop().create_task(anyio.sleep_forever()))
        await children[0]

    def cancel() -> None:
        (task,) = carriers.under_way
        task.cancel()

    await begin(carriers, work, then=cancel)
    await ended(carriers)

    assert children[0].cancelled()


async def test_several_that_begin_in_one_turn_may_wait_for_the_same(carriers: Carriers):
    await begin(carriers, *[lambda scope: asyncio.sleep(0)] * 3)  # makes two more tasks
    await ended(carriers)
    shared: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    seen: list[str] = []

    async def work(_scope: anyio.CancelScope) -> None:
        seen.append(await shared)

    await begin(carriers, *[work] * 3)
    shared.set_result("loaded")
    await ended(carriers)

    assert seen == ["loaded"] * 3


async def test_no_task_is_left_of_one_that_ended_at_once_with_its_scope_cancelled(carriers: Carriers):
    tasks = asyncio.all_tasks()

    async def work(scope: anyio.CancelScope) -> None:
        scope.cancel()
        scope.__exit__(None, None, None)

    await begin(carriers, work)
    await asyncio.sleep(0)

    assert len(tasks - asyncio.all_tasks()) == 1


async def test_no_task_is_left_of_one_that_failed_at_once(carriers: Carriers):
    tasks = asyncio.all_tasks()

    with pytest.raises(ZeroDivisionError):
        await begin(carriers, make_of(lambda: 1 // 0))
    await asyncio.sleep(0)

    assert len(tasks - asyncio.all_tasks()) == 1


async def test_a_coroutine_that_cancels_its_task_is_cancelled_where_it_waits_next(carriers: Carriers):
    outcome: list[str] = []

    async def work(_scope: anyio.CancelScope) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        outcome.append("runs on")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            outcome.append("cancelled")
            raise

    await begin(carriers, work)
    await ended(carriers)

    assert outcome == ["runs on", "cancelled"]


async def test_a_coroutine_that_cancels_its_task_and_ends_leaves_the_next_alone(carriers: Carriers):
    outcome: list[str] = []

    def cancel() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    async def work(_scope: anyio.CancelScope) -> None:
        await asyncio.sleep(0)
        outcome.append("done")

    await begin(carriers, make_of(cancel))
    await begin(carriers, work)
    await ended(carriers)

    assert outcome == ["done"]


async def test_context_variables_of_one_are_not_seen_by_another(carriers: Carriers):
    seen: list[str] = []

    async def first(_scope: anyio.CancelScope) -> None:
        tenant.set("acme")
        await asyncio.sleep(0)
        seen.append(tenant.get())

    def second() -> None:
        seen.append(tenant.get())
        tenant.set("other")

    await begin(carriers, first)
    await ended(carriers)
    await begin(carriers, make_of(second))
    await begin(carriers, make_of(second))

    assert seen == ["acme", "unknown", "unknown"]


async def test_one_that_is_started_by_a_running_task_begins_in_a_later_turn(carriers: Carriers):
    seen: list[object] = []

    carriers.start(make_of(lambda: seen.append(asyncio.current_task())))

    assert not seen
    await ended(carriers)
    assert seen
    assert seen[0] is not asyncio.current_task()
