"""Work of any weight begins when there is room for it, in turns of its owners."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alga_common.sharing.weighted_limiter import WeightedLimiter

pytestmark = pytest.mark.anyio

LIMIT = 100


class Work:
    """Pieces of work on one limiter: which began, and what ends them."""

    def __init__(self) -> None:
        self.limiter = WeightedLimiter(LIMIT)
        self.under_way: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, name: str, weight: int) -> None:
        """Ask for work of the owner that is the name's first letter."""
        self.tasks[name] = asyncio.create_task(self._carry_out(name, weight))
        await settled()

    async def end(self, name: str) -> None:
        self.under_way.pop(name).set()
        await settled()

    async def cancel(self, name: str) -> None:
        self.under_way.pop(name, None)
        self.tasks[name].cancel()
        await settled()

    async def _carry_out(self, name: str, weight: int) -> None:
        async with self.limiter.of(name[0], weight):
            self.under_way[name] = ended = asyncio.Event()
            await ended.wait()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@asynccontextmanager
async def working() -> AsyncIterator[Work]:
    work = Work()
    yield work
    for task in work.tasks.values():
        task.cancel()
    await asyncio.gather(*work.tasks.values(), return_exceptions=True)
    assert work.limiter.used == 0


async def test_work_that_fits_begins_immediately() -> None:
    async with working() as work:
        for owner in "abcd":
            await work.ask(owner, 25)

        assert list(work.under_way) == ["a", "b", "c", "d"]


async def test_work_that_does_not_fit_waits() -> None:
    async with working() as work:
        await work.ask("a", 60)
        await work.ask("b", 41)
        assert list(work.under_way) == ["a"]

        await work.end("a")
        assert list(work.under_way) == ["b"]


async def test_heavy_work_is_not_overtaken_for_ever() -> None:
    async with working() as work:
        await work.ask("a", 60)
        await work.ask("b", 100)
        await work.ask("c", 1)
        assert list(work.under_way) == ["a"]

        await work.end("a")
        assert list(work.under_way) == ["b"]


async def test_work_of_more_than_the_limit_begins_alone() -> None:
    async with working() as work:
        await work.ask("a", 1)
        await work.ask("b", LIMIT + 1)
        assert list(work.under_way) == ["a"]

        await work.end("a")
        assert list(work.under_way) == ["b"]


async def test_an_owner_has_its_share_and_the_rest_is_others() -> None:
    async with working() as work:
        for name in ("a1", "a2", "a3", "b"):
            await work.ask(name, 12)
        assert list(work.under_way) == ["a1", "a2", "b"]

        await work.end("a1")
        assert list(work.under_way) == ["a2", "b", "a3"]


async def test_the_owner_with_the_least_goes_first() -> None:
    async with working() as work:
        await work.ask("a1", 12)
        await work.ask("b1", 80)
        for name in ("a2", "c"):
            await work.ask(name, 12)
        assert list(work.under_way) == ["a1", "b1"]

        await work.end("b1")
        assert list(work.under_way) == ["a1", "c", "a2"]


@pytest.mark.parametrize("name", ["a", "b"])
async def test_work_that_is_cancelled_leaves_its_room(name: str) -> None:
    async with working() as work:
        await work.ask("a", 90)
        await work.ask("b", 90)
        await work.ask("c", 90)
        await work.cancel(name)
        if name == "b":
            await work.end("a")

        assert list(work.under_way) == (["b"] if name == "a" else ["c"])


async def test_work_that_is_cancelled_as_it_begins_leaves_its_room() -> None:
    async with working() as work:
        await work.ask("a", 90)
        await work.ask("b", 90)
        work.under_way.pop("a").set()
        await asyncio.sleep(0)
        work.tasks["b"].cancel()
        await settled()
        await work.ask("c", 90)

        assert list(work.under_way) == ["c"]


@given(steps=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.integers(1, 120)), max_size=30))
@settings(max_examples=30)
def test_no_more_is_under_way_than_the_limit_and_nothing_waits_for_ever(
    steps: list[tuple[str, int, int]],
) -> None:
    async def run() -> None:
        async with working() as work:
            weights: dict[str, int] = {}
            for number, (owner, action, weight) in enumerate(steps):
                if action and work.under_way:
                    name = min(work.under_way)
                    await (work.end(name) if action == 1 else work.cancel(name))
                else:
                    weights[f"{owner}{number}"] = weight
                    await work.ask(f"{owner}{number}", weight)
                used = [weights[name] for name in work.under_way]
                assert work.limiter.used == sum(used)
                assert sum(used) <= LIMIT or len(used) == 1
            for _ in weights:
                if work.under_way:
                    await work.end(min(work.under_way))
            assert all(task.done() for task in work.tasks.values())

    asyncio.run(run())
