"""Guests take turns: about a millisecond of guest time in each turn of the event loop, first come, first served."""

from __future__ import annotations

import asyncio
from collections import Counter

import anyio
import pytest

from alga_runner.engine.turns import TURN_S, turns

pytestmark = pytest.mark.anyio


def _spend_this_turn() -> None:
    assert turns.has_room()
    turns.spend(TURN_S)


async def _run_slices(number: int, slices: int, slice_s: float, ran: list[tuple[int, int]]) -> None:
    for _ in range(slices):
        await turns.room()
        turns.spend(slice_s)
        ran.append((turns.number, number))


async def test_no_guest_starts_in_a_turn_whose_time_is_spent():
    ran: list[tuple[int, int]] = []

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(_run_slices, number, 1, TURN_S * 0.6, ran)

    assert len(ran) == 50
    assert max(Counter(turn for turn, _ in ran).values()) == 2


async def test_guests_that_arrive_while_others_wait_go_behind_them():
    ran: list[tuple[int, int]] = []

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(_run_slices, number, 3, TURN_S, ran)
        _spend_this_turn()
        await asyncio.sleep(0)

    assert [number for _, number in ran] == list(range(5)) * 3


async def test_the_rest_of_the_loop_is_reached_between_any_two_turns():
    ran: list[tuple[int, int]] = []
    seen: list[int] = []

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(_run_slices, number, 1, TURN_S, ran)
        while len(ran) < 20:
            seen.append(len(ran))
            await asyncio.sleep(0)

    assert max(later - earlier for earlier, later in zip(seen, [*seen[1:], 20], strict=True)) == 1


async def test_a_guest_that_is_cancelled_while_it_waits_takes_no_turn_from_the_others():
    reached: list[str] = []

    async def wait(name: str) -> None:
        await turns.room()
        turns.spend(TURN_S)
        reached.append(name)

    async with anyio.create_task_group() as tasks:
        gone = asyncio.ensure_future(wait("gone"))
        _spend_this_turn()
        await asyncio.sleep(0)
        gone.cancel()
        tasks.start_soon(wait, "first")
        tasks.start_soon(wait, "second")

    assert reached == ["first", "second"]
    assert gone.cancelled()


async def test_a_guest_that_is_cancelled_as_it_is_called_gives_its_turn_back():
    called = asyncio.ensure_future(turns.room())
    _spend_this_turn()
    await asyncio.sleep(0)
    called.cancel()
    await asyncio.wait([called])

    with anyio.fail_after(5):
        await turns.room()

    assert called.cancelled()


def test_a_loop_that_ended_with_guests_waiting_leaves_the_next_one_alone():
    async def abandon() -> None:
        asyncio.get_running_loop().create_task(turns.room())
        _spend_this_turn()
        await asyncio.sleep(0)

    asyncio.run(abandon())

    asyncio.run(asyncio.wait_for(turns.room(), 5))
