"""A module is compiled once for all who load it; an entry that cannot be trusted is compiled again, never run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import chain, repeat
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
import wasmtime
from wasmtime import wat2wasm

from alga_runner.engine import Component, Engine, EngineConfig, Module, engine_context
from alga_runner.engine.compile.code_cache import CodeCache
from alga_runner.engine.compile.code_seal import SEAL_BYTES, copy_sealed
from alga_runner.errors import MemoryLimit
from tests.support.module_loader import (
    LOAD,
    MIB,
    Open,
    entries,
    leave_half_written,
    module,
    names,
    only_entry,
    rewrite,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("jobs")]


async def test_a_module_is_compiled_once_for_all_processes(opened: Open) -> None:
    async with opened() as first, opened() as second:
        await first.load(module())
        await second.load(module())

    assert (first.counts, second.counts) == ({"miss": 1}, {"hit": 1})


async def test_a_module_from_the_cache_describes_itself_as_a_fresh_one(opened: Open, engine: Engine) -> None:
    expected = Module(engine, module())
    async with opened() as first, opened() as second:
        await first.load(module())
        loaded = await second.load(module())

    assert (loaded.imports, loaded.exports) == (expected.imports, expected.exports)


async def test_a_module_loaded_concurrently_is_compiled_once(opened: Open) -> None:
    async with opened() as loading, anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(loading.load, module())

    assert loading.counts == {"miss": 1, "hit": 4}


def test_processes_that_race_compile_a_module_once(folder: Path, slow_module: Callable[[int], bytes]) -> None:
    wasm = slow_module(10)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", LOAD, str(folder), str(len(wasm))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(wasm)
        process.stdin.flush()
        process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"!")
        process.stdin.flush()
    said = [process.communicate()[0].decode() for process in processes]

    counted = "".join(said)
    assert counted.count('result="miss"} 1.0') == 1
    assert counted.count('result="hit"} 1.0') == 2


async def test_a_loader_that_waits_too_long_for_another_process_compiles_itself(
    opened: Open, folder: Path
) -> None:
    async with opened() as first:
        await first.load(module())
    entry = only_entry(folder)
    leave_half_written(entry)
    cache = CodeCache(folder, MIB)
    lock = cache.lock(entry.stem)
    assert lock.attempt()
    times = chain([0.0, 0.0, 0.0], repeat(1_000.0))

    async with opened(clock=lambda: next(times)) as loading:
        await loading.load(module())

    assert loading.counts == {"miss": 1}
    assert entries(folder) == []
    lock.release()
    cache.close()


async def test_the_file_of_a_killed_writer_is_replaced(opened: Open, folder: Path) -> None:
    async with opened() as first:
        await first.load(module())
    entry = only_entry(folder)
    leave_half_written(entry)

    async with opened() as loading:
        await loading.load(module())

    assert loading.counts == {"miss": 1}
    assert names(folder) == [entry.name, "key"]


@pytest.mark.parametrize("position", [0, 1, 64, 5_000, -SEAL_BYTES - 1, -SEAL_BYTES, -33, -32, -1])
async def test_a_damaged_entry_is_compiled_again(opened: Open, folder: Path, position: int) -> None:
    async with opened() as first:
        await first.load(module())
    content = bytearray(only_entry(folder).read_bytes())
    content[position] ^= 0x10
    rewrite(only_entry(folder), bytes(content))

    async with opened() as second, opened() as third:
        loaded = await second.load(module())
        await third.load(module())

    assert [export.name for export in loaded.exports] == ["f1"]
    assert second.counts == {"discarded": 1, "miss": 1}
    assert third.counts == {"hit": 1}


async def test_a_discarded_entry_is_logged_with_its_fault(opened: Open, folder: Path) -> None:
    async with opened() as first:
        await first.load(module())
    name = only_entry(folder).stem
    rewrite(only_entry(folder), b"")

    async with opened() as second:
        await second.load(module())

    assert second.log == [f"Code cache: discarded: {name}: it is cut off"]


async def test_another_module_s_code_under_its_name_is_not_run(opened: Open, folder: Path) -> None:
    async with opened() as first:
        await first.load(module(1))
        one = only_entry(folder)
        await first.load(module(2))
    (two,) = set(entries(folder)) - {one}
    rewrite(one, two.read_bytes())

    async with opened() as second:
        loaded = await second.load(module(1))

    assert [export.name for export in loaded.exports] == ["f1"]
    assert second.counts == {"discarded": 1, "miss": 1}


async def test_code_for_another_engine_is_not_run_even_with_a_good_seal(opened: Open, folder: Path) -> None:
    async with opened() as first:
        await first.load(module())
    entry = only_entry(folder)
    foreign = wasmtime.Module(wasmtime.Engine(), module()).serialize()
    code, sealed = (os.memfd_create(name) for name in ("code", "sealed"))
    os.write(code, foreign)
    copy_sealed(code, sealed, entry.stem, (folder / "key").read_bytes())
    rewrite(entry, os.pread(sealed, MIB, 0))
    os.close(code)
    os.close(sealed)

    async with opened() as second:
        await second.load(module())

    assert second.counts == {"discarded": 1, "miss": 1}
    assert "compiled with" in second.log[0] or "compiled without" in second.log[0]


async def test_code_for_another_engine_has_another_name(engine: Engine) -> None:
    other = wasmtime.Config()
    other.epoch_interruption = False
    foreign = object.__new__(Engine)
    foreign.wasmtime = wasmtime.Engine(other)

    assert foreign.code_target != engine.code_target


async def test_engines_that_differ_in_room_alone_share_their_code(engine: Engine) -> None:
    roomier = engine_context.engine(
        EngineConfig(max_guests=2, max_memory_bytes=8 * MIB, max_table_elements=7)
    )

    assert roomier.code_target == engine.code_target


async def test_a_module_in_the_cache_is_held_to_this_engine_s_limits(opened: Open) -> None:
    wasm = bytes(wat2wasm("(module (memory 100))"))
    roomier = engine_context.engine(EngineConfig(max_guests=2, max_memory_bytes=8 * MIB))
    async with opened(engine=roomier) as first, opened() as second:
        await first.load(wasm)

        with pytest.raises(MemoryLimit, match="6553600 bytes, of 1048576"):
            await second.load(wasm)

        assert (await first.load(wasm)).exports == ()
    assert first.counts == {"miss": 1, "hit": 1}


@pytest.mark.parametrize(("largest", "pooled"), [(MIB, True), (1024, False)])
async def test_a_component_whose_code_is_small_is_loaded_for_the_pool_too(
    opened: Open, monkeypatch: pytest.MonkeyPatch, largest: int, pooled: bool
) -> None:
    monkeypatch.setattr("alga_runner.engine.compile.loader.MAX_POOLED_BYTES", largest)
    async with opened() as loading:
        component = await loading.loader.load(bytes(wat2wasm("(component)")), "acme")

    assert isinstance(component, Component)
    assert (component.pooled is not None) is pooled
