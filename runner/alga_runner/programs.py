"""Programs ready to be executed: each bundle fetched once for each tenant, each module compiled once for all.

A program is found under tenant, extension and hash: that one tenant has a bundle says nothing of another
(alga-contract 7, fault 5). The compiled code behind it is shared, since the same bytes compile to the same code.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from .bundles import BundleSource
from .errors import AlgaError, EngineUnavailable, ModuleTooLarge
from .guests import CoreHost, CoreProgram

T = TypeVar("T")

MAX_PROGRAMS = 1_000
"""Programs kept; the one unused for longest goes first."""


def require_size(wasm: bytes, max_bytes: int) -> None:
    """Raise ``ModuleTooLarge`` for a module that is not even to be compiled."""
    if len(wasm) > max_bytes:
        raise ModuleTooLarge(
            f"The module has {len(wasm)} bytes; {max_bytes} are allowed.", hint="See max_module_bytes."
        )


class Programs:
    """Fetches, compiles and remembers programs. ``tasks`` outlives every execution that asks."""

    def __init__(
        self, bundles: BundleSource, host: CoreHost, tasks: TaskGroup, *, max_module_bytes: int
    ) -> None:
        self._bundles = bundles
        self._host = host
        self._max_module_bytes = max_module_bytes
        self._by_bundle: _SingleFlight[CoreProgram] = _SingleFlight(tasks)
        self._by_module: _SingleFlight[CoreProgram] = _SingleFlight(tasks)

    def loaded(self, tenant_id: str, extension_id: str, content_hash: str) -> CoreProgram | None:
        """The program of a tenant's bundle, if ``get`` would not have to wait for it."""
        return self._by_bundle.loaded((tenant_id, extension_id, content_hash))

    async def get(self, tenant_id: str, extension_id: str, content_hash: str) -> CoreProgram:
        """The program of a tenant's bundle. Raises a ``BundleError`` or a ``ModuleError``; failures are not kept."""

        async def load() -> CoreProgram:
            bundle = await self._bundles.fetch(tenant_id, extension_id, content_hash)
            return await self._compiled(bundle.wasm)

        return await self._by_bundle.get((tenant_id, extension_id, content_hash), load)

    async def _compiled(self, wasm: bytes) -> CoreProgram:
        require_size(wasm, self._max_module_bytes)

        async def load() -> CoreProgram:
            return await anyio.to_thread.run_sync(self._host.load, wasm)

        return await self._by_module.get(hashlib.sha256(wasm).digest(), load)


class _Load(Generic[T]):
    """One value on its way, or arrived."""

    def __init__(self) -> None:
        self.arrived = anyio.Event()
        self.value: T | None = None
        self.failure: Exception | None = None

    def result(self) -> T:
        if isinstance(self.failure, AlgaError):
            raise self.failure.fresh()
        if self.failure is not None:
            raise self.failure
        if self.value is None:
            raise EngineUnavailable("The runner stopped while the extension was being loaded.")
        return self.value


class _SingleFlight(Generic[T]):
    """Remembers what was loaded by key; while a load is under way, everyone who asks waits for that one.

    The load runs in a task of its own, so that an execution that gives up does not take it from the others.
    """

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._loads: OrderedDict[Hashable, _Load[T]] = OrderedDict()

    def loaded(self, key: Hashable) -> T | None:
        found = self._loads.get(key)
        if found is None or found.value is None:
            return None
        self._loads.move_to_end(key)
        return found.value

    async def get(self, key: Hashable, load: Callable[[], Awaitable[T]]) -> T:
        under_way = self._loads.get(key)
        if under_way is None:
            under_way = self._loads[key] = _Load()
            self._tasks.start_soon(self._carry_out, key, under_way, load)
            if len(self._loads) > MAX_PROGRAMS:
                self._loads.popitem(last=False)
        else:
            self._loads.move_to_end(key)
        if not under_way.arrived.is_set():
            await under_way.arrived.wait()
        return under_way.result()

    async def _carry_out(self, key: Hashable, under_way: _Load[T], load: Callable[[], Awaitable[T]]) -> None:
        try:
            under_way.value = await load()
        except Exception as error:  # noqa: BLE001 - handed to those who wait
            under_way.failure = error
            if self._loads.get(key) is under_way:
                del self._loads[key]
        finally:
            under_way.arrived.set()
