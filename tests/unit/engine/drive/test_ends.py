"""What ends a guest inside an event loop, wherever it is."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

import anyio
import pytest

from alga_runner.engine import (
    Budget,
    GuestLimits,
    LinkedModule,
    engine_context,
    run_call,
    wait_to_start,
)
from alga_runner.errors import CpuLimit, DeadlineExceeded, EngineUnavailable, ExecutionError
from tests.support.clock import FakeMonotonic
from tests.support.drive import Run, Time, immediately, never
from tests.support.patience import PASSED

pytestmark = pytest.mark.anyio


def names(error: ExecutionError) -> list[str]:
    return [frame.function for frame in error.frames]


async def test_a_deadline_in_a_host_call_names_the_call_and_the_stack(run: Run, quick: LinkedModule):
    with pytest.raises(DeadlineExceeded) as raised:
        await run(quick, "note", never, Budget(deadline=PASSED))

    assert raised.value.where == {"host_call": "host note"}
    assert names(raised.value) == ["noting"]


async def test_a_deadline_while_the_guest_computes_has_its_stack(run: Run, unknown: LinkedModule):
    budget = Budget()
    task = asyncio.ensure_future(run(unknown, "spin", budget=budget))
    while not budget.used_s:
        await anyio.lowlevel.checkpoint()
    budget.deadline = PASSED

    with pytest.raises(DeadlineExceeded) as raised:
        await task
    assert names(raised.value) == ["turn", "spin"]


async def test_a_deadline_while_the_guest_waits_to_run_gives_that_reason_and_takes_no_slice(
    run: Run, quick: LinkedModule, slices: list[str], time: Time
):
    time.left = False
    with quick.new_guest(GuestLimits(1 << 20, 100)) as guest:
        guest.instantiate()
        with pytest.raises(DeadlineExceeded) as raised:
            await run_call(guest, never, Budget(deadline=PASSED))

    assert "waiting to compute" in raised.value.doing
    assert slices == []


async def test_a_deadline_while_an_execution_waits_to_start_gives_that_reason(time: Time):
    time.left = False
    with pytest.raises(DeadlineExceeded) as raised:
        await wait_to_start(Budget(deadline=PASSED))

    assert "waiting to compute" in raised.value.doing


async def test_a_deadline_while_the_guest_waits_for_the_cpu_thread_gives_that_reason(
    unknown: LinkedModule, limits: GuestLimits
):
    with unknown.new_guest(limits) as guest:
        guest.instantiate()
        with pytest.raises(DeadlineExceeded) as raised:
            await run_call(guest, never, Budget(deadline=PASSED))

    assert "waiting to compute" in raised.value.doing
    assert engine_context.cpu_thread.waiting == 0


async def test_a_caller_s_own_cancellation_is_not_taken_for_a_deadline(run: Run, quick: LinkedModule):
    with anyio.CancelScope() as scope:
        scope.cancel()
        await run(quick, "note", never, Budget(deadline=monotonic() + 60))

    assert scope.cancelled_caught


async def test_the_cpu_budget_ends_a_guest_that_computes_with_its_stack(run: Run, unknown: LinkedModule):
    budget = Budget(cpu_s=0.002)

    with pytest.raises(CpuLimit, match=r"more than 2 ms of CPU time") as raised:
        await run(unknown, "spin", budget=budget)

    assert names(raised.value) == ["turn", "spin"]


@pytest.mark.parametrize("thread", ["loop", "cpu"])
async def test_the_cpu_budget_ends_a_guest_that_only_calls_the_host_at_a_host_call(
    run: Run, quick: LinkedModule, thread: str
):
    if thread == "cpu":
        quick.record_run(used_slice=True)

    with pytest.raises(CpuLimit):
        await run(quick, "notes", immediately, Budget(cpu_s=0.001), argument=1 << 30)


async def test_the_cpu_budget_does_not_count_waiting(
    run: Run, quick: LinkedModule, monkeypatch: pytest.MonkeyPatch
):
    budget, clock = Budget(), FakeMonotonic(1.0)

    def a_moment_later() -> float:
        clock.now += 1e-6
        return clock.now

    async def pass_time() -> None:
        clock.now += 60

    async def wait(_function: int, _arguments: tuple[Any, ...]) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pass_time)

    for reads in ("monotonic", "thread_time"):
        monkeypatch.setattr(f"alga_runner.engine.drive.{reads}", a_moment_later)
    await run(quick, "note", wait, budget)

    assert 0 < budget.used_s < 1


async def test_calls_of_one_guest_share_a_cpu_budget(quick: LinkedModule, limits: GuestLimits):
    budget = Budget(cpu_s=0.0)
    with quick.new_guest(limits) as guest:
        guest.instantiate()
        await run_call(guest, never, budget)
        guest.call("note", 1)
        with pytest.raises(CpuLimit):
            await run_call(guest, never, budget)


@pytest.mark.parametrize("export", ["note", "spin"])
async def test_a_stop_ends_a_guest_wherever_it_waits(run: Run, unknown: LinkedModule, export: str):
    budget = Budget()
    task = asyncio.ensure_future(run(unknown, export, never, budget))
    while budget.scope is None:
        await anyio.lowlevel.checkpoint()
    budget.stop()

    with pytest.raises(EngineUnavailable, match="runner stopped"):
        await task
    assert unknown.engine.ticker.live == 0


async def test_a_stop_ends_a_guest_that_was_not_waiting_as_soon_as_it_does(run: Run, quick: LinkedModule):
    budget = Budget()
    budget.stop()

    with pytest.raises(EngineUnavailable, match="runner stopped"):
        await run(quick, "note", never, budget)
