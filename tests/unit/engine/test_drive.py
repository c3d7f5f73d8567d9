"""Guests inside an event loop: where each of their slices runs, and what ends them wherever they are."""

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

pytestmark = pytest.mark.anyio

PASSED = 0.0
"""A deadline that has passed, as a reading of ``time.monotonic()``."""

Run = Callable[..., Awaitable[None]]


@pytest.fixture
def slices(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where each slice ran, in order: ``loop`` or ``beside``."""
    places: list[str] = []
    poll = Guest.poll

    def record(guest: Guest, *, release_gil: bool = False) -> bool:
        places.append("beside" if release_gil else "loop")
        return poll(guest, release_gil=release_gil)

    monkeypatch.setattr(Guest, "poll", record)
    return places


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
    """Whether turns of the loop have time for guests."""

    left = True


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """The clock of turns stands still: they have time as long as ``left`` says so."""
    time, turns = Time(), this_thread.loop_scheduler
    may_continue, admits = turns.may_continue, turns._admits
    monkeypatch.setattr(sys.modules["alga_runner.engine.loop_scheduler"], "monotonic", lambda: 1.0)
    monkeypatch.setattr(turns, "may_continue", lambda: time.left and may_continue())
    monkeypatch.setattr(turns, "_admits", lambda *who, **others: time.left and admits(*who, **others))
    return time


@pytest.fixture
def filling() -> Callable[[int], LinkedModule]:
    """A module whose guests fill that many pages of memory with one instruction."""

    def link(pages: int) -> LinkedModule:
        engine = engine_context.engine(EngineConfig(max_guests=2, max_memory_bytes=16 << 20))
        wat = f"""(module (memory (export "memory") {pages}) (func (export "fill") (param i32)
            (memory.fill (i32.const 0) (local.get 0) (i32.const {pages * 65536}))))"""
        return Linker(engine, []).link(Module(engine, bytes(wat2wasm(wat))))

    return link


async def never(_function: int, _arguments: tuple[Any, ...]) -> None:
    await anyio.sleep_forever()


async def at_once(_function: int, _arguments: tuple[Any, ...]) -> None:
    """An answer that is a coroutine, and does not wait."""


def names(error: ExecutionError) -> list[str]:
    return [frame.function for frame in error.frames]


class TestPlaces:
    async def test_a_guest_nobody_knows_starts_beside_the_loop(
        self, run: Run, unknown: LinkedModule, slices: list[str]
    ):
        await run(unknown, "count")

        assert set(slices) == {"beside"}

    async def test_once_one_was_quick_the_next_runs_on_the_loop(
        self, run: Run, unknown: LinkedModule, slices: list[str]
    ):
        await run(unknown, "count")
        slices.clear()
        await run(unknown, "count")

        assert set(slices) == {"loop"}

    async def test_those_that_arrive_at_once_and_spin_leave_the_loop_alone(
        self, run: Run, unknown: LinkedModule, slices: list[str]
    ):
        async def spin() -> None:
            with pytest.raises(DeadlineExceeded):
                await run(unknown, "spin", budget=Budget(deadline=monotonic() + 0.02))

        async with anyio.create_task_group() as tasks:
            for _ in range(4):  # as many as there are slots
                tasks.start_soon(spin)

        assert set(slices) == {"beside"}

    async def test_one_that_was_cut_off_before_it_computed_says_nothing_of_its_kind(
        self, unknown: LinkedModule, limits: GuestLimits
    ):
        for _ in range(10):
            with Guest(unknown, limits) as guest:
                guest.instantiate()
                with pytest.raises(DeadlineExceeded):
                    await run_call(guest, never, Budget(deadline=PASSED))

        assert unknown.computes

    async def test_those_that_wait_for_a_turn_go_beside_the_loop_once_their_kind_is_seen_to_compute(
        self, run: Run, quick: LinkedModule, slices: list[str], time: Time
    ):
        time.left = False
        waiting = asyncio.ensure_future(run(quick, "count"))
        await asyncio.sleep(0)
        quick.record_run(used_slice=True)
        time.left = True
        await waiting

        assert set(slices) == {"beside"}

    async def test_of_a_burst_that_turns_out_to_spin_few_run_on_the_loop(
        self, quick: LinkedModule, limits: GuestLimits, monkeypatch: pytest.MonkeyPatch
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
        )  # however late the ticks
        async with anyio.create_task_group() as tasks:
            for _ in range(4):  # as many as there are slots
                tasks.start_soon(spin)

        assert len(on_loop) <= 2

    async def test_a_guest_with_quick_host_calls_goes_on_in_its_turn_though_another_waits(
        self, run: Run, quick: LinkedModule, time: Time
    ):
        turns, numbers = this_thread.loop_scheduler, []
        other = turns.wait_to_start()

        async def note(_function: int, _arguments: tuple[Any, ...]) -> None:
            if not numbers:
                time.left = False
                other.send(None)
                time.left = True
            numbers.append(turns.iteration)

        await wait_to_start(Budget())
        await run(quick, "notes", note, argument=5)
        assert turns._queues
        other.close()

        assert len(numbers) == 5
        assert len(set(numbers)) == 1


class TestInterruption:
    """Bulk instructions are not interrupted: ``memory.fill`` of 256 MiB takes 100 ms."""

    @pytest.mark.parametrize(("pages", "holds"), [(1, False), (200, True)])
    @pytest.mark.parametrize("place", ["beside", "loop"])
    async def test_only_a_guest_with_much_memory_is_blamed_for_a_slice_that_took_too_long(
        self, filling, pages: int, holds: bool, place: str, monkeypatch: pytest.MonkeyPatch
    ):
        for module in ("cpu_thread", "drive"):  # any slice took too long
            monkeypatch.setattr(sys.modules[f"alga_runner.engine.{module}"], "OVERRUN_S", 0.0)
        linked = filling(pages)
        while place == "loop" and linked.computes:
            linked.record_run(used_slice=False)
        with Guest(linked, GuestLimits(16 << 20, 10)) as guest:
            guest.instantiate()
            await run_call(guest, never)
            guest.call("fill", 1)
            await run_call(guest, never)

        assert linked.overruns is holds

    @pytest.mark.parametrize(("calls", "holds"), [(900, False), (1_100, True)])
    async def test_only_a_guest_with_many_calls_is_blamed_for_one_in_which_they_were_answered_at_once(
        self, engine: Engine, limits: GuestLimits, calls: int, holds: bool, monkeypatch: pytest.MonkeyPatch
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
        assert linked.overruns is holds

    async def test_a_kind_that_holds_does_not_come_back_to_the_loop_at_a_host_call(
        self, run: Run, quick: LinkedModule, slices: list[str]
    ):
        quick.record_overrun()
        await run(quick, "notes", at_once, argument=5)

        assert set(slices) == {"beside"}

    def test_a_kind_that_held_is_given_another_chance(self, quick: LinkedModule):
        quick.record_overrun()
        runs = 0
        while quick.computes:
            quick.record_run(used_slice=False)
            runs += 1

        assert runs == 1000


class TestRetirement:
    """Giving much memory back takes long: 9 ms for 256 MiB in use."""

    @pytest.fixture
    def filled(self, filling, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Awaitable[Guest]]:
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
    def freed(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """In which threads guests were freed."""
        threads: list[str] = []
        close = Guest.close

        def record(guest: Guest, *, release_gil: bool = False) -> None:
            if guest._store is not None:
                threads.append(threading.current_thread().name)
            close(guest, release_gil=release_gil)

        monkeypatch.setattr(Guest, "close", record)
        return threads

    @pytest.mark.parametrize(("pages", "thread"), [(1, "MainThread"), (200, "alga-runner-cpu")])
    async def test_a_guest_with_much_memory_is_freed_beside_the_loop(
        self, filled, freed: list[str], pages: int, thread: str
    ):
        with await filled(pages) as guest:
            await free_large_guest(guest)

        assert freed == [thread]

    async def test_a_guest_that_is_thrown_away_is_freed_where_that_happens(self, filled, freed: list[str]):
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
        self, filled, freed: list[str]
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

    async def test_without_a_worker_it_is_freed_on_the_loop(
        self, filled, freed: list[str], monkeypatch: pytest.MonkeyPatch
    ):
        guest = await filled(200)
        ended = CpuThread()
        ended.stop()
        monkeypatch.setattr(sys.modules["alga_runner.engine.drive"], "_cpu_thread", ended)
        with guest:
            await free_large_guest(guest)

        assert freed == ["MainThread"]


class TestDeadline:
    async def test_in_a_host_call_it_names_the_call_and_the_stack(self, run: Run, quick: LinkedModule):
        with pytest.raises(DeadlineExceeded) as raised:
            await run(quick, "note", never, Budget(deadline=PASSED))

        assert raised.value.where == {"host_call": "host note"}
        assert names(raised.value) == ["noting"]

    async def test_while_the_guest_computes_it_tells_its_stack(self, run: Run, unknown: LinkedModule):
        budget = Budget()
        task = asyncio.ensure_future(run(unknown, "spin", budget=budget))
        while not budget.used_s:
            await anyio.lowlevel.checkpoint()
        budget.deadline = PASSED

        with pytest.raises(DeadlineExceeded) as raised:
            await task
        assert names(raised.value) == ["turn", "spin"]

    async def test_while_it_waits_for_its_turn_it_says_so_and_takes_no_slice(
        self, run: Run, quick: LinkedModule, slices: list[str], time: Time
    ):
        time.left = False
        with Guest(quick, GuestLimits(1 << 20, 100)) as guest:
            guest.instantiate()
            with pytest.raises(DeadlineExceeded) as raised:
                await run_call(guest, never, Budget(deadline=PASSED))

        assert "waiting to compute" in raised.value.doing
        assert slices == []

    async def test_while_it_waits_to_be_let_in_it_says_so(self, time: Time):
        time.left = False
        with pytest.raises(DeadlineExceeded) as raised:
            await wait_to_start(Budget(deadline=PASSED))

        assert "waiting to compute" in raised.value.doing

    async def test_while_it_waits_for_the_worker_it_says_so(self, unknown: LinkedModule, limits: GuestLimits):
        with Guest(unknown, limits) as guest:
            guest.instantiate()
            with pytest.raises(DeadlineExceeded) as raised:
                await run_call(guest, never, Budget(deadline=PASSED))

        assert "waiting to compute" in raised.value.doing
        assert engine_context.cpu_thread.waiting == 0

    async def test_a_caller_s_own_cancellation_is_not_taken_for_it(self, run: Run, quick: LinkedModule):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await run(quick, "note", never, Budget(deadline=monotonic() + 60))

        assert scope.cancelled_caught


class TestCpuBudget:
    async def test_ends_a_guest_that_computes_with_its_stack(self, run: Run, unknown: LinkedModule):
        budget = Budget(cpu_s=0.002)

        with pytest.raises(CpuLimit, match=r"more than 2 ms of CPU time") as raised:
            await run(unknown, "spin", budget=budget)

        assert names(raised.value) == ["turn", "spin"]

    @pytest.mark.parametrize("place", ["loop", "beside"])
    async def test_ends_a_guest_that_only_calls_the_host_at_a_host_call(
        self, run: Run, quick: LinkedModule, place: str
    ):
        if place == "beside":
            quick.record_run(used_slice=True)

        with pytest.raises(CpuLimit):
            await run(quick, "notes", at_once, Budget(cpu_s=0.001), argument=1 << 30)

    async def test_does_not_count_waiting(self, run: Run, quick: LinkedModule):
        budget = Budget()

        async def wait(_function: int, _arguments: tuple[Any, ...]) -> None:
            await anyio.sleep(0.05)

        await run(quick, "note", wait, budget)

        assert 0 < budget.used_s < 0.05

    async def test_is_one_for_all_that_is_driven_with_it(self, quick: LinkedModule, limits: GuestLimits):
        budget = Budget(cpu_s=0.0)
        with Guest(quick, limits) as guest:
            guest.instantiate()
            await run_call(guest, never, budget)
            guest.call("note", 1)
            with pytest.raises(CpuLimit):
                await run_call(guest, never, budget)


class TestStop:
    """What the runner's end is to its executions."""

    @pytest.mark.parametrize("export", ["note", "spin"])
    async def test_ends_a_guest_wherever_it_waits(self, run: Run, unknown: LinkedModule, export: str):
        budget = Budget()
        task = asyncio.ensure_future(run(unknown, export, never, budget))
        while budget.scope is None:
            await anyio.lowlevel.checkpoint()
        budget.stop()

        with pytest.raises(EngineUnavailable, match="runner stopped"):
            await task
        assert unknown.engine.ticker.live == 0

    async def test_ends_a_guest_that_was_not_waiting_as_soon_as_it_does(self, run: Run, quick: LinkedModule):
        budget = Budget()
        budget.stop()

        with pytest.raises(EngineUnavailable, match="runner stopped"):
            await run(quick, "note", never, budget)
