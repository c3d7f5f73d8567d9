"""Compiled code of a component that the cache cannot trust is compiled again, never run."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
import wasmtime
import wasmtime.component as wasmtime_component
from wasmtime import wat2wasm

from alga_runner.engine import Component, Module, is_component
from alga_runner.engine.compile.code_config import code_config, component_code_config
from alga_runner.engine.compile.code_seal import copy_sealed
from tests.support.module_loader import MIB, Loading, Open, entries, module, rewrite

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("jobs")]


def exporting(name: str) -> bytes:
    """A component with one function of that name."""
    return bytes(
        wat2wasm(f"""(component (core module $m (func (export "run"))) (core instance $m (instantiate $m))
          (func (export "{name}") (canon lift (core func $m "run"))))""")
    )


ONE, OTHER = exporting("one"), exporting("other")


async def load(loading: Loading, wasm: bytes) -> Component:
    loaded = await loading.loader.load(wasm, "acme")
    assert isinstance(loaded, Component)
    return loaded


def seal(entry: Path, code: bytes) -> None:
    """Replace the entry by ``code``, sealed as the cache itself would."""
    source, sealed = (os.memfd_create(name) for name in ("code", "sealed"))
    os.write(source, code)
    copy_sealed(source, sealed, entry.stem, (entry.parent / "key").read_bytes())
    rewrite(entry, os.pread(sealed, MIB, 0))
    os.close(source)
    os.close(sealed)


def code_of(wasm: bytes, config: wasmtime.Config) -> bytes:
    """The code of a module or component for an engine of that configuration."""
    kind = wasmtime_component.Component if is_component(wasm) else wasmtime.Module
    return bytes(kind(wasmtime.Engine(config), wasm).serialize())


def uninterrupted() -> bytes:
    config = component_code_config()
    config.epoch_interruption = False
    return code_of(ONE, config)


def older() -> bytes:
    """Code with the version of wasmtime that is in it, in front of its target, lowered."""
    code = code_of(ONE, component_code_config())
    version = metadata.version("wasmtime").partition(".")[0]
    written, target = bytes([len(version)]) + version.encode(), platform.machine().encode()
    place = code.index(target) - 1 - len(written)
    assert code[place : place + len(written)] == written
    return code[: place + 1] + str(int(version) - 1).encode() + code[place + len(written) :]


FOREIGN = {
    "of an engine without interruption": uninterrupted,
    "of core modules' configuration": lambda: code_of(ONE, code_config()),
    "of another version": older,
    "of a core module": lambda: code_of(module(), code_config()),
    "of a core module, for components": lambda: code_of(module(), component_code_config()),
    "of nothing": lambda: b"",
    "cut off": lambda: code_of(ONE, component_code_config())[:-5000],
    "no code": lambda: b"\x7fELF" + bytes(5000),
}


@pytest.mark.parametrize("code", FOREIGN.values(), ids=FOREIGN)
async def test_code_of_another_kind_is_not_run_even_with_a_good_seal(
    opened: Open, folder: Path, code: Callable[[], bytes]
) -> None:
    async with opened() as first:
        await load(first, ONE)
    (entry,) = entries(folder)
    seal(entry, code())

    async with opened() as second, opened() as third:
        loaded = await load(second, ONE)
        await load(third, ONE)

    assert list(loaded.exports) == ["one"]
    assert (second.counts, third.counts) == ({"discarded": 1, "miss": 1}, {"hit": 1})


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda code: code[:-1], id="a byte short"),
        pytest.param(lambda code: code[: len(code) // 2], id="half"),
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda code: code[:9000] + bytes([code[9000] ^ 1]) + code[9001:], id="a bit changed"),
    ],
)
async def test_a_component_s_entry_that_was_damaged_is_compiled_again(
    opened: Open, folder: Path, damage: Callable[[bytes], bytes]
) -> None:
    async with opened() as first:
        await load(first, ONE)
    (entry,) = entries(folder)
    rewrite(entry, damage(entry.read_bytes()))

    async with opened() as second:
        loaded = await load(second, ONE)

    assert list(loaded.exports) == ["one"]
    assert second.counts == {"discarded": 1, "miss": 1}


async def test_entries_that_were_swapped_are_compiled_again(opened: Open, folder: Path) -> None:
    wasms = {"one": ONE, "other": OTHER, "module": module()}
    async with opened() as first:
        for wasm in wasms.values():
            await first.loader.load(wasm, "acme")
    stored = entries(folder)
    contents = [entry.read_bytes() for entry in stored]
    for entry, content in zip(stored, contents[1:] + contents[:1], strict=True):
        rewrite(entry, content)

    async with opened() as second:
        loaded = {name: await second.loader.load(wasm, "acme") for name, wasm in wasms.items()}

    assert list(loaded["one"].exports) == ["one"]
    assert list(loaded["other"].exports) == ["other"]
    assert isinstance(loaded["module"], Module)
    assert second.counts == {"discarded": 3, "miss": 3}


async def test_a_component_s_code_under_a_module_s_name_is_not_run(opened: Open, folder: Path) -> None:
    async with opened() as first:
        await first.load(module())
    (entry,) = entries(folder)
    seal(entry, code_of(ONE, component_code_config()))

    async with opened() as second:
        loaded = await second.load(module())

    assert [export.name for export in loaded.exports] == ["f1"]
    assert second.counts == {"discarded": 1, "miss": 1}
