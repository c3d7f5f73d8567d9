"""How much memory this process has resident."""

from __future__ import annotations

import gc
from pathlib import Path


def resident_kb() -> int:
    """KiB, exact, after a garbage collection."""
    return _kb("Rss")


def own_kb() -> int:
    """The part of it that nothing else shares: without pages of a module's image that were only read."""
    return _kb("Private_Dirty") + _kb("Private_Clean")


def _kb(kind: str) -> int:
    gc.collect()
    for line in Path("/proc/self/smaps_rollup").read_text("ascii").splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1])
    raise RuntimeError("the kernel reports no resident size")
