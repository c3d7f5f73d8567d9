"""The right to write a file of a shared folder: one process has it at a time, and a killed one leaves it to the next.

The right is a lock on the file itself, under the name that it has while it is written; the kernel gives locks back.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from contextlib import suppress

_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class FileLock:
    """A claim to the file ``name`` in the folder that is open as ``place``. Release it."""

    def __init__(self, place: int, name: str) -> None:
        self._place = place
        self._name = name
        self._busy = threading.Lock()
        self._descriptor = -1
        self._released = False

    @property
    def descriptor(self) -> int:
        """The empty file, to be written; -1 while another process has it."""
        return self._descriptor

    def attempt(self) -> bool:
        """Whether the file is ours now, as far as others are concerned. Raises ``OSError`` where it cannot be made."""
        with self._busy:
            while not self._released:
                try:
                    descriptor = os.open(
                        self._name, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600, dir_fd=self._place
                    )
                except FileExistsError:
                    if not remove_if_abandoned(self._place, self._name):
                        return False
                    continue
                try:
                    if _lock(self._place, descriptor, self._name):
                        self._descriptor = descriptor
                        return True
                except BaseException:
                    os.close(descriptor)
                    raise
                os.close(descriptor)  # another process took it for abandoned, just before it was locked
            raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))

    def release(self) -> None:
        """Give the claim back, also while it is attempted in another thread. The file is removed unless renamed."""
        with self._busy:
            self._released = True
            descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        try:
            if is_named(self._place, descriptor, self._name):
                unlink(self._place, self._name)
        finally:
            os.close(descriptor)


def remove_if_abandoned(place: int, name: str) -> bool:
    """Remove a file that no process writes any more, or a link; ``False`` if one writes it. Raises ``OSError``."""
    try:
        descriptor = os.open(name, os.O_RDONLY | _FLAGS, dir_fd=place)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        unlink(place, name)
        return True
    try:
        if _lock(place, descriptor, name):
            unlink(place, name)
            return True
        return not is_named(place, descriptor, name)
    finally:
        os.close(descriptor)


def is_named(place: int, descriptor: int, name: str) -> bool:
    """Whether ``name`` is still the name of the open file ``descriptor``."""
    try:
        named = os.stat(name, dir_fd=place, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(descriptor))


def unlink(place: int, name: str) -> None:
    """Remove ``name``, if it is there. A process that has the file open or mapped keeps it."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=place)


def _lock(place: int, descriptor: int, name: str) -> bool:
    """Lock the file, if no process has it locked and it still has that name."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return is_named(place, descriptor, name)
