"""How much memory this process has resident."""

from __future__ import annotations

import gc
from pathlib import Path


def resident_kb() -> int:
    """KiB, exact, after a garbage collection."""
    gc.collect()
    for line in Path("/proc/self/smaps_rollup").read_text("ascii").splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1])
    raise RuntimeError("the kernel does not say what is resident")
