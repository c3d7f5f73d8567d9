"""Compiled code on disk, in a private folder that any number of processes share.

An entry's name is the module's digest and the engine's code target. A writer seals the entry (``code_seal``), writes
it under a temporary name and renames it. Entries never change, since processes may have them mapped; eviction unlinks
them. The temporary name is locked (``file_lock``), so that one process compiles a module while others wait.
"""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path

from ...errors import CodeCacheUnusable
from .code_seal import KEY_BYTES, SEAL_BYTES, BrokenSeal, copy_sealed, verify
from .file_lock import FileLock, is_named, remove_if_abandoned, unlink
from .private_folder import is_private_file, open_private

_KEY = "key"
_ENTRY = ".cwasm"
_PARTIAL = ".partial"
_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_KEY_ATTEMPTS = 5


class Discarded(Exception):
    """An entry could not be trusted and was removed. The message gives the fault."""


class CodeCache:
    """An open cache folder. Its methods use the disk: call them in a worker thread. Close it."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Raises ``CodeCacheUnusable``."""
        self.folder = folder
        self._max_bytes = max_bytes
        self._descriptor = open_private(folder)
        try:
            # The mode decides rather than an attempt to write, which succeeds for root.
            self._read_only = not os.fstat(self._descriptor).st_mode & 0o200
            self._key = self._read_key()
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise CodeCacheUnusable(
                    f"The folder for compiled code, {folder}, cannot be used: {error.strerror}.",
                    hint="See the setting code_cache; `off` does without.",
                ) from None
            raise

    def close(self) -> None:
        """Close the folder. Loaded modules stay usable."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def find(self, name: str) -> int | None:
        """Open and verify the entry ``name``, and mark it as used; ``None`` if there is no such entry.

        Raises ``Discarded`` for an entry of another user, of another mode, or with a broken seal; and ``OSError``.
        """
        try:
            entry = os.open(name + _ENTRY, os.O_RDONLY | _FLAGS, dir_fd=self._descriptor)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            unlink(self._descriptor, name + _ENTRY)
            raise Discarded("it was a link") from None
        try:
            self._check(entry, name)
            with suppress(
                OSError
            ):  # on a read-only volume nothing is evicted, so the time of use does not matter
                os.utime(entry)
        except BaseException:
            os.close(entry)
            raise
        return entry

    def _check(self, entry: int, name: str) -> None:
        fault = ""
        if is_private_file(os.fstat(entry)):
            try:
                verify(entry, name, self._key)
            except BrokenSeal as broken:
                fault = str(broken)
        else:
            fault = "it is not a file of this user's with mode 0400"
        if fault:
            self.discard(name, entry)
            raise Discarded(fault)

    def discard(self, name: str, entry: int) -> None:
        """Remove the entry ``name``, if it is still the file ``entry``. Raises ``OSError``."""
        if is_named(self._descriptor, entry, name + _ENTRY):
            unlink(self._descriptor, name + _ENTRY)

    def lock(self, name: str) -> FileLock:
        """A lock for writing the entry ``name``; attempt it. Raises ``OSError`` if the folder is read-only."""
        self._require_writable()
        return FileLock(self._descriptor, name + _PARTIAL)

    def store(self, name: str, lock: FileLock, code: int) -> bool:
        """Write the entry ``name`` with the code in the file ``code``, while this process has ``lock``.

        The lock's descriptor is the entry's afterwards. ``False`` if the code is larger than the cache may be. Raises
        ``OSError``: then there is no such entry.
        """
        if os.fstat(code).st_size + SEAL_BYTES > self._max_bytes:
            return False
        copy_sealed(code, lock.descriptor, name, self._key)
        os.fchmod(lock.descriptor, 0o400)
        os.fsync(lock.descriptor)
        os.rename(name + _PARTIAL, name + _ENTRY, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        return True

    def tidy(self) -> None:
        """Evict the entries unused for longest until the rest fits, and remove the files of killed writers.

        Raises ``OSError``.
        """
        entries: list[tuple[int, str, int]] = []
        with os.scandir(self._descriptor) as files:
            for file in files:
                if file.name.endswith(_PARTIAL):
                    remove_if_abandoned(self._descriptor, file.name)
                elif file.name.endswith(_ENTRY):
                    with suppress(FileNotFoundError):  # another process evicted it
                        status = file.stat(follow_symlinks=False)
                        entries.append((status.st_mtime_ns, file.name, status.st_size))
        excess = sum(size for _, _, size in entries) - self._max_bytes
        for _, name, size in sorted(entries):
            if excess <= 0:
                break
            unlink(self._descriptor, name)
            excess -= size

    def _read_key(self) -> bytes:
        for _ in range(_KEY_ATTEMPTS):
            try:
                key = os.open(_KEY, os.O_RDONLY | _FLAGS, dir_fd=self._descriptor)
            except FileNotFoundError:
                self._make_key()
                continue
            try:
                content = os.read(key, KEY_BYTES + 1)
                if is_private_file(os.fstat(key)) and len(content) == KEY_BYTES:
                    return content
            finally:
                os.close(key)
            self._require_writable()
            unlink(self._descriptor, _KEY)  # no entry verifies without it
        raise CodeCacheUnusable(f"The key in {self.folder} cannot be kept: other processes change it.")

    def _make_key(self) -> None:
        """Create the key atomically, unless another process creates it first."""
        self._require_writable()
        draft = f"{_KEY}-{secrets.token_hex(8)}{_PARTIAL}"
        descriptor = os.open(
            draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600, dir_fd=self._descriptor
        )
        try:
            os.write(descriptor, secrets.token_bytes(KEY_BYTES))
            os.fchmod(descriptor, 0o400)
            os.fsync(descriptor)
            with suppress(FileExistsError, FileNotFoundError):  # the latter: another process tidied
                os.link(draft, _KEY, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        finally:
            os.close(descriptor)
            unlink(self._descriptor, draft)

    def _require_writable(self) -> None:
        if self._read_only:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
