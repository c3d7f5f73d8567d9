"""Fetched archives on disk, shared by any number of processes of one user.

``<hex>.tar.zst`` is an archive and ``<hex>.signature`` its signature. ``<hex>.<pair>`` is an empty file for each tenant
and extension that the store has given it to (alga-contract 7, fault 5). Nothing here is trusted: who reads an archive
compares its hash. Every change is made under one lock, which goes with the process that holds it.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from alga_common.private_files import NotPrivate, open_private
from alga_common.wire import MAX_ARCHIVE_BYTES

logger = logging.getLogger("alga_runner")

_ARCHIVE = ".tar.zst"
_LOCK = ".lock"
_INCOMING = ".incoming"
"""The file being written. One at a time, under the lock, so a crash leaves at most this one; the next replaces it."""
_LEAST_BYTES = 4096
"""What the smallest archive counts as, so that their number is bounded, too."""
_NAME = re.compile(r"([0-9a-f]{64})\..+")


class ArchiveCache:
    """Archives in ``folder``, which is made for its owner alone; those unused for longest go beyond ``max_bytes``.

    Its functions block: they are for worker threads. A folder that cannot be used, or a full disk, is logged, and
    nothing is kept.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._folder = folder
        self._troubled = False

    def read(self, digits: str) -> bytes | None:
        """The archive, ``None`` if it is not there. It is not removed while it is being read."""
        with suppress(OSError, NotPrivate):
            self._opened()
            descriptor = os.open(self._path(digits), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
                fcntl.flock(descriptor, fcntl.LOCK_SH)
                os.utime(descriptor)
                return file.read(MAX_ARCHIVE_BYTES + 1)
        return None

    def size(self, digits: str) -> int | None:
        """The archive's bytes, ``None`` if it is not there."""
        with suppress(OSError, NotPrivate):
            self._opened()
            return self._path(digits).stat(follow_symlinks=False).st_size
        return None

    def signature(self, digits: str) -> bytes | None:
        """The archive's signature, ``None`` if it is not there."""
        with suppress(OSError, NotPrivate):
            self._opened()
            return self._signature(digits).read_bytes()
        return None

    def add_signature(self, digits: str, document: bytes) -> None:
        """Keep the signature of an archive, which may be added next."""
        with self._forgiven(), self._alone():
            self._write(self._signature(digits), document)

    def is_for(self, digits: str, tenant_id: str, extension_id: str) -> bool:
        """Whether the store has given the archive to this tenant for this extension."""
        return self._marker(digits, tenant_id, extension_id).exists()

    def bind(self, digits: str, tenant_id: str, extension_id: str) -> None:
        """Remember that it has."""
        with self._forgiven(), self._alone():
            if self._path(digits).exists():
                self._marker(digits, tenant_id, extension_id).touch(mode=0o600)

    def add(self, digits: str, tenant_id: str, extension_id: str, archive: bytes) -> None:
        """Keep a verified archive, which the store has given to this tenant for this extension."""
        if _weight(len(archive)) > self.max_bytes:
            return
        with self._forgiven(), self._alone():
            self._make_room(_weight(len(archive)), digits)
            self._write(self._path(digits), archive)
            self._marker(digits, tenant_id, extension_id).touch(mode=0o600)

    def remove(self, digits: str) -> None:
        """Forget a damaged archive."""
        with self._forgiven(), self._alone():
            for path in list(self._folder.glob(f"{digits}.*")):
                path.unlink(missing_ok=True)

    def writable(self) -> bool:
        """Whether a file can be written there; it has no name, so nothing of it stays."""
        try:
            self._opened()
            with tempfile.TemporaryFile(dir=self._folder) as file:
                file.write(b"alga-runner")
        except (OSError, NotPrivate):
            return False
        return True

    def _write(self, path: Path, content: bytes) -> None:
        incoming = self._folder / _INCOMING
        incoming.unlink(missing_ok=True)
        incoming.touch(mode=0o600)
        incoming.write_bytes(content)
        incoming.replace(path)

    def _make_room(self, weight: int, incoming: str) -> None:
        """Remove the archives unused for longest, and remains of others, but none that is being read."""
        files: dict[str, list[Path]] = {}
        for path in self._folder.iterdir():
            if (name := _NAME.fullmatch(path.name)) is not None:
                files.setdefault(name[1], []).append(path)
        archives: list[tuple[int, int, str]] = []
        for digits, paths in files.items():
            try:
                status = self._path(digits).stat()
            except FileNotFoundError:
                if digits != incoming:
                    _unlink(paths)
            else:
                archives.append((status.st_mtime_ns, _weight(status.st_size), digits))
        total = sum(size for _, size, _ in archives)
        for _, size, digits in sorted(archives):
            if total + weight <= self.max_bytes:
                return
            with self._path(digits).open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                _unlink(sorted(files[digits], key=lambda path: not path.name.endswith(_ARCHIVE)))
            total -= size

    def _path(self, digits: str) -> Path:
        return self._folder / f"{digits}{_ARCHIVE}"

    def _signature(self, digits: str) -> Path:
        return self._folder / f"{digits}.signature"

    def _marker(self, digits: str, tenant_id: str, extension_id: str) -> Path:
        pair = hashlib.sha256(f"{tenant_id}\0{extension_id}".encode()).hexdigest()
        return self._folder / f"{digits}.{pair}"

    def _opened(self) -> None:
        """Make the folder, and check that it is this user's alone. Raises ``OSError``, ``NotPrivate``."""
        os.close(open_private(self._folder))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._opened()
        descriptor = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _forgiven(self) -> Iterator[None]:
        """A cache that cannot be used costs downloads, never an execution. It is logged once until it works again."""
        try:
            yield
        except (OSError, NotPrivate) as error:
            if not self._troubled:
                why = error.strerror if isinstance(error, OSError) else f"the folder {error}"
                logger.warning("Bundle cache not written: %s", why, extra={"action": "bundle_cache_unusable"})
            self._troubled = True
        else:
            self._troubled = False


def _unlink(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _weight(size: int) -> int:
    return max(size, _LEAST_BYTES)
