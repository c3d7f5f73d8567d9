"""Lets one process at a time write a file of a shared folder.

The lock is on the file itself, under the temporary name that it has while it is written. When a process is killed, the
kernel releases its lock, and the next process removes the file.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from contextlib import suppress

_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class FileLock:
    """A lock on the file ``name`` of an open folder. Release it."""

    def __init__(self, folder: int, name: str) -> None:
        self._folder = folder
        self._name = name
        self._busy = threading.Lock()
        self._descriptor = -1
        self._released = False

    @property
    def descriptor(self) -> int:
        """The empty file to write; -1 without the lock."""
        return self._descriptor

    def attempt(self) -> bool:
        """Try to take the lock; whether this process has it. Raises ``OSError`` if the file cannot be created."""
        with self._busy:
            while not self._released:
                try:
                    descriptor = os.open(
                        self._name, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600, dir_fd=self._folder
                    )
                except FileExistsError:
                    if not remove_if_abandoned(self._folder, self._name):
                        return False
                    continue
                try:
                    if _lock(self._folder, descriptor, self._name):
                        self._descriptor = descriptor
                        return True
                except BaseException:
                    os.close(descriptor)
                    raise
                os.close(descriptor)  # removed as abandoned, between its creation and its lock
            raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))

    def release(self) -> None:
        """Release the lock, also while another thread attempts it. The file is removed unless it was renamed."""
        with self._busy:
            self._released = True
            descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        try:
            if is_named(self._folder, descriptor, self._name):
                unlink(self._folder, self._name)
        finally:
            os.close(descriptor)


def remove_if_abandoned(folder: int, name: str) -> bool:
    """Remove a link, or a file that no process has locked; ``False`` if one has. Raises ``OSError``."""
    try:
        descriptor = os.open(name, os.O_RDONLY | _FLAGS, dir_fd=folder)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        unlink(folder, name)
        return True
    try:
        if _lock(folder, descriptor, name):
            unlink(folder, name)
            return True
        return not is_named(folder, descriptor, name)
    finally:
        os.close(descriptor)


def is_named(folder: int, descriptor: int, name: str) -> bool:
    """Whether ``name`` is still the name of the open file ``descriptor``."""
    try:
        named = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(descriptor))


def unlink(folder: int, name: str) -> None:
    """Remove ``name``, if it exists. Processes that have the file open or mapped keep it."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def _lock(folder: int, descriptor: int, name: str) -> bool:
    """Lock the open file, unless another process has or the file has lost its name."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return is_named(folder, descriptor, name)
