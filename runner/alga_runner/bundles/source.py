"""Where the runner fetches bundles from.

A tenant gets only the archives under its own key. A fetch never falls back to another tenant's copy of the same hash:
hashes are not secret, so knowing one must not give access to an extension that was not published for this tenant.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from weakref import WeakValueDictionary

from alga_common.readiness import OK, Finding

from ..errors import BundleNotFound
from ..models import parse_content_hash
from .bundle import Bundle

STORE_CHECK = "bundle_store"
UNREACHABLE = "bundle_store_unreachable"


class BundleSource(ABC):
    """The seam between the runner and a store of bundles."""

    @abstractmethod
    async def fetch(self, tenant_id: str, extension_id: str, content_hash: str) -> Bundle:
        """The tenant's bundle of this extension with this hash, verified.

        Raises a ``BundleError``.
        """

    async def signatures(self, tenant_id: str, extension_id: str, content_hash: str) -> AsyncIterator[bytes]:
        """The documents that may be the bundle's signature, the best first. Raises a ``BundleError``."""
        documents: tuple[bytes, ...] = ()
        for document in documents:
            yield document

    async def check(self) -> Sequence[Finding]:
        """Whether bundles can be fetched, in sentences; a source may ask more than ``reachable`` does."""
        if await self.reachable():
            return [Finding(STORE_CHECK, OK, "The bundle store can be read.")]
        return [Finding(STORE_CHECK, UNREACHABLE, "The bundle store cannot be read.")]

    async def aclose(self) -> None:  # noqa: B027 - most sources hold nothing open
        """Close the source."""

    async def reachable(self) -> bool:
        """Whether the store can be asked at all."""
        return True

    @property
    def outlives_store(self) -> bool:
        """Whether a bundle that was fetched once is there while the store is not."""
        return False

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
        parsed = parsed_hash(content_hash)
        bundle = self._bundles.get((tenant_id, parsed)) or self._bundles.get((None, parsed))
        if bundle is None:
            raise BundleNotFound(f"No bundle {parsed} is in memory for tenant {tenant_id}.")
        return bundle


class WrappedBundles(BundleSource):
    """A source in front of another one, which answers what the first does not."""

    def __init__(self, source: BundleSource) -> None:
        self._source = source

    async def fetch(self, tenant_id: str, extension_id: str, content_hash: str) -> Bundle:
        """Fetch from the other source."""
        return await self._source.fetch(tenant_id, extension_id, content_hash)

    def signatures(self, tenant_id: str, extension_id: str, content_hash: str) -> AsyncIterator[bytes]:
        """The other source's."""
        return self._source.signatures(tenant_id, extension_id, content_hash)

    async def check(self) -> Sequence[Finding]:
        """Check the other source."""
        return await self._source.check()

    async def aclose(self) -> None:
        """Close the other source."""
        await self._source.aclose()

    async def reachable(self) -> bool:
        """Whether the other source can be asked."""
        return await self._source.reachable()

    @property
    def outlives_store(self) -> bool:
        """Whether the other source does."""
        return self._source.outlives_store

    async def cache_writable(self) -> bool:
        """Whether the other source can keep bundles."""
        return await self._source.cache_writable()

    @property
    def cache_max_bytes(self) -> int | None:
        """The other source's."""
        return self._source.cache_max_bytes


class HeldBundles(WrappedBundles):
    """The bundles that callers hold, each for one tenant, in front of another source.

    A bundle that its caller dropped is not kept for it.
    """

    def __init__(self, source: BundleSource) -> None:
        super().__init__(source)
        self._held: WeakValueDictionary[tuple[str, str], Bundle] = WeakValueDictionary()

    def hold(self, tenant_id: str, bundle: Bundle) -> None:
        """Offer ``bundle`` to the tenant for as long as the caller has it."""
        self._held[tenant_id, bundle.content_hash] = bundle

    async def fetch(self, tenant_id: str, extension_id: str, content_hash: str) -> Bundle:
        """See ``BundleSource``."""
        held = self._held.get((tenant_id, content_hash))
        return held or await self._source.fetch(tenant_id, extension_id, content_hash)


def parsed_hash(content_hash: str) -> str:
    """``content_hash`` as ``sha256:<hex>``. Raises ``BundleNotFound`` for another text."""
    try:
        return parse_content_hash(content_hash)
    except ValueError as error:
        raise BundleNotFound(f"{content_hash[:80]!r} cannot name a bundle: {error}.") from None
