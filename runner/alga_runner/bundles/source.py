"""Where the runner fetches bundles from.

A tenant gets only the archives under its own key. A fetch never falls back to another tenant's copy of the same hash:
hashes are not secret, so knowing one must not give access to an extension that was not published for this tenant.
"""

from __future__ import annotations

import logging
import os
import re
from abc import ABC, abstractmethod
from pathlib import Path
from urllib.parse import unquote_to_bytes
from weakref import WeakValueDictionary

import anyio.to_thread

from alga_common.bundle_layout import ARCHIVE, stored_folder

from ..errors import BundleNotFound, SettingsError
from ..models import parse_content_hash
from ..settings import BundleEntries, Settings
from .bundle import Bundle
from .read import read_archive

logger = logging.getLogger("alga_runner")

_SKIPS_LOGGED = 20
"""Lines about one bundle's skipped entries; their count is logged for the rest."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")


class BundleSource(ABC):
    """The seam between the runner and a store of bundles."""

    @abstractmethod
    async def fetch(self, tenant_id: str, extension_id: str, content_hash: str) -> Bundle:
        """The tenant's bundle of this extension with this hash, verified.

        Raises ``BundleNotFound``, ``BundleHashMismatch`` or ``BundleInvalid``.
        """

    async def reachable(self) -> bool:
        """Whether the store can be asked at all."""
        return True

    async def cache_writable(self) -> bool:
        """Whether fetched bundles can be kept; a source without a cache needs none."""
        return True

    @property
    def cache_max_bytes(self) -> int | None:
        """The bound of the cache of fetched bundles, ``None`` without one."""
        return None


class MemoryBundles(BundleSource):
    """Bundles held in memory: for tests, development and the demo."""

    def __init__(self) -> None:
        self._bundles: dict[tuple[str | None, str], Bundle] = {}

    def add(self, bundle: Bundle, *, tenant_id: str | None = None) -> str:
        """Offer ``bundle`` to one tenant, or to every tenant. Returns its content hash."""
        self._bundles[tenant_id, bundle.content_hash] = bundle
        return bundle.content_hash

    async def fetch(self, tenant_id: str, extension_id: str, content_hash: str) -> Bundle:
        """See ``BundleSource``; the hash alone decides, not the extension's id."""
        parsed = _parsed(content_hash)
        bundle = self._bundles.get((tenant_id, parsed)) or self._bundles.get((None, parsed))
        if bundle is None:
            raise BundleNotFound(f"No bundle {parsed} is in memory for tenant {tenant_id}.")
        return bundle


class HeldBundles(BundleSource):
    """The bundles that callers hold, each for one tenant, in front of another source.

    A bundle that its caller dropped is not kept for it.
    """

    def __init__(self, source: BundleSource) -> None:
        self._source = source
        self._held: WeakValueDictionary[tuple[str, str], Bundle] = WeakValueDictionary()

    def hold(self, tenant_id: str, bundle: Bundle) -> None:
        """Offer ``bundle`` to the tenant for as long as the caller has it."""
        self._held[tenant_id, bundle.content_hash] = bundle

    async def fetch(self, tenant_id: str, extension_id: str, content_hash: str) -> Bundle:
        """See ``BundleSource``."""
        held = self._held.get((tenant_id, content_hash))
        return held or await self._source.fetch(tenant_id, extension_id, content_hash)

    async def reachable(self) -> bool:
        """Whether the other source can be asked."""
        return await self._source.reachable()

    async def cache_writable(self) -> bool:
        """Whether the other source can keep bundles."""
        return await self._source.cache_writable()

    @property
    def cache_max_bytes(self) -> int | None:
        """The other source's."""
        return self._source.cache_max_bytes


class FolderBundles(BundleSource):
    """Archives under a folder, laid out like Alga's object store (alga-contract 3).

    ``tenants/{tenant}/extensions/{extension}/sha256/{hex}/bundle.tar.zst``
    """

    def __init__(self, root: Path, *, entries: BundleEntries = "refuse") -> None:
        self._root = root
        self._entries: BundleEntries = entries

    @staticmethod
    def key(tenant_id: str, extension_id: str, content_hash: str) -> str:
        """The archive's path under the root. Raises ``BundleNotFound`` for an id that is not a plain segment."""
        digits = _parsed(content_hash).removeprefix("sha256:")
        try:
            return "/".join([*stored_folder(tenant_id, extension_id, digits), ARCHIVE])
        except ValueError as error:
            raise BundleNotFound(f"{error}.") from None

    async def fetch(self, tenant_id: str, extension_id: str, content_hash: str) -> Bundle:
        """See ``BundleSource``. Reads, verifies and unpacks in a worker thread."""
        key = self.key(tenant_id, extension_id, content_hash)
        return await anyio.to_thread.run_sync(self._open, key, content_hash, abandon_on_cancel=True)

    async def reachable(self) -> bool:
        """Whether the folder is there and can be listed."""
        return await anyio.to_thread.run_sync(_listable, self._root, abandon_on_cancel=True)

    def _open(self, key: str, content_hash: str) -> Bundle:
        path = self._root / key
        if not path.exists():
            raise BundleNotFound(
                f"There is no bundle {key} in the store.", hint="Publish the extension for this tenant first."
            )
        bundle = Bundle.from_archive(read_archive(path, key), content_hash, entries=self._entries)
        log_skipped(bundle, key)
        return bundle


def bundle_source(settings: Settings) -> BundleSource:
    """The source that the setting ``bundle_store`` names: a folder, as a path or a ``file://`` URL.

    Raises ``SettingsError``.
    """
    base = settings.bundle_store
    if not base:
        return MemoryBundles()
    return FolderBundles(_folder(base), entries=settings.bundle_entries)


def log_skipped(bundle: Bundle, key: str) -> None:
    """Log the entries that were left out of ``bundle``, the first of them by name."""
    for sentence in bundle.skipped[:_SKIPS_LOGGED]:
        logger.warning("Entry skipped in %s: %s", key, sentence, extra={"action": "bundle_entry_skipped"})
    if (more := len(bundle.skipped) - _SKIPS_LOGGED) > 0:
        logger.warning("%d more entries skipped in %s", more, key, extra={"action": "bundle_entry_skipped"})


def _folder(base: str) -> Path:
    scheme, separator, rest = base.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        return Path(base)
    host, slash, path = rest.partition("/")
    if scheme.lower() != "file":
        fault = f"{scheme}:// is not a kind of store"
    elif host.lower() not in {"", "localhost"} or not slash:
        fault = "a file:// URL has three slashes before its path"
    elif set("?#") & set(path):
        fault = "a question mark or # in a file:// URL is no part of its path; write %3F or %23"
    else:
        encoded = (slash + path).encode("utf-8", "surrogateescape")
        return Path(os.fsdecode(unquote_to_bytes(encoded)))
    raise SettingsError(
        f"The setting {Settings.named('bundle_store')} cannot be used: {fault}.",
        hint="Give a folder, as a path or a file:// URL.",
    )


def _listable(folder: Path) -> bool:
    try:
        next(folder.iterdir(), None)
    except OSError:
        return False
    return True


def _parsed(content_hash: str) -> str:
    try:
        return parse_content_hash(content_hash)
    except ValueError as error:
        raise BundleNotFound(f"{content_hash[:80]!r} cannot name a bundle: {error}.") from None
