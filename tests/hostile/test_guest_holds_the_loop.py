"""A guest can neither hold the event loop nor fill the host's memory with its host calls."""

from __future__ import annotations

import struct
import sys
from itertools import count
from time import monotonic

import msgpack
import pytest

from alga_runner.errors import InvalidResponse
from alga_runner.guests.http import RESPONSE_OVERHEAD_BYTES, decode_response

pytestmark = pytest.mark.anyio

RANDOM = '(import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))'
WRITE = '(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))'
CREATE = '(import "alga:scheduler" "create" (func $create (param i32 i32 i32 i32) (result i32)))'


async def test_host_calls_in_a_row_end_at_the_deadline(observe, guest_wat):
    calls = "(drop (call $random (i32.const 0) (i32.const 65536)))" * 4_000

    guest = guest_wat(calls, imports=RANDOM)
    await observe(guest)  # so that loading takes no part of the deadline

    observation = await observe(guest, timeout_ms=20)

    assert observation.error.code == "deadline_exceeded"


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"timeout_ms": 300_000}, "host_call_limit"),
        ({"timeout_ms": 50_000}, "deadline_exceeded"),
        ({"timeout_ms": 300_000, "cpu_ms": 5}, "cpu_limit"),
    ],
)
async def test_calls_without_a_loop_end_before_the_last_when_they_take_long(
    observe, guest_wat, monkeypatch: pytest.MonkeyPatch, limits: dict[str, int], code: str
):
    guests_session = sys.modules["alga_runner.guests.session"]
    for clock, step_s in ("thread_time", 0.004), ("monotonic", 10.0):  # between two looks at it
        monkeypatch.setattr(guests_session, clock, count(monotonic(), step_s).__next__)
    guest = guest_wat("(drop (call $random (i32.const 0) (i32.const 4096)))" * 4_000, imports=RANDOM)

    observation = await observe(guest, **limits)

    assert observation.error.code == code
    assert observation.system_calls < 4_000


async def test_one_write_takes_no_more_than_its_share(observe, guest_wat):
    everything = struct.pack("<II", 0, 32 * 65536) * 1_000
    handler = """
        (memory.fill (i32.const 65536) (i32.const 10) (i32.const 65536))
        (drop (call $write (i32.const 1) (i32.const 1024) (i32.const 1000) (i32.const 16)))
        (if (i32.ne (i32.load (i32.const 16)) (i32.const 65536)) (then unreachable))
        (call $respond (i32.const 0) (global.get $ok))"""
    guest = guest_wat(handler, imports=WRITE, data=everything, pages=32)

    observation = await observe(guest)

    assert observation.response is not None
    assert sum(len(line.message) for line in observation.log) <= 65536


async def test_every_vector_of_a_write_lies_in_memory_even_one_that_is_not_taken(observe, guest_wat):
    vectors = struct.pack("<IIII", 0, 65536, 65536, 1)
    guest = guest_wat(
        "(drop (call $write (i32.const 1) (i32.const 1024) (i32.const 2) (i32.const 16)))",
        imports=WRITE,
        data=vectors,
    )

    observation = await observe(guest)

    assert observation.error.code == "out_of_bounds"


async def test_a_write_of_many_lines_ends_at_the_deadline(observe, guest_wat):
    handler = """
        (memory.fill (i32.const 2048) (i32.const 10) (i32.const 60000))
        (drop (call $write (i32.const 1) (i32.const 1024) (i32.const 1) (i32.const 16)))"""
    guest = guest_wat(handler, imports=WRITE, data=struct.pack("<II", 2048, 60_000))

    assert (await observe(guest)).error.code == "log_limit"  # and loading takes no part of the deadline

    observation = await observe(guest, timeout_ms=1)

    assert observation.error.code == "deadline_exceeded"


NESTED_WITH_A_TIMESTAMP = b"\x91" * 900 + b"\xd6\xff\0\0\0\0"


async def test_a_response_that_nests_as_deep_as_python_is_invalid(observe, guest_wat):
    length = len(NESTED_WITH_A_TIMESTAMP)
    guest = guest_wat(f"(call $respond (i32.const 1024) (i32.const {length}))", data=NESTED_WITH_A_TIMESTAMP)

    observation = await observe(guest)

    assert observation.error.code == "invalid_response"
    assert "deeper than 32" in str(observation.error)


async def test_a_request_that_nests_as_deep_as_python_is_refused(observe, guest_wat):
    length = len(NESTED_WITH_A_TIMESTAMP)
    guest = guest_wat(
        f"(drop (call $create (i32.const 1024) (i32.const {length}) (i32.const 0) (i32.const 0)))",
        imports=CREATE,
        data=NESTED_WITH_A_TIMESTAMP,
    )

    observation = await observe(guest, providers=("cap:scheduler.manage",))

    assert [call.status for call in observation.host_calls] == ["validation-failed"]


async def test_a_number_too_large_for_32_bits_is_infinite(observe, guest_wat):
    handler = """
        (if (f32.ne (call $fround (f64.const -1e300)) (f32.const -inf)) (then unreachable))
        (if (f32.ne (call $fround (f64.const 0.1)) (f32.const 0.1)) (then unreachable))
        (call $respond (i32.const 0) (global.get $ok))"""
    guest = guest_wat(handler, imports='(import "env" "Math.fround" (func $fround (param f64) (result f32)))')

    observation = await observe(guest)

    assert observation.error is None


def test_a_response_of_many_small_members_is_not_decoded():
    crowd = {f"{number:06}": None for number in range(9_000)}
    document = {"status": 200, "body": b"x" * 1_000_000, "extra": [crowd] * 10}

    with pytest.raises(InvalidResponse, match="apart from its body"):
        decode_response(msgpack.packb(document), max_body_bytes=2_000_000, max_items=10_000)


def test_a_large_body_leaves_room_for_the_rest_of_the_response():
    headers = [{"name": f"x-{number}", "value": "v" * 900} for number in range(200)]
    document = {"body": b"x" * 1_000_000, "status": 200, "headers": headers}
    assert len(msgpack.packb(headers)) < RESPONSE_OVERHEAD_BYTES

    response = decode_response(msgpack.packb(document), max_body_bytes=1_000_000, max_items=10_000)

    assert len(response.body()) == 1_000_000
    assert len(response.headers) == 200
