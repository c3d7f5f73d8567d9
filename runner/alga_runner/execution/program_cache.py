"""Which loaded programs a process keeps: within a total of bytes and of open files, a share of it for each tenant.

A program is a tenant's; the module below it is shared by all tenants who have the same bytes, and stays as long as one
of their programs does. wasmtime holds the file of a module's code open as long as the module is loaded.

Beyond a bound a program goes that chance picks, of those not used since it picked them last. The one unused for longest
would be the next one needed where calls go round all programs of more than there is room for, as schedules do.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from weakref import WeakValueDictionary

from anyio.abc import TaskGroup

from alga_common.fair_limiter import share

from ..guests import Program
from .endpoints import DeclaredEndpoints
from .single_flight import SingleFlight

PROGRAM_BYTES = 8 * 1024
"""What a program takes besides its module and its manifest."""

MODULE_BYTES = 128 * 1024
"""What a module takes besides its code."""

_SPARED = 8
"""Programs in use that are passed over, at most, to find one that is not."""

_NO_ENDPOINTS = DeclaredEndpoints()

Key = tuple[str, str, str]
"""Tenant, extension and content hash."""


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class SharedModule:
    """A module that was loaded and linked; ``files`` is how many it holds open."""

    program: Program
    bytes: int
    files: int


@dataclass(slots=True, eq=False)
class Kept:
    """A tenant's program. ``bytes`` are its own, without its module's; ``endpoints`` and ``signer`` its bundle's."""

    program: Program
    module: SharedModule
    bytes: int
    endpoints: DeclaredEndpoints = _NO_ENDPOINTS
    signer: str | None = None
    used: bool = False
    """Whether it was used since it was last passed over."""


@dataclass(frozen=True, slots=True)
class CacheBounds:
    """The most bytes and open files of all programs; a tenant has at most a quarter, or one program."""

    bytes: int
    files: int


class _Programs:
    """Some programs, and what they take together. A module that several have counts once."""

    def __init__(self, random: Random) -> None:
        self.bytes = 0
        self.files = 0
        self._uses: Counter[SharedModule] = Counter()
        self._random = random
        self._listed: list[tuple[Key, Kept]] = []
        self._places: dict[Key, int] = {}

    def __len__(self) -> int:
        return len(self._listed)

    def add(self, key: Key, kept: Kept) -> None:
        self._places[key] = len(self._listed)
        self._listed.append((key, kept))
        self.bytes += kept.bytes
        self._uses[kept.module] += 1
        if self._uses[kept.module] == 1:
            self.bytes += kept.module.bytes
            self.files += kept.module.files

    def remove(self, key: Key) -> None:
        place, last = self._places.pop(key), self._listed.pop()
        if place == len(self._listed):
            kept = last[1]
        else:
            kept, self._listed[place] = self._listed[place][1], last
            self._places[last[0]] = place
        self.bytes -= kept.bytes
        self._uses[kept.module] -= 1
        if not self._uses[kept.module]:
            del self._uses[kept.module]
            self.bytes -= kept.module.bytes
            self.files -= kept.module.files

    def beyond(self, bounds: CacheBounds) -> bool:
        return self.bytes > bounds.bytes or self.files > bounds.files

    def any_but(self, spared: Key | None = None) -> Key:
        """One of the programs that chance picks, but not ``spared``, and rather one that was not used lately."""
        in_use: set[Key] = set()
        while True:
            key, kept = self._random.choice(self._listed)
            if key == spared:
                continue
            if not kept.used and key not in in_use:
                return key
            kept.used = False
            in_use.add(key)
            if len(in_use) == min(_SPARED, len(self._listed) - 1):
                return key


class ProgramCache:
    """Loads each program once for all tasks that need it, and keeps those in use within ``bounds``."""

    def __init__(self, tasks: TaskGroup, bounds: CacheBounds, random: Random | None = None) -> None:
        """``tasks`` outlives all callers."""
        self._bounds = bounds
        self._share = CacheBounds(share(bounds.bytes), share(bounds.files))
        self._loading: SingleFlight[Kept] = SingleFlight(tasks, sys.maxsize)
        self._loading_modules: SingleFlight[SharedModule] = SingleFlight(tasks, sys.maxsize)
        self._modules: WeakValueDictionary[str, SharedModule] = WeakValueDictionary()
        self._kept: dict[Key, Kept] = {}
        self.kept: Callable[[Key], Kept | None] = self._kept.get
        """The program of a key and its bundle's data if it is loaded, else ``None``."""
        self._random = random or Random()  # noqa: S311 - chance is enough
        self._all = _Programs(self._random)
        self._of: dict[str, _Programs] = {}

    def loaded(self, key: Key) -> Program | None:
        """The program of ``key`` if it is loaded, else ``None``; it is in use."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        kept.used = True
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
        """Drop half of the programs: there is no room for another, for any reason."""
        for _ in range((len(self._all) + 1) // 2):
            self._drop(self._all.any_but())

    def _keep(self, key: Key, kept: Kept) -> None:
        tenant = self._of.get(key[0])
        if tenant is None:
            tenant = self._of[key[0]] = _Programs(self._random)
        self._kept[key] = kept
        self._all.add(key, kept)
        tenant.add(key, kept)
        while tenant.beyond(self._share) and len(tenant) > 1:
            self._drop(tenant.any_but(key))
        while self._all.beyond(self._bounds) and len(self._all) > 1:
            self._drop(self._all.any_but(key))

    def _drop(self, key: Key) -> None:
        del self._kept[key]
        self._all.remove(key)
        tenant = self._of[key[0]]
        tenant.remove(key)
        if not len(tenant):
            del self._of[key[0]]
