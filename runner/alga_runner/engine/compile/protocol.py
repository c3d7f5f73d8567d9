"""The messages between the runner and its compiler's process. The process imports this, so it imports next to nothing.

The process reports when it is ready. Then the runner sends an order for each job, with four descriptors: the input, a
file for the output, a file for messages, and the order's own socket. On that socket the process reports how the job
ended; closing it ends the job.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

READY = b"ready"

COMPONENT_VERSION = b"\x0d\0\x01\0"
"""Bytes 4 to 8 of a component's file."""

NICENESS = 5
"""Of long jobs, or of owners that had long ones; added to the runner's own. Guests come first, yet a third of a
guest's share is left on a full machine. There 150 ms of compiling took 10 s on the clock, and 4 s without it."""

FILES = 4
"""Descriptors that are passed with an order."""

REFUSED = 10
"""Exit status: the module is refused. The reason is in the file for messages."""

NO_MEMORY = 11
"""Exit status: the job met its bound on memory."""

REPORT = struct.Struct("=i")
"""How a job ended: its wait status."""


class Task(IntEnum):
    """What a job does with its input."""

    COMPILE = 1
    """Compile the module; the output is its code."""
    READ_LINES = 2
    """Read debug information of the module, which a source map may follow; the output is a line table."""


_order = struct.Struct("=BQQQB")

ORDER_BYTES = _order.size


class Order(NamedTuple):
    """A job: its task, the module's length in the input, and the bounds on CPU time in microseconds and on memory.

    ``memory_bytes`` bounds the memory that the job adds to the process's, and its output; ``niceness`` is added to the
    runner's own.
    """

    task: Task
    module_bytes: int
    cpu_us: int
    memory_bytes: int
    niceness: int

    def packed(self) -> bytes:
        """The order as a message."""
        return _order.pack(*self)

    @classmethod
    def unpacked(cls, data: bytes) -> Order:
        """The inverse of ``packed``."""
        task, *numbers = _order.unpack(data)
        return cls(Task(task), *numbers)
