"""What ends a guest's slice: a clock that increments the engine's epoch, without the GIL.

A timer thread written in Python would need the GIL that a running guest holds. This one is libc calling wasmtime, or
the native helper's thread, which costs less
(docs/design/engine.md, Interruption). It runs only while guests are alive and a moment after, since
starting it costs as much as a guest. It belongs to the process that made it. A timer that outlives its engine crashes
the process at exit, so engines are never freed.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
import threading
from typing import Protocol

from ..errors import EngineForked, EngineUnavailable
from . import _capi

IDLE_S = 0.05
"""How long the timer keeps running after the last guest, in seconds."""

_SIGEV_THREAD = 2
_CLOCK_MONOTONIC = 1
_SIGEVENT_SIZE = 64
_sigevent = struct.Struct("=QiiQQ")
"""``struct sigevent``: value, signo, notify, notify function, thread attributes (glibc and musl, 64-bit)."""

_itimerspec = struct.Struct("=qqqq")
"""``struct itimerspec``: interval and first expiry, each seconds and nanoseconds."""


class Clock(Protocol):
    """What increments the epoch."""

    def arm(self, on: bool) -> None:
        """Start or stop it. Raises ``EngineUnavailable``."""

    def close(self) -> None:
        """End it for good. Safe to call twice."""


class PosixTimer:
    """A POSIX timer that calls ``wasmtime_engine_increment_epoch``."""

    def __init__(self, engine: int, tick_ms: int) -> None:
        try:
            self._libc = ctypes.CDLL(None, use_errno=True)
            create = self._libc.timer_create
        except (OSError, AttributeError):
            raise EngineUnavailable(
                "This platform has no native timer (timer_create), which the engine needs to interrupt guests.",
                hint="Run on Linux with glibc 2.34 or newer, or musl.",
            ) from None
        event = ctypes.create_string_buffer(_SIGEVENT_SIZE)
        _sigevent.pack_into(event, 0, engine, 0, _SIGEV_THREAD, _capi.increment_epoch, 0)
        self._timer = ctypes.c_void_p()
        if create(_CLOCK_MONOTONIC, event, ctypes.byref(self._timer)) != 0:
            raise EngineUnavailable(f"The native timer cannot be made: {os.strerror(ctypes.get_errno())}.")
        self._settime = self._libc.timer_settime
        self._settime.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
        seconds, milliseconds = divmod(tick_ms, 1000)
        nanoseconds = milliseconds * 1_000_000
        self._on = _itimerspec.pack(seconds, nanoseconds, seconds, nanoseconds)
        self._off = _itimerspec.pack(0, 0, 0, 0)

    def arm(self, on: bool) -> None:
        """Start or stop it. Raises ``EngineUnavailable``."""
        if self._timer and self._settime(self._timer, 0, self._on if on else self._off, None) != 0:
            raise EngineUnavailable(f"The native timer cannot be set: {os.strerror(ctypes.get_errno())}.")

    def close(self) -> None:
        """Delete the timer. Safe to call twice."""
        timer, self._timer = self._timer, ctypes.c_void_p()
        if timer:
            self._libc.timer_delete(timer)


class Ticker:
    """Has the epoch of one engine incremented, every few milliseconds, while at least one guest is alive."""

    def __init__(self, clock: Clock) -> None:
        """``clock`` increments the epoch of an engine that lives as long as the process."""
        self._clock: Clock | None = clock
        self._pid = os.getpid()
        self._guests: list[None] = []
        """One entry for each guest: append and pop are atomic under the GIL, a counter's increment is not."""
        self._runs = False
        self._stops_in: set[asyncio.AbstractEventLoop] = set()
        # Guests of several event loops share the timer, and garbage collection may close one in any thread.
        self._lock = threading.RLock()

    @property
    def live(self) -> int:
        """How many guests are alive."""
        return len(self._guests)

    def acquire(self) -> None:
        """Count a new guest; the first one starts the timer.

        Raises ``EngineForked`` in a process that did not make the timer, ``EngineUnavailable`` in one that ends.
        """
        self._guests.append(None)
        if not self._runs:
            try:
                self._start()
            except BaseException:
                self._guests.pop()
                raise

    def release(self) -> None:
        """Count a guest that has ended; the last one stops the timer soon."""
        self._guests.pop()
        if not self._guests:
            self._stop_soon()

    def _start(self) -> None:
        with self._lock:
            if self._runs:
                return
            if self._clock is None:
                raise EngineUnavailable("The process is about to end: nothing would interrupt its guests.")
            if os.getpid() != self._pid:
                raise EngineForked(
                    "The engine was made before this process was forked, so nothing would interrupt its guests.",
                    hint="Start workers with the spawn method, or make the Runner in the worker.",
                )
            self._arm(on=True)

    def stop_if_idle(self) -> None:
        """Stop the timer now if no guest is alive."""
        with self._lock:
            if self._guests or not self._runs:
                return
            self._arm(on=False)
            if self._guests:  # one made meanwhile found the timer running
                self._arm(on=True)

    def _stop_soon(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.stop_if_idle()
            return
        if loop not in self._stops_in:
            # Closed loops dropped their timers.
            self._stops_in = {other for other in self._stops_in if not other.is_closed()} | {loop}
            loop.call_later(IDLE_S, self._stop, loop)

    def _stop(self, loop: asyncio.AbstractEventLoop) -> None:
        self._stops_in.discard(loop)
        self.stop_if_idle()

    def after_fork_in_child(self) -> None:
        """Leave the clock to the parent: a child has none, and its lock may be held by a thread of the parent."""
        self._lock = threading.RLock()
        self._runs = False

    def _arm(self, *, on: bool) -> None:
        if self._clock is not None:
            self._clock.arm(on)
            self._runs = on

    def close(self) -> None:
        """End the clock. Safe to call twice, and without effect in a forked child, which has none."""
        with self._lock:
            clock, self._clock = self._clock, None
            self._runs = False
        if clock is not None and os.getpid() == self._pid:
            clock.close()
