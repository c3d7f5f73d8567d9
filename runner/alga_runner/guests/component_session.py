"""The state of one execution while its component runs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from ..capabilities import Execution
from ..engine import ComponentGuest
from ..errors import CopyLimit
from .session import CallPace, LogSink, SessionLimits, too_many_calls

LARGE_BODY_BYTES = 32 * 1024
"""A call with a body of this size runs in the CPU thread: copying it takes a millisecond, and of a megabyte 70."""


class ComponentSession:
    """One execution of one component: what it has of WASI, and what it has used up."""

    __slots__ = (
        "_log",
        "clock_ns",
        "execution",
        "guest",
        "host_calls",
        "last_pollable",
        "limits",
        "monotonic_ns",
        "pace",
        "pollables",
        "random",
        "stderr",
        "unfinished",
    )

    def __init__(
        self,
        guest: ComponentGuest,
        execution: Execution,
        *,
        limits: SessionLimits,
        pace: CallPace,
        log: LogSink,
        clock_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.guest = guest
        self.execution = execution
        self.limits = limits
        self.pace = pace
        self.clock_ns = clock_ns
        self.monotonic_ns = monotonic_ns
        self.random = random
        self.unfinished: dict[int, bytes] = {}
        self.pollables: dict[int, int] = {}
        """By number: the monotonic time, in nanoseconds, at which each is ready."""
        self.last_pollable = 0
        self.host_calls = 0
        self.stderr = b""
        self._log = log

    @property
    def held_bytes(self) -> int:
        """Bytes that the host holds for the guest: a body on its way."""
        return self.execution.held_bytes

    async def write(self, descriptor: int, data: bytes) -> None:
        """Take what the guest wrote to stdout (1) or stderr (2). Raises ``LogLimit``."""
        await self._log.stream(self, descriptor, data)

    def count_call(self) -> None:
        """Count a call of one of Alga's functions. Raises ``HostCallLimit``."""
        self.host_calls += 1
        if self.host_calls > self.limits.host_calls:
            raise too_many_calls(self.limits)

    def check_limits(self) -> None:
        """Raise ``HostCallLimit`` or ``CopyLimit`` for a guest that is past one of them."""
        guest, limits = self.guest, self.limits
        if guest.calls >= self.pace.next_look:
            self.pace.look(guest.calls)
        if guest.all_bytes > limits.copied_bytes:
            raise CopyLimit(
                f"The guest had more than {limits.copied_bytes} bytes copied across its border.",
                hint="See max_copied_bytes.",
            )
