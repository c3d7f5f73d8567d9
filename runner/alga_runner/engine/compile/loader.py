"""Modules, ready to be linked: from the code cache where they are in it, else compiled, once, and put there."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, perf_counter
from weakref import WeakValueDictionary

import anyio
import anyio.to_thread

from ...debuginfo import LineTable
from ...errors import AlgaError, CodeCacheUnusable, CompilationError
from ...telemetry import Telemetry
from ..engine import Engine
from ..module import Module, require_core_module
from .compiler import READ_BOUNDS, CompileBounds, Compiler
from .file_lock import FileLock
from .module_cache import ModuleCache

FAILURE_KEPT_S = 60.0
"""How long a module that the compiler did not finish with is refused immediately: it would keep a core busy again."""

_MAX_FAILURES = 1_000


@dataclass(frozen=True, slots=True)
class Obtained:
    """A module, whether it was in the code cache before, and whether it is in there now."""

    module: Module
    cached: bool
    kept: bool


class ModuleLoader:
    """Loads modules for one engine. ``folder`` is the code cache's, ``None`` for none. Close it."""

    def __init__(
        self,
        engine: Engine,
        telemetry: Telemetry,
        bounds: CompileBounds,
        *,
        folder: Path | None,
        max_cache_bytes: int,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._engine = engine
        self._telemetry = telemetry
        self._bounds = bounds
        self._clock = clock
        self._compiler = Compiler(bounds)
        self._kept = ModuleCache(engine, telemetry, folder, max_cache_bytes, clock)
        self._failures: OrderedDict[str, tuple[float, CompilationError]] = OrderedDict()
        self._shares: WeakValueDictionary[str, anyio.CapacityLimiter] = WeakValueDictionary()
        self._reader = Compiler(READ_BOUNDS)
        self._readings: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()

    @property
    def trouble(self) -> CodeCacheUnusable | None:
        """What first kept the code cache from being used, or used fully; the log has it, too."""
        return self._kept.trouble

    async def open_cache(self) -> bool:
        """Open the code cache, which otherwise happens when it is first needed. Whether there is one."""
        return await self._kept.open()

    def close(self) -> None:
        """Close the cache. Modules that were loaded stay as they are."""
        self._kept.close()

    async def load(self, wasm: bytes, owner: str) -> Module:
        """``wasm`` as a module. However many one ``owner`` loads concurrently, others have a place to compile.

        Raises what ``obtain`` does.
        """
        return (await self.obtain(wasm, owner)).module

    async def obtain(self, wasm: bytes, owner: str) -> Obtained:
        """Like ``load``, and what it took.

        Raises ``NotWasm``, ``ModuleUnsupported``, ``MemoryLimit``, ``TableLimit`` or a ``CompilationError``; and
        ``EngineUnavailable`` where no process can be had that compiles.
        """
        name = await anyio.to_thread.run_sync(self._name, wasm)
        self._require_no_failure(name)
        if (module := await self._kept.find(name)) is not None:
            return Obtained(module, cached=True, kept=True)
        async with (
            self._share(owner),
            self._kept.claimed(name, self._bounds.wall_s) as claim,
        ):
            # The process that had the claim before may have kept the module.
            if (module := await self._kept.find(name)) is not None:
                return Obtained(module, cached=True, kept=True)
            module, kept = await self._made(name, wasm, claim)
            return Obtained(module, cached=False, kept=kept)

    async def read_lines(self, wasm: bytes, source_map: bytes | None, owner: str) -> LineTable:
        """The lines of ``wasm``. One ``owner`` reads one module at a time, and compilations do not wait for it.

        Raises what ``Compiler.read_lines`` does.
        """
        async with self._readings.setdefault(owner, anyio.Lock()):
            return await self._reader.read_lines(wasm, source_map or b"")

    def _share(self, owner: str) -> anyio.CapacityLimiter:
        """All places but one, which is for the others."""
        return self._shares.setdefault(owner, anyio.CapacityLimiter(max(1, self._bounds.concurrent - 1)))

    def _name(self, wasm: bytes) -> str:
        require_core_module(wasm)
        return f"{hashlib.sha256(wasm).hexdigest()}-{self._engine.code_target}"

    async def _made(self, name: str, wasm: bytes, claim: FileLock | None) -> tuple[Module, bool]:
        self._telemetry.code_cache("miss")
        started = perf_counter()
        status = "cancelled"
        try:
            with await self._compiler.compile(wasm) as code:
                status = "ok"
                return await self._kept.keep(name, claim, code)
        except AlgaError as error:
            status = error.code
            if isinstance(error, CompilationError):
                self._remember(name, error)
            raise
        finally:
            self._telemetry.compilation(status, perf_counter() - started, name)

    def _remember(self, name: str, failure: CompilationError) -> None:
        self._failures[name] = (self._clock() + FAILURE_KEPT_S, failure)
        if len(self._failures) > _MAX_FAILURES:
            self._failures.popitem(last=False)

    def _require_no_failure(self, name: str) -> None:
        until, failure = self._failures.get(name, (0.0, None))
        if failure is not None and self._clock() < until:
            raise failure.fresh()
