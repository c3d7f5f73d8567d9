"""The CPU thread runs slices in an order that starves no guest."""

from __future__ import annotations

import pytest

from alga_runner.engine import Budget, Guest
from tests.support.cpu_thread import Start, SteppedCpuThread, cancel_all, iterate, names, submit
from tests.support.patience import PASSED

pytestmark = pytest.mark.anyio


async def test_guests_that_go_on_computing_take_slices_in_turn(
    stepped: SteppedCpuThread, start: Start, polled: list[Guest]
):
    guests = [start("spin") for _ in range(3)]
    tasks = [await submit(stepped, guest) for guest in guests]
    polled.clear()
    for _ in range(6):
        stepped.run_slice()

    assert [guests.index(guest) for guest in polled] == [0, 1, 2, 0, 1, 2]
    await cancel_all(stepped, tasks)


async def test_a_new_guest_goes_before_those_that_go_on_computing(
    stepped: SteppedCpuThread, start: Start, polled: list[Guest]
):
    spinning = [await submit(stepped, start("spin")) for _ in range(3)]
    for _ in range(3):
        stepped.run_slice()
    quick = start("count")
    tasks = [*spinning, await submit(stepped, quick)]

    stepped.run_slice()

    assert polled[-1] is quick
    await cancel_all(stepped, tasks)


async def test_an_endless_series_of_new_guests_does_not_starve_one_that_computes(
    stepped: SteppedCpuThread, start: Start, polled: list[Guest]
):
    spinning = start("spin")
    tasks = [await submit(stepped, spinning)]
    stepped.run_slice()
    served: list[Guest] = []
    for _ in range(10):
        if stepped.waiting < 2:
            tasks.append(await submit(stepped, start("spin")))
        stepped.run_slice()
        served.append(polled[-1])
        if served[-1] is not spinning:  # it ends, and the next one arrives
            tasks[-1].cancel()
            await iterate()
            served[-1].close()

    assert served.count(spinning) == 2
    await cancel_all(stepped, tasks)


async def test_a_guest_past_its_deadline_does_not_wait_behind_those_that_compute(
    stepped: SteppedCpuThread, start: Start
):
    others = [await submit(stepped, start("spin")) for _ in range(3)]
    budget = Budget()
    late = await submit(stepped, start("spin"), budget)
    for _ in range(4):
        stepped.run_slice()
    budget.deadline = PASSED
    late.cancel()
    await iterate()

    stepped.run_slice()
    stepped.run_slice()  # one of the others may have been next
    await iterate()

    assert late.cancelled()
    assert names(budget.stack) == ["turn", "spin"]
    await cancel_all(stepped, others)
