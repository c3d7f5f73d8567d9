"""The files of extensions' pages, from their bundles, kept in memory within a bound."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import anyio
import anyio.to_thread

from alga_common.fair_limiter import FairLimiter, Outcome, share

from ...bundles import Bundle
from ...errors import Overloaded
from .paths import content_type

FOLDER = "ui/"
"""Where a bundle has its pages."""

INDEX = "index.html"

_FILE_BYTES = 512
_BUNDLE_BYTES = 16 * 1024
"""What a file and a bundle count in addition to their content, so that their numbers are bounded, too."""

_MAX_WAITING = 1024
_PATIENCE_S = 30.0
_MAX_FOUND = 10_000
"""Bundles that are remembered as found; the one unused for longest is forgotten first."""
_UNKNOWN = ""
"""The owner of all fetches for installs that may not exist: anyone can make up tenants."""

Key = tuple[str, str, str]
"""Tenant, extension and content hash: a bundle that one tenant has is never given to another."""

Fetch = Callable[[str, str, str], Awaitable[Bundle]]


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of a page."""

    content: bytes
    content_type: bytes
    etag: bytes


@dataclass(frozen=True, slots=True)
class Pages:
    """All files of one bundle's pages, by their paths below ``ui/``."""

    files: Mapping[str, Asset]
    size: int

    @classmethod
    def of(cls, bundle: Bundle) -> Pages:
        """The pages of ``bundle``, which may have none."""
        files = {
            path.removeprefix(FOLDER): _asset(path, content)
            for path, content in bundle.files.items()
            if path.startswith(FOLDER)
        }
        size = sum(len(path) + len(asset.content) + _FILE_BYTES for path, asset in files.items())
        return cls(files, size + _BUNDLE_BYTES)


class PageCache:
    """Fetches pages, each once for all that ask concurrently, and keeps those unused for shortest.

    At most ``max_bytes`` are kept, and of one tenant its share of them; pages that do not fit are fetched each time.
    At most ``concurrent`` bundles are fetched, and their files held, at a time, and of one tenant its share; for all
    installs that are not known to exist together, one share.
    """

    def __init__(self, fetch: Fetch, *, max_bytes: int, concurrent: int = 4) -> None:
        self._fetch = fetch
        self._max_bytes = max_bytes
        self._tenant_bytes = share(max_bytes)
        self._kept: OrderedDict[Key, Pages] = OrderedDict()
        self._loading: dict[Key, anyio.Lock] = {}
        self._found: OrderedDict[Key, None] = OrderedDict()
        """Bundles that were fetched before: their installs are not made up."""
        self._fetching = FairLimiter(
            concurrent, share(concurrent), max_waiting=_MAX_WAITING, owner_max_waiting=share(_MAX_WAITING)
        )

    async def get(self, key: Key, *, is_install: bool = False) -> Pages:
        """The pages of a tenant's bundle; ``is_install`` if the registry knows that the tenant has it.

        Raises a ``BundleError``, which is not kept, or ``Overloaded``.
        """
        if (pages := self._used(key)) is not None:
            return pages
        lock = self._loading.setdefault(key, anyio.Lock())
        try:
            async with lock:
                if (pages := self._used(key)) is not None:
                    return pages
                pages = await self._load(key, key[0] if is_install or key in self._found else _UNKNOWN)
                self._keep(key, pages)
                return pages
        finally:
            if not lock.statistics().locked:
                self._loading.pop(key, None)

    async def _load(self, key: Key, owner: str) -> Pages:
        if await self._fetching.acquire(owner, _PATIENCE_S) is not Outcome.ACQUIRED:
            raise Overloaded("Too many pages are being fetched.")
        try:
            bundle = await self._fetch(*key)
            self._remember(key)
            return await anyio.to_thread.run_sync(Pages.of, bundle)
        finally:
            self._fetching.release(owner)

    def _remember(self, key: Key) -> None:
        self._found[key] = None
        self._found.move_to_end(key)
        if len(self._found) > _MAX_FOUND:
            self._found.popitem(last=False)

    def _used(self, key: Key) -> Pages | None:
        pages = self._kept.get(key)
        if pages is not None:
            self._kept.move_to_end(key)
        return pages

    def _keep(self, key: Key, pages: Pages) -> None:
        if pages.size > self._tenant_bytes:
            return
        self._kept[key] = pages
        self._evict(self._tenant_bytes, key[0])
        self._evict(self._max_bytes)

    def _evict(self, max_bytes: int, tenant: str | None = None) -> None:
        """Drop the pages unused for longest, of ``tenant`` or of all, until ``max_bytes`` are left."""
        kept = [(key, pages.size) for key, pages in self._kept.items() if tenant in {None, key[0]}]
        total = sum(size for _, size in kept)
        for key, size in kept:
            if total <= max_bytes:
                return
            del self._kept[key]
            total -= size


def _asset(path: str, content: bytes) -> Asset:
    etag = f'"sha256-{hashlib.sha256(content).hexdigest()}"'
    return Asset(content, content_type(path), etag.encode())
