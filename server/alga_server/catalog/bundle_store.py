"""Published bundles as files, where runners fetch them: the layout of Alga's object store (alga-contract 3).

``tenants/{tenant}/extensions/{extension}/sha256/{hex}/bundle.tar.zst``, and a copy of its ``manifest.json`` next to it.
For a tenant, runners fetch only bundles under the tenant's own key, so every install has its own copy.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import ENOTDIR
from pathlib import Path

from alga_common.bundle_layout import ARCHIVE, MANIFEST, SIGNATURE_SUFFIX, stored_folder
from alga_common.private_files import exposure
from alga_runner.errors import SettingsError
from alga_runner.models import content_hash, parse_content_hash, unpack

from ..errors import BundleStoreUnavailable

SIGNATURE = ARCHIVE + SIGNATURE_SUFFIX
_LOCK = ".lock"
_INCOMING = ".incoming"
"""The file being written. One at a time, under the lock, so a crash leaves at most this one, and the next write
replaces it."""


_CHECK = ".check"
_CHECKED = b"alga-server"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one bundle belongs: the tenant and extension it is installed for, and its hash."""

    tenant_id: str
    extension_id: str
    content_hash: str

    @property
    def folder(self) -> tuple[str, ...]:
        """The segments of its folder. ``ValueError`` for an id or a hash that is not one plain segment."""
        digits = parse_content_hash(self.content_hash).removeprefix("sha256:")
        return stored_folder(self.tenant_id, self.extension_id, digits)


class BundleStore:
    """A folder of bundles, shared by any number of servers and runners.

    Its root is made for its owner alone; one that exists decides by its mode who reads the bundles. Its functions
    block: they are for worker threads. Changes take turns, among processes too. Raises
    ``SettingsError`` for a folder it cannot use.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        try:
            root.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                root.mkdir(mode=0o700)
            with self._alone():
                pass
        except OSError as error:
            # A file where a folder should be exists, as ``mkdir`` reports.
            why = os.strerror(ENOTDIR) if isinstance(error, FileExistsError) else error.strerror
            raise SettingsError(
                f"The folder {root} that bundle_store (ALGA_SERVER_BUNDLE_STORE) names cannot be used: {why}."
            ) from None

    def exposure(self) -> str | None:
        """A sentence if everyone on this machine can open the folder."""
        return exposure(self._root)

    def holds(self, placement: Placement, size: int, signature: bytes | None = None) -> bool:
        """Whether the whole bundle is in its place, with its ``signature``; ``size`` is the archive's, in bytes.

        Files appear whole or not at all, so a file of that size is the bundle unless the disk is faulty.
        """
        folder = self._root.joinpath(*placement.folder)
        try:
            whole = (folder / ARCHIVE).stat().st_size == size and (folder / MANIFEST).is_file()
            return whole and (signature is None or (folder / SIGNATURE).read_bytes() == signature)
        except OSError:
            return False

    def put(self, placement: Placement, archive: bytes, signature: bytes | None = None) -> None:
        """Write the bundle and its ``signature``, durably, unless they are there.

        Raises ``ValueError`` for bytes that are not what the hash names, ``BundleStoreUnavailable`` if the folder does
        not take them.
        """
        if content_hash(archive) != parse_content_hash(placement.content_hash):
            raise ValueError(f"the archive is not {placement.content_hash}")
        if self.holds(placement, len(archive), signature):
            return
        manifest = unpack(archive)[MANIFEST]
        with _said_plainly(), self._alone():
            folder = self._folder(placement)
            # The archive is last: a runner that finds it finds its manifest and its signature.
            if signature is not None:
                self._write(folder / SIGNATURE, signature)
            self._write(folder / MANIFEST, manifest)
            self._write(folder / ARCHIVE, archive)
            _sync(folder)

    def check(self) -> None:
        """Write a file, read it and remove it. Raises ``BundleStoreUnavailable``."""
        with _said_plainly(), self._alone():
            path = self._root / _CHECK
            self._write(path, _CHECKED)
            intact = path.read_bytes() == _CHECKED
            path.unlink()
        if not intact:
            raise BundleStoreUnavailable("The bundle store returns other bytes than were written")

    def discard(self, placement: Placement) -> None:
        """Remove the bundle, and the folders that are empty then. Nothing there is fine."""
        with _said_plainly(), self._alone():
            folder = self._root.joinpath(*placement.folder)
            for name in (ARCHIVE, SIGNATURE, MANIFEST):
                (folder / name).unlink(missing_ok=True)
            with suppress(OSError):  # the first that is not empty, or not there, ends the climb
                while folder != self._root:
                    folder.rmdir()
                    folder = folder.parent

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """The lock of the whole store. It goes with the process that holds it."""
        descriptor = os.open(self._root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _folder(self, placement: Placement) -> Path:
        """The bundle's folder, made if need be, open to any user whom the root lets in: a runner may have its own."""
        folder = self._root
        for segment in placement.folder:
            parent, folder = folder, folder / segment
            with suppress(FileExistsError):
                folder.mkdir()
                folder.chmod(0o755)
                _sync(parent)
        return folder

    def _write(self, path: Path, content: bytes) -> None:
        """``content`` at ``path``: whole, or nothing new."""
        incoming = self._root / _INCOMING
        with incoming.open("wb") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        incoming.replace(path)


def _sync(folder: Path) -> None:
    """Make the folder's entries outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _said_plainly() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BundleStoreUnavailable(f"The bundle store cannot be written: {error.strerror}") from error
