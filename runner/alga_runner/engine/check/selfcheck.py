"""Checks that the installed wasmtime does what the engine relies on, with guests of its own, before any other runs.

The C API's futures are young, and the engine relies on behaviour of theirs that the API does not promise
(docs/design/engine.md, "The self-check"). So every engine is tried once, through the classes that run real guests; it
takes milliseconds.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from importlib import metadata
from typing import Any

import wasmtime

from ...errors import EngineUnavailable, ExecutionError, GuestTrap
from ..engine import Engine
from ..guest import Answerer, Guest
from ..linker import HostFunction, LinkedModule, Linker
from ..memory import GuestLimits
from ..module import Calls, Module, Signature

_WAT = """
(module
  (import "host" "ask" (func $ask (param i32) (result i32)))
  (import "host" "wait" (func $wait (param i32) (result i32)))
  (memory (export "memory") 1)
  (func $ask_on (export "ask") (param i32)
    (i32.store (i32.const 8) (i32.add (call $ask (local.get 0)) (i32.const 1))))
  (func $wait_on (export "wait") (param i32)
    (i32.store (i32.const 8) (i32.add (call $wait (local.get 0)) (i32.const 1))))
  (func (export "begin") (i32.store (i32.const 8) (i32.const 6)))
  (func $count (param i32)
    (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
  (func $count_on (export "count") (param i32) (call $count (local.get 0)))
  (func $trap (export "trap") (param i32) unreachable))
"""
_SUM_AT = 8
_CALLS = Calls("begin", "wait")
_i32 = struct.Struct("<i")
_LIMITS = GuestLimits(memory_bytes=64 * 1024, table_elements=0)

_LONG = (1 << 31) - 1
"""Iterations of ``count``: a second or so, many slices, and an end even if nothing interrupts it."""

_MOST_POLLS = 1_000
_HINT = "Install the versions of requirements/runtime.txt."


class Wrong(Exception):
    """wasmtime did something else than it should: the text, which follows the word "it"."""


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Wrong(otherwise)


_passed: set[Engine] = set()
_lock = threading.Lock()


def require_sound(engine: Engine) -> None:
    """Try ``engine``, once in its life. Raises ``EngineUnavailable``, which names its fault."""
    with _lock:
        if engine not in _passed:
            check(engine)
            _passed.add(engine)


def check(engine: Engine, begins: Callable[[str], object] = lambda _step: None) -> None:
    """Try ``engine`` now, calling ``begins`` with the name of each step. Raises ``EngineUnavailable``."""
    live = engine.ticker.live
    step = "to compile a module"
    try:
        begins(step)
        linked = _linked(engine)
        for step, carry_out in _STEPS.items():
            begins(step)
            carry_out(linked)
            _require(engine.ticker.live == live, "left a guest alive")
    except Exception as error:
        fault = f"it {error}" if isinstance(error, Wrong) else f"{type(error).__name__}: {error}"
        raise EngineUnavailable(
            f"wasmtime {metadata.version('wasmtime')} does not do what the engine relies on. When asked {step},"
            f" {fault.rstrip('.')}.",
            hint=_HINT,
        ) from error


def _linked(engine: Engine) -> LinkedModule:
    kind = Signature("i", "i")
    functions = [HostFunction("host", "ask", kind, suspends=False), HostFunction("host", "wait", kind)]
    return Linker(engine, functions).link(Module(engine, bytes(wasmtime.wat2wasm(_WAT))))


def _started(linked: LinkedModule, export: str, argument: int, answerer: Answerer | None = None) -> Guest:
    """A guest in which a call of ``export`` has been started. ``answerer`` answers ``ask``."""
    guest = linked.new_guest(_LIMITS)
    try:
        guest.instantiate()
        _require(_polled(guest), "did not instantiate it")
        _require(_sum(guest) == 0, "showed a guest what another had left in memory")
        guest.answerer = answerer
        guest.call(export, argument)
    except BaseException:
        guest.close()
        raise
    return guest


def _polled(guest: Guest) -> bool:
    """Run to the end (``True``) or to a host call that waits. Raises what ended the guest."""
    for _ in range(_MOST_POLLS):
        if guest.poll():
            return True
        if guest.pending is not None:
            return False
    raise Wrong("came to no end")


def _suspended(guest: Guest, argument: int) -> None:
    """Run to the host call, and check that the guest stays there."""
    _require(not _polled(guest), "did not wait for the answer")
    asked = guest.pending[1] if guest.pending is not None else ()
    _require(asked == (argument,), f"garbled the arguments: {asked}")
    _require(not guest.poll(), "went on without an answer")


def _sum(guest: Guest) -> int | None:
    """The number that the guest has stored; ``None`` without a memory."""
    if guest.memory is None:
        return None
    (value,) = _i32.unpack(guest.memory.read(_SUM_AT, _i32.size))
    return int(value)


def _answer_immediately(linked: LinkedModule) -> None:
    asked: list[tuple[Any, ...]] = []

    def answer(_function: int, arguments: tuple[Any, ...]) -> int:
        asked.append(arguments)
        return 41

    with _started(linked, "ask", 7, answer) as guest:
        _require(_polled(guest), "waited for an answer that was there")
        _require(asked == [(7,)], f"garbled the arguments: {asked}")
        _require(_sum(guest) == 42, f"made {_sum(guest)} of 41 + 1")


def _answer_later(linked: LinkedModule) -> None:
    with _started(linked, "wait", 8) as guest:
        _suspended(guest, 8)
        guest.resume(1_000_000)
        _require(_polled(guest), "asked twice")
        _require(_sum(guest) == 1_000_001, f"made {_sum(guest)} of 1000000 + 1")


def _fail_immediately(linked: LinkedModule) -> None:
    own = ExecutionError("The host refused.")

    def refuse(_function: int, _arguments: tuple[Any, ...]) -> int:
        raise own

    with _started(linked, "ask", 9, refuse) as guest:
        ended = _ended(guest)
        _require(ended is own, f"gave {ended!r} instead of the host's error")
    _require_stack(own, "ask_on")


def _fail_later(linked: LinkedModule) -> None:
    own = ExecutionError("The host refused.")
    with _started(linked, "wait", 10) as guest:
        _suspended(guest, 10)
        guest.fail(own)
        _require(_sum(guest) == 0, "let the guest go on")
    _require_stack(own, "wait_on")


def _trap(linked: LinkedModule) -> None:
    with _started(linked, "trap", 0) as guest:
        ended = _ended(guest)
    if not isinstance(ended, GuestTrap) or ended.trap_code != "unreachable":
        raise Wrong(f"gave {ended!r} instead of the trap")
    _require_stack(ended, "trap")


def _interrupt(linked: LinkedModule) -> None:
    with _started(linked, "count", _LONG) as guest:
        _require(not guest.poll(), "let it run to its end")
        stack = [frame.function for frame in guest.interrupt()]
        _require(stack[-1:] == ["count_on"], f"gave {stack} for its stack")


def _kill(linked: LinkedModule) -> None:
    with _started(linked, "wait", 11) as guest:
        _suspended(guest, 11)
    with _started(linked, "count", _LONG) as guest:
        _require(not guest.poll(), "let it run to its end")


def _run_in_turn(linked: LinkedModule) -> None:
    with linked.new_guest(_LIMITS) as guest:
        guest.start(_CALLS, 12)
        _suspended(guest, 12)
        _require(_sum(guest) == 6, "did not call the first export first")
        _require(guest.handling, "said that the last call has not begun")
        guest.resume(50)
        _require(_polled(guest), "asked twice")
        _require(_sum(guest) == 51, f"made {_sum(guest)} of 50 + 1")


def _ended(guest: Guest) -> ExecutionError | None:
    """What ended the guest; ``None`` if nothing did."""
    try:
        _polled(guest)
    except ExecutionError as error:
        return error
    return None


def _require_stack(error: ExecutionError, function: str) -> None:
    stack = [frame.function for frame in error.frames]
    _require(stack == [function], f"gave {stack} for the guest's stack")


_STEPS: dict[str, Callable[[LinkedModule], None]] = {
    "to answer a host call immediately": _answer_immediately,
    "to suspend a guest in a host call and to go on with the answer": _answer_later,
    "to end a guest in a host call": _fail_immediately,
    "to end a guest that waits for an answer": _fail_later,
    "to run into a trap": _trap,
    "to interrupt a guest that computes": _interrupt,
    "to kill a guest, wherever it is": _kill,
    "to call one export after the other": _run_in_turn,
    "to run another guest after all these": _answer_later,
}
"""The steps, in order, by their names in errors. A step makes one guest at a time, so one slot is enough."""
