"""Guests have about a millisecond of each iteration of the event loop, first come, first served.

The clock moves only when a guest computes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial

import anyio
import pytest

from alga_runner.engine.loop_scheduler import GUEST_TIME_S, LoopScheduler
from tests.support.clock import FakeMonotonic
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.anyio


@pytest.fixture
def scheduler(clock: FakeMonotonic) -> LoopScheduler:
    return LoopScheduler()


@pytest.fixture
def use_up_iteration(scheduler: LoopScheduler, clock: FakeMonotonic):
    """A guest takes all the time of this iteration."""

    def take() -> None:
        assert scheduler.may_start()
        clock.now += GUEST_TIME_S

    return take


class Guests:
    """Guests that run for one slice in an iteration; ``ran`` has their names and the iterations of the loop."""

    def __init__(self, scheduler: LoopScheduler, clock: FakeMonotonic) -> None:
        self.ran: list[tuple[int, object]] = []
        self._scheduler = scheduler
        self._clock = clock
        self._iteration = 0

    async def run(self, name: object, slices: int, slice_s: float, owner: str = "") -> None:
        for _ in range(slices):
            await self._scheduler.wait_to_start(owner)
            self._clock.now += slice_s
            self.ran.append((self._iteration, name))

    async def count_iterations(self) -> None:
        while True:
            self._iteration += 1
            await asyncio.sleep(0)


@pytest.fixture
async def guests(scheduler: LoopScheduler, clock: FakeMonotonic):
    guests = Guests(scheduler, clock)
    counting = asyncio.ensure_future(guests.count_iterations())
    yield guests
    counting.cancel()


@pytest.mark.parametrize(
    ("slice_s", "most"), [(GUEST_TIME_S, 1), (GUEST_TIME_S * 0.6, 2), (GUEST_TIME_S / 4 + 1e-9, 4)]
)
async def test_an_iteration_has_a_millisecond_of_guest_time_and_the_rest_of_the_last_slice(
    guests: Guests, slice_s: float, most: int
):
    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(guests.run, number, 1, slice_s, f"owner {number}")

    assert len(guests.ran) == 50
    assert max(Counter(iteration for iteration, _ in guests.ran).values()) == most


async def test_guests_that_arrive_while_others_wait_go_behind_them(guests: Guests, use_up_iteration):
    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(guests.run, number, 3, GUEST_TIME_S)
        use_up_iteration()
        await asyncio.sleep(0)

    assert [number for _, number in guests.ran] == list(range(5)) * 3


async def test_a_guest_that_found_no_time_left_when_it_was_woken_keeps_its_place(
    guests: Guests, use_up_iteration
):
    async with anyio.create_task_group() as tasks:
        use_up_iteration()
        for number in range(40):  # more than are woken for one iteration
            tasks.start_soon(guests.run, number, 1, GUEST_TIME_S)

    assert [number for _, number in guests.ran] == list(range(40))


async def test_a_guest_that_asks_to_be_first_is_first(
    scheduler: LoopScheduler, clock: FakeMonotonic, use_up_iteration
):
    order: list[str] = []

    async def wait(name: str, *, first: bool) -> None:
        await scheduler.wait_to_start(first=first)
        clock.now += GUEST_TIME_S
        order.append(name)

    async with anyio.create_task_group() as tasks:
        for name in ("a", "b", "first", "c", "first, too"):
            tasks.start_soon(partial(wait, name, first=name.startswith("first")))
        use_up_iteration()

    assert order == ["first", "first, too", "a", "b", "c"]


async def test_the_rest_of_the_loop_runs_between_any_two_iterations_with_guests(guests: Guests):
    seen: list[int] = []

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(guests.run, number, 1, GUEST_TIME_S)
        while len(guests.ran) < 20:
            seen.append(len(guests.ran))
            await asyncio.sleep(0)

    assert max(later - earlier for earlier, later in zip(seen, [*seen[1:], 20], strict=True)) == 1


async def test_other_work_that_takes_long_in_an_iteration_takes_no_time_from_guests(
    scheduler: LoopScheduler, clock: FakeMonotonic
):
    ran = 0

    async def run() -> None:
        nonlocal ran
        for _ in range(10):
            await scheduler.wait_to_start()
            ran += 1
            await asyncio.sleep(0)

    async def dawdle() -> None:
        while ran < 10:
            clock.now += 10 * GUEST_TIME_S
            await asyncio.sleep(0)

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            tasks.start_soon(dawdle)

    assert ran == 10


async def test_a_guest_may_continue_in_its_iteration_while_others_wait(
    scheduler: LoopScheduler, clock: FakeMonotonic
):
    assert scheduler.may_start()
    clock.now += GUEST_TIME_S / 2
    waiting = asyncio.ensure_future(scheduler.wait_to_start())
    assert scheduler.may_continue()
    clock.now += GUEST_TIME_S / 2

    assert not scheduler.may_continue()
    await waiting


async def test_a_guest_cancelled_while_it_waits_takes_no_time_from_the_others(
    guests: Guests, use_up_iteration
):
    async with anyio.create_task_group() as tasks:
        gone = asyncio.ensure_future(guests.run("gone", 1, GUEST_TIME_S))
        use_up_iteration()
        await asyncio.sleep(0)
        gone.cancel()
        tasks.start_soon(guests.run, "first", 1, GUEST_TIME_S)
        tasks.start_soon(guests.run, "second", 1, GUEST_TIME_S)

    assert [name for _, name in guests.ran] == ["first", "second"]
    assert gone.cancelled()


async def test_a_guest_cancelled_as_it_is_woken_leaves_the_iteration_to_others(
    scheduler: LoopScheduler, use_up_iteration
):
    woken = asyncio.ensure_future(scheduler.wait_to_start())
    use_up_iteration()
    await asyncio.sleep(0)
    scheduler._begin_iteration(asyncio.get_running_loop())
    woken.cancel()
    await asyncio.wait([woken])

    assert woken.cancelled()
    assert scheduler.may_start()


async def test_a_guest_whose_coroutine_is_closed_gives_its_place_up(
    scheduler: LoopScheduler, use_up_iteration
):
    use_up_iteration()
    for _ in range(20):  # more than are woken for one iteration
        coroutine = scheduler.wait_to_start()
        coroutine.send(None)
        coroutine.close()

    assert not scheduler._queues
    with anyio.fail_after(PATIENCE_S):
        await scheduler.wait_to_start()
    assert not scheduler._queues


def test_a_loop_that_ended_with_guests_waiting_leaves_the_next_one_alone(
    scheduler: LoopScheduler, use_up_iteration
):
    async def abandon() -> None:
        asyncio.get_running_loop().create_task(scheduler.wait_to_start())
        use_up_iteration()
        await asyncio.sleep(0)

    asyncio.run(abandon())

    asyncio.run(asyncio.wait_for(scheduler.wait_to_start(), PATIENCE_S))


def test_a_loop_that_was_closed_is_not_asked_for_another_iteration(
    scheduler: LoopScheduler, use_up_iteration
):
    async def take() -> None:
        use_up_iteration()

    asyncio.run(take())
    asyncio.run(take())
