"""The time of one execution, a deadline and a share of CPU, and the owner it counts for."""

from __future__ import annotations

import asyncio
from time import monotonic
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Protocol

import anyio

from alga_common.system.event_loop import scope_class

from ..errors import CpuLimit, ExecutionError
from ..frames import Frame

if TYPE_CHECKING:
    from alga_common.sharing.large_work import LargeWorkQueue

    from .guest import Guest

UNLIMITED = float("inf")


class Holder(Protocol):
    """What the host holds in memory for an execution."""

    @property
    def held_bytes(self) -> int:
        """Bytes now."""


class Budget:
    """The time that is left to an execution, in seconds.

    ``deadline`` is a reading of ``time.monotonic()``. ``cpu_s`` is how long the guest may compute and ``used_s`` how
    long it has, measured in slices, so a guest can be one slice over; answering its host calls counts, waiting for
    others does not. ``stack`` is where the guest was when its time ended, innermost first, if it was computing then.
    ``owner`` is the tenant whose guest it is: owners share the processor, however many guests each has, and
    ``large_work`` has an owner wait whose answers take long.
    """

    # Class attributes, since nearly no execution changes them.
    stack: tuple[Frame, ...] = ()
    stopped: bool = False
    """The execution ends, since the runner does, or for ``reason``."""
    reason: ExecutionError | None = None
    scope: anyio.CancelScope | None = None
    """Where the execution last waited for an answer."""
    _limits_waits: bool = False
    start: asyncio.Future[bool] | None = None
    """What the execution last waited for to start: ``True`` starts it, ``False`` ends it."""
    guest: Guest | None = None
    """The execution's guest, from its first slice on."""
    accounted_s: float = 0.0
    """What of ``used_s`` the CPU thread has counted for the owner."""
    begun: tuple[CoroutineType[Any, Any, float | None], object] | None = None
    """An answer that was begun outside of a scope, and what it waits for."""
    holder: Holder | None = None
    """What the host holds for the execution, which may refer to the budget: it is taken away at the end."""

    def __init__(
        self,
        deadline: float = UNLIMITED,
        cpu_s: float = UNLIMITED,
        owner: str = "",
        large_work: LargeWorkQueue | None = None,
    ) -> None:
        self.deadline = deadline
        self.cpu_s = cpu_s
        self.used_s = 0.0
        self.owner = owner
        self.large_work = large_work

    def stop(self, reason: ExecutionError | None = None) -> None:
        """End the execution as soon as it waits, which it does after a slice at the latest, with ``reason``."""
        if not self.stopped:
            self.reason = reason
        self.stopped = True
        if self.scope is not None:
            self.scope.cancel()
        if self.start is not None:
            _refuse(self.start)

    def open_scope(self) -> anyio.CancelScope:
        """A scope for waits, which ``stop`` cancels, and the deadline, too, once ``limit_waits`` was called in it."""
        self.scope = scope = scope_class()()
        self._limits_waits = False
        if self.stopped:
            scope.cancel()
        return scope

    def limit_waits(self) -> None:
        """Cancel the scope at the deadline from now on: the execution is about to wait in it.

        The timer costs more than the rest of the scope.
        """
        if not self._limits_waits and self.scope is not None:
            self._limits_waits = True
            self.scope.deadline = asyncio.get_running_loop().time() + self.deadline - monotonic()

    def limit_wait(
        self, start: asyncio.Future[bool], loop: asyncio.AbstractEventLoop
    ) -> asyncio.TimerHandle | None:
        """Have ``start`` result in ``False`` at the deadline; cancel the timer once it has a result.

        A cancel scope would do the same at five times the cost.
        """
        self.start = start
        if self.deadline == UNLIMITED and not self.stopped:
            return None
        left_s = self.deadline - monotonic()
        if self.stopped or left_s <= 0:
            _refuse(start)  # on uvloop a timer of no time would run behind the guests of this iteration
            return None
        return loop.call_later(left_s, _refuse, start)

    @property
    def cpu_spent(self) -> bool:
        """Whether the guest has used all its CPU time."""
        return self.used_s > self.cpu_s

    def cpu_limit_error(self) -> CpuLimit:
        """The error of a guest that used all its CPU time."""
        return CpuLimit(
            f"The guest used more than {round(self.cpu_s * 1000)} ms of CPU time.",
            frames=self.stack,
            hint="Raise limits.cpu_ms, or let the guest do less.",
        )


def _refuse(start: asyncio.Future[bool]) -> None:
    if not start.done():
        start.set_result(False)
