"""Owners queue the event loop's turns and the worker's time, however much each asks for."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter

import anyio
import anyio.lowlevel
import pytest

from alga_runner.engine import Budget
from alga_runner.engine.cpu_thread import CpuTask, CpuThread
from alga_runner.engine.loop_scheduler import GUEST_TIME_S, OWNER_TIME_S, LoopScheduler
from tests.support.clock import FakeMonotonic

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeMonotonic:
    clock = FakeMonotonic(1.0)
    monkeypatch.setattr(sys.modules[LoopScheduler.__module__], "monotonic", clock)
    return clock


class Guests:
    """Guests of owners that take turns of the loop, with a clock that only they move."""

    def __init__(self, clock: FakeMonotonic) -> None:
        self.turns = LoopScheduler()
        self.clock = clock
        self.ran: list[tuple[int, str]] = []

    async def run(self, owner: str, guests: int, slice_s: float) -> None:
        """Guests one after the other, each of one slice."""
        for _ in range(guests):
            await self.turns.wait_to_start(owner)
            self.clock.now += slice_s
            self.ran.append((self.turns.iteration, owner))


@pytest.fixture
def guests(clock: FakeMonotonic) -> Guests:
    return Guests(clock)


async def test_an_owner_who_comes_finds_room_in_a_turn_that_another_has_begun(
    guests: Guests, clock: FakeMonotonic
):
    assert guests.turns.may_start("flood")
    clock.now += OWNER_TIME_S

    assert not guests.turns.may_start("flood")
    assert guests.turns.may_start("light")


async def test_an_owner_starts_several_guests_while_its_share_lasts(guests: Guests, clock: FakeMonotonic):
    assert guests.turns.may_start("busy")
    clock.now += OWNER_TIME_S / 2

    assert guests.turns.may_start("busy")


async def test_not_even_one_who_comes_finds_room_once_the_turn_is_over(guests: Guests, clock: FakeMonotonic):
    assert guests.turns.may_start("flood")
    clock.now += GUEST_TIME_S

    assert not guests.turns.may_start("light")


async def test_who_comes_does_not_wait_behind_the_guests_of_another(guests: Guests):
    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(guests.run, "flood", 1, OWNER_TIME_S)
        await asyncio.sleep(0)
        before = len(guests.ran)
        tasks.start_soon(guests.run, "light", 1, OWNER_TIME_S)

    assert "light" in [owner for _, owner in guests.ran[before : before + 3]]


async def test_in_a_turn_each_owner_who_waits_has_something(guests: Guests):
    async with anyio.create_task_group() as tasks:
        for _ in range(30):
            tasks.start_soon(guests.run, "flood", 1, OWNER_TIME_S)
        for owner in ("a", "b", "c"):
            tasks.start_soon(guests.run, owner, 5, OWNER_TIME_S)

    turns: dict[int, Counter[str]] = {}
    for number, owner in guests.ran:
        turns.setdefault(number, Counter())[owner] += 1
    assert list(turns.values())[:5] == [Counter(["flood", "a", "b", "c"])] * 5


async def test_many_owners_have_something_every_few_turns(guests: Guests):
    owners = [f"owner {number}" for number in range(40)]
    async with anyio.create_task_group() as tasks:
        for owner in owners:
            tasks.start_soon(guests.run, owner, 5, GUEST_TIME_S / 10)

    for start in range(0, len(guests.ran), 40):
        counts = Counter(owner for _, owner in guests.ran[: start + 40])
        assert max(counts.values()) - min(counts[owner] for owner in owners) <= 2


async def test_guests_that_wait_leave_room_for_a_cancellation(guests: Guests):
    """Whoever is called again and again before it could be cancelled could never be."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(guests.run, "a", 10**6, GUEST_TIME_S)
        with anyio.fail_after(5):
            with anyio.CancelScope() as scope:
                tasks.start_soon(_cancel_soon, scope)
                await guests.run("b", 10**6, GUEST_TIME_S)
        assert scope.cancelled_caught
        tasks.cancel_scope.cancel()


async def _cancel_soon(scope: anyio.CancelScope) -> None:
    for _ in range(3):
        await anyio.lowlevel.checkpoint()
    scope.cancel()


async def test_a_line_of_guests_that_were_all_cancelled_is_dropped(guests: Guests, clock: FakeMonotonic):
    assert guests.turns.may_start("a")
    clock.now += GUEST_TIME_S
    gone = [asyncio.ensure_future(guests.turns.wait_to_start("a")) for _ in range(3)]
    await asyncio.sleep(0)
    for one in gone:
        one.cancel()
    guests.turns._begin_iteration(asyncio.get_running_loop())

    await asyncio.wait(gone)

    assert not guests.turns._queues
    assert guests.turns.may_start("a")


# ---- The worker


class Order:
    """The worker's choice of the next slice, without its thread."""

    def __init__(self) -> None:
        self.worker = CpuThread()
        self.chosen: list[str] = []

    def lend(self, owner: str) -> None:
        self.worker._queue_of(task := _task(owner)).first.append(task)

    def run(self, slices: int, slice_s: float = 0.001) -> None:
        """Choose and run slices; nothing is ever done."""
        for _ in range(slices):
            task = self.worker._next_task()
            assert task is not None
            self.chosen.append(task.budget.owner)
            queue = self.worker._queue_of(task)
            queue.used_s += slice_s
            queue.later.append(task)


def _task(owner: str) -> CpuTask:
    return CpuTask(None, Budget(owner=owner))  # type: ignore[arg-type] # it is never run


async def test_owners_share_the_worker_however_many_guests_each_lent():
    order = Order()
    for _ in range(50):
        order.lend("flood")
    order.lend("a")
    order.lend("b")

    order.run(300)

    assert max(Counter(order.chosen).values()) - min(Counter(order.chosen).values()) <= 3


async def test_an_owner_who_lent_nothing_for_a_while_is_served_next_task():
    order = Order()
    for _ in range(50):
        order.lend("flood")
    order.run(100)

    order.lend("light")
    order.run(3)

    assert order.chosen[100:102] == ["light", "light"]


async def test_one_that_comes_and_goes_gains_nothing_by_it():
    order = Order()
    for _ in range(50):
        order.lend("flood")
    order.lend("restless")
    used = Counter[str]()
    for _ in range(400):
        task = order.worker._next_task()
        assert task is not None
        used[task.budget.owner] += 1
        queue = order.worker._queue_of(task)
        queue.used_s += 0.001
        if task.budget.owner == "flood":
            queue.later.append(task)
        else:
            order.lend("restless")  # ended, and another begins

    assert abs(used["flood"] - used["restless"]) <= 5


async def test_owners_who_left_are_forgotten():
    order = Order()
    order.lend("stays")
    for number in range(1_000):
        order.lend(f"tenant {number}")
        while (task := order.worker._next_task()) is not None and task.budget.owner == "stays":
            queue = order.worker._queue_of(task)
            queue.used_s += 0.001
            queue.later.append(task)

    assert len(order.worker._queues) <= 70
