"""Who is compiled next: the tenant that used the fewest seconds of late, and always room for a short compilation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import TaskGroup

from alga_runner.engine.compile.compile_queue import (
    HALF_LIFE_S,
    MAX_OWNER_WAITING,
    MAX_WAITING,
    CompileQueue,
)
from alga_runner.errors import Overloaded

pytestmark = pytest.mark.anyio


class Compiling:
    """Compilations that a test ends, on a clock that a test moves."""

    def __init__(self, places: int, tasks: TaskGroup) -> None:
        self.now = 0.0
        self.queue = CompileQueue(places, lambda: self.now)
        self.started: list[str] = []
        self._tasks = tasks
        self._under_way: dict[str, anyio.Event] = {}
        self._scopes: dict[str, anyio.CancelScope] = {}

    async def ask(self, *names: str, slow: bool = False) -> None:
        """Ask for compilations; the owner of ``a1`` is ``a``."""
        for name in names:
            self._tasks.start_soon(self._compile, name, slow)
            await settled()

    async def end(self, name: str, after_s: float = 0.0) -> None:
        self.now += after_s
        self._under_way.pop(name).set()
        await settled()

    @asynccontextmanager
    async def ending(self, name: str) -> AsyncIterator[None]:
        """The moment at which ``name`` has ended, and who is next has a place but does not run yet."""
        self._under_way.pop(name).set()
        while any(turn.owner == name[0] for turn in self.queue._running):
            await anyio.lowlevel.checkpoint()
        yield

    async def give_up(self, name: str) -> None:
        self._scopes[name].cancel()
        await settled()

    async def _compile(self, name: str, slow: bool) -> None:
        with anyio.CancelScope() as self._scopes[name]:
            async with self.queue.place(name[0], slow=slow):
                self.started.append(name)
                self._under_way[name] = anyio.Event()
                await self._under_way[name].wait()


async def settled() -> None:
    for _ in range(5):
        await anyio.lowlevel.checkpoint()


Begin = Callable[[int], Compiling]


@pytest.fixture
async def begin() -> AsyncIterator[Begin]:
    async with anyio.create_task_group() as tasks:
        yield lambda places: Compiling(places, tasks)
        tasks.cancel_scope.cancel()


async def test_a_slow_compilation_never_takes_the_last_place(begin: Begin) -> None:
    compiling = begin(3)

    await compiling.ask("a1", "b1", "c1", slow=True)
    await compiling.ask("d1")

    assert compiling.started == ["a1", "b1", "d1"]


async def test_one_owner_never_takes_the_last_place(begin: Begin) -> None:
    compiling = begin(3)

    await compiling.ask("a1", "a2", "a3")
    await compiling.ask("b1")

    assert compiling.started == ["a1", "a2", "b1"]


async def test_a_single_place_serves_slow_ones_too(begin: Begin) -> None:
    compiling = begin(1)

    await compiling.ask("a1", slow=True)

    assert compiling.started == ["a1"]


async def test_the_owner_that_used_the_fewest_seconds_goes_first(begin: Begin) -> None:
    compiling = begin(1)
    await compiling.ask("a1")
    await compiling.end("a1", after_s=8)
    await compiling.ask("b1")
    await compiling.end("b1", after_s=2)
    await compiling.ask("c1")

    await compiling.ask("a2", "b2", "d1")
    for name in ("c1", "d1", "b2"):
        await compiling.end(name, after_s=1)

    assert compiling.started == ["a1", "b1", "c1", "d1", "b2", "a2"]


async def test_the_seconds_of_a_compilation_under_way_count(begin: Begin) -> None:
    compiling = begin(2)
    await compiling.ask("a1", slow=True)
    compiling.now = 5
    await compiling.ask("b1")
    await compiling.ask("a2", "c1")

    await compiling.end("b1", after_s=1)

    assert compiling.started == ["a1", "b1", "c1"]


async def test_an_owner_with_many_waiting_does_not_keep_another_waiting_longer(begin: Begin) -> None:
    compiling = begin(2)
    await compiling.ask("a1", "a2", "a3", "a4", "a5")
    await compiling.ask("b1")
    await compiling.ask("b2", "c1")

    await compiling.end("a1", after_s=2)

    assert compiling.started == ["a1", "b1", "c1"]


async def test_an_owner_s_own_compilations_keep_their_order(begin: Begin) -> None:
    compiling = begin(1)
    await compiling.ask("a1", "a2", "a3")

    for name in ("a1", "a2"):
        await compiling.end(name, after_s=1)

    assert compiling.started == ["a1", "a2", "a3"]


async def test_old_seconds_count_less(begin: Begin) -> None:
    compiling = begin(1)
    await compiling.ask("a1")
    await compiling.end("a1", after_s=8)
    compiling.now += 2 * HALF_LIFE_S

    assert compiling.queue.used_s("a") == pytest.approx(2)


async def test_a_compilation_that_is_given_up_while_it_waits_takes_no_place(begin: Begin) -> None:
    compiling = begin(1)
    await compiling.ask("a1", "b1", "c1")

    await compiling.give_up("b1")
    await compiling.end("a1")

    assert compiling.started == ["a1", "c1"]


async def test_a_compilation_that_is_given_up_frees_its_place_and_counts(begin: Begin) -> None:
    compiling = begin(1)
    await compiling.ask("a1", "b1")
    compiling.now = 3

    await compiling.give_up("a1")

    assert compiling.started == ["a1", "b1"]
    assert compiling.queue.used_s("a") == 3


async def test_a_place_that_was_given_to_a_cancelled_task_goes_to_the_next(begin: Begin) -> None:
    compiling = begin(1)
    await compiling.ask("a1")
    entering = compiling.queue.place("b", slow=False)
    cancelled = asyncio.ensure_future(entering.__aenter__())
    await settled()
    await compiling.ask("c1")

    async with compiling.ending("a1"):
        cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    await settled()

    assert compiling.started == ["a1", "c1"]


async def test_no_more_than_so_many_of_one_owner_wait(begin: Begin) -> None:
    compiling = begin(1)
    await compiling.ask(*(f"a{number}" for number in range(1 + MAX_OWNER_WAITING)))

    with pytest.raises(Overloaded, match="too many modules of the tenant wait") as raised:
        async with compiling.queue.place("a", slow=False):
            pass

    assert raised.value.of_tenant
    assert raised.value.hint
    await compiling.ask("b1")
    await compiling.end("a0", after_s=1)
    assert compiling.started == ["a0", "b1"]


async def test_no_more_than_so_many_wait_in_total(begin: Begin) -> None:
    compiling = begin(1)
    await compiling.ask(*(f"{chr(200 + number)}1" for number in range(1 + MAX_WAITING)))

    with pytest.raises(Overloaded, match="too many modules wait") as raised:
        async with compiling.queue.place("a", slow=False):
            pass

    assert not raised.value.of_tenant
