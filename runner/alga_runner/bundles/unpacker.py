"""Unpacks archives in worker threads, as many at the same time as memory is meant for."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from functools import partial

from alga_common.sharing.thread_turns import ThreadTurns
from alga_common.sharing.weighted_limiter import WeightedLimiter
from alga_common.wire import MAX_ARCHIVE_BYTES

from ..models.archive import MAX_UNPACKING_BYTES, unpacking_bytes
from ..settings import BundleEntries
from .bundle import Bundle

_THREADS = 8
"""Archives that are unpacked at the same time, of one tenant a quarter."""


class Unpacker:
    """Unpacks up to ``MAX_UNPACKING_BYTES`` at a time; a tenant has its share of them, or one archive.

    A tenant whose archives take long to unpack rests for twice as long after each.
    """

    def __init__(self, entries: BundleEntries) -> None:
        self._entries: BundleEntries = entries
        self._memory = WeightedLimiter(MAX_UNPACKING_BYTES)
        self._turns = ThreadTurns(_THREADS)

    def room(self, tenant_id: str, archive_bytes: int) -> AbstractAsyncContextManager[None]:
        """Wait for the memory that an archive of that size takes, and free it at the end of the context."""
        return self._memory.of(tenant_id, unpacking_bytes(min(archive_bytes, MAX_ARCHIVE_BYTES)))

    async def unpacked(self, tenant_id: str, archive: bytes, content_hash: str) -> Bundle:
        """Return the bundle in ``archive``. A caller that is cancelled waits for the thread, which has the memory."""
        unpack = partial(Bundle.from_archive, archive, content_hash, entries=self._entries)
        return await self._turns.run(tenant_id, unpack)
