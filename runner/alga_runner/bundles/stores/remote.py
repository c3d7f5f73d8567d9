"""Bundles of a store over HTTP, behind a cache on disk."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

import anyio
import anyio.to_thread

from alga_common.bundle_layout import MAX_SIGNATURE_BYTES, SIGNATURE_SUFFIX
from alga_common.readiness import Finding
from alga_common.sharing.weighted_limiter import WeightedLimiter

from ...errors import BundleDownloadFailed, BundleHashMismatch, BundleNotFound
from ...settings import BundleEntries
from ..bundle import Bundle
from ..folder import archive_key, log_skipped
from ..source import BundleSource, parsed_hash
from ..unpacker import Unpacker
from .archive_cache import ArchiveCache
from .http_store import FETCH_FAILED, MAX_CONNECTIONS, HttpStore

logger = logging.getLogger("alga_runner")

_CHECKED_KEY = "tenants/alga-runner-doctor"
"""A key that no bundle has."""

SMALL_ARCHIVE_BYTES = 8 * 1024 * 1024
"""What a download may have at first. A larger archive is asked for once more, in a place for the largest."""

LARGE_DOWNLOADS = 2
"""Places for those, of one tenant one."""

T = TypeVar("T")


class RemoteBundles(BundleSource):
    """The bundles in ``store``. One that is in ``cache`` is read from there, also while the store is down.

    A bundle is given to a tenant and an extension whose own key it was fetched by. For another pair that asks for a
    cached hash, the store is asked whether it has theirs (alga-contract 7, fault 5). A fetch takes ``timeout_s`` at
    most, further attempts included.
    """

    def __init__(
        self,
        store: HttpStore,
        cache: ArchiveCache | None = None,
        *,
        entries: BundleEntries = "refuse",
        timeout_s: float = 60.0,
    ) -> None:
        self._store = store
        self._cache = cache
        self._timeout_s = timeout_s
        self._unpacker = Unpacker(entries)
        self._downloads = WeightedLimiter(MAX_CONNECTIONS)
        self._large_downloads = WeightedLimiter(LARGE_DOWNLOADS)
        """Archives from the store that are in memory, unpacked or not."""

    async def fetch(self, tenant_id: str, extension_id: str, content_hash: str) -> Bundle:
        """See ``BundleSource``."""
        key, content_hash = archive_key(tenant_id, extension_id, content_hash), parsed_hash(content_hash)
        try:
            with anyio.fail_after(self._timeout_s):
                bundle = await self._cached(key, tenant_id, extension_id, content_hash)
                if bundle is None:
                    bundle = await self._fetched(key, tenant_id, extension_id, content_hash)
        except TimeoutError:
            raise BundleDownloadFailed(
                f"{FETCH_FAILED}: the bundle store did not give the bundle within {self._timeout_s:g} s"
            ) from None
        log_skipped(bundle, key)
        return bundle

    async def signatures(self, tenant_id: str, extension_id: str, content_hash: str) -> AsyncIterator[bytes]:
        """The cached one, then the object next to the archive."""
        key = archive_key(tenant_id, extension_id, content_hash) + SIGNATURE_SUFFIX
        cache, digits = self._cache, _digits(parsed_hash(content_hash))
        cached = None if cache is None else await _in_thread(lambda: cache.signature(digits))
        if cached is not None:
            yield cached
        try:
            document = await self._store.read(key, tenant_id, MAX_SIGNATURE_BYTES)
        except BundleNotFound:
            return
        if cache is not None:
            await _in_thread(lambda: cache.add_signature(digits, document))
        yield document

    async def reachable(self) -> bool:
        """Whether the store answers."""
        return await self._store.reachable()

    async def check(self) -> Sequence[Finding]:
        """Whether the store accepts the runner's requests."""
        return [await self._store.check(_CHECKED_KEY)]

    @property
    def outlives_store(self) -> bool:
        """Whether there is a cache."""
        return self._cache is not None

    async def cache_writable(self) -> bool:
        """Whether fetched bundles can be kept."""
        return self._cache is None or await _in_thread(self._cache.writable)

    @property
    def cache_max_bytes(self) -> int | None:
        """The bound of the cache."""
        return None if self._cache is None else self._cache.max_bytes

    async def aclose(self) -> None:
        """Close the connections to the store."""
        await self._store.aclose()

    async def _cached(self, key: str, tenant_id: str, extension_id: str, content_hash: str) -> Bundle | None:
        cache, digits = self._cache, _digits(content_hash)
        if cache is None or (size := await _in_thread(lambda: cache.size(digits))) is None:
            return None
        if not await _in_thread(lambda: cache.is_for(digits, tenant_id, extension_id)):
            await self._store.require(key, tenant_id)
            await _in_thread(lambda: cache.bind(digits, tenant_id, extension_id))
        async with self._unpacker.room(tenant_id, size):
            archive = await _in_thread(lambda: cache.read(digits))
            try:
                return (
                    None
                    if archive is None
                    else await self._unpacker.unpacked(tenant_id, archive, content_hash)
                )
            except BundleHashMismatch:
                logger.warning(
                    "Damaged archive removed from the cache", extra={"action": "bundle_cache_damaged"}
                )
                await _in_thread(lambda: cache.remove(digits))
                return None

    async def _fetched(self, key: str, tenant_id: str, extension_id: str, content_hash: str) -> Bundle:
        async with self._downloads.of(tenant_id, 1):
            archive = await self._store.read_small(key, tenant_id, SMALL_ARCHIVE_BYTES)
            if archive is not None:
                return await self._kept(archive, tenant_id, extension_id, content_hash)
        async with self._large_downloads.of(tenant_id, 1):
            archive = await self._store.read(key, tenant_id)
            return await self._kept(archive, tenant_id, extension_id, content_hash)

    async def _kept(self, archive: bytes, tenant_id: str, extension_id: str, content_hash: str) -> Bundle:
        """The bundle in ``archive``, which is in the cache from now on."""
        cache, digits = self._cache, _digits(content_hash)
        async with self._unpacker.room(tenant_id, len(archive)):
            bundle = await self._unpacker.unpacked(tenant_id, archive, content_hash)
        if cache is not None:
            await _in_thread(lambda: cache.add(digits, tenant_id, extension_id, archive))
        return bundle


async def _in_thread(work: Callable[[], T]) -> T:
    return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)


def _digits(content_hash: str) -> str:
    return content_hash.removeprefix("sha256:")
