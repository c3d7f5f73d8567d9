"""What aborts a process in wasmtime does not in the product: each hazard is tried in a process of its own.

docs/design/components.md, Hazards, has them.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from wasmtime import wat2wasm

from alga_runner import Observation, Runner, Settings
from alga_runner.bundles import MemoryBundles
from alga_runner.engine import (
    Component,
    ComponentGuest,
    LinkedComponent,
    Unlowerable,
    ValueType,
)
from alga_runner.errors import AlgaError, ExecutionError, MessageLimit
from tests.stress.resident import resident_kb
from tests.support.bundles import make_bundle
from tests.support.component_relay import LIBC, relay
from tests.support.component_world import world_component
from tests.support.components import call, calling, component, component_engine, handler, instance, linked
from tests.support.patience import PATIENCE_S
from tests.support.requests import execute_request

ROOT = Path(__file__).parents[4]
MIB = 1024 * 1024
STREAM = """(component
  (type $s (stream u8))
  (import "test:host/api" (instance $host (export "take" (func (param "x" (stream u8))))))
  (core func $new (canon stream.new $s)) (core func $take (canon lower (func $host "take")))
  (core module $m (import "" "new" (func $new (result i64))) (import "" "take" (func $take (param i32)))
    (func (export "run") (call $take (i32.wrap_i64 (call $new)))))
  (core instance $m (instantiate $m (with "" (instance (export "new" (func $new)) (export "take" (func $take))))))
  (func (export "run") (canon lift (core func $m "run"))))"""
WAITS = calling(
    '(import "host" "call" (func $call)) (func (export "run") (call $call) (loop (br 0)))', "(func)"
)
MEMORY = """(memory (export "memory") 1)
  (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 16)"""
ADAPTED = f"""(component
  (component $callee
    (core module $m {MEMORY} (func (export "f") (param i32 i32) (result i32) (local.get 1)))
    (core instance $m (instantiate $m))
    (func (export "f") (param "text" string) (result u32) (canon lift (core func $m "f")
      (memory (core memory $m "memory")) (realloc (core func $m "realloc")))))
  (instance $callee (instantiate $callee))
  (component $caller
    (import "f" (func $f (param "text" string) (result u32)))
    (core module $libc {MEMORY}) (core instance $libc (instantiate $libc))
    (core func $f (canon lower (func $f) (memory (core memory $libc "memory"))))
    (core module $m (import "host" "f" (func $f (param i32 i32) (result i32)))
      (func (export "run") (result i32) (call $f (i32.const 0) (i32.const 5))))
    (core instance $m (instantiate $m (with "host" (instance (export "f" (func $f))))))
    (func (export "run") (result u32) (canon lift (core func $m "run"))))
  (instance $caller (instantiate $caller (with "f" (func $callee "f"))))
  (export "run" (func $caller "run")))"""
SLEEPING = world_component(
    libc=f"""{LIBC}
      (import "wasi:io/poll@0.2.3" (instance $poll (export "pollable" (type $p (sub resource)))
        (export "[method]pollable.block" (func (param "self" (borrow $p))))))
      (alias export $poll "pollable" (type $pollable))
      (import "wasi:clocks/monotonic-clock@0.2.3" (instance $clock
        (alias outer 1 $pollable (type $p)) (export "pollable" (type $q (eq $p)))
        (export "subscribe-duration" (func (param "when" u64) (result (own $q))))))
      (import "wasi:cli/exit@0.2.3" (instance $exit (export "exit" (func (param "status" (result))))))
      (core func $subscribe (canon lower (func $clock "subscribe-duration")))
      (core func $block (canon lower (func $poll "[method]pollable.block")))
      (core func $exit (canon lower (func $exit "exit")))
      (core module $starting
        (import "wasi" "subscribe" (func $subscribe (param i64) (result i32)))
        (import "wasi" "block" (func $block (param i32))) (import "wasi" "exit" (func $exit (param i32)))
        (func $start (call $block (call $subscribe (i64.const 20_000_000))) (call $exit (i32.const 1)))
        (start $start))
      (core instance (instantiate $starting (with "wasi" (instance (export "subscribe" (func $subscribe))
        (export "block" (func $block)) (export "exit" (func $exit))))))"""
)


def a_host_error_after_suspension() -> None:
    """The guest ends with its stack, and nothing is left of it."""
    value = ValueType("record", (("name", ValueType("string")),))
    returning = linked(Component(component_engine(), relay([value])), never, suspends=True)
    returning_nothing = linked(component(WAITS), never, suspends=True)

    def fail(of: LinkedComponent, export: str, *arguments: object) -> None:
        with ComponentGuest(of, of.engine.limits, max_items=10) as guest:
            guest.instantiate()
            while not guest.poll():
                pass
            guest.call(export, *arguments)
            while guest.pending is None:
                guest.poll()
            failure = ExecutionError("The host failed.")
            guest.fail(failure)
            assert failure.frames

    def fail_often(count: int) -> None:
        for _ in range(count):
            fail(returning, "f0", {"name": "text"})
            fail(returning_nothing, "run")

    fail_often(200)
    before = resident_kb()
    fail_often(1000)
    assert resident_kb() - before < 200  # an error for each would be 244


async def never(_: object, *__: object) -> None: ...


def a_stream_in_a_type() -> None:
    """The component does not load."""
    assert code_of(bytes(wat2wasm(STREAM))) == "module_unsupported"


def adapters_between_inner_components() -> None:
    """They compile, in the compiler's process, and run."""
    with instance(linked(component(ADAPTED))) as guest:
        assert call(guest, "run") == 5
    assert code_of(bytes(wat2wasm(ADAPTED))) == "export_missing"


def text_that_is_not_unicode() -> None:
    """Surrogates are replaced, and a character is one character or none."""
    char, text = ValueType("char"), ValueType("string")
    of = linked(Component(component_engine(), relay([char, text, ValueType("list", element=text)])), same)
    with instance(of) as guest:
        assert call(guest, "f1", "a\ud800b\udfff") == "a?b?"
        assert call(guest, "f2", ["\udc80", "x"]) == ["?", "x"]
        assert call(guest, "f0", "\ud800") == "?"
    for wrong in ("", "ab", 0x110000, 0xD800, None, b"x"):
        with instance(of) as guest, suppress(Unlowerable):
            call(guest, "f0", wrong)
            raise AssertionError(wrong)


def same(_: object, value: Any) -> Any:
    return value


def calls_of_wasi_without_a_context_and_a_sleep() -> None:
    """The host's own WASI answers."""
    observation = observe(SLEEPING)
    assert observation.error is not None
    assert (observation.error.code, str(observation.error)) == (
        "guest_exit",
        "The guest exited with status 1.",
    )


def a_type_that_doubles_eighteen_times() -> None:
    """It is not read to its end."""
    types = ["(type $t0 (tuple u8 u8))"]
    types += [f"(type $t{n} (tuple $t{n - 1} $t{n - 1}))" for n in range(1, 18)]
    wasm = bytes(wat2wasm(f'(component {" ".join(types)} (import "f" (func (param "value" $t17))))'))
    resource.setrlimit(resource.RLIMIT_CPU, (8, 8))  # to its end, it takes twelve seconds
    of = Component(component_engine(), wasm)
    assert of.imports[0].type is not None
    assert of.imports[0].type.unsupported == "more than 2000 types"


def more_bytes_than_wasmtime_lets_cross() -> None:
    """They are refused both ways, and do not fill the process."""
    octets = ValueType("list", element=ValueType("u8"))
    of = linked(Component(component_engine(), relay([octets])), same)
    for size in (MIB, 3 * MIB):
        with instance(of) as guest, suppress(AlgaError):
            assert len(call(guest, "f0", bytes(size))) == size
    giving = """(func (export "run") (result i32) (drop (memory.grow (i32.const 3300)))
      (i32.store (i32.const 0) (i32.const 0)) (i32.store (i32.const 4) (i32.const 209715200)) (i32.const 0))"""
    with instance(linked(component(handler(giving, "(list u8)")))) as guest, suppress(MessageLimit):
        call(guest, "run")
        raise AssertionError("200 MB crossed")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2 * 1024 * 1024


def the_end_of_the_interpreter_under_guests_that_wait_and_compute() -> None:
    """It ends the guests."""
    waiting = linked(component(WAITS), never, suspends=True)
    spinning = linked(component(handler('(func (export "run") (loop (br 0)))')))
    for of in (waiting, spinning):
        guest = ComponentGuest(of, of.engine.limits, max_items=10)
        guest.instantiate()
        while not guest.poll():
            pass
        guest.call("run")
        guest.poll()
        LEFT.append(guest)


LEFT: list[ComponentGuest] = []


def observe(wasm: bytes) -> Observation:
    async def run() -> Observation:
        bundles = MemoryBundles()
        request = execute_request(bundles.add(make_bundle(wasm)))
        settings = Settings(max_guests=2, code_cache="off", log_level="error")
        async with Runner(settings, bundles=bundles) as runner:
            return await runner.observe(request)

    return anyio.run(run)


def code_of(wasm: bytes) -> str:
    error = observe(wasm).error
    return "ok" if error is None else error.code


HAZARDS: tuple[Callable[[], None], ...] = (
    a_host_error_after_suspension,
    a_stream_in_a_type,
    adapters_between_inner_components,
    text_that_is_not_unicode,
    calls_of_wasi_without_a_context_and_a_sleep,
    a_type_that_doubles_eighteen_times,
    more_bytes_than_wasmtime_lets_cross,
    the_end_of_the_interpreter_under_guests_that_wait_and_compute,
)


@pytest.mark.processes
@pytest.mark.parametrize("hazard", HAZARDS, ids=lambda hazard: hazard.__name__)
def test_no_hazard_ends_the_process(hazard: Callable[[], None]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import {hazard.__name__} as hazard; hazard()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
