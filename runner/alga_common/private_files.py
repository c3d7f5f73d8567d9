"""Files that hold secrets: created for their owner alone, and pointed out where everyone can open them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from shlex import quote

_OWNER_ONLY = 0o600
_EVERYONE = 0o007


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
