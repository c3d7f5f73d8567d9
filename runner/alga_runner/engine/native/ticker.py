"""The thread of the native helper that increments an engine's epoch."""

from __future__ import annotations

import ctypes
import os

from ...errors import EngineUnavailable
from .library import Library


class TickerThread:
    """A thread in C, which sleeps from tick to tick, and while no guest is alive. One that is not closed goes on."""

    def __init__(self, library: Library, engine: int, tick_ms: int) -> None:
        """``engine`` is the address of an engine that lives as long as the process."""
        self._library = library
        error = ctypes.c_int32()
        self._thread: int | None = library.ticker_start(engine, tick_ms * 1_000_000, ctypes.addressof(error))
        if self._thread is None:
            reason = os.strerror(error.value)
            raise EngineUnavailable(f"The thread that interrupts guests cannot be started: {reason}.")

    def arm(self, on: bool) -> None:
        """Start or stop it."""
        if self._thread is not None:
            self._library.ticker_set(self._thread, on)

    def close(self) -> None:
        """End the thread. Safe to call twice."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._library.ticker_end(thread)
