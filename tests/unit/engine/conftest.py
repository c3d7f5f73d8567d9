"""Guests for the engine alone, without an ABI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import pytest
from wasmtime import wat2wasm

from alga_runner.engine import (
    Engine,
    EngineConfig,
    Guest,
    GuestLimits,
    HostFunction,
    LinkedModule,
    Linker,
    Module,
    Signature,
    drive,
)

SLOTS = 4
ASK, NOTE = 0, 1
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
  (func (export "note") (param i32) (call $note (local.get 0)))
  (func (export "notes") (param i32)
    (loop $again (call $note (local.get 0))
      (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
  (func $burn (local $left i32) (local.set $left (i32.const 20000000))
    (loop (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))
  (func (export "work") (param i32)
    (call $burn) (call $note (i32.const 1)) (call $note (i32.const 2)) (call $note (i32.const 3))
    (call $burn) (call $note (i32.const 4)))
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
    return Engine.get(EngineConfig(max_guests=SLOTS, max_memory_bytes=1 << 20))


@pytest.fixture(scope="session")
def linked(engine: Engine) -> LinkedModule:
    return Linker(engine, FUNCTIONS).link(Module(engine, bytes(wat2wasm(WAT))))


@pytest.fixture
def limits() -> GuestLimits:
    return LIMITS


@pytest.fixture
def run(linked: LinkedModule) -> Run:
    """Call an export of a fresh guest with 7; gives the first 24 bytes of its memory."""

    async def call(export: str, *answers: object, argument: int = 7) -> bytes:
        async def answer(function: int, arguments: Sequence[object]) -> object:
            given = answers[function]
            return given(*arguments) if callable(given) else given

        with Guest(linked, LIMITS) as guest:
            guest.instantiate()
            await drive(guest, answer)
            guest.call(export, argument)
            await drive(guest, answer)
            assert guest.memory is not None
            return guest.memory.read(0, 24)

    return call
