"""Where the slices of guests inside an event loop run, and where guests are freed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from wasmtime import wat2wasm

from alga_runner.engine import (
    Budget,
    Engine,
    EngineConfig,
    Guest,
    GuestLimits,
    HostFunction,
    LinkedModule,
    Linker,
    Module,
    Signature,
    engine_context,
    free_large_guest,
    run_call,
    this_thread,
    wait_to_start,
)
from alga_runner.engine.cpu_thread import CpuThread
from alga_runner.errors import CpuLimit, DeadlineExceeded
from tests.support.drive import Run, Time, immediately, never
from tests.support.patience import PASSED, keep_guests_on_the_loop

pytestmark = pytest.mark.anyio


@pytest.fixture
def filling() -> Callable[[int], LinkedModule]:
    """A module whose guests fill that many pages with one instruction. Nothing interrupts it: 256 MiB take 100 ms."""

    def link(pages: int) -> LinkedModule:
        engine = engine_context.engine(EngineConfig(max_guests=2, max_memory_bytes=16 << 20))
        wat = f"""(module (memory (export "memory") {pages}) (func (export "fill") (param i32)
            (memory.fill (i32.const 0) (local.get 0) (i32.const {pages * 65536}))))"""
        return Linker(engine, []).link(Module(engine, bytes(wat2wasm(wat))))

    return link


async def test_the_first_guest_of_a_module_starts_in_the_cpu_thread(
    run: Run, unknown: LinkedModule, slices: list[str]
):
    await run(unknown, "count")

    assert set(slices) == {"cpu"}


async def test_after_a_quick_guest_the_next_runs_on_the_loop(
    run: Run, unknown: LinkedModule, slices: list[str], monkeypatch: pytest.MonkeyPatch
):
    keep_guests_on_the_loop(monkeypatch)  # otherwise a slow machine's would not be quick
    await run(unknown, "count")
    slices.clear()
    await run(unknown, "count")

    assert set(slices) == {"loop"}


async def test_first_guests_that_arrive_together_and_spin_never_run_on_the_loop(
    run: Run, unknown: LinkedModule, slices: list[str]
):
    async def spin() -> None:
        with pytest.raises(CpuLimit):
            await run(unknown, "spin", budget=Budget(cpu_s=0.005))

    async with anyio.create_task_group() as tasks:
        for _ in range(4):  # as many as there are slots
            tasks.start_soon(spin)

    assert set(slices) == {"cpu"}


async def test_a_guest_cut_off_before_it_computed_does_not_decide_where_the_next_starts(
    unknown: LinkedModule, limits: GuestLimits
):
    for _ in range(10):
        with unknown.new_guest(limits) as guest:
            guest.instantiate()
            with pytest.raises(DeadlineExceeded):
                await run_call(guest, never, Budget(deadline=PASSED))

    assert unknown.computes


@pytest.mark.parametrize(("cpu_s", "computes"), [(0.0009, False), (0.0011, True)])
async def test_a_guest_in_the_cpu_thread_computes_if_it_would_use_up_two_slices_on_the_loop(
    unknown: LinkedModule, limits: GuestLimits, cpu_s: float, computes: bool, monkeypatch: pytest.MonkeyPatch
):
    async def run_for(_guest: Guest, budget: Budget) -> bool:
        budget.used_s += cpu_s
        return True

    with unknown.new_guest(limits) as guest:
        guest.instantiate()
        await run_call(guest, never)
        unknown.record_run(used_slice=True)
        monkeypatch.setattr(engine_context.cpu_thread, "run", run_for)
        guest.call("count", 1)
        for _ in range(2):  # after one that computed, two that did not
            await run_call(guest, never)

    assert unknown.computes is computes


async def test_guests_that_wait_to_start_go_to_the_cpu_thread_once_another_of_their_module_computed(
    run: Run, quick: LinkedModule, slices: list[str], time: Time
):
    time.left = False
    waiting = asyncio.ensure_future(run(quick, "count"))
    await asyncio.sleep(0)
    quick.record_run(used_slice=True)
    time.left = True
    await waiting

    assert set(slices) == {"cpu"}


async def test_of_a_burst_of_guests_that_spin_few_run_on_the_loop(
    quick: LinkedModule, limits: GuestLimits, monkeypatch: pytest.MonkeyPatch
):
    on_loop: set[int] = set()
    poll = Guest.poll

    def record(guest: Guest, *, release_gil: bool = False) -> bool:
        if guest.memory is not None and not release_gil:
            on_loop.add(id(guest))
        return poll(guest, release_gil=release_gil)

    async def spin() -> None:
        with quick.new_guest(limits) as guest:
            guest.instantiate()
            await run_call(guest, never)
            guest.call("spin", 1)
            with pytest.raises(CpuLimit):
                await run_call(guest, never, Budget(cpu_s=0.005))

    monkeypatch.setattr(Guest, "poll", record)
    monkeypatch.setattr(
        sys.modules["alga_runner.engine.drive"], "FULL_SLICE_S", 0.0
    )  # although a tick may be late
    async with anyio.create_task_group() as tasks:
        for _ in range(4):  # as many as there are slots
            tasks.start_soon(spin)

    assert len(on_loop) <= 2


async def test_a_guest_with_quick_host_calls_continues_in_its_iteration_while_another_waits(
    run: Run, quick: LinkedModule, time: Time, monkeypatch: pytest.MonkeyPatch
):
    keep_guests_on_the_loop(monkeypatch)
    scheduler, iterations = this_thread.loop_scheduler, []
    other = scheduler.wait_to_start()

    async def note(_function: int, _arguments: tuple[Any, ...]) -> None:
        if not iterations:
            time.left = False
            other.send(None)
            time.left = True
        iterations.append(scheduler.iteration)

    await wait_to_start(Budget())
    await run(quick, "notes", note, argument=5)
    assert scheduler._queues
    other.close()

    assert len(iterations) == 5
    assert len(set(iterations)) == 1


@pytest.mark.parametrize(("pages", "overruns"), [(1, False), (200, True)])
@pytest.mark.parametrize("thread", ["cpu", "loop"])
async def test_only_a_guest_with_much_memory_is_recorded_for_an_overrun(
    filling, pages: int, overruns: bool, thread: str, monkeypatch: pytest.MonkeyPatch
):
    for module in ("cpu_thread", "drive"):  # any slice took too long
        monkeypatch.setattr(sys.modules[f"alga_runner.engine.{module}"], "OVERRUN_S", 0.0)
    linked = filling(pages)
    while thread == "loop" and linked.computes:
        linked.record_run(used_slice=False)
    with linked.new_guest(GuestLimits(16 << 20, 10)) as guest:
        guest.instantiate()
        await run_call(guest, never)
        guest.call("fill", 1)
        await run_call(guest, never)

    assert linked.overruns is overruns


@pytest.mark.parametrize(("calls", "overruns"), [(900, False), (1_100, True)])
async def test_only_a_guest_with_many_immediate_calls_is_recorded_for_an_overrun(
    engine: Engine, limits: GuestLimits, calls: int, overruns: bool, monkeypatch: pytest.MonkeyPatch
):
    for module in ("cpu_thread", "drive"):  # any slice took too long
        monkeypatch.setattr(sys.modules[f"alga_runner.engine.{module}"], "OVERRUN_S", 0.0)
    wat = f"""(module (import "host" "tell" (func $tell)) (func (export "tell") {"(call $tell)" * calls}))"""
    tell = HostFunction("host", "tell", Signature(), suspends=False)
    linked = Linker(engine, [tell]).link(Module(engine, bytes(wat2wasm(wat))))
    with linked.new_guest(limits) as guest:
        guest.instantiate()
        await run_call(guest, lambda *_: None)
        guest.call("tell")
        await run_call(guest, lambda *_: None)

    assert guest.calls == calls
    assert linked.overruns is overruns


async def test_a_guest_of_a_module_that_overran_does_not_return_to_the_loop_at_a_host_call(
    run: Run, quick: LinkedModule, slices: list[str]
):
    quick.record_overrun()
    await run(quick, "notes", immediately, argument=5)

    assert set(slices) == {"cpu"}


def test_a_module_that_overran_returns_to_the_loop_after_a_thousand_runs(quick: LinkedModule):
    quick.record_overrun()
    runs = 0
    while quick.computes:
        quick.record_run(used_slice=False)
        runs += 1

    assert runs == 1000


@pytest.fixture
def filled(filling, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Awaitable[Guest]]:
    """A guest that has filled its memory."""
    monkeypatch.setattr(sys.modules["alga_runner.engine.drive"], "OVERRUN_S", 0.0)

    async def fill(pages: int) -> Guest:
        guest = filling(pages).new_guest(GuestLimits(16 << 20, 10))
        guest.instantiate()
        await run_call(guest, never)
        guest.call("fill", 1)
        await run_call(guest, never)
        return guest

    return fill


@pytest.mark.parametrize(("pages", "thread"), [(1, "MainThread"), (200, "alga-runner-cpu")])
async def test_a_guest_with_much_memory_is_freed_in_the_cpu_thread(
    filled, freed: list[str], pages: int, thread: str
):
    with await filled(pages) as guest:
        await free_large_guest(guest)

    assert freed == [thread]


async def test_a_guest_whose_coroutine_is_closed_is_freed_in_the_thread_that_closed_it(
    filled, freed: list[str]
):
    async def live() -> None:
        with guest:
            try:
                await anyio.sleep_forever()
            finally:
                await free_large_guest(guest)

    guest = await filled(200)
    coroutine = live()
    coroutine.send(None)
    coroutine.close()

    assert freed == ["MainThread"]


async def test_a_cancelled_execution_s_guest_is_freed_before_the_cancellation_goes_on(
    filled, freed: list[str]
):
    guest = await filled(200)
    with anyio.CancelScope() as scope, guest:
        scope.cancel()
        try:
            await anyio.lowlevel.checkpoint()
        finally:
            await free_large_guest(guest)

    assert scope.cancelled_caught
    assert freed == ["alga-runner-cpu"]


async def test_without_a_cpu_thread_a_guest_is_freed_on_the_loop(
    filled, freed: list[str], monkeypatch: pytest.MonkeyPatch
):
    guest = await filled(200)
    ended = CpuThread()
    ended.stop()
    monkeypatch.setattr(sys.modules["alga_runner.engine.drive"], "_cpu_thread", ended)
    with guest:
        await free_large_guest(guest)

    assert freed == ["MainThread"]
