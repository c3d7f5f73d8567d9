"""Does something many times, with a given number under way concurrently."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio


async def crowd(in_flight: int, count: int, do: Callable[[int], Awaitable[None]]) -> None:
    """``do`` each number below ``count``; one after the other, without tasks, where one is in flight."""
    numbers = iter(range(count))

    async def one_after_the_other() -> None:
        for number in numbers:
            await do(number)

    if in_flight == 1:
        await one_after_the_other()
        return
    async with anyio.create_task_group() as tasks:
        for _ in range(in_flight):
            tasks.start_soon(one_after_the_other)
