"""What the host computes to answer a guest is the guest's time, and its owner's."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import anyio
import pytest
from wasmtime import wat2wasm

from alga_common.sharing.large_work import LargeWorkQueue
from alga_runner.engine import (
    Budget,
    Engine,
    HostFunction,
    LinkedModule,
    Linker,
    Module,
    Signature,
    run_call,
    work_in_turn,
)
from alga_runner.errors import CpuLimit
from tests.support.clock import FakeMonotonic
from tests.support.cpu_thread import iterate
from tests.support.drive import Run, immediately, never

pytestmark = pytest.mark.anyio

COSTS_S = 0.001


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeMonotonic:
    """The clock of slices and answers, of both kinds: slices take none of it."""
    clock, drive = FakeMonotonic(1.0), sys.modules["alga_runner.engine.drive"]
    monkeypatch.setattr(drive, "monotonic", clock)
    monkeypatch.setattr(drive, "thread_time", clock)
    return clock


@pytest.fixture
def costly(clock: FakeMonotonic):
    """An answer that computes for a millisecond."""

    async def answer(_function: int, _arguments: tuple[Any, ...]) -> None:
        clock.now += COSTS_S

    return answer


async def test_answers_that_compute_use_up_the_budget(run: Run, either: LinkedModule, costly):
    budget = Budget(cpu_s=0.05)
    with pytest.raises(CpuLimit):
        await run(either, "notes", costly, budget, argument=10_000)

    assert budget.used_s == pytest.approx(0.05, abs=2 * COSTS_S)


async def test_an_answer_that_only_waits_uses_none_of_it(run: Run, quick: LinkedModule, clock: FakeMonotonic):
    async def answer(_function: int, _arguments: tuple[Any, ...]) -> None:
        await anyio.lowlevel.checkpoint()

    async def time_passes() -> None:
        while True:
            clock.now += 1.0
            await anyio.lowlevel.checkpoint()

    budget = Budget(cpu_s=0.05)
    passing = asyncio.ensure_future(time_passes())
    await run(quick, "notes", answer, budget, argument=20)
    passing.cancel()

    assert clock.now > 10
    assert budget.used_s < 0.05


async def test_what_an_answer_computes_between_two_waits_counts(
    run: Run, either: LinkedModule, clock: FakeMonotonic
):
    async def answer(_function: int, _arguments: tuple[Any, ...]) -> None:
        for _ in range(3):
            clock.now += COSTS_S
            await anyio.lowlevel.checkpoint()

    budget = Budget()
    await run(either, "note", answer, budget)

    assert budget.used_s == pytest.approx(3 * COSTS_S)


async def test_an_answer_that_is_cancelled_is_cancelled_inside(run: Run, quick: LinkedModule):
    ended: list[str] = []

    async def answer(function: int, arguments: tuple[Any, ...]) -> None:
        try:
            await never(function, arguments)
        finally:
            ended.append("answer")

    task = asyncio.ensure_future(run(quick, "note", answer))
    await iterate()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert ended == ["answer"]


async def test_the_owner_of_large_answers_waits_before_the_next(
    run: Run, either: LinkedModule, clock: FakeMonotonic
):
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(round(seconds, 6))
        clock.now += seconds

    async def answer(_function: int, _arguments: tuple[Any, ...]) -> None:
        clock.now += 0.016

    large_work = LargeWorkQueue(clock, sleep)
    await run(either, "notes", answer, Budget(owner="acme", large_work=large_work), argument=4)

    # Whether the first took the thread's time or the system's is not known.
    assert slept == [0.032, 0.032]


async def test_answers_that_only_seemed_large_have_no_one_wait(
    run: Run, either: LinkedModule, clock: FakeMonotonic, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys.modules["alga_runner.engine.drive"], "thread_time", lambda: 0.0)

    async def answer(_function: int, _arguments: tuple[Any, ...]) -> None:
        clock.now += 0.016  # the system let others run

    large_work = LargeWorkQueue(clock, lambda _: never(0, ()))
    await run(either, "notes", answer, Budget(owner="acme", large_work=large_work), argument=4)

    assert "acme" in large_work.known


async def test_what_an_answer_did_in_its_owner_s_turn_counts_once(
    run: Run, either: LinkedModule, clock: FakeMonotonic
):
    async def sleep(seconds: float) -> None:
        clock.now += seconds

    large_work = LargeWorkQueue(clock, sleep)

    def work() -> None:
        clock.now += 0.016

    async def answer(_function: int, _arguments: tuple[Any, ...]) -> None:
        await large_work.run("acme", work)

    await run(either, "notes", answer, Budget(owner="acme", large_work=large_work), argument=3)

    assert large_work.charged_s == pytest.approx(3 * 0.016)


async def test_work_for_a_guest_that_took_long_has_its_owner_rest_and_is_charged(clock: FakeMonotonic):
    async def sleep(seconds: float) -> None:
        slept.append(round(seconds, 6))
        clock.now += seconds

    def work() -> str:
        clock.now += 0.016
        return "done"

    slept: list[float] = []
    budget = Budget(owner="acme", large_work=LargeWorkQueue(clock, sleep))

    assert [await work_in_turn(budget, work) for _ in range(2)] == ["done", "done"]
    assert slept == [0.032]
    assert budget.used_s == pytest.approx(0.032)


async def test_another_owner_does_not_wait(run: Run, quick: LinkedModule, clock: FakeMonotonic):
    large_work = LargeWorkQueue(clock, lambda _: never(0, ()))
    large_work.record("acme", 10.0)
    await run(quick, "notes", immediately, Budget(owner="globex", large_work=large_work), argument=4)

    assert large_work.rests("acme")


TELL = HostFunction("host", "tell", Signature("i", "i"), only_if_long=True)
STRAIGHT = """(module (import "host" "tell" (func $tell (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "tell") (i32.store (i32.const 0) (i32.add (call $tell (i32.const 3)) (call $tell (i32.const 4))))))"""


@pytest.mark.parametrize("long", [False, True])
async def test_a_function_that_may_take_long_suspends_its_guest_only_then(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, long: bool
):
    async def later(value: int) -> int:
        return value

    def answer(_function: int, arguments: tuple[int, ...]) -> Any:
        return later(arguments[0]) if long else arguments[0]

    suspended: list[int] = []
    linked = Linker(engine, [TELL]).link(Module(engine, bytes(wat2wasm(STRAIGHT))))
    with linked.new_guest(engine.limits) as guest:
        kind = type(guest)
        suspend = kind.suspend
        monkeypatch.setattr(
            kind, "suspend", lambda guest, *call: (suspended.append(call[0]), suspend(guest, *call))
        )
        guest.instantiate()
        await run_call(guest, answer)
        guest.call("tell")
        await run_call(guest, answer)

        assert guest.memory is not None
        assert guest.memory.read(0, 1) == b"\x07"
        assert guest.calls == 2
        assert len(suspended) == (2 if long else 0)
