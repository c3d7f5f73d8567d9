"""The cores that this process may use, and its resident memory."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup/cpu.max")

READINGS = 3
"""Readings in a row that must be above the bound: a short peak is no reason to replace a worker."""

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_STATM = Path("/proc/self/statm")


def usable_cores(quota: Path = CGROUP) -> int:
    """The cores it may run on, or fewer where a container's CPU ``quota`` (cgroup v2) is less; at least one."""
    cores = len(os.sched_getaffinity(0))
    try:
        share, period = quota.read_text().split()
        cores = min(cores, math.ceil(int(share) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        pass  # no such file, or no quota: "max 100000"
    return max(cores, 1)


def resident_bytes() -> int:
    """Bytes of this process that are in memory."""
    return int(_STATM.read_bytes().split()[1]) * _PAGE_BYTES


class MemoryWatch:
    """Detects memory that stays above ``max_bytes``; 0 is no bound."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._above = 0

    def exceeded(self, resident: int) -> bool:
        """Whether this reading is the last of ``READINGS`` in a row above the bound; true again after as many more."""
        if not self._max_bytes or resident <= self._max_bytes:
            self._above = 0
            return False
        self._above += 1
        return self._above % READINGS == 0
