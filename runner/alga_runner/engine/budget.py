"""The time of one execution, a deadline and a share of CPU, and the owner it counts for."""

from __future__ import annotations

import asyncio
import threading
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

LOOKED_AT_S = 0.02
"""A wait that lasts so long is kept by its deadline, so much later at most; one whose deadline is near has a timer."""

TOGETHER_S = 1.0
"""Waits that end in the same second have timers from its beginning on: until then, one timer is for all of them."""


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

    __slots__ = (
        "accounted_s",
        "begun",
        "cpu_s",
        "deadline",
        "guest",
        "holder",
        "large_work",
        "owner",
        "reason",
        "scope",
        "second",
        "stack",
        "start",
        "stopped",
        "timer",
        "used_s",
    )

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
        self.stack: tuple[Frame, ...] = ()
        self.stopped = False
        """The execution ends, since the runner does, or for ``reason``."""
        self.reason: ExecutionError | None = None
        self.scope: anyio.CancelScope | None = None
        """Where the execution last waited for an answer."""
        self.timer: asyncio.TimerHandle | None = None
        """Ends the wait under way at the deadline, if that is near."""
        self.second: Second | None = None
        """The waits that last and end in the same second as the one under way."""
        self.start: asyncio.Future[bool] | None = None
        """What the execution last waited for to start: ``True`` starts it, ``False`` ends it."""
        self.guest: Guest | None = None
        """The execution's guest, from its first slice on."""
        self.accounted_s = 0.0
        """What of ``used_s`` the CPU thread has counted for the owner."""
        self.begun: tuple[CoroutineType[Any, Any, float | None], object] | None = None
        """An answer that was begun outside of a scope, and what it waits for."""
        self.holder: Holder | None = None
        """What the host holds for the execution, which may refer to the budget: it is taken away at the end."""

    def stop(self, reason: ExecutionError | None = None) -> None:
        """End the execution as soon as it waits, which it does after a slice at the latest, with ``reason``."""
        if not self.stopped:
            self.reason = reason
        self.stopped = True
        self.end_wait()

    def end_wait(self) -> None:
        """End what the execution waits for."""
        if self.scope is not None:
            self.scope.cancel()
        if self.start is not None:
            _refuse(self.start)

    def open_scope(self) -> anyio.CancelScope:
        """A scope for waits, which ``stop`` cancels, and the deadline, too, from ``limit_waits`` to ``close_scope``."""
        self.scope = scope = scope_class()()
        if self.stopped:
            scope.cancel()
        return scope

    def limit_waits(self) -> None:
        """Cancel the scope at the deadline from now on: the execution is about to wait in it."""
        if self.scope is not None and not _waits.limit(self):
            self.scope.cancel()

    def close_scope(self) -> None:
        """Nothing ends the scope any more."""
        self.scope = None
        _waits.forget(self)

    def limit_wait(self, start: asyncio.Future[bool]) -> None:
        """Have ``start`` result in ``False`` at the deadline, until ``started``.

        A cancel scope would do the same at five times the cost.
        """
        self.start = start
        if self.stopped or not _waits.limit(self):
            _refuse(start)  # on uvloop a timer of no time would run behind the guests of this iteration

    def started(self) -> None:
        """The execution waits for its start no more."""
        self.start = None
        _waits.forget(self)

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


class Second:
    """The waits that end in one second, and the timer of its beginning."""

    __slots__ = ("number", "timer", "waits")

    def __init__(self, number: int, timer: asyncio.TimerHandle) -> None:
        self.number = number
        self.timer = timer
        self.waits: dict[Budget, None] = {}


class _Waits(threading.local):
    """The executions that wait on a thread's event loop, until the deadline of each.

    Most waits end before they are looked at. Only one that lasts to about its deadline has a timer, which takes more
    time and memory than the rest of it.
    """

    def __init__(self) -> None:
        self._reset(None)

    def _reset(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop = loop
        self._new: dict[Budget, None] = {}
        """Those that began to wait since the last look."""
        self._seen: dict[Budget, None] = {}
        """Those that began before, and still wait."""
        self._seconds: dict[int, Second] = {}
        """Those that last, by the second of their deadline."""
        self._is_looking = False

    def limit(self, budget: Budget) -> bool:
        """End the wait of ``budget`` at its deadline. ``False`` if that has passed."""
        if budget.deadline == UNLIMITED or budget.timer is not None or budget.second is not None:
            return True
        if budget in self._new:
            return True
        self._seen.pop(budget, None)
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # a loop that ended left its waits behind
            self._reset(loop)
        left_s = budget.deadline - monotonic()
        if left_s <= 2 * LOOKED_AT_S:
            if left_s > 0:
                budget.timer = loop.call_later(left_s, budget.end_wait)
            return left_s > 0
        self._new[budget] = None
        if not self._is_looking:
            self._is_looking = True
            loop.call_later(LOOKED_AT_S, self._look, loop)
        return True

    def forget(self, budget: Budget) -> None:
        """The wait of ``budget`` has ended."""
        if budget in self._new:
            del self._new[budget]
        elif budget.timer is not None:
            budget.timer.cancel()
            budget.timer = None
        elif (second := budget.second) is not None:
            budget.second = None
            del second.waits[budget]
            if not second.waits:
                self._drop(second)
        else:
            self._seen.pop(budget, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is not self._loop:
            return
        for budget in self._seen:
            number = int(budget.deadline // TOGETHER_S)
            second = self._seconds.get(number)
            if second is None:
                left_s = max(0.0, number * TOGETHER_S - monotonic())
                second = Second(number, loop.call_later(left_s, self._begin, loop, number))
                self._seconds[number] = second
            second.waits[budget] = None
            budget.second = second
        self._seen, self._new = self._new, {}
        self._is_looking = bool(self._seen)
        if self._is_looking:
            loop.call_later(LOOKED_AT_S, self._look, loop)

    def _drop(self, second: Second) -> None:
        """Keep no timer that nothing waits for: there are no more than waits under way."""
        second.timer.cancel()
        if self._seconds.get(second.number) is second:  # not one of a loop that ended
            del self._seconds[second.number]

    def _begin(self, loop: asyncio.AbstractEventLoop, number: int) -> None:
        """Give the waits that end in this second their timers."""
        if loop is not self._loop:
            return
        now = monotonic()
        for budget in self._seconds.pop(number).waits:
            budget.second = None
            budget.timer = loop.call_later(max(0.0, budget.deadline - now), budget.end_wait)


_waits = _Waits()
