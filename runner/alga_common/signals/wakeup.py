"""Has a signal's handler run without delay, even if the event loop is about to wait.

Python runs a handler between two bytecodes of the main thread. A signal wakes asyncio's loop only with handlers of
``loop.add_signal_handler``, which its own for Ctrl-C does not use: a SIGINT between the last bytecode and the system
call that waits is handled when the wait ends. That moment is long where another thread takes the GIL over.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def signals_wake_the_loop() -> Iterator[None]:
    """Within, every signal with a handler in Python wakes the running loop.

    Without effect outside the main thread, and where something has arranged that already.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        if before != -1:
            signal.set_wakeup_fd(before)
            yield
            return
        loop.add_reader(ours, _drain, ours)
        try:
            yield
        finally:
            loop.remove_reader(ours)
            now = signal.set_wakeup_fd(-1)
            if now not in {-1, theirs.fileno()}:
                signal.set_wakeup_fd(now)


def _drain(socket_: socket.socket) -> None:
    with suppress(BlockingIOError):
        socket_.recv(4096)
