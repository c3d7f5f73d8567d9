"""Guests inside an event loop: where their slices run, and what ends a guest wherever it is."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable
from time import monotonic
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
from alga_runner.errors import CpuLimit, DeadlineExceeded, EngineUnavailable, ExecutionError
from tests.support.patience import PASSED

pytestmark = pytest.mark.anyio

Run = Callable[..., Awaitable[None]]


@pytest.fixture
def slices(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where each slice ran, in order: ``loop``, or ``cpu`` for the CPU thread."""
    threads: list[str] = []
    poll = Guest.poll

    def record(guest: Guest, *, release_gil: bool = False) -> bool:
        threads.append("cpu" if release_gil else "loop")
        return poll(guest, release_gil=release_gil)

    monkeypatch.setattr(Guest, "poll", record)
    return threads


@pytest.fixture
def run(limits: GuestLimits) -> Run:
    """Instantiate a fresh guest, call an export of it, and close it."""

    async def call(
        linked: LinkedModule, export: str, answer: Any = None, budget: Budget | None = None, argument: int = 1
    ) -> None:
        with Guest(linked, limits) as guest:
            guest.instantiate()
            await run_call(guest, answer)
            guest.call(export, argument)
            await run_call(guest, answer, budget)

    return call


class Time:
    """Whether iterations of the loop have time for guests."""

    left = True


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """The loop scheduler's clock does not move: iterations have time while ``left`` is true."""
    time, scheduler = Time(), this_thread.loop_scheduler
    may_continue, admits = scheduler.may_continue, scheduler._admits
    monkeypatch.setattr(sys.modules["alga_runner.engine.loop_scheduler"], "monotonic", lambda: 1.0)
    monkeypatch.setattr(scheduler, "may_continue", lambda: time.left and may_continue())
    monkeypatch.setattr(scheduler, "_admits", lambda *who, **others: time.left and admits(*who, **others))
    return time


@pytest.fixture
def filling() -> Callable[[int], LinkedModule]:
    """A module whose guests fill that many pages with one instruction. Nothing interrupts it: 256 MiB take 100 ms."""

    def link(pages: int) -> LinkedModule:
        engine = engine_context.engine(EngineConfig(max_guests=2, max_memory_bytes=16 << 20))
        wat = f"""(module (memory (export "memory") {pages}) (func (export "fill") (param i32)
            (memory.fill (i32.const 0) (local.get 0) (i32.const {pages * 65536}))))"""
        return Linker(engine, []).link(Module(engine, bytes(wat2wasm(wat))))

    return link


async def never(_function: int, _arguments: tuple[Any, ...]) -> None:
    await anyio.sleep_forever()


async def immediately(_function: int, _arguments: tuple[Any, ...]) -> None:
    """An answer that is a coroutine, and does not wait."""


def names(error: ExecutionError) -> list[str]:
    return [frame.function for frame in error.frames]


async def test_the_first_guest_of_a_module_starts_in_the_cpu_thread(
    run: Run, unknown: LinkedModule, slices: list[str]
):
    await run(unknown, "count")

    assert set(slices) == {"cpu"}


async def test_after_a_quick_guest_the_next_runs_on_the_loop(
    run: Run, unknown: LinkedModule, slices: list[str]
):
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
        with Guest(unknown, limits) as guest:
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

    with Guest(unknown, limits) as guest:
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
        with Guest(quick, limits) as guest:
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
    run: Run, quick: LinkedModule, time: Time
):
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
    with Guest(linked, GuestLimits(16 << 20, 10)) as guest:
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
    with Guest(linked, limits) as guest:
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
        guest = Guest(filling(pages), GuestLimits(16 << 20, 10))
        guest.instantiate()
        await run_call(guest, never)
        guest.call("fill", 1)
        await run_call(guest, never)
        return guest

    return fill


@pytest.fixture
def freed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads in which guests were freed."""
    threads: list[str] = []
    close = Guest.close

    def record(guest: Guest, *, release_gil: bool = False) -> None:
        if guest._store is not None:
            threads.append(threading.current_thread().name)
        close(guest, release_gil=release_gil)

    monkeypatch.setattr(Guest, "close", record)
    return threads


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
    with Guest(quick, GuestLimits(1 << 20, 100)) as guest:
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
    with Guest(unknown, limits) as guest:
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


async def test_the_cpu_budget_does_not_count_waiting(run: Run, quick: LinkedModule):
    budget = Budget()

    async def wait(_function: int, _arguments: tuple[Any, ...]) -> None:
        await anyio.sleep(0.05)

    await run(quick, "note", wait, budget)

    assert 0 < budget.used_s < 0.05


async def test_calls_of_one_guest_share_a_cpu_budget(quick: LinkedModule, limits: GuestLimits):
    budget = Budget(cpu_s=0.0)
    with Guest(quick, limits) as guest:
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
