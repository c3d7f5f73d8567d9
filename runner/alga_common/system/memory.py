"""The memory that a process has, and that it may have: of its cgroup, which containers have, or else of the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_STATM = "/proc/self/statm"
_STATM_BYTES = 200

_UNLIMITED = 1 << 60
"""A cgroup of version 1 without a limit has a number near 2 ** 63."""


def anonymous_bytes() -> int:
    """Bytes of this process that are in memory and in no file: what nothing but the process itself can give back."""
    descriptor = os.open(_STATM, os.O_RDONLY | os.O_CLOEXEC)  # a third of what a file object costs
    try:
        _, resident, shared, *_ = os.read(descriptor, _STATM_BYTES).split()
    finally:
        os.close(descriptor)
    return (int(resident) - int(shared)) * _PAGE_BYTES


def available_bytes(root: Path = Path("/")) -> int:
    """The least of the limits of this process's cgroup, of those above it, and of the machine's memory."""
    limits = [*_cgroup_limits(root), os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES]
    return min(limit for limit in limits if 0 < limit < _UNLIMITED)


def _cgroup_limits(root: Path) -> Iterator[int]:
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    mounted = root / "sys/fs/cgroup"
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            yield from _limits_up(mounted, path, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _limits_up(mounted / "memory", path, "memory.limit_in_bytes")


def _limits_up(mounted: Path, path: str, name: str) -> Iterator[int]:
    """The limits in the files ``name`` of a group and of those above it; inside a container only the last is there."""
    parts = [part for part in path.split("/") if part not in {"", ".."}]
    for length in range(len(parts), -1, -1):
        try:
            yield int(mounted.joinpath(*parts[:length], name).read_text())
        except (OSError, ValueError):  # no such file; or "max"
            continue
