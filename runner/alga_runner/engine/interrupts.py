"""Ctrl-C while a guest is running.

A Python signal handler runs between two bytecodes of the main thread, and while a guest is polled the only bytecodes
are those of the host callback on the guest's fiber. An exception raised there cannot be caught in time and aborts the
process (engine-lab A2). So the handler of SIGINT is wrapped: while a guest is on this thread it only takes note, and
the handler proper runs right after.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from .guest import deferred_signals, running


@contextmanager
def deferred_interrupts() -> Iterator[None]:
    """While this lasts, SIGINT reaches its handler only between polls. Without effect outside the main thread."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    deferred = _deferred(handler)
    signal.signal(signal.SIGINT, deferred)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is deferred:
            signal.signal(signal.SIGINT, handler)


def _deferred(handler: Callable[[int, FrameType | None], Any]) -> Callable[[int, FrameType | None], None]:
    def on_signal(number: int, frame: FrameType | None) -> None:
        if running.guest is None:
            handler(number, frame)
        else:
            deferred_signals.append(number)

    return on_signal
