"""How a host call crosses a core module's memory, from the guest's side of the border."""

from __future__ import annotations

import struct

import msgpack
import pytest

from alga_runner.capabilities import Gate
from alga_runner.engine import EngineConfig, Module
from alga_runner.engine.context import engine_context
from alga_runner.guests.core import CoreHost
from alga_runner.guests.session import SessionLimits
from alga_runner.telemetry import Telemetry
from tests.support.guests import compile_wat

pytestmark = pytest.mark.anyio

REPLY = 8192
NOTHING = 0xFFFFFFFF

PROBE = """
  (import "alga:context" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "alga:scheduler" "list" (func $list (param i32 i32 i32 i32) (result i32)))
  (import "alga:abi" "reply" (func $reply (param i32 i32) (result i32)))
  (import "alga:abi" "request" (func $request (param i32 i32) (result i32)))
"""

HEAD = b"\x82\xa6status\xcc\xc8\xa4body\xc5" + struct.pack(">H", 4100)
ESCAPED = "".join(map("\\{:02x}".format, HEAD))
START = REPLY - 4 - len(HEAD)

ANSWER = f"""
  (data (i32.const {START}) "{ESCAPED}")
  (func $answer (param $value i32)
    (i32.store (i32.const {REPLY - 4}) (local.get $value))
    (call $respond (i32.const {START}) (i32.const {len(HEAD) + 4100})))
"""
"""Respond with four bytes of value and the 4096 bytes that stand at REPLY."""


@pytest.fixture
def probe(observe, guest_wat):
    """Run ``handler``, which ends in ``(call $answer value)``; gives that value and the bytes at REPLY."""

    async def run(handler: str, data: bytes = b"\x80", **options):
        guest = guest_wat(handler, imports=PROBE, module=ANSWER, data=data)
        observation = await observe(guest, **options)
        if observation.error is not None:
            raise observation.error
        body = observation.response.body()
        return int.from_bytes(body[:4], "little"), body[4:]

    return run


async def test_a_reply_that_fits_stands_at_its_place(probe):
    length, memory = await probe(
        f"(call $answer (call $get (i32.const 1024) (i32.const 1) (i32.const {REPLY}) (i32.const 4096)))"
    )

    context = msgpack.unpackb(memory[:length])["ok"]["context"]
    assert context["tenantId"] == "acme"
    assert context["extensionId"] == "com.example.test"
    assert context["config"] == {}
    assert "trigger" not in context


async def test_a_reply_that_does_not_fit_is_fetched_not_asked_for_again(probe):
    length, memory = await probe(
        f"(drop (call $get (i32.const 1024) (i32.const 1) (i32.const {REPLY}) (i32.const 3)))"
        f"(call $answer (call $reply (i32.const {REPLY}) (i32.const 4096)))"
    )

    assert msgpack.unpackb(memory[:length])["ok"]["context"]["requestId"] == "request-1"


async def test_a_reply_that_does_not_fit_leaves_memory_alone(probe):
    length, memory = await probe(
        f"(call $answer (call $get (i32.const 1024) (i32.const 1) (i32.const {REPLY}) (i32.const 3)))"
    )

    assert length > 3
    assert memory[:4] == bytes(4)


async def test_the_capacity_may_be_nothing(probe):
    length, _ = await probe(
        "(call $answer (call $get (i32.const 1024) (i32.const 1) (i32.const 65536) (i32.const 0)))"
    )

    assert length > 0


async def test_there_is_nothing_to_fetch_before_a_call(probe):
    value, _ = await probe(f"(call $answer (call $reply (i32.const {REPLY}) (i32.const 16)))")

    assert value == NOTHING


async def test_there_is_nothing_to_fetch_after_a_reply_that_fit(probe):
    value, _ = await probe(
        f"(drop (call $get (i32.const 1024) (i32.const 1) (i32.const {REPLY}) (i32.const 0)))"
        f"(drop (call $get (i32.const 1024) (i32.const 1) (i32.const {REPLY}) (i32.const 4096)))"
        f"(call $answer (call $reply (i32.const {REPLY}) (i32.const 16)))"
    )

    assert value == NOTHING


async def test_the_reply_can_be_fetched_any_number_of_times(probe):
    length, memory = await probe(
        f"(drop (call $get (i32.const 1024) (i32.const 1) (i32.const {REPLY}) (i32.const 0)))"
        f"(drop (call $reply (i32.const {REPLY}) (i32.const 1)))"
        f"(call $answer (call $reply (i32.const {REPLY}) (i32.const 4096)))"
    )

    assert msgpack.unpackb(memory[:length])["ok"]["context"]["installId"] == "install-1"


async def test_request_and_reply_may_overlap(probe):
    length, memory = await probe(
        f"(i32.store8 (i32.const {REPLY}) (i32.const 0x80))"
        f"(call $answer (call $get (i32.const {REPLY}) (i32.const 1) (i32.const {REPLY}) (i32.const 4096)))"
    )

    assert msgpack.unpackb(memory[:length])["ok"]["context"]["tenantId"] == "acme"


async def test_the_request_can_be_read_in_pieces_of_knowledge(probe):
    length, memory = await probe(
        f"(drop (call $request (i32.const {REPLY}) (i32.const 1)))"
        f"(call $answer (call $request (i32.const {REPLY}) (local.get $length)))",
        body=b"\x00\xff",
    )

    request = msgpack.unpackb(memory[:length])
    assert request["http"] == {"method": "POST", "url": "/test", "headers": [], "body": b"\x00\xff"}
    assert request["context"]["versionId"] == "v1"


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(
            "(call $get (i32.const 65530) (i32.const 7) (i32.const 0) (i32.const 0))",
            id="request past the end",
        ),
        pytest.param(
            "(call $get (i32.const -1) (i32.const -1) (i32.const 0) (i32.const 0))", id="request wraps around"
        ),
        pytest.param(
            "(call $get (i32.const 65537) (i32.const 0) (i32.const 0) (i32.const 0))",
            id="empty, past the end",
        ),
        pytest.param(
            "(call $get (i32.const 1024) (i32.const 1) (i32.const 65530) (i32.const 7))",
            id="reply past the end",
        ),
        pytest.param(
            "(call $get (i32.const 1024) (i32.const 1) (i32.const 0) (i32.const -1))",
            id="reply capacity wraps",
        ),
        pytest.param(
            "(call $list (i32.const 1024) (i32.const 1) (i32.const -1) (i32.const 2))", id="although denied"
        ),
        pytest.param("(call $request (i32.const 65530) (i32.const 7))", id="request fetched past the end"),
        pytest.param("(call $reply (i32.const 65530) (i32.const 7))", id="reply fetched past the end"),
    ],
)
async def test_a_range_outside_memory_is_a_breach_before_anything_happens(probe, call: str):
    with pytest.raises(Exception, match="offset") as raised:
        await probe(f"(call $answer {call})")

    assert raised.value.code == "out_of_bounds"
    assert raised.value.where["host_call"] in {
        "context.get",
        "scheduler.list",
        "alga:abi request",
        "alga:abi reply",
    }


@pytest.mark.parametrize(
    "request_bytes", [b"", b"\x81", b"\x80\x80", b"\xc1"], ids=["empty", "cut", "trailing", "c1"]
)
async def test_broken_framing_is_a_breach(probe, request_bytes: bytes):
    with pytest.raises(Exception, match="message") as raised:
        await probe(
            f"(call $answer (call $get (i32.const 1024) (i32.const {len(request_bytes)}) (i32.const 0) (i32.const 0)))",
            data=request_bytes,
        )

    assert raised.value.code == "broken_framing"
    assert raised.value.where["host_call"] == "context.get"


async def test_a_request_over_its_limit_is_refused_and_the_guest_lives(probe):
    length, memory = await probe(
        f"(drop (memory.grow (i32.const 3)))"
        f"(call $answer (call $get (i32.const 0) (i32.const 65537) (i32.const {REPLY}) (i32.const 4096)))"
    )

    assert msgpack.unpackb(memory[:length])["err"]["code"] == "too-large"


async def test_a_capability_that_is_not_granted_is_denied_and_the_guest_lives(probe):
    length, memory = await probe(
        f"(call $answer (call $list (i32.const 1024) (i32.const 1) (i32.const {REPLY}) (i32.const 4096)))"
    )

    refusal = msgpack.unpackb(memory[:length])["err"]
    assert refusal["code"] == "denied"
    assert "cap:scheduler.manage" in refusal["message"]


async def test_a_denied_call_is_not_decoded(probe):
    length, memory = await probe(
        f"(call $answer (call $list (i32.const 1024) (i32.const 1) (i32.const {REPLY}) (i32.const 4096)))",
        data=b"\xc1",
    )

    assert msgpack.unpackb(memory[:length])["err"]["code"] == "denied"


async def test_without_an_alga_server_a_host_call_is_unavailable(probe):
    length, memory = await probe(
        f"(call $answer (call $list (i32.const 1024) (i32.const 1) (i32.const {REPLY}) (i32.const 4096)))",
        providers=(" CAP:Scheduler.Manage ",),
    )

    assert msgpack.unpackb(memory[:length])["err"]["code"] == "unavailable"


WEAK = """
  (import "alga:context?" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "alga:weather?" "forecast" (func $forecast (param i32 i32 i32 i32) (result i32)))
  (import "alga:abi" "reply" (func $reply (param i32 i32) (result i32)))
"""


async def weakly(observe, guest_wat, handler: str):
    observation = await observe(guest_wat(handler, imports=WEAK, module=ANSWER, data=b"\x80"))
    assert observation.response is not None, observation.error
    body = observation.response.body()
    return msgpack.unpackb(body[4 : 4 + int.from_bytes(body[:4], "little")]), observation.host_calls


async def test_a_weak_import_of_an_operation_that_the_host_has_is_that_operation(observe, guest_wat):
    reply, calls = await weakly(
        observe,
        guest_wat,
        f"(call $answer (call $get (i32.const 1024) (i32.const 1) (i32.const {REPLY}) (i32.const 4096)))",
    )

    assert reply["ok"]["context"]["tenantId"] == "acme"
    assert [(call.operation, call.status) for call in calls] == [("context.get", "ok")]


@pytest.mark.parametrize("capacity", [0, 4096])
async def test_a_weak_import_of_one_that_it_lacks_answers_unsupported(observe, guest_wat, capacity: int):
    call = f"(call $forecast (i32.const 1024) (i32.const 1) (i32.const {REPLY}) (i32.const {capacity}))"
    fetch = f"(drop {call}) (call $answer (call $reply (i32.const {REPLY}) (i32.const 4096)))"
    reply, calls = await weakly(observe, guest_wat, f"(call $answer {call})" if capacity else fetch)

    error = {"code": "unsupported", "message": "This host has no operation weather.forecast."}
    assert reply == {"err": error}
    assert [(call.operation, call.status) for call in calls] == [("weather.forecast", "unsupported")]


async def test_a_weak_import_checks_its_ranges(observe, guest_wat):
    call = "(drop (call $forecast (i32.const 65536) (i32.const 1) (i32.const 0) (i32.const 0)))"

    error = (await observe(guest_wat(call, imports=WEAK))).error

    assert error.code == "out_of_bounds"
    assert error.where["host_call"] == "weather.forecast"


@pytest.mark.parametrize(
    ("imported", "code"),
    [
        ('"alga:weather" "forecast" (func (param i32 i32 i32 i32) (result i32))', "import_unknown"),
        ('"alga:weather?" "forecast" (func (param i32))', "import_mistyped"),
        ('"alga:scheduler?" "list" (func (param i32))', "import_mistyped"),
        ('"weather?" "forecast" (func (param i32 i32 i32 i32) (result i32))', "import_unknown"),
    ],
)
async def test_only_a_host_call_of_alga_may_be_missing(observe, guest_wat, imported: str, code: str):
    assert (await observe(guest_wat(imports=f"(import {imported})"))).error.code == code


async def test_a_module_may_import_a_hundred_functions_that_the_host_lacks_and_no_more(observe, guest_wat):
    def guest(count: int):
        of = "(func (param i32 i32 i32 i32) (result i32))"
        return guest_wat(imports="".join(f'(import "alga:x?" "f{number}" {of})' for number in range(count)))

    assert (await observe(guest(100))).response is not None
    assert (await observe(guest(101))).error.code == "import_unknown"


async def test_a_weak_import_may_be_declared_twice(observe, guest_wat):
    of = "(func (param i32 i32 i32 i32) (result i32))"
    twice = "".join(
        f'(import "{module}" {of})' for module in ('alga:x?" "f', 'alga:context?" "get') for _ in "12"
    )

    assert (await observe(guest_wat(imports=twice))).response is not None


@pytest.mark.parametrize(
    "names",
    [("alga:x\n?", "f"), ("alga:x?", "f" * 65), ("alga:?", "f"), ("alga:x??", "f"), ("alga:x?", "f.g")],
)
async def test_a_weak_import_has_a_name_that_an_operation_could_have(
    observe, guest_wat, names: tuple[str, str]
):
    module, name = names
    imported = f'(import "{module}" "{name}" (func (param i32 i32 i32 i32) (result i32)))'.replace(
        "\n", "\\0a"
    )

    error = (await observe(guest_wat(imports=imported))).error

    assert error.code == "import_unknown"
    assert "64 at most" in error.hint


def test_a_module_with_weak_imports_is_linked_to_what_it_imports_alone(guest_wat):
    engine = engine_context.engine(EngineConfig(max_guests=2, max_memory_bytes=1 << 20))
    limits = SessionLimits(10, 10, 1000, 1000, 100, 1000, 1000)
    host = CoreHost(engine, Gate(Telemetry()), limits)
    wasm = compile_wat(guest_wat(imports=WEAK))

    program = host.link(Module(engine, wasm), wasm)

    assert len(program.linked.functions) == len(program.answers) == 4
