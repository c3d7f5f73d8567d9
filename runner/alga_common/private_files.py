"""Files and folders that are their owner's alone: created so, and pointed out where others can open them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from shlex import quote

_OWNER_ONLY = 0o600
_EVERYONE = 0o007
_SHARED = 0o077


class NotPrivate(Exception):
    """The folder is not this user's alone; the message completes "The folder ..."."""


def open_private(folder: Path) -> int:
    """Return a descriptor of ``folder``, which is created if it is missing. Raises ``NotPrivate``, ``OSError``.

    The folder may not be a link: a user who can write to the link's folder could point it elsewhere.
    """
    for place in (*reversed(folder.parents), folder):
        try:
            place.mkdir(mode=0o700)
        except FileExistsError:
            continue
        except OSError:
            if not place.is_dir():
                raise
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except NotADirectoryError:
        raise NotPrivate("is a link" if folder.is_symlink() else "is not a folder") from None
    status = os.fstat(descriptor)
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid == os.geteuid() and not mode & _SHARED:
        return descriptor
    os.close(descriptor)
    if status.st_uid != os.geteuid():
        raise NotPrivate("belongs to another user")
    raise NotPrivate(f"is open to others (mode {mode:04o})")


def user_cache(name: str) -> Path | None:
    """The folder ``alga-runner/NAME`` in this user's caches; ``None`` for a user without a home."""
    caches = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not caches.is_absolute():  # unset, or to be ignored (XDG Base Directory Specification)
        home = Path(os.environ.get("HOME", ""))
        if not home.is_absolute():
            return None
        caches = home / ".cache"
    return caches / "alga-runner" / name


def create_private(path: Path) -> bool:
    """Create the empty file ``path`` with mode 0600, under any umask; ``False`` if there is one. Raises ``OSError``.

    A file that exists is not opened: closing it would release the locks that this process has on it.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _OWNER_ONLY)
    except FileExistsError:
        return False
    try:
        os.fchmod(descriptor, _OWNER_ONLY)  # a umask may have taken bits away
    finally:
        os.close(descriptor)
    return True


def keep_private(descriptor: int) -> None:
    """Take others' access from the regular file that ``descriptor`` is open on, before a secret is written to it.

    A terminal, a pipe, or a file of another user stays as it is.
    """
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
        os.fchmod(descriptor, stat.S_IMODE(status.st_mode) & _OWNER_ONLY)


def exposure(path: Path) -> str | None:
    """A sentence if everyone on this machine can open ``path``, a file or a folder; ``None`` otherwise."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    if not mode & _EVERYONE:
        return None
    private = "700" if stat.S_ISDIR(mode) else "600"
    return (
        f"Everyone on this machine can open {path} (mode {stat.S_IMODE(mode):04o});"
        f" `chmod {private} {quote(str(path))}` prevents that."
    )
