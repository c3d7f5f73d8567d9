"""In every order of its owner's calls, a guest on the native helper does what one without it does.

`make test-native` runs it, and once more on a helper that checks its own accesses to memory.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wasmtime import wat2wasm

from alga_runner.engine import (
    Calls,
    EngineConfig,
    Guest,
    GuestLimits,
    HostFunction,
    LinkedModule,
    Linker,
    Module,
    Signature,
    engine_context,
)
from alga_runner.engine.native import build
from alga_runner.errors import AlgaError, ExecutionError
from alga_runner.frames import Frame

pytestmark = pytest.mark.skipif(
    not build.LIBRARY.exists(), reason="`make test-native` builds the helper first"
)

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "50"))
GUESTS = 2
PAGE = 65536
LIMITS = GuestLimits(4 * PAGE, 10)

WAT = """
(module
  (import "host" "now" (func $now (param i32) (result i32)))
  (import "host" "later" (func $later (param i32) (result i32)))
  (memory (export "memory") 1)
  {start}
  (func $add (param i32) (i32.store (i32.const 0)
    (i32.add (i32.mul (i32.load (i32.const 0)) (i32.const 10)) (local.get 0))))
  (func $one (export "one") (call $add (i32.const 1)))
  (func $asking (export "asking") (call $add (call $now (i32.const 2))))
  (func $waiting (export "waiting") (call $add (call $later (i32.const 3))))
  (func $growing (export "growing") (call $add (i32.add (memory.grow (i32.const 1)) (i32.const 2))))
  (func $trapping (export "trapping") unreachable)
  (func $deep (export "deep") (call $deep))
  (global (export "number") i32 (i32.const 1))
  (func $last (export "last") (param i32)
    (call $add (call $now (local.get 0))) (call $add (call $later (local.get 0)))))
"""
STARTS = ("", "(start $one)", "(start $asking)", "(start $waiting)", "(start $trapping)")


def _linked(native: Any) -> list[LinkedModule]:
    engine = engine_context.engine(EngineConfig(max_guests=GUESTS, max_memory_bytes=8 * PAGE, native=native))
    kind = Signature("i", "i")
    linker = Linker(
        engine, [HostFunction("host", "now", kind, suspends=False), HostFunction("host", "later", kind)]
    )
    return [linker.link(Module(engine, bytes(wat2wasm(WAT.format(start=start))))) for start in STARTS]


@pytest.fixture(scope="module")
def worlds() -> list[list[LinkedModule]]:
    """The modules without the helper, and with it."""
    return [_linked("off"), _linked("required")]


def _functions(frames: tuple[Frame, ...]) -> list[str]:
    """Their names. The offset of one that a tick interrupts in its prologue is another."""
    return [frame.function for frame in frames]


class Owner:
    """Owns the guests of one world, and tells the result of each step. It keeps to what ``Guest`` asks of an owner."""

    def __init__(self, modules: list[LinkedModule]) -> None:
        self._modules = modules
        self._guests: list[Guest | None] = [None] * GUESTS
        self._runs: list[bool] = [False] * GUESTS
        """Whether something was started and has not ended."""
        self._started: list[bool] = [False] * GUESTS

    def take(self, step: tuple[Any, ...]) -> object:
        """Take one step; gives all that can be seen of it."""
        number, action, *given = step
        guest = self._guests[number]
        if guest is None:
            guest = self._new(number, 0)
        try:
            result = getattr(self, f"_{action}")(number, guest, *given)
        except (AlgaError, RuntimeError) as error:
            self._runs[number] = False
            frames = error.frames if isinstance(error, ExecutionError) else ()
            result = type(error), str(error), _functions(frames)
        return result, self._seen(number)

    def _new(self, number: int, module: int) -> Guest:
        guest = self._guests[number] = self._modules[module].new_guest(LIMITS)
        guest.answerer = lambda _function, arguments: self._answer(number, arguments)
        return guest

    def _answer(self, number: int, arguments: tuple[Any, ...]) -> int:
        guest = self._guests[number]
        assert guest is not None
        assert guest.memory is not None
        if arguments[0] == 9:
            raise ExecutionError("The host refused.")
        return int(guest.handling) + len(guest.memory.read(0, 1))

    def _seen(self, number: int) -> object:
        guest = self._guests[number]
        if guest is None or not guest.alive:
            return "closed", guest is not None and guest.memory is None
        memory = guest.memory.read(0, 4) if guest.memory is not None else None
        return (
            guest.instantiated,
            guest.memory_bytes,
            memory,
            guest.pending,
            guest.calls,
            guest.engine.ticker.live,
        )

    def _make(self, number: int, guest: Guest, module: int) -> None:
        """A new one in the place of the one before."""
        guest.close()
        self._started[number] = self._runs[number] = False
        self._new(number, module)

    def _start(self, number: int, guest: Guest, exports: list[str], argument: int) -> None:
        if guest.alive and not self._started[number]:
            self._started[number] = self._runs[number] = True
            guest.start(Calls(*exports), argument)

    def _instantiate(self, number: int, guest: Guest) -> None:
        if guest.alive and not self._started[number]:
            self._started[number] = self._runs[number] = True
            guest.instantiate()

    def _call(self, number: int, guest: Guest, export: str) -> None:
        if guest.alive and guest.instantiated and not self._runs[number]:
            guest.call(export, 5 if export == "last" else None)
            self._runs[number] = True

    def _poll(self, number: int, guest: Guest, release_gil: bool) -> bool:
        for _ in range(1_000):  # a tick may end a slice anywhere
            if guest.poll(release_gil=release_gil):
                self._runs[number] = False
                return True
            if guest.pending is not None:
                return False
        raise AssertionError("it came to no end")

    def _resume(self, _number: int, guest: Guest, answer: int) -> None:
        if guest.alive:
            guest.resume(answer)

    def _fail(self, number: int, guest: Guest) -> object:
        if not guest.alive or guest.pending is None:
            return None
        failure = ExecutionError("It took too long.")
        guest.fail(failure)
        return self._ended(number, guest), _functions(failure.frames)

    def _interrupt(self, number: int, guest: Guest) -> object:
        if guest.pending is None and self._runs[number]:
            return None  # how far it gets is the clock's
        return _functions(guest.interrupt()), self._ended(number, guest)

    def _ended(self, number: int, guest: Guest) -> None:
        """Only ``close`` may follow."""
        self._close(number, guest, False)

    def _stop_growing(self, _number: int, guest: Guest) -> None:
        guest.stop_growing()

    def _close(self, number: int, guest: Guest, release_gil: bool) -> None:
        guest.close(release_gil=release_gil)
        self._runs[number] = False

    def end(self) -> int:
        """Close all; how many are left."""
        for guest in self._guests:
            if guest is not None:
                guest.close()
        return self._modules[0].engine.ticker.live


exports = st.sampled_from(
    ["one", "asking", "waiting", "growing", "trapping", "deep", "number", "nothing", ""]
)
calls = st.lists(exports, max_size=3).flatmap(
    lambda before: st.sampled_from([*([*before, "last"],) * 3, [], [*before, "nothing"]])
)
start = st.tuples(st.just("start"), calls, st.sampled_from([0, 5, 9]))
poll = st.tuples(st.just("poll"), st.booleans())
resume = st.tuples(st.just("resume"), st.integers(0, 9))
action = st.one_of(
    *[start] * 4,
    *[poll] * 6,
    *[resume] * 4,
    st.tuples(st.just("make"), st.integers(0, len(STARTS) - 1)),
    st.tuples(st.sampled_from(["instantiate", "fail", "interrupt", "stop_growing"])),
    st.tuples(st.just("call"), st.sampled_from(["one", "waiting", "last", "nothing"])),
    st.tuples(st.just("close"), st.booleans()),
)
steps = st.lists(
    st.tuples(st.integers(0, GUESTS - 1), action).map(lambda step: (step[0], *step[1])), max_size=40
)


@given(steps)
@settings(max_examples=EXAMPLES)
def test_a_guest_on_the_helper_does_what_another_does(worlds, taken: list[tuple[Any, ...]]):
    owners = [Owner(modules) for modules in worlds]
    try:
        for step in taken:
            pure, native = (owner.take(step) for owner in owners)
            assert native == pure, step
    finally:
        assert [owner.end() for owner in owners] == [0, 0]
