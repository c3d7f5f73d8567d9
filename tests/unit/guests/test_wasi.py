"""What a language's runtime finds of WASI preview 1: enough to start, nothing of the machine."""

from __future__ import annotations

import struct

import pytest
from wasmtime import wat2wasm

from alga_runner.guests import wasi

pytestmark = pytest.mark.anyio

SUCCESS, BADF, INVAL, NOSYS, SPIPE = 0, 8, 28, 52, 70


@pytest.fixture
def call(observe, guest_wat):
    """Call one WASI function with i32 arguments (``64:n`` for an i64); gives its errno and the 32 bytes at 4096."""

    async def run(name: str, *arguments: int | str, data: bytes = b"") -> tuple[int, bytes]:
        letters = ["i64" if isinstance(argument, str) else "i32" for argument in arguments]
        values = [str(argument).removeprefix("64:") for argument in arguments]
        pushed = " ".join(f"({letter}.const {value})" for letter, value in zip(letters, values, strict=True))
        head = b"\x82\xa6status\xcc\xc8\xa4body\xc4\x24"
        guest = guest_wat(
            f"(i32.store (i32.const 4092) (call $f {pushed}))"
            f"(call $respond (i32.const {4092 - len(head)}) (i32.const {len(head) + 36}))",
            imports=f'(import "wasi_snapshot_preview1" "{name}" (func $f (param {" ".join(letters)}) (result i32)))',
            module=_data(4092 - len(head), head),
            data=data,
        )
        observation = await observe(guest)
        if observation.error is not None:
            raise observation.error
        body = observation.response.body()
        run.log = observation.log
        return int.from_bytes(body[:4], "little"), body[4:]

    return run


def _data(offset: int, content: bytes) -> str:
    escaped = "".join(f"\\{byte:02x}" for byte in content)
    return f'(data (i32.const {offset}) "{escaped}")'


async def test_there_are_no_arguments_and_no_environment(call):
    for name in ("args_sizes_get", "environ_sizes_get"):
        assert await call(name, 4096, 4100, data=b"") == (SUCCESS, bytes(32))


async def test_the_wall_clock_is_the_runner_s(call, runner):
    errno, memory = await call("clock_time_get", 0, "64:1", 4096)

    assert errno == SUCCESS
    assert struct.unpack("<Q", memory[:8])[0] > 1_700_000_000_000_000_000


@pytest.mark.parametrize("name", ["clock_time_get", "clock_res_get"])
async def test_an_unknown_clock_is_invalid(call, name: str):
    arguments = (9, "64:1", 4096) if name == "clock_time_get" else (9, 4096)

    assert (await call(name, *arguments))[0] == INVAL


async def test_random_bytes_are_random(call):
    first = await call("random_get", 4096, 32)
    second = await call("random_get", 4096, 32)

    assert first[0] == second[0] == SUCCESS
    assert first[1] != second[1] != bytes(32)


async def test_more_random_bytes_than_one_call_gives(call):
    assert (await call("random_get", 0, 65537))[0] == INVAL


async def test_what_is_written_to_stdout_and_stderr_is_logged_by_line(call):
    text = b"one\ntwo"
    vectors = struct.pack("<IIII", 1024 + 16, 4, 1024 + 20, 3)

    errno, memory = await call("fd_write", 2, 1024, 2, 4096, data=vectors + text)

    assert errno == SUCCESS
    assert struct.unpack("<I", memory[:4])[0] == 7
    assert [(line.level, line.message) for line in call.log] == [("error", "one"), ("error", "two")]


@pytest.mark.parametrize(("descriptor", "count", "errno"), [(0, 1, BADF), (3, 1, BADF), (1, 1025, INVAL)])
async def test_writing_where_or_how_it_is_not_allowed(call, descriptor: int, count: int, errno: int):
    assert (await call("fd_write", descriptor, 1024, count, 4096, data=bytes(8)))[0] == errno


async def test_stdin_is_at_its_end(call):
    assert await call("fd_read", 0, 1024, 0, 4096) == (SUCCESS, bytes(32))


@pytest.mark.parametrize(
    ("name", "arguments", "errno"),
    [
        ("fd_prestat_get", (3, 4096), BADF),
        ("fd_prestat_dir_name", (3, 4096, 10), BADF),
        ("fd_fdstat_get", (1, 4096), SUCCESS),
        ("fd_fdstat_get", (3, 4096), BADF),
        ("fd_filestat_get", (0, 4096), SUCCESS),
        ("fd_seek", (1, "64:0", 0, 4096), SPIPE),
        ("fd_close", (7,), BADF),
        ("fd_sync", (1,), SUCCESS),
        ("fd_read", (1, 0, 0, 4096), BADF),
        ("path_open", (3, 0, 0, 0, 0, "64:0", "64:0", 0, 4096), NOSYS),
        ("sock_send", (3, 0, 0, 0, 4096), NOSYS),
        ("sched_yield", (), SUCCESS),
    ],
)
async def test_descriptors_files_and_sockets(call, name: str, arguments: tuple[int | str, ...], errno: int):
    assert (await call(name, *arguments))[0] == errno


def subscription(user_data: int, *, clock: int = 1, timeout: int = 0, tag: int = 0, flags: int = 0) -> bytes:
    """``subscription``: user data, tag at 8, then clock id at 16, timeout at 24, precision, flags at 40 (48 bytes)."""
    return struct.pack("<QB7xI4xQQH6x", user_data, tag, clock, timeout, 0, flags)


async def test_waiting_for_a_clock_answers_the_earliest(call):
    waits = subscription(7, timeout=3_600_000_000_000) + subscription(8, timeout=1)

    errno, memory = await call("poll_oneoff", 1024, 4096, 2, 8192, data=waits)

    assert errno == SUCCESS
    assert struct.unpack("<QHB", memory[:11]) == (8, 0, 0)


async def test_a_moment_that_has_passed_does_not_wait(call):
    waits = subscription(5, clock=0, timeout=1, flags=1)

    assert (await call("poll_oneoff", 1024, 4096, 1, 8192, data=waits))[0] == SUCCESS


@pytest.mark.parametrize(("count", "errno"), [(0, INVAL), (65, INVAL)])
async def test_waiting_for_nothing_or_too_much(call, count: int, errno: int):
    assert (await call("poll_oneoff", 1024, 4096, count, 8192))[0] == errno


async def test_waiting_for_a_descriptor_is_not_supported(call):
    assert (await call("poll_oneoff", 1024, 4096, 1, 8192, data=subscription(1, tag=1)))[0] == NOSYS


async def test_waiting_ends_at_the_deadline(observe, guest_wat):
    guest = guest_wat(
        "(drop (call $f (i32.const 1024) (i32.const 4096) (i32.const 1) (i32.const 8192)))",
        imports='(import "wasi_snapshot_preview1" "poll_oneoff" (func $f (param i32 i32 i32 i32) (result i32)))',
        data=subscription(1, timeout=2**63),
    )

    observation = await observe(guest, timeout_ms=50)

    assert observation.error.code == "deadline_exceeded"


@pytest.mark.parametrize("arguments", [(1, 65530, 1, 4096), (1, 1024, 1, 65534)], ids=["vectors", "written"])
async def test_wild_pointers_are_a_breach(call, arguments: tuple[int, ...]):
    with pytest.raises(Exception, match="offset") as raised:
        await call("fd_write", *arguments, data=struct.pack("<II", 1024, 1))

    assert raised.value.code == "out_of_bounds"


def test_the_whole_interface_links():
    names = {item.function.name for item in wasi.WASI_IMPORTS}

    assert len(names) == 46
    assert {"fd_write", "path_open", "poll_oneoff", "proc_raise", "sock_accept"} <= names
    imports = "".join(
        f'(import "{item.function.module}" "{item.function.name}" (func (param '
        + " ".join({"i": "i32", "I": "i64"}[letter] for letter in item.function.signature.params)
        + ")"
        + ("(result i32)" if item.function.signature.results else "")
        + "))"
        for item in wasi.WASI_IMPORTS
    )
    assert wat2wasm(f"(module {imports})")
