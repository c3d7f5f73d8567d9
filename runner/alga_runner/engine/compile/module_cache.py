"""Loads modules from the code cache and stores their code. A fault of the cache is logged once, and fails no load."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from time import monotonic

import anyio
import anyio.to_thread

from alga_common.sharing.thread_turns import ThreadTurns

from ...errors import CodeCacheUnusable, ModuleUnsupported
from ...telemetry import Telemetry
from ..component.component import Component
from ..module import Module
from .code_cache import CodeCache, Discarded
from .code_seal import SEAL_BYTES
from .compiler import CompiledCode
from .file_lock import FileLock

MAX_REFUSAL_BYTES = 8 * 1024

CONCURRENT_LOADS = 8
"""Modules that are loaded at the same time, of one owner a quarter: describing 10,000 exports takes 25 MB meanwhile."""

_REFUSAL = "-refusal"
"""Ends the names of entries that hold a reason in place of code."""

_LOOK_AGAIN_S = 0.02
"""How often this process checks whether another has finished compiling the module that both need."""


class ModuleCache:
    """The modules and components in the cache folder; empty if ``folder`` is ``None``. Close it.

    ``from_code`` makes one from its name and the open file with its code.
    """

    def __init__(
        self,
        from_code: Callable[[str, int], Module | Component],
        telemetry: Telemetry,
        folder: Path | None,
        max_bytes: int,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.turns = ThreadTurns(CONCURRENT_LOADS)
        """For work on modules in threads."""
        self._from_code = from_code
        self._telemetry = telemetry
        self._folder = folder
        self._max_bytes = max_bytes
        self._clock = clock
        self._opening = anyio.Lock()
        self._cache: CodeCache | None = None
        self._trouble: CodeCacheUnusable | None = None

    @property
    def trouble(self) -> CodeCacheUnusable | None:
        """The first fault of the cache; ``None`` if there was none."""
        return self._trouble

    async def open(self) -> bool:
        """Open the cache now rather than when it is first needed; whether it can be used."""
        return await self._opened() is not None

    def close(self) -> None:
        """Close the cache. Loaded modules stay usable."""
        cache, self._cache = self._cache, None
        if cache is not None:
            cache.close()

    async def find(self, name: str, owner: str = "") -> Module | Component | None:
        """The module stored as ``name``, if it can be trusted, loaded in a turn of ``owner``.

        Raises ``MemoryLimit``, ``TableLimit`` or ``Overloaded``.
        """
        cache = await self._opened()
        if cache is None:
            return None
        module, fault = await self.turns.run(owner, partial(self._find, cache, name))
        if fault:
            self._telemetry.code_cache("discarded", f"{name}: {fault}")
        if module is not None:
            self._telemetry.code_cache("hit")
        return module

    @asynccontextmanager
    async def locked(self, name: str, wait_s: float) -> AsyncIterator[FileLock | None]:
        """Lock the entry ``name`` for writing, waiting up to ``wait_s`` seconds for another process that has it locked.

        ``None`` if there is no cache, it is read-only, or the other process takes longer.
        """
        lock = await self._lock(name)
        try:
            yield lock if await self._acquire(lock, wait_s) else None
        finally:
            if lock is not None:
                lock.release()

    async def store(
        self, name: str, lock: FileLock | None, code: CompiledCode, owner: str = ""
    ) -> tuple[Module | Component, bool]:
        """Return the module of ``code``, and whether the code was stored: only with a lock. In a turn of ``owner``.

        Raises what ``Module.from_code`` does.
        """
        return await self.turns.run(owner, partial(self._store, name, lock, code))

    async def find_refusal(self, name: str) -> bytes | None:
        """What ``store_refusal`` stored for ``name``, in this process or another."""
        cache = await self._opened()
        return None if cache is None else await anyio.to_thread.run_sync(self._find_refusal, cache, name)

    async def store_refusal(self, name: str, document: bytes) -> None:
        """Keep why the module ``name`` has no code, in place of an earlier reason. Without a cache nothing is kept."""
        cache = await self._opened()
        if cache is not None:
            await anyio.to_thread.run_sync(self._store_refusal, cache, name, document)

    async def _opened(self) -> CodeCache | None:
        async with self._opening:
            folder, self._folder = self._folder, None
            if folder is not None:
                try:
                    self._cache = await anyio.to_thread.run_sync(CodeCache, folder, self._max_bytes)
                except CodeCacheUnusable as error:
                    self._log_once(error)
        return self._cache

    def _find(self, cache: CodeCache, name: str) -> tuple[Module | Component | None, str]:
        """The module, and the fault of an entry that was removed."""
        try:
            entry = cache.find(name)
        except Discarded as discarded:
            return None, str(discarded)
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE}:  # no fault of the cache
                raise
            self._note("read from", error)
            return None, ""
        if entry is None:
            return None, ""
        try:
            return self._from_code(name, entry), ""
        except ModuleUnsupported as error:  # another engine's; or no room, which compiling raises again
            cache.discard(name, entry)
            return None, str(error)
        finally:
            os.close(entry)

    def _find_refusal(self, cache: CodeCache, name: str) -> bytes | None:
        try:
            entry = cache.find(name + _REFUSAL)
        except (Discarded, OSError):  # removed, or it will be reported when code is stored
            return None
        if entry is None:
            return None
        try:
            size = os.fstat(entry).st_size - SEAL_BYTES
            return os.pread(entry, min(size, MAX_REFUSAL_BYTES), 0)
        finally:
            os.close(entry)

    def _store_refusal(self, cache: CodeCache, name: str, document: bytes) -> None:
        file = os.memfd_create("alga-runner-refusal")
        lock: FileLock | None = None
        try:
            os.write(file, document[:MAX_REFUSAL_BYTES])
            lock = cache.lock(name + _REFUSAL)
            if lock.attempt():
                cache.store(name + _REFUSAL, lock, file)
        except OSError as error:
            self._note("stored in", error)
        finally:
            if lock is not None:
                lock.release()
            os.close(file)

    async def _lock(self, name: str) -> FileLock | None:
        cache = await self._opened()
        try:
            return cache.lock(name) if cache is not None else None
        except OSError as error:
            self._note("stored in", error)
            return None

    async def _acquire(self, lock: FileLock | None, wait_s: float) -> bool:
        if lock is None:
            return False
        until = self._clock() + wait_s
        try:
            while not await anyio.to_thread.run_sync(lock.attempt):
                if self._clock() >= until:
                    return False
                await anyio.sleep(_LOOK_AGAIN_S)
        except OSError as error:
            self._note("stored in", error)
            return False
        return True

    def _store(self, name: str, lock: FileLock | None, code: CompiledCode) -> tuple[Module | Component, bool]:
        cache = self._cache
        stored = False
        if cache is not None and lock is not None:
            try:
                stored = cache.store(name, lock, code.descriptor)
                if stored:
                    cache.tidy()
            except OSError as error:
                self._note("stored in", error)
        # Processes that map the stored file share its memory.
        file = lock.descriptor if stored and lock is not None else code.descriptor
        return self._from_code(name, file), stored

    def _note(self, use: str, error: OSError) -> None:
        folder = self._cache.folder if self._cache is not None else "the code cache"
        self._log_once(CodeCacheUnusable(f"Compiled code cannot be {use} {folder}: {error.strerror}."))

    def _log_once(self, trouble: CodeCacheUnusable) -> None:
        if self._trouble is None:
            self._trouble = trouble
            self._telemetry.code_cache_unusable(str(trouble))
