"""In any order of its host calls, an execution ends on the native helper as it does without it.

`make test-native` runs it, and once more on a helper that checks its own accesses to memory.
"""

from __future__ import annotations

import os
from base64 import b64decode
from time import monotonic
from typing import Any

import anyio
import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wasmtime import wat2wasm

from alga_runner import ExecuteRequest
from alga_runner.alga import NoAlgaServer
from alga_runner.capabilities import Execution, Gate
from alga_runner.engine import Budget, EngineConfig, Module, engine_context
from alga_runner.engine.native import build
from alga_runner.errors import AlgaError, ExecutionError
from alga_runner.guests.core import CoreHost
from alga_runner.guests.session import SessionLimits
from alga_runner.telemetry import Telemetry
from tests.support.guests import guest_wat
from tests.support.requests import execute_request

pytestmark = pytest.mark.skipif(
    not build.LIBRARY.exists(), reason="`make test-native` builds the helper first"
)

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "50"))
MIB = 1 << 20
WIDE = SessionLimits(256, 100_000, 64 * MIB, 65_536, 1_000, 2 * MIB, MIB)
LIMITS = [
    WIDE,
    SessionLimits(3, 100_000, 64 * MIB, 65_536, 1_000, 2 * MIB, MIB),
    SessionLimits(256, 210, 64 * MIB, 65_536, 1_000, 2 * MIB, MIB),
    SessionLimits(256, 100_000, 64 * MIB, 65_536, 1_000, 16, MIB),
    SessionLimits(256, 100_000, 2 * MIB, 65_536, 1_000, 2 * MIB, MIB),
    SessionLimits(256, 100_000, 600, 65_536, 1_000, 2 * MIB, MIB),
]
REQUESTS = [execute_request("", http={"body_b64": "AAECAwQF" * eights}) for eights in (40, 7_500, 20_000)]
"""One that is exchanged, one of which few copies are allowed, and one that is too large to be exchanged."""

BODY = 4096
HEAD = b"\x82\xa6status\xcc\xc8\xa4body\xc5\x20\x00"
IMPORTS = """
  (import "alga:abi" "request" (func $request (param i32 i32) (result i32)))
  (import "alga:abi" "reply" (func $reply (param i32 i32) (result i32)))
  (import "alga:context" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_res_get" (func $clock (param i32 i32) (result i32)))
"""
FUNCTIONS = f"""
  (global $at (mut i32) (i32.const {BODY}))
  (func $note (param i32)
    (i32.store (global.get $at) (local.get 0))
    (global.set $at (i32.add (global.get $at) (i32.const 4))))
  (data (i32.const 2048) "\\80")
  (data (i32.const {BODY - len(HEAD)}) "{"".join(f"{chr(92)}{byte:02x}" for byte in HEAD)}")
"""
"""Results are noted from ``BODY`` on, in a body of 8 KiB of which ``respond`` gives all."""

place = st.sampled_from([0, 5_000, 8_000, 11_000, 65_000, 65_535, 65_536, 131_072, 2**31, 2**32 - 1])
size = st.sampled_from([0, 1, 200, 1_000, 4_096, 65_537, 2**32 - 1])
step = st.one_of(
    *[st.tuples(st.just("request"), place, size)] * 3,
    st.tuples(st.just("reply"), place, size),
    st.tuples(st.just("respond"), place, size),
    *[st.tuples(st.just("answer"))] * 3,
    st.tuples(st.sampled_from(["get", "clock", "grow", "spoil", "trap"])),
    st.tuples(st.just("many"), st.sampled_from([20, 120, 300])),
    st.tuples(st.just("copy"), st.sampled_from([3, 40])),
)
steps = st.lists(step, max_size=8)


def _text(name: str, *numbers: int) -> str:
    given = "".join(f"(i32.const {number})" for number in numbers)
    return {
        "request": f"(call $note (call $request {given}))",
        "reply": f"(call $note (call $reply {given}))",
        "respond": f"(call $respond {given})",
        "answer": f"(call $respond (i32.const {BODY - len(HEAD)}) (i32.const {len(HEAD) + 8_192}))",
        "get": "(call $note (call $get (i32.const 2048) (i32.const 1) (i32.const 10000) (i32.const 100)))",
        "clock": "(call $note (call $clock (i32.const 0) (i32.const 9000)))",
        "grow": "(drop (memory.grow (i32.const 1)))",
        "spoil": f"(i32.store (i32.const {BODY + 3_000}) (i32.const 77))",
        "trap": "(unreachable)",
        "many": _loop("(drop (call $request (i32.const 5000) (i32.const 0)))", numbers),
        "copy": _loop("(drop (call $request (i32.const 5000) (i32.const 65000)))", numbers),
    }[name]


def _loop(body: str, times: tuple[int, ...]) -> str:
    return f"""(global.set $left (i32.const {times[0] if times else 0}))
      (loop {body}
        (global.set $left (i32.sub (global.get $left) (i32.const 1))) (br_if 0 (global.get $left)))"""


def _module(first: list[tuple[Any, ...]], then: list[tuple[Any, ...]]) -> bytes:
    early = "".join(_text(*item) for item in first)
    wat = guest_wat(
        "".join(_text(*item) for item in then),
        imports=IMPORTS,
        module=f"""{FUNCTIONS} (global $left (mut i32) (i32.const 0))
        (func (export "_initialize") {early})""",
        pages=2,
    )
    return bytes(wat2wasm(wat))


def _hosts(native: Any) -> list[CoreHost]:
    engine = engine_context.engine(EngineConfig(max_guests=2, max_memory_bytes=16 * 65_536, native=native))
    return [CoreHost(engine, Gate(Telemetry()), limits) for limits in LIMITS]


@pytest.fixture(scope="module")
def worlds() -> list[list[CoreHost]]:
    """The hosts without the helper, and with it."""
    return [_hosts("off"), _hosts("required")]


async def _outcome(host: CoreHost, wasm: bytes, request: ExecuteRequest) -> Any:
    """All that can be seen of one execution."""
    engine = host._engine
    program = host.link(Module(engine, wasm), wasm)
    execution = Execution(request.context, frozenset({"cap:context.read"}), NoAlgaServer(), monotonic() + 60)
    ended: object
    try:
        ended = (await host.execute(program, request, execution, engine.limits, Budget())).model_dump()
    except AlgaError as error:
        frames = error.frames if isinstance(error, ExecutionError) else ()
        ended = error.code, str(error), error.where, [frame.function for frame in frames]
    calls = [(call.operation, call.status, call.reply) for call in execution.host_calls]
    return ended, execution.system_calls, calls, engine.ticker.live


@given(st.sampled_from(range(len(LIMITS))), st.sampled_from(REQUESTS), st.one_of(st.just([]), steps), steps)
@example(4, REQUESTS[1], [], [("copy", 60)])
@example(0, REQUESTS[0], [], [("respond", 131_072, 200)])
@example(0, REQUESTS[0], [], [("request", 131_072, 1_000)])
@settings(max_examples=EXAMPLES)
def test_an_execution_on_the_helper_ends_as_another_does(
    worlds, limits: int, request_: ExecuteRequest, first: list[Any], then: list[Any]
):
    wasm = _module(first, then)

    async def outcomes() -> list[object]:
        return [await _outcome(hosts[limits], wasm, request_) for hosts in worlds]

    pure, native = anyio.run(outcomes)

    assert native == pure


def test_what_the_guest_is_given_and_gives_is_copied_then(worlds):
    then = [("request", 8_000, 1_000), ("answer",), ("spoil",)]
    ended = [anyio.run(_outcome, hosts[0], _module([], then), REQUESTS[0])[0] for hosts in worlds]

    bodies = [b64decode(response["body_b64"]) for response in ended]
    assert bodies[0] == bodies[1]
    length = int.from_bytes(bodies[1][:4], "little")
    assert msgpack.unpackb(bodies[1][8_000 - BODY :][:length])["http"]["body"] == bytes(range(6)) * 40
    assert bodies[1][3_000:3_004] == bytes(4)
