"""Opens a folder that only this user can read or change, so that its files can be trusted."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from alga_common import private_files

from ...errors import CodeCacheUnusable

_HINT = "See the setting code_cache; `off` does without."


def open_private(folder: Path) -> int:
    """Return a descriptor of ``folder``, which is created if it is missing. Raises ``CodeCacheUnusable``."""
    try:
        return private_files.open_private(folder)
    except private_files.NotPrivate as fault:
        raise CodeCacheUnusable(
            f"The folder for compiled code, {folder}, {fault}. Its files run as code; no other user may have access.",
            hint="Give a folder of its own with mode 0700. " + _HINT,
        ) from None
    except OSError as error:
        raise CodeCacheUnusable(
            f"The folder for compiled code, {folder}, cannot be opened: {error.strerror}.", hint=_HINT
        ) from None


def is_private_file(status: os.stat_result) -> bool:
    """Whether this is a regular file of this user with mode 0400, which only this user can read or make writable."""
    private = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
    return private and stat.S_IMODE(status.st_mode) == 0o400
