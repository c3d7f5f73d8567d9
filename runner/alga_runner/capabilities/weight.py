"""About how much memory plain values hold, so that records can be bounded."""

from __future__ import annotations

from collections.abc import Mapping

SCALAR_BYTES = 64
"""What one value costs by itself: an object and the slot that refers to it."""


def weight(value: object, enough: int) -> int:
    """Bytes that ``value`` holds, roughly; counting stops once the sum is past ``enough``."""
    total = 0
    pending = [value]
    while pending and total <= enough:
        item = pending.pop()
        total += SCALAR_BYTES
        if isinstance(item, str | bytes):
            total += len(item)
        elif isinstance(item, Mapping):
            pending.extend(item)
            pending.extend(item.values())
        elif isinstance(item, list | tuple):
            pending.extend(item)
    return total
