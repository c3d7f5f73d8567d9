"""A module is compiled once for all who load it; an entry that cannot be trusted is compiled again, never run."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
import wasmtime
from wasmtime import wat2wasm

from alga_runner.engine import CompileBounds, Engine, EngineConfig, Module, ModuleLoader, engine_context
from alga_runner.engine.compile.code_cache import CodeCache
from alga_runner.engine.compile.code_seal import SEAL_BYTES, copy_sealed
from alga_runner.errors import CompileTimeout, MemoryLimit, ModuleUnsupported, NotWasm
from alga_runner.telemetry import Telemetry

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("jobs")]

MIB = 1024 * 1024


def module(result: int = 1) -> bytes:
    return bytes(wat2wasm(f'(module (func (export "f{result}") (result i32) (i32.const {result})))'))


class Loading:
    """A loader, and what it reports."""

    def __init__(self, loader: ModuleLoader, telemetry: Telemetry, lines: list[logging.LogRecord]) -> None:
        self.loader = loader
        self._telemetry = telemetry
        self._lines = lines

    async def load(self, wasm: bytes, owner: str = "acme") -> Module:
        return await self.loader.load(wasm, owner)

    @property
    def counts(self) -> dict[str, int]:
        """What the cache had, by result."""
        pattern = r'^alga_runner_code_cache_total\{result="(\w+)"\} (\d+)'
        shown = self._telemetry.render().decode()
        return {result: int(count) for result, count in re.findall(pattern, shown, re.MULTILINE)}

    @property
    def compilations(self) -> dict[str, int]:
        """How many compilations there were, by status."""
        pattern = r'^alga_runner_compile_seconds_count\{status="(\w+)"\} (\d+)'
        shown = self._telemetry.render().decode()
        return {status: int(count) for status, count in re.findall(pattern, shown, re.MULTILINE)}

    @property
    def log(self) -> list[str]:
        """The lines of the log, apart from compilations."""
        self._telemetry.flush()
        return [line.getMessage() for line in self._lines if line.action == "code_cache"]


Open = Callable[..., "asynccontextmanager[Loading]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "code"


@pytest.fixture
def opened(engine: Engine, folder: Path) -> Open:
    """A loader like one of another process: it shares with others the folder alone."""

    @asynccontextmanager
    async def open_(
        *,
        engine: Engine = engine,
        folder: Path | None = folder,
        max_cache_bytes: int = 10 * MIB,
        bounds: CompileBounds | None = None,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> AsyncIterator[Loading]:
        logger = logging.Logger("loader-test")
        handler = logging.Handler()
        lines: list[logging.LogRecord] = []
        handler.emit = lines.append  # type: ignore[method-assign]
        logger.addHandler(handler)
        telemetry = Telemetry(logger)
        loader = ModuleLoader(
            engine,
            telemetry,
            bounds or CompileBounds(),
            folder=folder,
            max_cache_bytes=max_cache_bytes,
            clock=clock,
        )
        try:
            yield Loading(loader, telemetry, lines)
        finally:
            loader.close()
            telemetry.close()

    return open_


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.cwasm"))


def only_entry(folder: Path) -> Path:
    (entry,) = entries(folder)
    return entry


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def open_to_others(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o755)


def close_for_writing(folder: Path) -> None:
    folder.chmod(0o500)


def remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def leave_half_written(entry: Path) -> None:
    """As one does who is killed before the last step."""
    entry.rename(entry.with_suffix(".partial"))


def rewrite(entry: Path, content: bytes) -> None:
    entry.unlink()
    entry.write_bytes(content)
    entry.chmod(0o400)


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


LOAD = """
import sys, anyio
from pathlib import Path
from alga_runner.engine import CompileBounds, Engine, EngineConfig, ModuleLoader, engine_context
from alga_runner.telemetry import Telemetry
wasm = sys.stdin.buffer.read(int(sys.argv[2]))
telemetry = Telemetry()
async def main():
    loader = ModuleLoader(engine_context.engine(EngineConfig(max_guests=1)), telemetry, CompileBounds(),
        folder=Path(sys.argv[1]), max_cache_bytes=1 << 24)
    print(flush=True)
    sys.stdin.buffer.read(1)
    await loader.load(wasm, "acme")
anyio.run(main)
print(*(line for line in telemetry.render().decode().splitlines() if line.startswith("alga_runner_code_cache")))
"""


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
    times = iter([0.0, 0.0, 0.0, 1_000.0])

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


async def test_without_a_cache_every_loader_compiles(opened: Open) -> None:
    async with opened(folder=None) as first, opened(folder=None) as second:
        await first.load(module())
        await second.load(module())

    assert (first.counts, second.counts) == ({"miss": 1}, {"miss": 1})
    assert first.log == []


async def test_a_folder_that_cannot_be_used_is_logged_once(opened: Open, folder: Path) -> None:
    open_to_others(folder)

    async with opened() as loading:
        for result in range(3):
            await loading.load(module(result))

    assert len(loading.log) == 1
    assert loading.log[0].startswith("Code cache: unusable: The folder for compiled code")
    assert "is open to others (mode 0755)" in loading.log[0]
    assert loading.counts == {"miss": 3}


async def test_a_folder_that_cannot_be_written_to_is_read_and_logged_once(opened: Open, folder: Path) -> None:
    async with opened() as first:
        await first.load(module(1))
    close_for_writing(folder)

    async with opened() as loading:
        for result in (1, 2, 3):
            await loading.load(module(result))

    assert loading.log == [
        f"Code cache: unusable: Compiled code cannot be stored in {folder}: Read-only file system."
    ]
    assert loading.counts == {"hit": 1, "miss": 2}


async def test_a_folder_that_is_gone_is_logged_once(opened: Open, folder: Path) -> None:
    async with opened() as loading:
        await loading.load(module(1))
        remove(folder)
        for result in (2, 3):
            await loading.load(module(result))

    assert loading.log == [
        f"Code cache: unusable: Compiled code cannot be stored in {folder}: No such file or directory."
    ]


async def test_a_module_too_large_for_the_cache_runs_without(opened: Open, folder: Path) -> None:
    async with opened(max_cache_bytes=100) as loading:
        obtained = await loading.loader.obtain(module(), "acme")

    assert not obtained.cached
    assert entries(folder) == []
    assert loading.log == []


def test_code_that_may_not_be_run_where_it_lies_is_copied(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    wasm = module()
    script = (
        'mount -t tmpfs -o noexec,mode=0700 none "$2" || exit 77\n'
        'for _ in 1 2; do "$0" -c "$1" "$2" "$3" <"$4"; done'
    )
    (folder.parent / "stdin").write_bytes(wasm + b"!")
    arguments = [sys.executable, LOAD, str(folder), str(len(wasm)), str(folder.parent / "stdin")]

    ended = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )

    if "unshare" in ended.stderr or ended.returncode == 77:
        pytest.skip("nothing may be mounted here")
    assert [line for line in ended.stdout.splitlines() if line.startswith("alga")] == [
        'alga_runner_code_cache_total{result="miss"} 1.0',
        'alga_runner_code_cache_total{result="hit"} 1.0',
    ]


async def test_a_file_that_is_no_module_is_refused_before_anything_is_compiled(opened: Open) -> None:
    async with opened() as loading:
        with pytest.raises(NotWasm):
            await loading.load(b"#!/bin/sh")

    assert loading.compilations == {}


async def test_a_module_that_is_refused_leaves_nothing_behind(opened: Open, folder: Path) -> None:
    async with opened() as loading:
        with pytest.raises(ModuleUnsupported):
            await loading.load(b"\0asm\1\0\0\0garbage")

    assert names(folder) == ["key"]
    assert loading.compilations == {"module_unsupported": 1}


async def test_a_module_that_took_too_much_is_refused_immediately_for_a_while(
    opened: Open, slow_module: Callable[[int], bytes]
) -> None:
    now = [0.0]
    async with opened(bounds=CompileBounds(cpu_s=0.05), clock=lambda: now[0]) as loading:
        for now[0] in (0.0, 59.0, 61.0):
            with pytest.raises(CompileTimeout):
                await loading.load(slow_module(500))

    assert loading.compilations == {"compile_timeout": 2}


async def test_a_module_that_took_too_much_keeps_no_other_from_loading(
    opened: Open, slow_module: Callable[[int], bytes]
) -> None:
    async with opened(bounds=CompileBounds(cpu_s=0.05)) as loading:
        with pytest.raises(CompileTimeout):
            await loading.load(slow_module(500))

        assert (await loading.load(module())).exports


@pytest.mark.parametrize("concurrent", [2, 3])
async def test_one_owner_s_modules_leave_room_for_another_s(
    opened: Open, slow_module: Callable[[int], bytes], concurrent: int
) -> None:
    async with (
        opened(bounds=CompileBounds(concurrent=concurrent)) as loading,
        anyio.create_task_group() as tasks,
    ):
        for functions in range(2_000, 2_005):
            tasks.start_soon(loading.load, slow_module(functions), "flood")
        await anyio.lowlevel.checkpoint()

        assert (await loading.load(module(), "acme")).exports
        tasks.cancel_scope.cancel()


async def test_one_slow_module_leaves_room_for_its_owner_s_others(
    opened: Open, slow_module: Callable[[int], bytes]
) -> None:
    async with opened() as loading, anyio.create_task_group() as tasks:
        tasks.start_soon(loading.load, slow_module(2_000))
        await anyio.lowlevel.checkpoint()

        assert (await loading.load(module())).exports
        tasks.cancel_scope.cancel()


async def test_a_load_that_is_cancelled_leaves_the_entry_to_the_next(
    opened: Open, folder: Path, slow_module: Callable[[int], bytes], jobs, until
) -> None:
    wasm = slow_module(100)
    async with opened() as loading:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(loading.load, wasm)
            await until(jobs)
            tasks.cancel_scope.cancel()
        assert names(folder) == ["key"]

        await loading.load(wasm)

    assert loading.compilations == {"cancelled": 1, "success": 1}
