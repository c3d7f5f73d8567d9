"""Compiling modules that are not trusted: the results, and that the kernel ends a job that takes too much."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import anyio
import anyio.lowlevel
import pytest
from wasmtime import wat2wasm

from alga_runner.engine import CompileBounds, Engine, Module
from alga_runner.engine.compile.compiler import Compiler
from alga_runner.engine.compile.job import MAX_EXPORTS, MAX_IMPORTS
from alga_runner.errors import (
    AlgaError,
    CompileCrash,
    CompileMemory,
    CompileTimeout,
    MemoryLimit,
    ModuleUnsupported,
    TableLimit,
)
from tests.support.guests import component_of

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("jobs")]

MIB = 1024 * 1024
WAT = """
(module (import "host" "ask" (func (param i32 i64 f32 f64 externref) (result i32)))
  (memory (export "memory") 1) (global (export "count") i32 (i32.const 0)) (table (export "table") 1 funcref)
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))
"""

Slow = Callable[[int], bytes]


async def compiled(engine: Engine, wasm: bytes) -> Module:
    with await Compiler(CompileBounds()).compile(wasm, "acme") as code:
        return Module.from_code(engine, code.descriptor)


async def test_a_compiled_module_describes_itself_as_one_compiled_in_place(engine: Engine) -> None:
    wasm = bytes(wat2wasm(WAT))
    expected = Module(engine, wasm)

    module = await compiled(engine, wasm)

    assert (module.imports, module.exports) == (expected.imports, expected.exports)


@pytest.mark.parametrize(
    ("wasm", "error"),
    [
        pytest.param(b"\0asm\1\0\0\0garbage", ModuleUnsupported, id="garbage"),
        pytest.param(bytes(wat2wasm(WAT))[:-4], ModuleUnsupported, id="cut off"),
        pytest.param(bytes(wat2wasm("(module (memory 1) (memory 1))")), ModuleUnsupported, id="two memories"),
        pytest.param(bytes(wat2wasm("(module (memory 5000))")), MemoryLimit, id="too much memory"),
        pytest.param(bytes(wat2wasm("(module (table 100000 funcref))")), TableLimit, id="too large a table"),
    ],
)
async def test_a_module_is_refused_with_the_sentence_of_one_compiled_in_place(
    engine: Engine, wasm: bytes, error: type[AlgaError]
) -> None:
    with pytest.raises(error) as expected:
        Module(engine, wasm)

    with pytest.raises(error) as raised:
        await compiled(engine, wasm)

    assert (str(raised.value), raised.value.hint) == (str(expected.value), expected.value.hint)


@pytest.mark.parametrize(
    ("what", "allowed"), [("imports", MAX_IMPORTS), ("exports", MAX_EXPORTS)], ids=["imports", "exports"]
)
async def test_a_module_with_too_many_names_is_refused(engine: Engine, what: str, allowed: int) -> None:
    def named(count: int) -> bytes:
        one = '(import "host" "{}" (func))' if what == "imports" else '(export "{}" (func 0))'
        function = "" if what == "imports" else "(func)"
        return bytes(wat2wasm(f"(module {function} {' '.join(map(one.format, range(count)))})"))

    assert len(getattr(await compiled(engine, named(allowed)), what)) == allowed
    with pytest.raises(ModuleUnsupported, match=f"{allowed + 1} {what}; {allowed} are allowed"):
        await compiled(engine, named(allowed + 1))


async def test_a_module_that_takes_too_much_cpu_time_is_ended(slow_module: Slow) -> None:
    with pytest.raises(CompileTimeout, match=r"more than 0\.1 s of CPU time") as raised:
        await Compiler(CompileBounds(cpu_s=0.1)).compile(slow_module(500), "acme")

    assert raised.value.hint is not None
    assert "max_compile_cpu_ms" in raised.value.hint


async def test_a_module_that_takes_too_long_is_ended(slow_module: Slow) -> None:
    with pytest.raises(CompileTimeout, match=r"not compiled within 0\.1 s") as raised:
        await Compiler(CompileBounds(wall_s=0.1)).compile(slow_module(2_000), "acme")

    assert raised.value.hint is not None
    assert "max_compile_ms" in raised.value.hint


async def test_a_module_that_takes_too_much_memory_is_ended(greedy_module: bytes) -> None:
    with pytest.raises(CompileMemory, match="more than 64 MiB of memory") as raised:
        await Compiler(CompileBounds(memory_bytes=64 * MIB)).compile(greedy_module, "acme")

    assert raised.value.hint is not None
    assert "max_compile_memory_mb" in raised.value.hint


async def test_a_module_whose_code_takes_too_much_memory_is_ended() -> None:
    wasm = bytes(wat2wasm(f'(module (memory 512) (data (i32.const 0) "{"x" * 200_000}"))'))

    with pytest.raises(CompileMemory):
        await Compiler(CompileBounds(memory_bytes=100_000)).compile(wasm, "acme")


@pytest.mark.parametrize(
    ("bounds", "error", "sentence", "setting"),
    [
        (
            CompileBounds(cpu_s=0.1),
            CompileTimeout,
            r"Compiling the component takes more than 0\.1 s of CPU",
            "max_compile_cpu_ms",
        ),
        (
            CompileBounds(memory_bytes=64 * MIB),
            CompileMemory,
            "Compiling the component takes more than 64 MiB",
            "max_compile_memory_mb",
        ),
    ],
    ids=["CPU time", "memory"],
)
async def test_a_component_is_held_to_the_bounds_and_its_hint_is_for_components(
    greedy_module: bytes, bounds: CompileBounds, error: type[AlgaError], sentence: str, setting: str
) -> None:
    with pytest.raises(error, match=sentence) as raised:
        await Compiler(bounds).compile(component_of(greedy_module), "acme")

    assert raised.value.hint == f"Build it smaller, as JavaScript with QuickJS, or raise {setting}."


async def test_no_more_than_so_many_are_compiled_concurrently(
    slow_module: Slow, jobs: Callable[[], list[int]], until
) -> None:
    compiler = Compiler(CompileBounds(concurrent=2))

    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(compiler.compile, slow_module(2_000), str(number))
        await until(lambda: len(jobs()) == 2)
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        assert len(jobs()) == 2
        tasks.cancel_scope.cancel()


async def test_a_job_that_is_killed_is_a_crash(
    slow_module: Slow, jobs: Callable[[], list[int]], until
) -> None:
    async def kill() -> None:
        await until(jobs)
        os.kill(jobs()[0], signal.SIGKILL)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(kill)
        with pytest.raises(CompileCrash, match="was ended by SIGKILL") as raised:
            await Compiler(CompileBounds()).compile(slow_module(2_000), "acme")

    assert raised.value.hint


async def test_a_job_that_fails_says_why() -> None:
    with pytest.raises(CompileCrash, match=r"ended with 1 .* Its last message: .*OverflowError"):
        await Compiler(CompileBounds(memory_bytes=2**64 - 1)).compile(b"\0asm\1\0\0\0", "acme")


async def test_a_compilation_that_is_cancelled_ends(
    slow_module: Slow, jobs: Callable[[], list[int]], until
) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Compiler(CompileBounds()).compile, slow_module(2_000), "acme")
        await until(jobs)
        tasks.cancel_scope.cancel()

    await until(lambda: not jobs())


async def test_however_it_ends_no_descriptor_is_left(
    engine: Engine, slow_module: Slow, open_files: Callable[[], int]
) -> None:
    async def one_of_each() -> None:
        await compiled(engine, b"\0asm\1\0\0\0")
        for wasm, bounds in (
            (b"\0asm\1\0\0\0garbage", CompileBounds()),
            (slow_module(500), CompileBounds(cpu_s=0.01)),
            (slow_module(500), CompileBounds(wall_s=0.01)),
        ):
            with pytest.raises(AlgaError):
                await Compiler(bounds).compile(wasm, "acme")

    await one_of_each()
    before = open_files()

    await one_of_each()

    assert open_files() == before
