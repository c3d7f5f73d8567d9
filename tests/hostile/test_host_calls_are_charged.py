"""Functions of the host, called one after the other without a loop, end with the CPU budget; large ones let others run.

Each answer takes a millisecond of a clock that nothing else moves, but for a microsecond at each look at it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CoroutineType
from typing import Any

import pytest

from alga_runner import Settings
from alga_runner.engine import this_thread
from alga_runner.guests.component import ComponentHost
from alga_runner.guests.session import Session
from tests.support.clock import FakeMonotonic
from tests.support.component_relay import LIBC
from tests.support.component_world import OK, world_component
from tests.support.patience import PATIENT

pytestmark = pytest.mark.anyio

CALLS = 400
BUDGET_MS = 50
LOOKED_AT_EACH = 100
"""Calls between two looks at the clock where nothing suspends the guest."""

WASI = "wasi_snapshot_preview1"
FUNCTIONS = {
    f"{WASI} random_get": ("ii", "i", (65536, 65536)),
    f"{WASI} clock_time_get": ("iIi", "i", (0, 0, 512)),
    f"{WASI} fd_write": ("iiii", "i", (1, 65536, 1024, 512)),
    f"{WASI} fd_read": ("iiii", "i", (0, 0, 0, 512)),
    f"{WASI} poll_oneoff": ("iiii", "i", (65536, 512, 1, 1024)),
    f"{WASI} path_open": ("iiiiiIIii", "i", (0,) * 9),
    f"{WASI} sched_yield": ("", "i", ()),
    "alga:abi request": ("ii", "i", (65536, 65536)),
    "alga:abi reply": ("ii", "i", (65536, 65536)),
    "alga:log emit": ("iii", "", (0, 65536, 65536)),
    "alga:scheduler list": ("iiii", "i", (65536, 1, 0, 65536)),
    "alga:scheduler? lately": ("iiii", "i", (65536, 1, 0, 65536)),
    "env crypto.getRandomValuesN": ("ii", "", (65536, 65536)),
    "env Math.pow": ("dd", "d", (2, 3)),
    "env console.log": ("i", "", (65536,)),
    "env trace": ("iiddddd", "", (65536, 5, 1, 2, 3, 4, 5)),
}
"""Each kind of function, with its type and its largest arguments."""

TYPES = {"i": "i32", "I": "i64", "f": "f32", "d": "f64"}


def straight(function: str, guest_wat: Callable[..., str]) -> str:
    """A guest that calls ``function`` many times in a row."""
    params, results, arguments = FUNCTIONS[function]
    module, name = function.split()
    given = " ".join(
        f"({TYPES[letter]}.const {value})" for letter, value in zip(params, arguments, strict=True)
    )
    call = f"(call $f {given})"
    types = f"(param {' '.join(TYPES[letter] for letter in params)})"
    results = f"(result {TYPES[results]})" if results else ""
    return guest_wat(
        (f"(drop {call})" if results else call) * CALLS + "(call $respond (i32.const 0) (global.get $ok))",
        imports=f'(import "{module}" "{name}" (func $f {types} {results}))',
        pages=4,
    )


@pytest.fixture
def settings() -> Settings:
    return Settings(max_guests=4, max_guests_per_tenant=4, max_log_lines=1_000_000, **PATIENT)


class Clock(FakeMonotonic):
    """No two looks at it give the same, so that every slice takes some time."""

    def __call__(self) -> float:
        self.now += 0.000_001
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(1.0)
    for module, name in (
        ("engine.drive", "monotonic"),
        ("engine.drive", "thread_time"),
        ("engine.cpu_thread", "thread_time"),
        ("engine.loop_scheduler", "monotonic"),
        ("guests.session", "thread_time"),
    ):
        monkeypatch.setattr(sys.modules[f"alga_runner.{module}"], name, clock)
    return clock


@pytest.fixture
def answered_in(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Has each answer take a millisecond; the iterations of the loop that had one."""
    iterations: list[int] = []

    def take() -> None:
        clock.now += 0.001
        iterations.append(this_thread.loop_scheduler.iteration)

    def make_costly(host: Any, method: str) -> None:
        answer = getattr(host, method)

        async def later(*call: Any) -> Any:
            take()
            return await answer(*call)

        def costly(*call: Any) -> Any:
            given = answer(*call)
            if isinstance(given, CoroutineType):
                given.close()
                return later(*call)
            take()
            return given

        monkeypatch.setattr(host, method, costly)

    make_costly(Session, "answer")
    make_costly(ComponentHost, "_answer")
    return iterations


@pytest.mark.parametrize("function", FUNCTIONS)
async def test_straight_calls_of_a_function_end_with_the_cpu_budget(
    answered_in: list[int], observe, guest_wat, function: str
):
    observation = await observe(
        straight(function, guest_wat), providers=("cap:scheduler.manage",), cpu_ms=BUDGET_MS
    )

    assert observation.error is not None
    assert observation.error.code == "cpu_limit"
    assert len(answered_in) <= BUDGET_MS + 2 * LOOKED_AT_EACH


@pytest.mark.parametrize(
    "function", [f"{WASI} random_get", f"{WASI} fd_write", "env crypto.getRandomValuesN", "alga:log emit"]
)
async def test_between_two_large_answers_others_have_the_loop(
    answered_in: list[int], observe, guest_wat, function: str
):
    observation = await observe(straight(function, guest_wat), cpu_ms=10_000)

    assert observation.response is not None
    assert len(answered_in) > CALLS
    assert len(set(answered_in)) > CALLS / 2


OF_COMPONENTS = {
    "wasi:random/random@0.2.3 get-random-bytes": (
        '(param "len" u64) (result (list u8))',
        "i64 i32",
        "(i64.const 1) (i32.const 1024)",
    ),
    "wasi:clocks/monotonic-clock@0.2.3 now": ("(result u64)", "", ""),
}


def straight_component(function: str) -> bytes:
    """A component that makes the same call many times in a row as it starts."""
    of, params, arguments = OF_COMPONENTS[function]
    interface, name = function.split()
    result = "" if "i32" in params else "(result i64)"
    call = f"(call $f {arguments})" if not result else f"(drop (call $f {arguments}))"
    return world_component(
        libc=f"""{LIBC}
      (import "{interface}" (instance $wasi (export "{name}" (func {of}))))
      (core func $f (canon lower (func $wasi "{name}") (memory $memory) (realloc $realloc)))
      (core module $starting (import "wasi" "f" (func $f (param {params}) {result}))
        (func $start {call * CALLS}) (start $start))
      (core instance (instantiate $starting (with "wasi" (instance (export "f" (func $f))))))"""
    )


@pytest.mark.parametrize("function", OF_COMPONENTS)
async def test_straight_calls_of_a_component_end_with_the_cpu_budget(
    answered_in: list[int], observe, function: str
):
    observation = await observe(straight_component(function), cpu_ms=BUDGET_MS)

    assert observation.error is not None
    assert observation.error.code == "cpu_limit"
    assert len(answered_in) <= BUDGET_MS + 2 * LOOKED_AT_EACH


async def test_straight_host_calls_of_a_component_end_with_the_cpu_budget(answered_in: list[int], observe):
    log = "(call $logging.log-info (i32.const 1024) (i32.const 60000))"

    observation = await observe(
        world_component(log * CALLS + OK, ["logging log-info"]),
        providers=("cap:log.emit",),
        cpu_ms=BUDGET_MS,
    )

    assert observation.error is not None
    assert observation.error.code == "cpu_limit"
    assert len(answered_in) <= BUDGET_MS + 2
