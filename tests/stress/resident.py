"""Resident memory of this process, without what only waits to be collected or given back."""

from __future__ import annotations

import ctypes
import gc
import os
from pathlib import Path

_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


def resident_kb() -> int:
    """Resident KB, after garbage has been collected and malloc has given back what it can."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_KB
