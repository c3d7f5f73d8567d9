"""What the C library's allocator keeps of memory that was given back."""

from __future__ import annotations

import ctypes

ARENAS = 2
"""glibc's heaps. It makes eight for each processor, as threads come, and none gives its memory to another."""

MAPPED_BYTES = 4 * 1024 * 1024
"""A block from this size on is a mapping of its own, which is the system's again as soon as it is free."""

KEPT_BYTES = 2 * MAPPED_BYTES
"""What may stay free at the end of a heap."""

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
"""Options of ``mallopt`` (malloc.h)."""


def keep_little_free_memory() -> None:
    """Have glibc keep no more free memory than that, in the whole process; without effect on another C library.

    By itself it raises the size of blocks that are mappings to that of the largest one that was freed, up to 32 MiB:
    then each heap keeps as much as unpacking an archive took, and the process grows with the threads that did so.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for option, value in (
        (_M_ARENA_MAX, ARENAS),
        (_M_MMAP_THRESHOLD, MAPPED_BYTES),
        (_M_TRIM_THRESHOLD, KEPT_BYTES),
    ):
        mallopt(option, value)
