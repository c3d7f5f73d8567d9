"""How the interpreter of a process is set that answers requests from an event loop, next to worker threads."""

from __future__ import annotations

import gc
import sys

from .heap import keep_little_free_memory

SWITCH_S = 0.0005
"""How long a thread waits for another one to release the GIL, in seconds.

With Python's own 5 ms, each step of the event loop takes six while a worker thread computes.
"""


def switch_threads_sooner() -> None:
    """Let a thread that waits for the GIL have it after ``SWITCH_S``, in the whole process."""
    sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_S))


def prepare_to_serve() -> None:
    """Set the interpreter for a process that is about to answer its first request.

    Modules that were loaded stay until the process ends. Unless they are frozen, each full collection visits them, for
    20 to 100 ms in which no request is answered; decoding one large document causes several.
    """
    gc.collect()
    gc.freeze()
    switch_threads_sooner()
    keep_little_free_memory()
