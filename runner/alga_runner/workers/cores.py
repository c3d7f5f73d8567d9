"""How many cores this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup/cpu.max")


def usable_cores(quota: Path = CGROUP) -> int:
    """The cores it may run on, or fewer where a container's CPU ``quota`` (cgroup v2) is less; at least one."""
    cores = len(os.sched_getaffinity(0))
    try:
        share, period = quota.read_text().split()
        cores = min(cores, math.ceil(int(share) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        pass  # no such file, or no quota: "max 100000"
    return max(cores, 1)
