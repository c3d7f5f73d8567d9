"""Provides programs: fetches each bundle once for each tenant, and loads each module once for all tenants.

A program is stored under tenant, extension and hash, so that one tenant's bundle is never given to another
(alga-contract 7, fault 5). Tenants share the compiled code, since the same bytes compile to the same code.
"""

from __future__ import annotations

import errno
import hashlib
import resource
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from anyio.abc import TaskGroup

from alga_common.fair_limiter import SHARE
from alga_common.private_files import user_cache
from alga_common.sharing.weighted_limiter import WeightedLimiter

from ..bundles import Bundle, BundleSource
from ..engine import CompileBounds, Engine, ModuleLoader
from ..errors import ModuleTooLarge, Overloaded
from ..frames import Frame
from ..guests import Host, Program
from ..models import ExecutionContext
from ..settings import MIB, Settings
from ..telemetry import Telemetry
from .endpoints import DeclaredEndpoints
from .program_cache import MODULE_BYTES, PROGRAM_BYTES, CacheBounds, Kept, Key, ProgramCache, SharedModule
from .symbolizer import Symbolizer

_RAISE_NOFILE = "Raise the limit of open files (ulimit -n, LimitNOFILE), or try again later."


_RETRY_AFTER_MS = 1_000

_SMALL_BYTES = 1 * MIB
"""Modules of so much wait in memory: at most ``MAX_LOADS`` of them."""


MAX_LOADS = 512
MAX_TENANT_LOADS = 128
"""Programs that are being loaded, in all and of one tenant: a load goes on when its execution has ended."""


def cache_bounds(max_loaded_bytes: int, max_modules: int) -> CacheBounds:
    """The bounds of a process whose programs may take ``max_loaded_bytes``, and a quarter of its open files.

    Each of ``max_modules`` has one.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CacheBounds(max_loaded_bytes, max(1, min(max_modules, files // 4)))


def require_size(wasm: bytes, max_bytes: int) -> None:
    """Raise ``ModuleTooLarge`` for a module that is too large to be compiled."""
    if len(wasm) > max_bytes:
        raise ModuleTooLarge(
            f"The module has {len(wasm)} bytes; {max_bytes} are allowed.", hint="See max_module_bytes."
        )


def module_loader(settings: Settings, engine: Engine, telemetry: Telemetry) -> ModuleLoader:
    """Return a loader for ``engine`` with the bounds of ``settings``. It opens nothing yet; close it."""
    return ModuleLoader(
        engine,
        telemetry,
        CompileBounds(
            cpu_s=settings.max_compile_cpu_ms / 1000,
            wall_s=settings.max_compile_ms / 1000,
            memory_bytes=settings.max_compile_memory_mb * MIB,
            concurrent=settings.max_compilations,
        ),
        folder=_cache_folder(settings.code_cache),
        max_cache_bytes=settings.max_code_cache_mb * MIB,
    )


def _cache_folder(setting: str | None) -> Path | None:
    if setting:
        return None if setting == "off" else Path(setting).absolute()
    return user_cache("code")


class Programs:
    """Fetches, loads and remembers programs. ``tasks`` outlives every execution that asks."""

    def __init__(
        self,
        bundles: BundleSource,
        modules: ModuleLoader,
        host: Host,
        tasks: TaskGroup,
        *,
        max_module_bytes: int,
        bounds: CacheBounds,
    ) -> None:
        self._bundles = bundles
        self._modules = modules
        self._host = host
        self._max_module_bytes = max_module_bytes
        self._cache = ProgramCache(tasks, bounds)
        self._loads: Counter[str] = Counter()
        """How many programs are being loaded, by tenant."""
        self._large = WeightedLimiter(SHARE * max_module_bytes)
        """Bytes of large modules that are being loaded."""
        self._symbolizer = Symbolizer(bundles, modules, tasks)
        self._kept: Callable[[Key], Kept | None] = self._cache.kept

    def loaded(self, tenant_id: str, extension_id: str, content_hash: str) -> Program | None:
        """The program of a tenant's bundle, if ``get`` would not have to wait for it."""
        return self._cache.loaded((tenant_id, extension_id, content_hash))

    async def get(self, tenant_id: str, extension_id: str, content_hash: str) -> Program:
        """The program of a tenant's bundle. Raises a ``BundleError`` or a ``ModuleError``; failures are not kept."""

        async def load() -> Kept:
            self._require_room(tenant_id)
            self._loads[tenant_id] += 1
            try:
                async with self._fetched(tenant_id, extension_id, content_hash) as bundle:
                    endpoints = await self._modules.turns.run(
                        tenant_id, partial(DeclaredEndpoints.of, bundle)
                    )
                    module = await self._linked(bundle.wasm, tenant_id)
                    signer = bundle.signer
            except OSError as error:
                if error.errno not in {errno.EMFILE, errno.ENFILE}:
                    raise
                self._cache.drop_half()
                raise Overloaded(
                    "The runner has too many files open to load another extension.", hint=_RAISE_NOFILE
                ) from None
            finally:
                self._loads[tenant_id] -= 1
                self._loads += Counter()  # forgets tenants without any
            size = PROGRAM_BYTES + endpoints.weight
            return Kept(module.program.copy(), module, size, endpoints, signer)

        return await self._cache.get((tenant_id, extension_id, content_hash), load)

    def endpoint_and_signer(
        self, context: ExecutionContext, method: str, path: str
    ) -> tuple[str | None, str | None]:
        """The endpoint with this method and path, as its manifest declares it, and who signed its bundle.

        Either is ``None`` if it is unknown.
        """
        kept = self._kept((context.tenant_id, context.extension_id, context.content_hash))
        if kept is None:
            return None, None
        return kept.endpoints.name(method, path), kept.signer

    def signer(self, context: ExecutionContext) -> str | None:
        """Who signed the bundle that is executed, if that is known."""
        kept = self._kept((context.tenant_id, context.extension_id, context.content_hash))
        return None if kept is None else kept.signer

    async def located(
        self, tenant_id: str, extension_id: str, content_hash: str, frames: tuple[Frame, ...]
    ) -> tuple[Frame, ...]:
        """``frames`` of a guest of that bundle, with the files and lines that can be read soon. Raises nothing."""
        program = self.loaded(tenant_id, extension_id, content_hash)
        if program is None or not program.has_debug_info:
            return frames
        return await self._symbolizer.located(tenant_id, extension_id, content_hash, frames)

    def _require_room(self, tenant_id: str) -> None:
        """Raise ``Overloaded`` if as many programs are being loaded as may."""
        of_tenant = self._loads[tenant_id] >= MAX_TENANT_LOADS
        if of_tenant or self._loads.total() >= MAX_LOADS:
            raise Overloaded(
                f"Too many extensions{' of the tenant' * of_tenant} are being loaded.",
                retry_after_ms=_RETRY_AFTER_MS,
                of_tenant=of_tenant,
                hint="Send it again later.",
            )

    @asynccontextmanager
    async def _fetched(self, tenant_id: str, extension_id: str, content_hash: str) -> AsyncIterator[Bundle]:
        """A bundle without its pages, in memory while its module waits to be compiled, and is.

        A large module for which there is no room meanwhile is dropped, and fetched once more when there is.
        """

        async def fetch() -> Bundle:
            bundle = await self._bundles.fetch(tenant_id, extension_id, content_hash)
            require_size(bundle.wasm, self._max_module_bytes)
            return bundle.without_pages()

        bundle = await fetch()
        if (size := len(bundle.wasm)) <= _SMALL_BYTES:
            yield bundle
            return
        if not self._large.has_room(tenant_id, size):
            del bundle
            async with self._large.of(tenant_id, size):
                yield await fetch()
            return
        async with self._large.of(tenant_id, size):
            yield bundle

    async def _linked(self, wasm: bytes, tenant_id: str) -> SharedModule:
        digest = await self._modules.turns.run(tenant_id, partial(_digest, wasm))

        async def load() -> SharedModule:
            module = await self._modules.load(wasm, tenant_id, digest)
            program = await self._modules.turns.run(tenant_id, partial(self._host.link, module, wasm))
            size = MODULE_BYTES + module.code_bytes + module.names_bytes
            return SharedModule(program, size, module.code_files)

        return await self._cache.module(digest, load)


def _digest(wasm: bytes) -> str:
    return hashlib.sha256(wasm).hexdigest()
