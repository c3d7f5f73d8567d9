"""A module loads without a usable cache; a refused or a slow one keeps no other from loading."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from alga_runner.engine import CompileBounds
from alga_runner.engine.compile import compiler
from alga_runner.errors import CompileTimeout, ModuleUnsupported, NotWasm
from tests.support.module_loader import (
    LOAD,
    Open,
    close_for_writing,
    entries,
    module,
    names,
    only_entry,
    open_to_others,
    remove,
    rewrite,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("jobs")]


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


async def test_a_module_that_took_too_much_is_refused_by_other_processes_for_as_long(
    opened: Open, slow_module: Callable[[int], bytes]
) -> None:
    now = [0.0]
    bounds = CompileBounds(cpu_s=0.05)
    async with opened(bounds=bounds) as first:
        with pytest.raises(CompileTimeout) as raised:
            await first.load(slow_module(500))
    async with opened(bounds=bounds, clock=lambda: now[0]) as second:
        for now[0] in (1.0, 59.0, 61.0):
            with pytest.raises(CompileTimeout) as again:
                await second.load(slow_module(500))

    assert (str(again.value), again.value.hint) == (str(raised.value), raised.value.hint)
    assert second.compilations == {"compile_timeout": 1}


@pytest.mark.parametrize(
    ("bounds", "clock_s"),
    [
        pytest.param(CompileBounds(cpu_s=0.06), 0.0, id="within other bounds"),
        pytest.param(CompileBounds(cpu_s=0.05), -100.0, id="before the machine was restarted"),
    ],
)
async def test_a_refusal_does_not_count_that_was_made(
    opened: Open, slow_module: Callable[[int], bytes], bounds: CompileBounds, clock_s: float
) -> None:
    async with opened(bounds=CompileBounds(cpu_s=0.05)) as first:
        with pytest.raises(CompileTimeout):
            await first.load(slow_module(500))

    async with opened(bounds=bounds, clock=lambda: clock_s) as second:
        with pytest.raises(CompileTimeout):
            await second.load(slow_module(500))

    assert second.compilations == {"compile_timeout": 1}


@pytest.mark.parametrize("content", [b"", b'{"code": "compile_timeout", "until": 9}'])
async def test_a_refusal_that_this_cache_did_not_seal_does_not_count(
    opened: Open, folder: Path, slow_module: Callable[[int], bytes], content: bytes
) -> None:
    bounds = CompileBounds(cpu_s=0.05)
    async with opened(bounds=bounds) as first:
        with pytest.raises(CompileTimeout):
            await first.load(slow_module(500))
    rewrite(only_entry(folder), content)

    async with opened(bounds=bounds) as second:
        with pytest.raises(CompileTimeout):
            await second.load(slow_module(500))

    assert second.compilations == {"compile_timeout": 1}


@pytest.mark.parametrize("document", [b"", b"{}", b"\xff", b'{"code": "guest_trap"}', b"[]"])
async def test_a_refusal_of_another_form_does_not_count(opened: Open, document: bytes) -> None:
    async with opened() as loading:
        await loading.loader.open_cache()
        await loading.loader._cache.store_refusal(loading.loader._name(module(), ""), document)

        assert (await loading.load(module())).exports


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


async def test_several_owners_slow_modules_leave_room_for_another_s_small_one(
    opened: Open,
    slow_module: Callable[[int], bytes],
    monkeypatch: pytest.MonkeyPatch,
    until,
) -> None:
    monkeypatch.setattr(compiler, "QUICK_BYTES", 1_000)
    async with opened() as loading, anyio.create_task_group() as tasks:
        for number, owner in enumerate(("flood", "other flood", "third flood", "flood")):
            tasks.start_soon(loading.load, slow_module(2_000 + number), owner)
        queue = loading.loader._compiler._queue
        await until(lambda: len(queue._running) + len(queue._waiting) == 4)

        assert (await loading.load(module(), "acme")).exports
        tasks.cancel_scope.cancel()

    assert loading.compilations == {"success": 1, "cancelled": 4}


async def test_a_small_module_that_is_slow_is_compiled_nevertheless(
    opened: Open, slow_module: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler, "QUICK_CPU_S", 0.02)
    async with opened() as loading:
        await loading.load(slow_module(10))

    assert loading.compilations == {"success": 1}


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
