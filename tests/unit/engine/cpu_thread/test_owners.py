"""Owners share the CPU thread, however many guests each has submitted."""

from __future__ import annotations

from collections import Counter

import pytest

from alga_runner.engine import Budget
from alga_runner.engine.cpu_thread import CpuTask, CpuThread

pytestmark = pytest.mark.anyio


class Order:
    """The CPU thread's choice of the next slice, without its thread."""

    def __init__(self) -> None:
        self.cpu_thread = CpuThread()
        self.chosen: list[str] = []

    def submit(self, owner: str) -> None:
        self.cpu_thread._queue_of(task := _task(owner)).first.append(task)

    def run(self, slices: int, slice_s: float = 0.001) -> None:
        """Choose and run slices of guests that go on computing."""
        for _ in range(slices):
            task = self.cpu_thread._next_task()
            assert task is not None
            self.chosen.append(task.budget.owner)
            queue = self.cpu_thread._queue_of(task)
            queue.used_s += slice_s
            queue.later.append(task)


def _task(owner: str) -> CpuTask:
    return CpuTask(None, Budget(owner=owner))  # type: ignore[arg-type] # it is never run


async def test_owners_have_equal_time_however_many_guests_each_submitted():
    order = Order()
    for _ in range(50):
        order.submit("flood")
    order.submit("a")
    order.submit("b")

    order.run(300)

    assert max(Counter(order.chosen).values()) - min(Counter(order.chosen).values()) <= 3


async def test_an_owner_who_submitted_nothing_for_a_while_is_served_next():
    order = Order()
    for _ in range(50):
        order.submit("flood")
    order.run(100)

    order.submit("light")
    order.run(3)

    assert order.chosen[100:102] == ["light", "light"]


async def test_an_owner_of_many_short_guests_gains_no_time_by_it():
    order = Order()
    for _ in range(50):
        order.submit("flood")
    order.submit("restless")
    used = Counter[str]()
    for _ in range(400):
        task = order.cpu_thread._next_task()
        assert task is not None
        used[task.budget.owner] += 1
        queue = order.cpu_thread._queue_of(task)
        queue.used_s += 0.001
        if task.budget.owner == "flood":
            queue.later.append(task)
        else:
            order.submit("restless")  # it ended, and the next one is submitted

    assert abs(used["flood"] - used["restless"]) <= 5


async def test_owners_without_guests_are_forgotten():
    order = Order()
    order.submit("stays")
    for number in range(1_000):
        order.submit(f"tenant {number}")
        while (task := order.cpu_thread._next_task()) is not None and task.budget.owner == "stays":
            queue = order.cpu_thread._queue_of(task)
            queue.used_s += 0.001
            queue.later.append(task)

    assert len(order.cpu_thread._queues) <= 70
