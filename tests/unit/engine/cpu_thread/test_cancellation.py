"""An owner that is cancelled takes its guest back from the CPU thread first."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from alga_runner.engine import Budget
from tests.support.cpu_thread import Start, SteppedCpuThread, iterate, submit
from tests.support.patience import PASSED

pytestmark = pytest.mark.anyio


async def test_a_guest_that_waits_for_a_slice_is_returned_immediately(
    stepped: SteppedCpuThread, start: Start
):
    task = await submit(stepped, start("spin"))

    task.cancel()
    await iterate()

    assert task.cancelled()
    assert not stepped.waiting


async def test_a_guest_that_computes_is_returned_at_the_end_of_its_slice(
    stepped: SteppedCpuThread, start: Start, monkeypatch: pytest.MonkeyPatch
):
    guest = start("spin")
    task = await submit(stepped, guest)
    running = stepped._next_task()
    task.cancel()
    await iterate()
    assert not task.done(), "no thread may touch a guest that another thread runs"
    monkeypatch.setattr(stepped, "_next_task", lambda: running)

    stepped.run_slice()
    await iterate()

    assert task.cancelled()
    assert guest.reclaim is None


async def test_an_owner_cancelled_again_and_again_still_waits_for_the_end_of_the_slice(
    stepped: SteppedCpuThread, start: Start, monkeypatch: pytest.MonkeyPatch
):
    task = await submit(stepped, start("spin"))
    running = stepped._next_task()
    for _ in range(5):
        task.cancel()
        await iterate()
        assert not task.done()
    monkeypatch.setattr(stepped, "_next_task", lambda: running)

    stepped.run_slice()
    await iterate()

    assert task.cancelled()


async def test_a_cancellation_while_a_guest_past_its_deadline_is_returned_is_not_lost(
    stepped: SteppedCpuThread, start: Start, monkeypatch: pytest.MonkeyPatch
):
    async def live() -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await stepped.run(guest, Budget(deadline=PASSED))

    guest, scopes = start("spin"), []
    task = asyncio.get_running_loop().create_task(live())
    await iterate()
    running = stepped._next_task()
    scopes[0].cancel()
    await iterate()
    task.cancel()
    await iterate()
    monkeypatch.setattr(stepped, "_next_task", lambda: running)
    stepped.run_slice()
    await iterate()

    assert task.cancelled()


@pytest.mark.parametrize("export", ["count", "note", "boom"])
async def test_a_cancellation_as_the_guest_finishes_is_a_cancellation(
    stepped: SteppedCpuThread, start: Start, export: str
):
    guest = start(export)
    task = await submit(stepped, guest)
    while guest.reclaim is not None:
        stepped.run_slice()

    task.cancel()
    await iterate()

    assert task.cancelled()
    assert guest.reclaim is None


async def test_a_guest_that_never_computed_has_no_stack_to_wait_for(stepped: SteppedCpuThread, start: Start):
    budget = Budget(deadline=PASSED)
    task = await submit(stepped, start("spin"), budget)

    task.cancel()
    await iterate()

    assert task.cancelled()
    assert budget.stack == ()
