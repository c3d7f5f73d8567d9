"""Loads modules from the code cache; compiles those that are missing, once, and stores their code."""

from __future__ import annotations

import hashlib
import json
import os
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import astuple, dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic, perf_counter

from alga_common.sharing.thread_turns import ThreadTurns

from ...debuginfo import LineTable
from ...errors import (
    AlgaError,
    CodeCacheUnusable,
    CompilationError,
    CompileCrash,
    CompileMemory,
    CompileTimeout,
    EngineUnavailable,
)
from ...telemetry import Telemetry
from ..component.component import Component, is_component
from ..context import engine_context
from ..engine import COMPONENT_SLOTS, Engine
from ..module import Module, require_core_module, require_few_names
from .compiler import READ_BOUNDS, CompileBounds, Compiler
from .file_lock import FileLock
from .module_cache import ModuleCache

FAILURE_KEPT_S = 60.0
"""How long a module whose compilation failed is refused without another attempt, which would keep a core busy."""

_MAX_FAILURES = 1_000
_MAX_KEPT_TEXT = 1_000

_KEPT_FAILURES = {kind.code: kind for kind in (CompileTimeout, CompileMemory, CompileCrash)}

MAX_POOLED_BYTES = 16 * 1024 * 1024
"""Code of a component that is loaded for the pool, too.

Larger ones have larger memories than a slot keeps: SpiderMonkey's, of 37 MB, would be 5 % slower in one.
"""

COMPONENT_SUFFIX = "-component"
"""Ends the names of components in the cache."""


@dataclass(frozen=True, slots=True)
class Obtained:
    """A module, and whether its code came from the code cache and is in the code cache now."""

    module: Module | Component
    from_cache: bool
    cached: bool


class ModuleLoader:
    """Loads modules for one engine, with a code cache unless ``folder`` is ``None``. Close it.

    Components are loaded for the engine of the same configuration for components, which is made for the first of them.
    """

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
        self._compiler = Compiler(bounds, clock)
        self._cache = ModuleCache(self._from_code, telemetry, folder, max_cache_bytes, clock)
        self._failures: OrderedDict[str, tuple[float, CompilationError]] = OrderedDict()
        self._reader = Compiler(READ_BOUNDS, clock)

    @property
    def turns(self) -> ThreadTurns:
        """For what owners' modules take in threads."""
        return self._cache.turns

    @property
    def trouble(self) -> CodeCacheUnusable | None:
        """The first fault of the code cache, which was logged; ``None`` if there was none."""
        return self._cache.trouble

    async def open_cache(self) -> bool:
        """Open the code cache now rather than when it is first needed; whether it can be used."""
        return await self._cache.open()

    def close(self) -> None:
        """Close the cache. Loaded modules stay usable."""
        self._cache.close()

    async def load(self, wasm: bytes, owner: str, digest: str = "") -> Module | Component:
        """Return ``wasm``, whose SHA-256 the caller may have, as a module or component.

        Modules of ``owner`` are compiled when it is its turn. Raises what ``obtain`` does.
        """
        return (await self.obtain(wasm, owner, digest)).module

    async def obtain(self, wasm: bytes, owner: str, digest: str = "") -> Obtained:
        """Like ``load``; also return how the module was obtained.

        Raises ``NotWasm``, ``ModuleUnsupported``, ``MemoryLimit``, ``TableLimit`` or a ``CompilationError``;
        ``Overloaded`` if too many modules wait to be compiled, or no memory map is left for the code; and
        ``EngineUnavailable`` if no compiler process can be started.
        """
        name = await self.turns.run(owner, partial(self._name, wasm, digest))
        self._require_no_failure(name)
        if (module := await self._cache.find(name, owner)) is not None:
            return Obtained(module, from_cache=True, cached=True)
        async with self._cache.locked(name, self._bounds.wall_s) as lock:
            # The process that had the lock before may have stored it.
            if (module := await self._cache.find(name, owner)) is not None:
                return Obtained(module, from_cache=True, cached=True)
            await self._require_no_failure_elsewhere(name)
            module, cached = await self._compile(name, wasm, owner, lock)
            return Obtained(module, from_cache=False, cached=cached)

    async def read_lines(self, wasm: bytes, source_map: bytes | None, owner: str) -> LineTable:
        """Return the lines of ``wasm``. One ``owner`` reads one module at a time; compilations do not wait for it.

        Raises what ``Compiler.read_lines`` does.
        """
        return await self._reader.read_lines(wasm, source_map or b"", owner)

    def _name(self, wasm: bytes, digest: str) -> str:
        require_few_names(wasm)
        digest = digest or hashlib.sha256(wasm).hexdigest()
        if is_component(wasm):
            target = self._component_engine().code_target
            return f"{digest}-{target}{COMPONENT_SUFFIX}"
        require_core_module(wasm)
        return f"{digest}-{self._engine.code_target}"

    def _component_engine(self) -> Engine:
        room = self._engine.capacity.components
        return engine_context.engine(replace(self._engine.config, components=True, max_guests=room))

    def _component_pool(self) -> Engine:
        config = replace(
            self._engine.config, components=True, component_pool=True, max_guests=COMPONENT_SLOTS
        )
        return engine_context.engine(config)

    def _from_code(self, name: str, descriptor: int) -> Module | Component:
        if name.endswith(COMPONENT_SUFFIX):
            component = Component.from_code(self._component_engine(), descriptor)
            if os.fstat(descriptor).st_size <= MAX_POOLED_BYTES:
                with suppress(EngineUnavailable):  # no address space for a pool
                    component.load_for_pool(self._component_pool(), descriptor)
            return component
        return Module.from_code(self._engine, descriptor)

    async def _compile(
        self, name: str, wasm: bytes, owner: str, lock: FileLock | None
    ) -> tuple[Module | Component, bool]:
        self._telemetry.code_cache("miss")
        started = perf_counter()
        status = "cancelled"
        try:
            with await self._compiler.compile(wasm, owner) as code:
                status = "ok"
                return await self._cache.store(name, lock, code, owner)
        except AlgaError as error:
            status = error.code
            if isinstance(error, CompilationError):
                await self._remember(name, error)
            raise
        finally:
            self._telemetry.compilation(status, perf_counter() - started, name)

    async def _remember(self, name: str, failure: CompilationError) -> None:
        """Refuse the module for a while, in every process that has the cache."""
        until = self._clock() + FAILURE_KEPT_S
        self._keep(name, until, failure)
        kept = {"until": until, "bounds": astuple(self._bounds), "code": failure.code}
        document = kept | {"message": str(failure)[:_MAX_KEPT_TEXT], "hint": failure.hint[:_MAX_KEPT_TEXT]}
        await self._cache.store_refusal(name, json.dumps(document).encode())

    async def _require_no_failure_elsewhere(self, name: str) -> None:
        """Raise the failure of another process within the same bounds, whose clock is the same: the machine's."""
        document = await self._cache.find_refusal(name)
        if document is None:
            return
        with suppress(ValueError, KeyError, TypeError):  # a process of another version wrote it
            kept = json.loads(document)
            kind, until = _KEPT_FAILURES[kept["code"]], float(kept["until"])
            recent = 0 < until - self._clock() <= FAILURE_KEPT_S  # else it is old, or of before a restart
            if recent and kept["bounds"] == list(astuple(self._bounds)):
                self._keep(name, until, kind(str(kept["message"]), hint=str(kept["hint"])))
        self._require_no_failure(name)

    def _keep(self, name: str, until: float, failure: CompilationError) -> None:
        self._failures[name] = (until, failure)
        if len(self._failures) > _MAX_FAILURES:
            self._failures.popitem(last=False)

    def _require_no_failure(self, name: str) -> None:
        until, failure = self._failures.get(name, (0.0, None))
        if failure is not None and self._clock() < until:
            raise failure.fresh()
