"""Ctrl-C of a command: the first ends it in order, the second ends the process.

Python's own handler raises ``KeyboardInterrupt`` between any two bytecodes, at every Ctrl-C. A second one met the event
loop as it closed, a lock as it was taken, or the interpreter's end, and printed a traceback; threads that were never
stopped could have kept the process. So the first Ctrl-C leaves the next one to the system, which ends the
process in any state.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_cancel: Callable[[], None] | None = None
"""Cancels the event loop's work; ``None`` while no loop runs."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Within, the first SIGINT raises ``KeyboardInterrupt``, or cancels a loop's work; the second ends the process.

    Without effect outside the main thread, and where SIGINT is ignored or has another handler.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _on_first)
    try:
        yield
    finally:
        if is_interruptible():
            signal.signal(signal.SIGINT, signal.default_int_handler)


def is_interruptible() -> bool:
    """Whether the next SIGINT is the first within ``interruptible``."""
    return signal.getsignal(signal.SIGINT) is _on_first


@contextmanager
def cancelled_with(cancel: Callable[[], None]) -> Iterator[None]:
    """Within, the first SIGINT calls ``cancel`` instead: an exception would break an event loop that it meets."""
    global _cancel  # noqa: PLW0603 - as the handler, there is one of the process
    _cancel = cancel
    try:
        yield
    finally:
        _cancel = None


def _on_first(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if _cancel is None:
        raise KeyboardInterrupt
    _cancel()
