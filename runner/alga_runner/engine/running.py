"""The guest that a thread runs now, and signals that must not be handled while it does.

wasmtime calls a host function on the guest's own stack and names no guest, so the callback looks here for its own.

A Python signal handler runs between two bytecodes of the main thread, and while a guest runs there the only bytecodes
are those of a host callback. An exception raised in one cannot be caught in time and aborts the process
(docs/design/engine.md, Hazards, 2). So while a guest runs, SIGINT is only recorded; ``Guest.poll`` raises it again
right after.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from alga_common.signals.wakeup import signals_wake_the_loop


class _Running(threading.local):
    guest: Any = None
    """The guest that this thread polls; ``None`` between polls."""


running = _Running()

deferred_signals: list[int] = []
"""Signals that arrived while a guest ran on the main thread."""


@contextmanager
def deferred_interrupts() -> Iterator[None]:
    """Within this context SIGINT reaches its handler only between polls, and wakes the loop if that waits.

    Without effect outside the main thread.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    deferring = _deferring(handler)
    signal.signal(signal.SIGINT, deferring)
    try:
        with signals_wake_the_loop():
            yield
    finally:
        if signal.getsignal(signal.SIGINT) is deferring:
            signal.signal(signal.SIGINT, handler)


def _deferring(handler: Callable[[int, FrameType | None], Any]) -> Callable[[int, FrameType | None], None]:
    def on_signal(number: int, frame: FrameType | None) -> None:
        if running.guest is None:
            handler(number, frame)
        else:
            deferred_signals.append(number)

    return on_signal
