"""Which core does what."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def cores() -> tuple[int, int]:
    """The core that is measured, and the one that makes its load: the same where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[1 % len(allowed)]


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Processes that start in here run on ``core`` alone; on any of ours where it is ``None``."""
    allowed = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
