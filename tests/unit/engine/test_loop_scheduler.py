"""Guests take turns: about a millisecond of each turn of the event loop is theirs, first come, first served.

The clock stands still but when a guest computes.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from functools import partial

import anyio
import pytest

from alga_runner.engine.loop_scheduler import GUEST_TIME_S, LoopScheduler
from tests.support.clock import FakeMonotonic

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeMonotonic:
    clock = FakeMonotonic(1.0)
    monkeypatch.setattr(sys.modules[LoopScheduler.__module__], "monotonic", clock)
    return clock


@pytest.fixture
def turns(clock: FakeMonotonic) -> LoopScheduler:
    return LoopScheduler()


@pytest.fixture
def take_this_turn(turns: LoopScheduler, clock: FakeMonotonic):
    """A guest takes all the time of this turn."""

    def take() -> None:
        assert turns.may_start()
        clock.now += GUEST_TIME_S

    return take


class Guests:
    """Each takes slices of a length of its own, one a turn; ``ran`` has who ran, and in which turn of the loop."""

    def __init__(self, turns: LoopScheduler, clock: FakeMonotonic) -> None:
        self.ran: list[tuple[int, object]] = []
        self._turns = turns
        self._clock = clock
        self._turn_of_loop = 0

    async def run(self, name: object, slices: int, slice_s: float, owner: str = "") -> None:
        for _ in range(slices):
            await self._turns.wait_to_start(owner)
            self._clock.now += slice_s
            self.ran.append((self._turn_of_loop, name))

    async def count_turns(self) -> None:
        while True:
            self._turn_of_loop += 1
            await asyncio.sleep(0)


@pytest.fixture
async def guests(turns: LoopScheduler, clock: FakeMonotonic):
    guests = Guests(turns, clock)
    counting = asyncio.ensure_future(guests.count_turns())
    yield guests
    counting.cancel()


@pytest.mark.parametrize(
    ("slice_s", "most"), [(GUEST_TIME_S, 1), (GUEST_TIME_S * 0.6, 2), (GUEST_TIME_S / 4 + 1e-9, 4)]
)
async def test_a_turn_has_a_millisecond_of_guest_time_and_the_rest_of_the_last_slice(
    guests: Guests, slice_s: float, most: int
):
    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(guests.run, number, 1, slice_s, f"owner {number}")

    assert len(guests.ran) == 50
    assert max(Counter(turn for turn, _ in guests.ran).values()) == most


async def test_guests_that_arrive_while_others_wait_go_behind_them(guests: Guests, take_this_turn):
    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(guests.run, number, 3, GUEST_TIME_S)
        take_this_turn()
        await asyncio.sleep(0)

    assert [number for _, number in guests.ran] == list(range(5)) * 3


async def test_a_guest_that_found_no_time_left_when_it_was_called_keeps_its_place(
    guests: Guests, take_this_turn
):
    async with anyio.create_task_group() as tasks:
        take_this_turn()
        for number in range(40):  # more than are called for one turn
            tasks.start_soon(guests.run, number, 1, GUEST_TIME_S)

    assert [number for _, number in guests.ran] == list(range(40))


async def test_whoever_asks_to_be_first_is(turns: LoopScheduler, clock: FakeMonotonic, take_this_turn):
    order: list[str] = []

    async def wait(name: str, *, first: bool) -> None:
        await turns.wait_to_start(first=first)
        clock.now += GUEST_TIME_S
        order.append(name)

    async with anyio.create_task_group() as tasks:
        for name in ("a", "b", "first", "c", "first, too"):
            tasks.start_soon(partial(wait, name, first=name.startswith("first")))
        take_this_turn()

    assert order == ["first", "first, too", "a", "b", "c"]


async def test_the_rest_of_the_loop_is_reached_between_any_two_turns(guests: Guests):
    seen: list[int] = []

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(guests.run, number, 1, GUEST_TIME_S)
        while len(guests.ran) < 20:
            seen.append(len(guests.ran))
            await asyncio.sleep(0)

    assert max(later - earlier for earlier, later in zip(seen, [*seen[1:], 20], strict=True)) == 1


async def test_what_else_takes_long_in_a_turn_takes_no_turn_from_guests(
    turns: LoopScheduler, clock: FakeMonotonic
):
    ran = 0

    async def run() -> None:
        nonlocal ran
        for _ in range(10):
            await turns.wait_to_start()
            ran += 1
            await asyncio.sleep(0)

    async def dawdle() -> None:
        while ran < 10:
            clock.now += 10 * GUEST_TIME_S
            await asyncio.sleep(0)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            tasks.start_soon(dawdle)

    assert ran == 10


async def test_a_guest_may_go_on_in_its_turn_though_others_wait(turns: LoopScheduler, clock: FakeMonotonic):
    assert turns.may_start()
    clock.now += GUEST_TIME_S / 2
    waiting = asyncio.ensure_future(turns.wait_to_start())
    assert turns.may_continue()
    clock.now += GUEST_TIME_S / 2

    assert not turns.may_continue()
    await waiting


async def test_a_guest_that_is_cancelled_while_it_waits_takes_no_turn_from_the_others(
    guests: Guests, take_this_turn
):
    async with anyio.create_task_group() as tasks:
        gone = asyncio.ensure_future(guests.run("gone", 1, GUEST_TIME_S))
        take_this_turn()
        await asyncio.sleep(0)
        gone.cancel()
        tasks.start_soon(guests.run, "first", 1, GUEST_TIME_S)
        tasks.start_soon(guests.run, "second", 1, GUEST_TIME_S)

    assert [name for _, name in guests.ran] == ["first", "second"]
    assert gone.cancelled()


async def test_a_guest_that_is_cancelled_as_it_is_called_gives_its_turn_back(
    turns: LoopScheduler, take_this_turn
):
    called = asyncio.ensure_future(turns.wait_to_start())
    take_this_turn()
    await asyncio.sleep(0)
    turns._begin_iteration(asyncio.get_running_loop())
    called.cancel()
    await asyncio.wait([called])

    assert called.cancelled()
    assert turns.may_start()


async def test_a_guest_whose_coroutine_is_thrown_away_gives_its_place_up(
    turns: LoopScheduler, take_this_turn
):
    take_this_turn()
    for _ in range(20):  # more than are called for one turn
        coroutine = turns.wait_to_start()
        coroutine.send(None)
        coroutine.close()

    assert not turns._queues
    with anyio.fail_after(5):
        await turns.wait_to_start()
    assert not turns._queues


def test_a_loop_that_ended_with_guests_waiting_leaves_the_next_one_alone(
    turns: LoopScheduler, take_this_turn
):
    async def abandon() -> None:
        asyncio.get_running_loop().create_task(turns.wait_to_start())
        take_this_turn()
        await asyncio.sleep(0)

    asyncio.run(abandon())

    asyncio.run(asyncio.wait_for(turns.wait_to_start(), 5))


def test_a_loop_that_was_closed_is_not_asked_for_another_turn(turns: LoopScheduler, take_this_turn):
    async def take() -> None:
        take_this_turn()

    asyncio.run(take())
    asyncio.run(take())
