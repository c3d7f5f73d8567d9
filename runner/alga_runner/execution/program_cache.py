"""Which loaded programs a process keeps: within a total of bytes and of open files, a share of it for each tenant.

A program is a tenant's; the module below it is shared by all tenants who have the same bytes, and stays as long as one
of their programs does. wasmtime holds the file of a module's code open as long as the module is loaded.
"""

from __future__ import annotations

import sys
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from weakref import WeakValueDictionary

from anyio.abc import TaskGroup

from alga_common.fair_limiter import share

from ..guests import Program
from .single_flight import SingleFlight

PROGRAM_BYTES = 8 * 1024
"""What a program takes besides its module and its manifest."""

MODULE_BYTES = 128 * 1024
"""What a module takes besides its code."""

Key = tuple[str, str, str]
"""Tenant, extension and content hash."""


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class SharedModule:
    """A module that was loaded and linked; ``files`` is how many it holds open."""

    program: Program
    bytes: int
    files: int


@dataclass(frozen=True, slots=True)
class Kept:
    """A tenant's program. ``bytes`` are its own, without its module's."""

    program: Program
    module: SharedModule
    bytes: int


@dataclass(frozen=True, slots=True)
class CacheBounds:
    """The most bytes and open files of all programs; a tenant has at most a quarter, or one program."""

    bytes: int
    files: int


class _Usage:
    """What some programs take together. A module that several have counts once."""

    def __init__(self) -> None:
        self.bytes = 0
        self.files = 0
        self._uses: Counter[SharedModule] = Counter()

    def add(self, kept: Kept) -> None:
        self.bytes += kept.bytes
        self._uses[kept.module] += 1
        if self._uses[kept.module] == 1:
            self.bytes += kept.module.bytes
            self.files += kept.module.files

    def remove(self, kept: Kept) -> None:
        self.bytes -= kept.bytes
        self._uses[kept.module] -= 1
        if not self._uses[kept.module]:
            del self._uses[kept.module]
            self.bytes -= kept.module.bytes
            self.files -= kept.module.files

    def beyond(self, bounds: CacheBounds) -> bool:
        return self.bytes > bounds.bytes or self.files > bounds.files


class _OfTenant(_Usage):
    """One tenant's programs, the one unused for longest first."""

    def __init__(self) -> None:
        super().__init__()
        self.order: OrderedDict[Key, None] = OrderedDict()


class ProgramCache:
    """Loads each program once for all tasks that need it, and keeps the ones used last within ``bounds``."""

    def __init__(self, tasks: TaskGroup, bounds: CacheBounds) -> None:
        """``tasks`` outlives all callers."""
        self._bounds = bounds
        self._share = CacheBounds(share(bounds.bytes), share(bounds.files))
        self._loading: SingleFlight[Kept] = SingleFlight(tasks, sys.maxsize)
        self._loading_modules: SingleFlight[SharedModule] = SingleFlight(tasks, sys.maxsize)
        self._modules: WeakValueDictionary[str, SharedModule] = WeakValueDictionary()
        self._kept: OrderedDict[Key, Kept] = OrderedDict()
        self._all = _Usage()
        self._of: defaultdict[str, _OfTenant] = defaultdict(_OfTenant)

    def loaded(self, key: Key) -> Program | None:
        """The program of ``key`` if it is loaded, else ``None``."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        self._kept.move_to_end(key)
        self._of[key[0]].order.move_to_end(key)
        return kept.program

    async def get(self, key: Key, load: Callable[[], Awaitable[Kept]]) -> Program:
        """The program of ``key``, loaded by ``load`` if it is missing. Raises what ``load`` raises."""
        if (program := self.loaded(key)) is not None:
            return program

        async def load_and_keep() -> Kept:
            kept = await load()
            self._keep(key, kept)
            return kept

        kept = await self._loading.get(key, load_and_keep)
        self._loading.forget(key)
        return kept.program

    async def module(self, digest: str, load: Callable[[], Awaitable[SharedModule]]) -> SharedModule:
        """The module with this digest, loaded by ``load`` unless a program has it. Raises what ``load`` raises."""
        if (module := self._modules.get(digest)) is not None:
            return module
        module = await self._loading_modules.get(digest, load)
        self._modules[digest] = module
        self._loading_modules.forget(digest)
        return module

    def drop_half(self) -> None:
        """Drop the half of the programs that was used longest ago: there is no room for another, for any reason."""
        for key in list(self._kept)[: (len(self._kept) + 1) // 2]:
            self._drop(key)

    def _keep(self, key: Key, kept: Kept) -> None:
        tenant = self._of[key[0]]
        self._kept[key] = kept
        tenant.order[key] = None
        self._all.add(kept)
        tenant.add(kept)
        while tenant.beyond(self._share) and len(tenant.order) > 1:
            self._drop(next(iter(tenant.order)))
        while self._all.beyond(self._bounds) and len(self._kept) > 1:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Key) -> None:
        kept = self._kept.pop(key)
        self._all.remove(kept)
        tenant = self._of[key[0]]
        tenant.remove(kept)
        del tenant.order[key]
        if not tenant.order:
            del self._of[key[0]]
