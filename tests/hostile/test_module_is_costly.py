"""A module made to exhaust the compiler's time or memory is refused, and other tenants are served meanwhile."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from wasmtime import wat2wasm

from alga_runner import Settings
from tests.support.bundles import make_bundle
from tests.support.requests import execute_request

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """Little time and memory for the compiler, unless a mark below gives it more."""
    cpu_ms, memory_mb = getattr(request, "param", (100, 64))
    return settings.model_copy(update={"max_compile_cpu_ms": cpu_ms, "max_compile_memory_mb": memory_mb})


much_time = pytest.mark.parametrize("settings", [pytest.param((600_000, 64), id="much time")], indirect=True)
"""Then the bound on memory is met first."""

much_of_both = pytest.mark.parametrize(
    "settings", [pytest.param((600_000, 1_024), id="much time and memory")], indirect=True
)
"""Then the compiler is busy for much longer than the test takes."""


async def test_a_module_that_compiles_without_end_is_refused(
    observe, slow_module: Callable[[int], bytes]
) -> None:
    observation = await observe(slow_module(500))

    assert observation.error.code == "compile_timeout"


async def test_the_deadline_of_an_execution_ends_the_wait_for_the_compiler(
    observe, slow_module: Callable[[int], bytes]
) -> None:
    observation = await observe(slow_module(501), timeout_ms=1)

    assert observation.error.code == "deadline_exceeded"


@much_time
async def test_a_module_that_fills_the_compiler_s_memory_is_refused(observe, greedy_module: bytes) -> None:
    observation = await observe(greedy_module)

    assert observation.error.code == "compile_memory"


def resident_kib(field: str) -> int:
    """Resident memory of this process: ``VmRSS`` now, ``VmHWM`` at its peak."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0])


def forget_peak() -> None:
    """Start the peak anew: earlier tests of this process had one, too."""
    Path("/proc/self/clear_refs").write_text("5")


@much_of_both
async def test_debug_information_that_fills_memory_costs_its_lines_alone(observe, guest_wat) -> None:
    wasm = bytes(wat2wasm(guest_wat("unreachable")))
    small = guest_wat()
    served = 0
    ended = anyio.Event()

    async def serve() -> None:
        nonlocal served
        while not ended.is_set():
            assert (await observe(small)).response is not None
            served += 1

    before = resident_kib("VmRSS")
    forget_peak()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        observation = await observe(wasm + _million_long_paths())
        ended.set()

    assert observation.error.code == "guest_trap"
    assert all(frame.file is None for frame in observation.error.frames)
    assert resident_kib("VmHWM") - before < 512 * 1024  # naively it takes 4 GiB
    assert served > 1


@much_of_both
async def test_others_are_served_while_a_module_compiles(
    observe, guest_wat, slow_module: Callable[[int], bytes]
) -> None:
    ended: list[object] = []

    async def hostile() -> None:
        ended.append(await observe(slow_module(5_000)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hostile)
        await anyio.wait_all_tasks_blocked()
        served = [await observe(guest_wat()) for _ in range(20)]
        assert ended == []
        tasks.cancel_scope.cancel()

    assert [observation.error for observation in served] == [None] * 20


@much_of_both
async def test_twelve_megabytes_are_loaded_off_the_loop(observe, guest_wat) -> None:
    functions = "(func (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))" * 1_000
    large = bytes(wat2wasm(guest_wat(module=f'{functions} (data "{"x" * 12_000_000}")')))
    small = guest_wat()
    await observe(small)
    served = 0
    loaded = anyio.Event()

    async def serve() -> None:
        nonlocal served
        while not loaded.is_set():
            assert (await observe(small)).response is not None
            served += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        observation = await observe(large)
        loaded.set()

    assert observation.response is not None
    assert served > 1


def _million_long_paths() -> bytes:
    """Sections of DWARF 5 whose table has a million files, each with the same path of a thousand wide characters."""
    count = 1_000_000
    files = b"\1\1\x0e" + _leb(count) + bytes(4 * count)
    header = b"\1\1\1\xfb\x0e\x0d" + bytes(12) + b"\0\0" + files
    unit = struct.pack("<HBBI", 5, 4, 0, len(header)) + header
    path = "\U0001f600".encode() + b"\xff" * 996
    return _custom(b".debug_line", struct.pack("<I", len(unit)) + unit) + _custom(b".debug_str", path + b"\0")


def _custom(name: bytes, content: bytes) -> bytes:
    body = _leb(len(name)) + name + content
    return b"\0" + _leb(len(body)) + body


def _leb(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def exporting(names: int, length: int) -> str:
    """A guest with this many exports of its own, each with a name of ``length`` characters."""
    exports = "".join(f'(export "{number:0{length}}" (func $handle))' for number in range(names))
    return f"""(module
      (import "alga:abi" "respond" (func $respond (param i32 i32)))
      (memory (export "memory") 1)
      (data (i32.const 0) "\\81\\a6status\\cc\\c8")
      (func (export "alga_abi_v1"))
      (func $handle (export "alga_handle") (param i32) (call $respond (i32.const 0) (i32.const 10)))
      {exports})"""


async def test_a_module_whose_names_would_stay_in_memory_by_the_megabyte_is_refused(observe) -> None:
    observation = await observe(exporting(100, 30_000))

    assert observation.error.code == "module_too_large"
    assert "names" in str(observation.error)


async def test_a_module_with_many_short_names_runs_and_they_are_forgotten(runner, bundles, settings) -> None:
    request = execute_request(bundles.add(make_bundle(exporting(5_000, 8))))

    assert (await runner.execute(request)).status == 200
    program = runner._programs.loaded("acme", "ext", request.context.content_hash)
    assert program.linked.module.exports == ()


async def test_without_a_file_left_another_extension_is_refused_as_overload_and_room_is_made(
    runner, bundles, guest_wat, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = execute_request(bundles.add(make_bundle(guest_wat())))
    await runner.execute(there)

    async def no_file_left(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(runner._programs._bundles, "fetch", no_file_left)
    observation = await runner.observe(execute_request("sha256:" + "0" * 64))

    assert observation.error.code == "overloaded"
    assert "ulimit -n" in observation.error.hint
    assert runner._programs.loaded("acme", "ext", there.context.content_hash) is None
