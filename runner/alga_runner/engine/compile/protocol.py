"""What the runner and its compiler's process say to each other. Nothing is imported that the process could do without.

The process says when it is ready. Then the runner sends an order for each module, with four descriptors: the module, a
file for the code, a file for words, and a socket of the order's own. There the process reports how the job ended; who
closes the socket ends the job.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

READY = b"ready"

FILES = 4
"""Descriptors that come with an order."""

REFUSED = 10
"""The module is refused; the reason stands in the words."""

NO_MEMORY = 11
"""The job met its bound on memory."""

_order = struct.Struct("=QQ")
_report = struct.Struct("=iQQ")

ORDER_BYTES = _order.size
REPORT_BYTES = _report.size


class Order(NamedTuple):
    """The bounds of one job: CPU time in microseconds, memory and code together in bytes."""

    cpu_us: int
    memory_bytes: int

    def packed(self) -> bytes:
        """As it travels."""
        return _order.pack(*self)

    @classmethod
    def unpacked(cls, data: bytes) -> Order:
        """The inverse of ``packed``."""
        return cls(*_order.unpack(data))


class Report(NamedTuple):
    """How a job ended: its wait status, its CPU time in microseconds, the most memory it held in bytes."""

    status: int
    cpu_us: int
    peak_bytes: int

    def packed(self) -> bytes:
        """As it travels."""
        return _report.pack(*self)

    @classmethod
    def unpacked(cls, data: bytes) -> Report:
        """The inverse of ``packed``."""
        return cls(*_report.unpack(data))
