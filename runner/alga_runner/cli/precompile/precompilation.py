"""Finding modules, compiling them concurrently, and keeping their code."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Protocol

import anyio
import anyio.to_thread

from alga_common.bundle_layout import MANIFEST, WASM

from ...bundles import Bundle, read_bundle
from ...bundles.read import read_archive
from ...engine import ModuleLoader
from ...errors import AlgaError, BundleNotFound, CodeCacheUnusable, NoHandler
from ...execution.programs import module_loader, require_size
from ...guests.host import check
from ...settings import BundleEntries, Settings
from ...telemetry import Telemetry
from ..inspect.inspection import engine_to_load, known_imports

_IN_STORE = "tenants/*/extensions/*/sha256/*/bundle.tar.zst"
_MAGIC = b"\0asm"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a module is; ``content_hash`` is what its archive must have, ``copies`` how many archives have it."""

    path: Path
    content_hash: str | None = None
    copies: int = 1


@dataclass(slots=True)
class Result:
    """How it went with one module: whether it is ready, in the cache and fit to be run, or what is wrong with it."""

    paths: list[str]
    copies: int = 1
    wasm_hash: str | None = None
    wasm_bytes: int = 0
    cached: bool = False
    seconds: float = 0.0
    refusal: AlgaError | None = None

    @property
    def ready(self) -> bool:
        """Whether no runner has to compile it."""
        return self.refusal is None

    @property
    def outcome(self) -> str:
        """In one or two words."""
        if self.refusal is not None:
            return self.refusal.code
        return "there already" if self.cached else "compiled"


class Watcher(Protocol):
    """Is notified of progress."""

    def begun(self, source: Source) -> None:
        """A module is read, then compiled."""

    def done(self, source: Source, result: Result | None) -> None:
        """It is done with; ``None`` where it has no module, or another source has the same."""


def find_sources(paths: Iterable[str]) -> list[Source]:
    """Find the modules at ``paths``: of a bundle store each archive, once. Raises ``BundleNotFound``."""
    sources: list[Source] = []
    for path in map(Path, paths):
        if not path.exists():
            raise BundleNotFound(
                f"There is no file or folder at {path}.",
                hint="Give an extension's folder, a packed bundle, a WebAssembly module or a bundle store.",
            )
        if not path.is_dir() or any((path / name).exists() for name in (MANIFEST, WASM)):
            sources.append(Source(path))
        else:
            sources += _in_store(path)
    return sources


def _in_store(folder: Path) -> list[Source]:
    archives: dict[str, list[Path]] = {}
    for archive in sorted(folder.glob(_IN_STORE)):
        archives.setdefault(archive.parent.name, []).append(archive)
    if not archives and not (folder / "tenants").is_dir():
        raise BundleNotFound(
            f"{folder} is neither an extension's folder nor a bundle store.",
            hint="An extension has manifest.json and dist/main.wasm; a store has tenants/.",
        )
    return [Source(paths[0], f"sha256:{digits}", len(paths)) for digits, paths in archives.items()]


async def precompile_all(settings: Settings, sources: Sequence[Source], watcher: Watcher) -> list[Result]:
    """Compile every module into the cache; the results stand in the order of ``sources``, one for each module.

    Raises ``CodeCacheUnusable`` and ``EngineUnavailable``; a fault of a module is in its result.
    """
    jobs = settings.max_compilations
    # One place more than jobs: the last one is for short compilations, of which none is to be preferred here.
    bounds = settings.model_copy(update={"max_compilations": jobs + 1})
    engine = engine_to_load(settings)
    with closing(Telemetry()) as telemetry, closing(module_loader(bounds, engine, telemetry)) as modules:
        if not await modules.open_cache():
            raise modules.trouble or CodeCacheUnusable(
                "There is no code cache to compile into.", hint="Set code_cache, or give --code-cache FOLDER."
            )
        work = _Work(settings, modules, watcher)
        results: list[Result | None] = [None] * len(sources)
        slots = anyio.CapacityLimiter(jobs)

        async def carry_out(number: int, source: Source) -> None:
            async with slots:
                results[number] = await work.carry_out(source)

        async with anyio.create_task_group() as tasks:
            for number, source in enumerate(sources):
                tasks.start_soon(carry_out, number, source)
        return [result for result in results if result is not None]


class _Work:
    def __init__(self, settings: Settings, modules: ModuleLoader, watcher: Watcher) -> None:
        self._max_module_bytes = settings.max_module_bytes
        self._entries = settings.bundle_entries
        self._modules = modules
        self._watcher = watcher
        self._imports = known_imports()
        self._by_hash: dict[str, Result] = {}

    async def carry_out(self, source: Source) -> Result | None:
        """The result for the module at ``source``, ``None`` for pages alone and where another source has the same."""
        self._watcher.begun(source)
        result = Result([str(source.path)], source.copies)
        started = perf_counter()
        try:
            wasm = await anyio.to_thread.run_sync(_read, source, self._entries)
            result.wasm_bytes = len(wasm)
            require_size(wasm, self._max_module_bytes)
            result.wasm_hash = await anyio.to_thread.run_sync(_hash, wasm)
            if (known := self._by_hash.setdefault(result.wasm_hash, result)) is not result:
                known.paths.append(str(source.path))
                known.copies += source.copies
                self._watcher.done(source, None)
                return None
            obtained = await self._modules.obtain(wasm, str(source.path))
            result.cached = obtained.from_cache
            await anyio.to_thread.run_sync(check, obtained.module, self._imports)
            if not obtained.cached:
                result.refusal = self._modules.trouble or CodeCacheUnusable(
                    "The compiled code is larger than the code cache may be.", hint="See max_code_cache_mb."
                )
        except NoHandler:
            self._watcher.done(source, None)
            return None
        except AlgaError as error:
            result.refusal = error
        result.seconds = perf_counter() - started
        self._watcher.done(source, result)
        return result


def _read(source: Source, entries: BundleEntries) -> bytes:
    if source.path.is_dir():
        return read_bundle(source.path).wasm
    data = read_archive(source.path)
    if data.startswith(_MAGIC) or source.path.suffix == ".wasm":
        return data
    return Bundle.from_archive(data, source.content_hash, entries=entries).wasm


def _hash(wasm: bytes) -> str:
    return f"sha256:{hashlib.sha256(wasm).hexdigest()}"
