"""How many files a process may open: connections are files, and so is the code of each loaded module."""

from __future__ import annotations

import resource
from contextlib import suppress

ENOUGH = 65_536


def raise_open_files() -> int:
    """Raise this process's own limit as far as the system lets it, up to ``ENOUGH``; the limit then.

    Distributions start programs with 1,024, for the sake of programs that use ``select``. Processes that are started
    later have the same limit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = ENOUGH if hard == resource.RLIM_INFINITY else min(ENOUGH, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft
