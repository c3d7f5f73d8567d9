"""A folder that is ours alone: what lies in it was put there by this user, and nobody else could change it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ...errors import CodeCacheUnusable

_HINT = "See the setting code_cache; `off` does without."
_SHARED = 0o077


def open_private(folder: Path) -> int:
    """A descriptor of ``folder``, which is made if it is not there. Raises ``CodeCacheUnusable``.

    The folder itself may not be a link, since whoever can write where the link stands could turn it elsewhere.
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
    found = os.fstat(descriptor)
    if found.st_uid != os.geteuid():
        fault = "belongs to another user"
    elif stat.S_IMODE(found.st_mode) & _SHARED:
        fault = f"is open to others (mode {stat.S_IMODE(found.st_mode):04o})"
    else:
        return descriptor
    os.close(descriptor)
    raise CodeCacheUnusable(
        f"The folder for compiled code, {folder}, {fault}: what lies in it is run, so it must be this user's alone.",
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


def is_private_file(found: os.stat_result) -> bool:
    """Whether this is a regular file of this user that nobody else can touch, and this user not by mistake."""
    private = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
    return private and stat.S_IMODE(found.st_mode) == 0o400
