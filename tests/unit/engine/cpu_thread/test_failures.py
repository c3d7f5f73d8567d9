"""An error in the CPU thread reaches the owner of the guest it ended, and no other."""

from __future__ import annotations

import asyncio
import threading
import weakref
from contextlib import suppress

import pytest

from alga_runner.engine import Budget, Guest, GuestLimits, LinkedModule
from alga_runner.engine.cpu_thread import CpuThread
from alga_runner.errors import CpuLimit, DeadlineExceeded, GuestTrap
from tests.support.cpu_thread import (
    Refused,
    Start,
    SteppedCpuThread,
    cancel_all,
    failure_of,
    iterate,
    names,
    submit,
)
from tests.support.patience import PASSED

pytestmark = pytest.mark.anyio


async def test_the_cpu_budget_ends_a_guest_with_its_stack_at_the_slice_that_used_it_up(
    stepped: SteppedCpuThread, start: Start, monkeypatch: pytest.MonkeyPatch
):
    readings = iter(range(100))  # 1 s for each slice
    monkeypatch.setattr("alga_runner.engine.cpu_thread.thread_time", lambda: next(readings))
    budget = Budget(cpu_s=2)
    task = await submit(stepped, start("spin"), budget)
    slices = 0
    while not task.done():
        stepped.run_slice()
        slices += 1
        await iterate()

    error = await failure_of(task)
    assert isinstance(error, CpuLimit)
    assert error.frames == budget.stack
    assert names(error.frames) == ["turn", "spin"]
    assert (slices, budget.used_s) == (4, 3)  # the fourth only reads the stack


async def test_the_deadline_ends_a_guest_even_if_the_loop_of_its_owner_is_too_busy_to_recall_it(
    stepped: SteppedCpuThread, start: Start
):
    budget = Budget()
    task = await submit(stepped, start("spin"), budget)
    stepped.run_slice()
    budget.deadline = PASSED

    stepped.run_slice()

    error = await failure_of(task)
    assert isinstance(error, DeadlineExceeded)
    assert names(error.frames) == ["turn", "spin"]


async def test_a_trap_reaches_its_owner_alone(stepped: SteppedCpuThread, start: Start):
    trapping, spinning = start("boom"), start("spin")
    tasks = [await submit(stepped, guest) for guest in (spinning, trapping, start("count"))]
    while not (tasks[1].done() and tasks[2].done()):
        stepped.run_slice()
        await iterate()

    assert isinstance(await failure_of(tasks[1]), GuestTrap)
    assert await tasks[2] is True
    assert not tasks[0].done()
    await cancel_all(stepped, tasks[:1])


async def test_an_exception_of_an_answer_in_the_cpu_thread_reaches_the_owner_unchanged(
    cpu_thread: CpuThread, start: Start
):
    raised: dict[int, Refused] = {}

    def refuse(_function: int, arguments: tuple[int]) -> None:
        raised[arguments[0]] = Refused(threading.current_thread().name)
        raise raised[arguments[0]]

    tasks = [await submit(cpu_thread, start("note", number, answer=refuse)) for number in range(3)]
    errors = [await failure_of(task) for task in tasks]

    assert all(error is raised[number] for number, error in enumerate(errors))
    assert {str(error) for error in errors} == {"alga-runner-cpu"}


async def test_a_fault_of_the_engine_itself_ends_the_guest_it_happened_to_and_no_other(
    stepped: SteppedCpuThread, start: Start, monkeypatch: pytest.MonkeyPatch
):
    def fail(_guest: Guest, *, release_gil: bool) -> tuple[str, ...]:
        raise MemoryError(str(release_gil))

    monkeypatch.setattr(Guest, "interrupt", fail)
    budget = Budget()
    tasks = [await submit(stepped, start("spin"), budget), await submit(stepped, start("spin"))]
    stepped.run_slice()
    stepped.run_slice()
    budget.cpu_s = 0
    stepped.run_slice()

    assert isinstance(await failure_of(tasks[0]), MemoryError)
    assert stepped.run_slice()
    assert not tasks[1].done()
    await cancel_all(stepped, tasks[1:])


async def test_nothing_of_a_guest_is_kept_once_it_is_returned(
    stepped: SteppedCpuThread, linked: LinkedModule, limits: GuestLimits
):
    class Answers:
        def __call__(self, _function: int, _arguments: tuple[int]) -> None:
            raise Refused

    async def live(answers: Answers) -> None:
        with linked.new_guest(limits) as guest:
            guest.instantiate()
            guest.poll()
            guest.answerer = answers
            guest.call("note", 1)
            with suppress(Refused):
                await stepped.run(guest, Budget())

    answers = Answers()
    kept = weakref.ref(answers)
    task = asyncio.get_running_loop().create_task(live(answers))
    del answers
    await iterate()
    while stepped.waiting:
        stepped.run_slice()
    await task

    assert kept() is None, "neither by the CPU thread nor by a cycle for the garbage collector"
