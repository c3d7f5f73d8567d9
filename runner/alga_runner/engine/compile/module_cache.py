"""Modules in the code cache. Trouble with the cache is reported once, and never keeps a module from running."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import anyio
import anyio.to_thread

from ...errors import CodeCacheUnusable, ModuleUnsupported
from ...telemetry import Telemetry
from ..engine import Engine
from ..module import Module
from .code_cache import CodeCache, Discarded
from .compiler import CompiledCode
from .file_lock import FileLock

_LOOK_AGAIN_S = 0.02
"""Time between two looks whether another process has finished the module that this one waits for."""


class ModuleCache:
    """The modules that the cache in ``folder`` has for one engine; none where ``folder`` is ``None``. Close it."""

    def __init__(
        self,
        engine: Engine,
        telemetry: Telemetry,
        folder: Path | None,
        max_bytes: int,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._engine = engine
        self._telemetry = telemetry
        self._folder = folder
        self._max_bytes = max_bytes
        self._clock = clock
        self._opening = anyio.Lock()
        self._cache: CodeCache | None = None
        self._trouble: CodeCacheUnusable | None = None

    @property
    def trouble(self) -> CodeCacheUnusable | None:
        """What first kept the cache from being used, or used fully."""
        return self._trouble

    async def open(self) -> bool:
        """Open the cache, which otherwise happens when it is first needed. Whether there is one."""
        return await self._opened() is not None

    def close(self) -> None:
        """Close the cache. Modules that were loaded stay as they are."""
        cache, self._cache = self._cache, None
        if cache is not None:
            cache.close()

    async def find(self, name: str) -> Module | None:
        """The module kept as ``name``, if it can be trusted. Raises ``MemoryLimit`` or ``TableLimit``."""
        cache = await self._opened()
        if cache is None:
            return None
        module, fault = await anyio.to_thread.run_sync(self._find, cache, name)
        if fault:
            self._telemetry.code_cache("discarded", f"{name}: {fault}")
        if module is not None:
            self._telemetry.code_cache("hit")
        return module

    @asynccontextmanager
    async def claimed(self, name: str, wait_s: float) -> AsyncIterator[FileLock | None]:
        """The right to keep a module as ``name``; waits ``wait_s`` seconds for another process that has it.

        ``None`` where there is no cache, it cannot be written to, or the other process takes longer.
        """
        claim = await self._claim(name)
        try:
            yield claim if await self._has(claim, wait_s) else None
        finally:
            if claim is not None:
                claim.release()

    async def keep(self, name: str, claim: FileLock | None, code: CompiledCode) -> tuple[Module, bool]:
        """The module of ``code``, which is kept if there is a claim; and whether it is.

        Raises what ``Module.from_code`` does.
        """
        return await anyio.to_thread.run_sync(self._keep, name, claim, code)

    async def _opened(self) -> CodeCache | None:
        async with self._opening:
            folder, self._folder = self._folder, None
            if folder is not None:
                try:
                    self._cache = await anyio.to_thread.run_sync(CodeCache, folder, self._max_bytes)
                except CodeCacheUnusable as error:
                    self._say_once(error)
        return self._cache

    def _find(self, cache: CodeCache, name: str) -> tuple[Module | None, str]:
        """The module, and what was wrong with an entry that is gone now."""
        try:
            entry = cache.find(name)
        except Discarded as discarded:
            return None, str(discarded)
        except OSError as error:
            self._note("read from", error)
            return None, ""
        if entry is None:
            return None, ""
        try:
            return Module.from_code(self._engine, entry), ""
        except ModuleUnsupported as error:  # another engine's; or this one lacks room, and will say so again
            cache.discard(name, entry)
            return None, str(error)
        finally:
            os.close(entry)

    async def _claim(self, name: str) -> FileLock | None:
        cache = await self._opened()
        try:
            return cache.claim(name) if cache is not None else None
        except OSError as error:
            self._note("kept in", error)
            return None

    async def _has(self, claim: FileLock | None, wait_s: float) -> bool:
        if claim is None:
            return False
        until = self._clock() + wait_s
        try:
            while not await anyio.to_thread.run_sync(claim.attempt):
                if self._clock() >= until:
                    return False
                await anyio.sleep(_LOOK_AGAIN_S)
        except OSError as error:
            self._note("kept in", error)
            return False
        return True

    def _keep(self, name: str, claim: FileLock | None, code: CompiledCode) -> tuple[Module, bool]:
        cache = self._cache
        kept = False
        if cache is not None and claim is not None:
            try:
                kept = cache.store(name, claim, code.descriptor)
                if kept:
                    cache.tidy()
            except OSError as error:
                self._note("kept in", error)
        # All processes share the memory of a file that is kept.
        file = claim.descriptor if kept and claim is not None else code.descriptor
        return Module.from_code(self._engine, file), kept

    def _note(self, what: str, error: OSError) -> None:
        place = self._cache.folder if self._cache is not None else "the code cache"
        self._say_once(CodeCacheUnusable(f"Compiled code cannot be {what} {place}: {error.strerror}."))

    def _say_once(self, trouble: CodeCacheUnusable) -> None:
        if self._trouble is None:
            self._trouble = trouble
            self._telemetry.code_cache_unusable(str(trouble))
