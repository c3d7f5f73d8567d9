"""A guest that misbehaves in any way ends its execution with a sentence and a code, and the next one runs."""

from __future__ import annotations

import struct

import pytest

from alga_runner import Settings
from tests.support.patience import PATIENT

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024


async def assert_ends(observe, guest_wat, guest, code: str, *fragments: str, **limits: int):
    observation = await observe(guest, **limits)

    assert observation.response is None
    assert observation.error is not None
    assert observation.error.code == code
    for fragment in fragments:
        assert fragment in observation.error.sentence()
    assert observation.error.where["extension"] == "com.example.test"
    assert observation.error.where["request_id"] == "request-1"
    healthy = await observe(guest_wat())
    assert healthy.response is not None, "the runner must survive"
    return observation.error


async def test_a_trap_says_why_and_where(observe, guest_wat):
    error = await assert_ends(
        observe,
        guest_wat,
        guest_wat("(call $dig)", module="(func $dig unreachable)"),
        "guest_trap",
        "unreachable",
        "POST /test",
    )

    assert error.trap_code == "unreachable"
    assert error.frames[0].function == "dig"


async def test_names_of_a_hundred_thousand_bytes_are_cut(observe, guest_wat):
    name = "n" * 99_000
    trap = guest_wat(f"(call ${name})", module=f"(func ${name} unreachable)")
    wrong_import = guest_wat(imports=f'(import "alga:{name}" "call" (func))')
    wrong_marker = guest_wat(module=f'(func (export "alga_abi_v{"1" * 99_000}"))')

    frames = (await observe(trap)).error.frames
    refusals = [(await observe(guest)).error for guest in (wrong_import, wrong_marker)]

    assert frames[0].function == name[:200]
    assert [error.code for error in refusals] == ["import_unknown", "abi_marker_conflict"]
    assert all(len(str(error)) < 500 for error in refusals)


async def test_a_trap_after_the_response_is_still_a_trap(observe, guest_wat):
    await assert_ends(
        observe,
        guest_wat,
        guest_wat("(call $respond (i32.const 0) (global.get $ok)) unreachable"),
        "guest_trap",
    )


async def test_memory_outside_its_bounds_is_a_trap(observe, guest_wat):
    await assert_ends(
        observe, guest_wat, guest_wat("(drop (i32.load (i32.const -4)))"), "guest_trap", "outside its bounds"
    )


async def test_endless_recursion_ends_at_the_stack(observe, guest_wat):
    guest = guest_wat(
        "(call $dig (i32.const 0))",
        module="(func $dig (param i32) (call $dig (local.get 0)) (drop (i32.const 1)))",
    )
    await assert_ends(observe, guest_wat, guest, "stack_limit")


@pytest.mark.parametrize(
    "guest",
    [
        pytest.param({"module": "(func $start (loop (br 0))) (start $start)"}, id="start function"),
        pytest.param({"module": '(func (export "_initialize") (loop (br 0)))'}, id="_initialize"),
        pytest.param({"handler": "(loop (br 0))"}, id="handler"),
    ],
)
async def test_a_loop_ends_at_the_deadline(observe, guest_wat, guest):
    await assert_ends(observe, guest_wat, guest_wat(**guest), "deadline_exceeded", "60 ms", timeout_ms=60)


async def test_a_guest_that_never_responds(observe, guest_wat):
    await assert_ends(observe, guest_wat, guest_wat(""), "no_response")


@pytest.mark.parametrize(
    ("data", "fragment"),
    [
        pytest.param(b"", "is empty", id="nothing"),
        pytest.param(b"\xc1", "not MessagePack", id="no MessagePack"),
        pytest.param(b"\x90", "not a map", id="a list"),
        pytest.param(b"\x80", "no status", id="no status"),
        pytest.param(b"\x81\xa6status\xcc\x63", "is 99, not an integer", id="status 99"),
        pytest.param(
            b"\x81\xa6status\xcb\x40\x69\x10\0\0\0\0\0", "is a float, not an integer", id="status a float"
        ),
        pytest.param(b"\x82\xa6status\xcc\xc8\xa4body\xa1x", "not binary", id="text for a body"),
        pytest.param(b"\x82\xa6status\xcc\xc8\xa7headers\x91\x80", "no name", id="nameless header"),
    ],
)
async def test_garbage_for_a_response(observe, guest_wat, data: bytes, fragment: str):
    guest = guest_wat(f"(call $respond (i32.const 1024) (i32.const {len(data)}))", data=data)
    await assert_ends(observe, guest_wat, guest, "invalid_response", fragment)


@pytest.mark.parametrize(
    ("data", "sentence", "hint"),
    [
        pytest.param(b"", "The message is empty.", "0x80", id="nothing"),
        pytest.param(b"\x82\xa1a\x01", "ends in the middle, after 4 bytes", "how many members", id="cut"),
        pytest.param(b"\x80\x00", "ends at byte 1 of 2", "how many members", id="more behind it"),
        pytest.param(b'{"cron": ""}', "ends at byte 1 of 12", "looks like JSON", id="JSON"),
    ],
)
async def test_broken_framing_is_told_with_the_likely_cause(
    observe, guest_wat, data: bytes, sentence: str, hint: str
):
    guest = guest_wat(f"(call $respond (i32.const 1024) (i32.const {len(data)}))", data=data)

    error = await assert_ends(observe, guest_wat, guest, "invalid_response", sentence)

    assert hint in (error.hint or "")


async def test_a_second_response_is_a_breach(observe, guest_wat):
    twice = "(call $respond (i32.const 0) (global.get $ok))" * 2
    await assert_ends(observe, guest_wat, guest_wat(twice), "second_response")


@pytest.mark.parametrize(("offset", "length"), [(0, 65537), (65536, 1), (-1, 2), (-1, -1), (1, -1)])
async def test_a_response_outside_memory_is_a_breach(observe, guest_wat, offset: int, length: int):
    guest = guest_wat(f"(call $respond (i32.const {offset}) (i32.const {length}))")
    await assert_ends(observe, guest_wat, guest, "out_of_bounds", "alga:abi respond")


async def test_memory_that_starts_past_its_limit(observe, guest_wat):
    await assert_ends(observe, guest_wat, guest_wat(pages=65), "memory_limit", "starts with more memory")


async def test_memory_grown_until_it_is_refused(observe, guest_wat):
    greedy = "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable"
    await assert_ends(observe, guest_wat, guest_wat(greedy), "memory_limit", "unreachable")


async def test_the_limit_a_request_asks_for_is_kept(observe, guest_wat):
    greedy = "(if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable)) (loop (br 0))"
    error = await assert_ends(observe, guest_wat, guest_wat(greedy, pages=10), "memory_limit", memory_mb=1)
    assert f"{1 * MIB} bytes" in str(error)


async def test_a_request_cannot_ask_for_more_memory_than_the_runner_gives(observe, guest_wat):
    await assert_ends(observe, guest_wat, guest_wat(pages=65), "memory_limit", memory_mb=256)


async def test_a_table_past_its_limit(observe, guest_wat):
    await assert_ends(observe, guest_wat, guest_wat(module="(table 30000 funcref)"), "table_limit")


@pytest.mark.parametrize("status", [0, 1, 7])
async def test_an_exit_before_the_response(observe, guest_wat, status: int):
    imports = '(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))'
    guest = guest_wat(f"(call $exit (i32.const {status}))", imports=imports)
    await assert_ends(observe, guest_wat, guest, "guest_exit", f"status {status}")


async def test_an_exit_with_0_after_the_response_is_success(observe, guest_wat):
    imports = '(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))'
    guest = guest_wat(
        "(call $respond (i32.const 0) (global.get $ok)) (call $exit (i32.const 0))", imports=imports
    )

    observation = await observe(guest)

    assert observation.response is not None
    assert observation.response.status == 200


async def test_an_exit_with_1_after_the_response_is_not(observe, guest_wat):
    imports = '(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))'
    guest = guest_wat(
        "(call $respond (i32.const 0) (global.get $ok)) (call $exit (i32.const 1))", imports=imports
    )
    await assert_ends(observe, guest_wat, guest, "guest_exit")


async def test_an_assemblyscript_abort_tells_its_message_and_position(observe, guest_wat, as_text):
    message, place = as_text("index out of range"), as_text("assembly/index.ts")
    guest = guest_wat(
        f"(call $abort (i32.const 1028) (i32.const {1024 + len(message) + 4}) (i32.const 12) (i32.const 5))",
        imports='(import "env" "abort" (func $abort (param i32 i32 i32 i32)))',
        data=message + place,
    )
    await assert_ends(
        observe, guest_wat, guest, "guest_abort", "index out of range", "assembly/index.ts:12:5"
    )


@pytest.mark.parametrize("pointer", [-8, 1028, 65540])
async def test_an_abort_whose_words_cannot_be_read_is_an_abort_all_the_same(observe, guest_wat, pointer: int):
    guest = guest_wat(
        f"(call $abort (i32.const {pointer}) (i32.const {pointer}) (i32.const 1) (i32.const 1))",
        imports='(import "env" "abort" (func $abort (param i32 i32 i32 i32)))',
        data=b"\xff\xff\xff\xff",
    )
    await assert_ends(observe, guest_wat, guest, "guest_abort", "The guest aborted at (unreadable):1:1")


async def test_an_abort_s_words_are_decoded_whatever_they_are(observe, guest_wat):
    text = struct.pack("<I", 8) + "a\x1b".encode("utf-16-le") + b"\x00\xd8" + "é".encode("utf-16-le")
    guest = guest_wat(
        "(call $abort (i32.const 1028) (i32.const 0) (i32.const -1) (i32.const -1))",
        imports='(import "env" "abort" (func $abort (param i32 i32 i32 i32)))',
        data=text,
    )
    error = await assert_ends(observe, guest_wat, guest, "guest_abort")

    assert str(error) == "The guest aborted: a\x1b\ufffdé."
    assert (error.file, error.line, error.column) == (None, None, None)


async def test_calling_the_host_without_end(observe, guest_wat):
    guest = guest_wat(
        "(loop (drop (call $request (i32.const 0) (i32.const 0))) (br 0))",
        imports='(import "alga:abi" "request" (func $request (param i32 i32) (result i32)))',
    )
    await assert_ends(observe, guest_wat, guest, "host_call_limit", "10000 times")


CLOCK = '(import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))'


def yields(times: int) -> str:
    return (
        f"(global.set $left (i32.const {times}))"
        "(loop (drop (call $yield)) (global.set $left (i32.sub (global.get $left) (i32.const 1)))"
        "  (br_if 0 (global.get $left)))"
        "(call $respond (i32.const 0) (global.get $ok))"
    )


LEFT = "(global $left (mut i32) (i32.const 0))"


async def test_calls_of_the_system_do_not_use_up_those_of_alga(observe, guest_wat):
    observation = await observe(guest_wat(yields(20_000), imports=CLOCK, module=LEFT))

    assert observation.response is not None
    assert observation.system_calls == 20_000


@pytest.mark.parametrize("settings", [Settings(max_guests=8, max_system_calls=100, **PATIENT)])
async def test_calling_the_system_without_end(observe, guest_wat):
    assert (await observe(guest_wat(yields(99), imports=CLOCK, module=LEFT))).response is not None
    guest = guest_wat(yields(100_000), imports=CLOCK, module=LEFT)
    error = (await observe(guest)).error

    assert (error.code, error.hint) == ("host_call_limit", "See max_system_calls.")


async def test_logging_without_end(observe, guest_wat):
    guest = guest_wat(
        "(loop (call $emit (i32.const 1) (i32.const 0) (i32.const 8192)) (br 0))",
        imports='(import "alga:log" "emit" (func $emit (param i32 i32 i32)))',
    )
    await assert_ends(observe, guest_wat, guest, "log_limit")


@pytest.mark.parametrize(
    "module",
    [
        pytest.param(
            "(func $start (drop (call $request (i32.const 0) (i32.const 0)))) (start $start)", id="start"
        ),
        pytest.param(
            '(func (export "_initialize") (drop (call $request (i32.const 0) (i32.const 0))))', id="init"
        ),
    ],
)
async def test_calling_the_host_before_the_handler_is_a_breach(observe, guest_wat, module: str):
    guest = guest_wat(
        module=module, imports='(import "alga:abi" "request" (func $request (param i32 i32) (result i32)))'
    )
    await assert_ends(observe, guest_wat, guest, "too_early", "alga:abi request")


RESPOND_AND_CALL = (
    '(import "alga:abi" "request" (func $request (param i32 i32) (result i32)))'
    '(import "alga:abi" "reply" (func $reply (param i32 i32) (result i32)))'
    '(import "alga:scheduler" "delete" (func $delete (param i32 i32 i32 i32) (result i32)))'
)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ("(call $request (i32.const 0) (i32.const 0))", "alga:abi request"),
        ("(call $reply (i32.const 0) (i32.const 0))", "alga:abi reply"),
        (
            "(call $delete (i32.const 1024) (i32.const 5) (i32.const 0) (i32.const 0))",
            "scheduler.delete",
        ),
    ],
)
async def test_a_call_after_the_response_takes_no_effect(observe, guest_wat, call: str, name: str):
    guest = guest_wat(
        f"(call $respond (i32.const 0) (global.get $ok)) (drop {call})", imports=RESPOND_AND_CALL
    )
    error = await assert_ends(observe, guest_wat, guest, "too_late", name)

    assert error.hint == "Respond last."
    assert (await observe(guest)).host_calls == ()


async def test_logging_works_after_the_response(observe, guest_wat):
    guest = guest_wat(
        "(call $respond (i32.const 0) (global.get $ok))"
        "(call $emit (i32.const 1) (i32.const 1024) (i32.const 4))",
        imports='(import "alga:log" "emit" (func $emit (param i32 i32 i32)))',
        data=b"late",
    )
    observation = await observe(guest)

    assert observation.response is not None
    assert [line.message for line in observation.log] == ["late"]


FAIL = '(import "alga:abi" "fail" (func $fail (param i32 i32)))'


@pytest.mark.parametrize(
    ("before", "module"),
    [
        pytest.param("(call $fail (i32.const 1024) (i32.const 5))", "", id="in the handler"),
        pytest.param(
            "(call $respond (i32.const 0) (global.get $ok)) (call $fail (i32.const 1024) (i32.const 5))",
            "",
            id="after the response",
        ),
        pytest.param(
            "",
            "(func $start (call $fail (i32.const 1024) (i32.const 5))) (start $start)",
            id="before the handler",
        ),
    ],
)
async def test_a_guest_that_fails_tells_why_and_where(observe, guest_wat, before: str, module: str):
    guest = guest_wat(before, module=module, imports=FAIL, data=b"ow: \xff")
    error = await assert_ends(observe, guest_wat, guest, "guest_failed", "The guest failed: ow: \ufffd")

    assert error.frames


@pytest.mark.parametrize(("text", "shown"), [("", "no message"), ("ü" * 1_001, "ü" * 999 + "…")])
async def test_the_words_of_a_failure_are_cut_between_characters(observe, guest_wat, text: str, shown: str):
    data = text.encode()
    guest = guest_wat(f"(call $fail (i32.const 1024) (i32.const {len(data)}))", imports=FAIL, data=data)

    assert str((await observe(guest)).error) == f"The guest failed: {shown}"


async def test_a_failure_beyond_memory_is_out_of_bounds(observe, guest_wat):
    guest = guest_wat("(call $fail (i32.const 65530) (i32.const 7))", imports=FAIL)
    await assert_ends(observe, guest_wat, guest, "out_of_bounds", "alga:abi fail")


async def test_logging_works_before_the_handler(observe, guest_wat):
    guest = guest_wat(
        module="(func $start (call $emit (i32.const 2) (i32.const 1024) (i32.const 5))) (start $start)",
        imports='(import "alga:log" "emit" (func $emit (param i32 i32 i32)))',
        data=b"early",
    )
    observation = await observe(guest)

    assert [(line.level, line.message) for line in observation.log] == [("warn", "early")]


async def test_an_abort_that_says_too_much_is_cut(observe, guest_wat, as_text):
    guest = guest_wat(
        "(call $abort (i32.const 1028) (i32.const 1028) (i32.const 1) (i32.const 1))",
        imports='(import "env" "abort" (func $abort (param i32 i32 i32 i32)))',
        data=as_text("long " * 4_000),
    )

    error = (await observe(guest)).error

    assert error.code == "guest_abort"
    assert len(str(error)) < 2_100
