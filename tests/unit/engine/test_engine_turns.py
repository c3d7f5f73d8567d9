"""Guests that use up their slices take turns, one to each turn of the event loop."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from alga_runner.engine.turns import turns

pytestmark = pytest.mark.anyio


async def test_one_guest_runs_in_each_turn_and_each_in_its_order():
    ran: list[int] = []
    most_in_one_turn = 0

    async def busy(number: int) -> None:
        for _ in range(3):
            await turns.next()
            ran.append(number)

    tasks = [asyncio.ensure_future(busy(number)) for number in range(5)]
    while not all(task.done() for task in tasks):
        before = len(ran)
        await asyncio.sleep(0)
        most_in_one_turn = max(most_in_one_turn, len(ran) - before)

    assert most_in_one_turn == 1
    assert ran == list(range(5)) * 3


async def test_a_guest_that_is_cancelled_while_it_waits_takes_no_turn_from_the_others():
    reached: list[str] = []

    async def wait(name: str) -> None:
        await turns.next()
        reached.append(name)

    async with anyio.create_task_group() as tasks:
        gone = asyncio.ensure_future(wait("gone"))
        await asyncio.sleep(0)
        gone.cancel()
        tasks.start_soon(wait, "first")
        tasks.start_soon(wait, "second")

    assert reached == ["first", "second"]
    assert gone.cancelled()


def test_a_loop_that_ended_with_guests_waiting_leaves_the_next_one_alone():
    async def abandon() -> None:
        asyncio.get_running_loop().create_task(turns.next())
        await asyncio.sleep(0)

    asyncio.run(abandon())

    asyncio.run(asyncio.wait_for(turns.next(), 5))
