"""Which bundles the store holds: a copy for every install, and none for a tenant that has no such install.

A copy is written after the install is committed and before it is acknowledged. What a crash in between leaves out is
written when the server starts.
"""

from __future__ import annotations

import logging

from anyio import to_thread
from sqlalchemy import Connection, func, select

from alga_common.sharing.weighted_limiter import WeightedLimiter
from alga_runner.models.archive import unpacking_bytes

from ..errors import BundleStoreUnavailable
from ..storage import locks, tables
from ..storage.database import Database
from .bundle_store import BundleStore, Placement
from .installs import Install

logger = logging.getLogger("alga_server")


class BundleCopies:
    """Keeps ``store`` in line with ``database``. Without a store it does nothing: archives stay in the database.

    ``unpacking`` is the memory for archives: each is read whole, and its manifest unpacked.
    """

    def __init__(self, database: Database, store: BundleStore | None, unpacking: WeightedLimiter) -> None:
        self._database = database
        self._store = store
        self._unpacking = unpacking

    @property
    def stored(self) -> bool:
        """Whether there is a store."""
        return self._store is not None

    async def check(self) -> None:
        """Write and read the store. Raises ``BundleStoreUnavailable``."""
        if self._store is not None:
            await to_thread.run_sync(self._store.check)

    async def keep(self, placement: Placement) -> None:
        """Write the tenant's copy if it is not there. Raises ``BundleStoreUnavailable``."""
        if await self.bring(placement):
            await self.drop(placement)  # in case it was uninstalled meanwhile

    async def bring(self, placement: Placement) -> bool:
        """Write the tenant's copy if it is not there, used or not; whether it was. Raises ``BundleStoreUnavailable``.

        For a bundle that is about to be used; ``drop`` takes it back.
        """
        if self._store is None:
            return False

        def missing(connection: Connection) -> int | None:
            """Return the archive's bytes."""
            row = connection.execute(
                select(func.length(tables.bundle.c.archive), tables.bundle.c.signature).where(
                    tables.bundle.c.content_hash == placement.content_hash
                )
            ).first()
            return None if row is None or store.holds(placement, *row) else row[0]

        store = self._store
        if (size := await self._database.read(missing)) is None:
            return False
        async with self._unpacking.of(placement.tenant_id, unpacking_bytes(size)):
            archive, signature = await self._database.read(lambda c: _archive(c, placement.content_hash))
            await to_thread.run_sync(store.put, placement, archive, signature)
        logger.info(
            "Bundle %s is in the store for tenant %s",
            placement.content_hash,
            placement.tenant_id,
            extra={"action": "bundle_stored", "tenant_id": placement.tenant_id},
        )
        return True

    async def keep_version(self, version_id: str) -> None:
        """Write missing copies for every install of a version. Raises ``BundleStoreUnavailable``."""
        if self._store is not None:
            for placement in await self._database.read(lambda c: _placements(c, version_id)):
                await self.keep(placement)

    async def keep_all(self) -> None:
        """Write missing copies for every install. Raises ``BundleStoreUnavailable``."""
        if self._store is not None:
            for placement in await self._database.read(_placements):
                await self.keep(placement)

    async def drop_all(self, install: Install) -> None:
        """Remove the tenant's copies of every version of the extension, of which the install may have had any."""
        if self._store is not None:
            for placement in await self._database.read(lambda c: _placements_of(c, install)):
                await self.drop(placement)

    async def drop(self, placement: Placement) -> None:
        """Remove the tenant's copy unless an install of the tenant uses it. What cannot be removed is left."""
        if self._store is None:
            return
        store = self._store

        def transaction(connection: Connection) -> None:
            # Alone: an install made before this keeps the file, and one that is made after it writes the file anew.
            locks.alone(connection, locks.bundles_of(placement.tenant_id))
            if not _is_used(connection, placement):
                store.discard(placement)

        try:
            await self._database.write(transaction)
        except BundleStoreUnavailable as error:
            logger.warning(
                "Bundle %s of tenant %s is left in the store: %s",
                placement.content_hash,
                placement.tenant_id,
                error,
                extra={"action": "bundle_left", "tenant_id": placement.tenant_id},
            )


def placement_of(install: Install) -> Placement:
    """Where the install's bundle belongs."""
    return Placement(install.tenant_id, install.extension_id, install.content_hash)


def _placements(connection: Connection, version_id: str | None = None) -> list[Placement]:
    """Of every install; of those of one version."""
    query = select(
        tables.install.c.tenant_id, tables.install.c.extension_id, tables.version.c.content_hash
    ).join(tables.version, tables.version.c.id == tables.install.c.version_id)
    if version_id is not None:
        query = query.where(tables.version.c.id == version_id)
    return [Placement(*row) for row in connection.execute(query)]


def _placements_of(connection: Connection, install: Install) -> list[Placement]:
    query = select(tables.version.c.content_hash).where(tables.version.c.extension_id == install.extension_id)
    return [
        Placement(install.tenant_id, install.extension_id, content_hash)
        for content_hash in connection.execute(query).scalars()
    ]


def _is_used(connection: Connection, placement: Placement) -> bool:
    query = (
        select(tables.install.c.id)
        .join(tables.version, tables.version.c.id == tables.install.c.version_id)
        .where(
            tables.install.c.tenant_id == placement.tenant_id,
            tables.install.c.extension_id == placement.extension_id,
            tables.version.c.content_hash == placement.content_hash,
        )
    )
    return connection.execute(query.limit(1)).first() is not None


def _archive(connection: Connection, content_hash: str) -> tuple[bytes, bytes | None]:
    """The archive, and its signature if it has one."""
    table = tables.bundle.c
    query = select(table.archive, table.signature).where(table.content_hash == content_hash)
    archive, signature = connection.execute(query).one()
    return archive, signature
