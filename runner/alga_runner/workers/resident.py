"""Resident memory of this process, and when there is too much of it."""

from __future__ import annotations

import os
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_STATM = Path("/proc/self/statm")

READINGS = 3
"""Readings in a row that must be above the watermark: a peak that passes is no reason to leave."""


def resident_bytes() -> int:
    """Bytes of this process that are in memory."""
    return int(_STATM.read_bytes().split()[1]) * _PAGE_BYTES


class Watermark:
    """Tells once when readings stay above ``max_bytes``; 0 is no bound."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._above = 0

    def passed(self, resident: int) -> bool:
        """Whether this reading is the one that makes it too much: ``READINGS`` in a row, and again after as many."""
        if not self._max_bytes or resident <= self._max_bytes:
            self._above = 0
            return False
        self._above += 1
        return self._above % READINGS == 0
