"""How much memory this process has resident."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

MANY_GUESTS_MB = 32 * 1024
"""Ten thousand guests need a machine on which half of this has room for what their slots may keep, were all large."""


def resident_kb() -> int:
    """KiB, exact, after a garbage collection."""
    return _kb("Rss")


def own_kb() -> int:
    """The part of it that nothing else shares: without pages of a module's image that were only read."""
    return _kb("Private_Dirty") + _kb("Private_Clean")


def guests_kb() -> int:
    """The part of it that is guests' linear memories.

    Each is its module's image, which wasmtime maps from a file to be written to, and what follows it without a gap.
    """
    total, end_of_image = 0, None
    for start, end, is_image, kb in _writable():
        if is_image or start == end_of_image:
            total += kb
            end_of_image = end
    return total


def _writable() -> Iterator[tuple[int, int, bool, int]]:
    """Start, end and resident KiB of each writable mapping, in order, and whether it is of a module's image."""
    writable = False
    with Path("/proc/self/smaps").open(encoding="utf-8") as file:
        for line in file:
            head, *rest = line.split()
            if not head.endswith(":"):
                start, end = (int(address, 16) for address in head.split("-"))
                writable = rest[0].startswith("rw")
                is_image = rest[-1].endswith(".cwasm") or "memfd:wasm-memory-image" in line
            elif head == "Rss:" and writable:
                yield start, end, is_image, int(rest[0])


def _kb(kind: str) -> int:
    gc.collect()
    for line in Path("/proc/self/smaps_rollup").read_text("ascii").splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1])
    raise RuntimeError("the kernel reports no resident size")
