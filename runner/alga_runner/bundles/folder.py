"""Bundles in a folder that is laid out like Alga's object store."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import anyio.to_thread

from alga_common.bundle_layout import ARCHIVE, MAX_SIGNATURE_BYTES, SIGNATURE_SUFFIX, stored_folder
from alga_common.readiness import Finding

from ..errors import BundleNotFound
from ..settings import BundleEntries
from .bundle import Bundle
from .read import read_archive
from .source import STORE_CHECK, UNREACHABLE, BundleSource, parsed_hash
from .unpacker import Unpacker

logger = logging.getLogger("alga_runner")

_SKIPS_LOGGED = 20
"""Lines about one bundle's skipped entries; their count is logged for the rest."""


def archive_key(tenant_id: str, extension_id: str, content_hash: str) -> str:
    """The archive's key in every store. Raises ``BundleNotFound`` for an id that is not a plain segment."""
    digits = parsed_hash(content_hash).removeprefix("sha256:")
    try:
        return "/".join([*stored_folder(tenant_id, extension_id, digits), ARCHIVE])
    except ValueError as error:
        raise BundleNotFound(f"{error}.") from None


class FolderBundles(BundleSource):
    """Archives under a folder, laid out like Alga's object store (alga-contract 3).

    ``tenants/{tenant}/extensions/{extension}/sha256/{hex}/bundle.tar.zst``
    """

    def __init__(self, root: Path, *, entries: BundleEntries = "refuse") -> None:
        self._root = root
        self._unpacker = Unpacker(entries)

    key = staticmethod(archive_key)

    async def fetch(self, tenant_id: str, extension_id: str, content_hash: str) -> Bundle:
        """See ``BundleSource``. Reads, verifies and unpacks in a worker thread."""
        key = self.key(tenant_id, extension_id, content_hash)
        size = await anyio.to_thread.run_sync(self._size, key, abandon_on_cancel=True)
        async with self._unpacker.room(tenant_id, size):
            archive = await anyio.to_thread.run_sync(self._read, key, abandon_on_cancel=True)
            bundle = await self._unpacker.unpacked(tenant_id, archive, content_hash)
        log_skipped(bundle, key)
        return bundle

    async def signatures(self, tenant_id: str, extension_id: str, content_hash: str) -> AsyncIterator[bytes]:
        """The file next to the archive, if there is one."""
        path = self._root / (archive_key(tenant_id, extension_id, content_hash) + SIGNATURE_SUFFIX)
        if (document := await anyio.to_thread.run_sync(_start_of, path, abandon_on_cancel=True)) is not None:
            yield document

    async def check(self) -> Sequence[Finding]:
        """Whether the folder can be read."""
        if await self.reachable():
            return await super().check()
        sentence = "The folder that the setting bundle_store names cannot be read."
        hint = "Give --bundle-store or set BUNDLE_STORE_BASE: the folder that extensions are published to."
        return [Finding(STORE_CHECK, UNREACHABLE, sentence, hint)]

    async def reachable(self) -> bool:
        """Whether the folder is there and can be listed."""
        return await anyio.to_thread.run_sync(_listable, self._root, abandon_on_cancel=True)

    def _size(self, key: str) -> int:
        try:
            return (self._root / key).stat().st_size
        except OSError:
            raise BundleNotFound(
                f"There is no bundle {key} in the store.", hint="Publish the extension for this tenant first."
            ) from None

    def _read(self, key: str) -> bytes:
        return read_archive(self._root / key, key)


def log_skipped(bundle: Bundle, key: str) -> None:
    """Log the entries that were left out of ``bundle``, the first of them by name."""
    for sentence in bundle.skipped[:_SKIPS_LOGGED]:
        logger.warning("Entry skipped in %s: %s", key, sentence, extra={"action": "bundle_entry_skipped"})
    if (more := len(bundle.skipped) - _SKIPS_LOGGED) > 0:
        logger.warning("%d more entries skipped in %s", more, key, extra={"action": "bundle_entry_skipped"})


def _start_of(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(MAX_SIGNATURE_BYTES + 1)
    except OSError:
        return None


def _listable(folder: Path) -> bool:
    try:
        next(folder.iterdir(), None)
    except OSError:
        return False
    return True
