"""Loaders that share a code cache, and what can happen to its folder."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from wasmtime import wat2wasm

from alga_runner.engine import Module, ModuleLoader
from alga_runner.telemetry import Telemetry

MIB = 1024 * 1024

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
lines = telemetry.render().decode().splitlines()
print(*(line for line in lines if line.startswith("alga_runner_code_cache") and not line.endswith(" 0.0")))
"""


def module(result: int = 1) -> bytes:
    return bytes(wat2wasm(f'(module (func (export "f{result}") (result i32) (i32.const {result})))'))


class Loading:
    """A loader, and what it reports."""

    def __init__(self, loader: ModuleLoader, telemetry: Telemetry, lines: list[logging.LogRecord]) -> None:
        self.loader = loader
        self._telemetry = telemetry
        self._lines = lines

    async def load(self, wasm: bytes, owner: str = "acme") -> Module:
        loaded = await self.loader.load(wasm, owner)
        assert isinstance(loaded, Module)
        return loaded

    @property
    def counts(self) -> dict[str, int]:
        """What the cache had, by result, apart from zeros."""
        pattern = r'^alga_runner_code_cache_total\{result="(\w+)"\} (\d+)'
        shown = self._telemetry.render().decode()
        return {
            result: int(count) for result, count in re.findall(pattern, shown, re.MULTILINE) if int(count)
        }

    @property
    def compilations(self) -> dict[str, int]:
        """How many compilations there were, by status, apart from zeros."""
        pattern = r'^alga_runner_compile_seconds_count\{status="(\w+)"\} (\d+)'
        shown = self._telemetry.render().decode()
        return {
            status: int(count) for status, count in re.findall(pattern, shown, re.MULTILINE) if int(count)
        }

    @property
    def log(self) -> list[str]:
        """The lines of the log, apart from compilations."""
        self._telemetry.flush()
        return [line.getMessage() for line in self._lines if getattr(line, "action", "") == "code_cache"]


Open = Callable[..., AbstractAsyncContextManager[Loading]]


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
