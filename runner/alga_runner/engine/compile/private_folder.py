"""Opens a folder that only this user can read or change, so that its files can be trusted."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ...errors import CodeCacheUnusable

_HINT = "See the setting code_cache; `off` does without."
_SHARED = 0o077


def open_private(folder: Path) -> int:
    """Return a descriptor of ``folder``, which is created if it is missing. Raises ``CodeCacheUnusable``.

    The folder may not be a link: a user who can write to the link's folder could point it elsewhere.
    """
    try:
        _make(folder)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except NotADirectoryError:
        what = "a link" if folder.is_symlink() else "not a folder"
        raise CodeCacheUnusable(f"The folder for compiled code, {folder}, is {what}.", hint=_HINT) from None
    except OSError as error:
        raise CodeCacheUnusable(
            f"The folder for compiled code, {folder}, cannot be opened: {error.strerror}.", hint=_HINT
        ) from None
    status = os.fstat(descriptor)
    if status.st_uid != os.geteuid():
        fault = "belongs to another user"
    elif stat.S_IMODE(status.st_mode) & _SHARED:
        fault = f"is open to others (mode {stat.S_IMODE(status.st_mode):04o})"
    else:
        return descriptor
    os.close(descriptor)
    raise CodeCacheUnusable(
        f"The folder for compiled code, {folder}, {fault}. Its files are run as code; no other user may have access.",
        hint="Give a folder of its own with mode 0700. " + _HINT,
    )


def _make(folder: Path) -> None:
    for place in (*reversed(folder.parents), folder):
        try:
            place.mkdir(mode=0o700)
        except FileExistsError:
            continue
        except OSError:
            if not place.is_dir():
                raise


def is_private_file(status: os.stat_result) -> bool:
    """Whether this is a regular file of this user with mode 0400, which only this user can read or make writable."""
    private = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
    return private and stat.S_IMODE(status.st_mode) == 0o400
