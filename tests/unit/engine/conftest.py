"""Guests for the engine alone, without an ABI."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic

import anyio
import anyio.lowlevel
import pytest
from wasmtime import wat2wasm

from alga_runner.engine import (
    Engine,
    EngineConfig,
    GuestLimits,
    HostFunction,
    LinkedModule,
    Linker,
    Module,
    Signature,
    run_call,
)
from alga_runner.engine.context import engine_context
from alga_runner.engine.loop_scheduler import LoopScheduler
from tests.support.clock import FakeMonotonic
from tests.support.patience import PATIENCE_S
from tests.support.processes import is_alive

SLOTS = 4
LIMITS = GuestLimits(memory_bytes=1 << 20, table_elements=100)
FUNCTIONS = (
    HostFunction("host", "ask", Signature("iIfd", "i")),
    HostFunction("host", "note", Signature("i")),
    HostFunction("host", "long", Signature("", "I")),
    HostFunction("host", "single", Signature("", "f")),
    HostFunction("host", "double", Signature("", "d")),
)

WAT = """
(module
  (import "host" "ask" (func $ask (param i32 i64 f32 f64) (result i32)))
  (import "host" "note" (func $note (param i32)))
  (import "host" "long" (func $long (result i64)))
  (import "host" "single" (func $single (result f32)))
  (import "host" "double" (func $double (result f64)))
  (memory (export "memory") 1)
  (func (export "ask") (param i32)
    (i32.store (i32.const 0) (call $ask (i32.const -1) (i64.const -2) (f32.const 1.5) (f64.const -2.5))))
  (func (export "numbers") (param i32)
    (i64.store (i32.const 0) (call $long))
    (f32.store (i32.const 8) (call $single))
    (f64.store (i32.const 16) (call $double)))
  (func $noting (export "note") (param i32) (call $note (local.get 0)))
  (func (export "notes") (param i32)
    (loop $again (call $note (local.get 0))
      (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
  (func $wait (loop (br_if 0 (i32.eqz (i32.load (i32.const 64))))))
  (func (export "work") (param i32)
    (call $wait) (call $note (i32.const 1)) (call $note (i32.const 2)) (call $note (i32.const 3))
    (i32.store (i32.const 64) (i32.const 0))
    (call $wait) (call $note (i32.const 4)))
  (func $turn (loop (br 0)))
  (func $spin (export "spin") (param i32) (call $turn))
  (func (export "boom") (param i32) unreachable)
  (func (export "grow") (param i32) (i32.store (i32.const 0) (memory.grow (local.get 0))))
  (func (export "count") (param i32)
    (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))))
"""

Run = Callable[..., Awaitable[bytes]]


@pytest.fixture(scope="session")
def engine() -> Engine:
    return engine_context.engine(EngineConfig(max_guests=SLOTS, max_memory_bytes=1 << 20))


@pytest.fixture(scope="session")
def linked(engine: Engine) -> LinkedModule:
    return Linker(engine, FUNCTIONS).link(Module(engine, bytes(wat2wasm(WAT))))


@pytest.fixture(scope="session")
def answered(engine: Engine) -> LinkedModule:
    """The same module, whose host calls do not suspend its guests."""
    functions = [replace(function, suspends=False) for function in FUNCTIONS]
    return Linker(engine, functions).link(Module(engine, bytes(wat2wasm(WAT))))


@pytest.fixture
def unknown(engine: Engine) -> LinkedModule:
    """The same module, none of whose guests has run."""
    return Linker(engine, FUNCTIONS).link(Module(engine, bytes(wat2wasm(WAT))))


@pytest.fixture
def quick(unknown: LinkedModule) -> LinkedModule:
    """The same module, whose guests are known to be quick."""
    while unknown.computes:
        unknown.record_run(used_slice=False)
    return unknown


@pytest.fixture
def limits() -> GuestLimits:
    return LIMITS


@pytest.fixture(params=["suspended", "answered immediately"])
def run(request: pytest.FixtureRequest, linked: LinkedModule, answered: LinkedModule) -> Run:
    """Call an export of a fresh guest with 7; gives the first 24 bytes of its memory."""
    suspended = request.param == "suspended"

    async def call(export: str, *answers: object, argument: int = 7) -> bytes:
        def answer(function: int, arguments: Sequence[object]) -> object:
            given = answers[function]
            return given(*arguments) if callable(given) else given

        async def answer_later(function: int, arguments: Sequence[object]) -> object:
            return answer(function, arguments)

        with (linked if suspended else answered).new_guest(LIMITS) as guest:
            answerer = answer_later if suspended else answer
            guest.instantiate()
            await run_call(guest, answerer)
            guest.call(export, argument)
            await run_call(guest, answerer)
            assert guest.memory is not None
            return guest.memory.read(0, 24)

    return call


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeMonotonic:
    """The loop scheduler's clock."""
    clock = FakeMonotonic(1.0)
    monkeypatch.setattr(sys.modules[LoopScheduler.__module__], "monotonic", clock)
    return clock


Jobs = Callable[[], list[int]]
Until = Callable[[Callable[[], object]], Awaitable[None]]


@pytest.fixture
def until() -> Until:
    """Wait until ``condition`` holds."""

    async def wait(condition: Callable[[], object]) -> None:
        until = monotonic() + PATIENCE_S
        while not condition():
            assert monotonic() < until
            await anyio.lowlevel.checkpoint()

    return wait


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    """What the compiler's process has under way; at the end nothing may be."""

    def under_way() -> list[int]:
        process = engine_context.compiler._process
        if process is None:
            return []
        return children(process.pid)

    yield under_way
    until = monotonic() + PATIENCE_S
    while under_way():
        assert monotonic() < until
        os.sched_yield()


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


@pytest.fixture
def alive() -> Callable[[int], bool]:
    """Whether a process is, and has not ended."""
    return is_alive


@pytest.fixture
def open_files() -> Callable[[], int]:
    """How many descriptors this process has open."""
    return lambda: len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names alone
