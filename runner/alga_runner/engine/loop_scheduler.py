"""Shares the event loop's time between the owners of guests, and between them and everything else on the loop.

Guests get about a millisecond of each loop iteration, and one owner's guests a tenth of that, unless no other has asked
for a second. A guest that finds no time left waits for a later iteration. Between two iterations with guests that
waited is one without, so everything else is reached within one (docs/design/engine.md, Interruption). A guest that an
event makes ready goes before the guests that waited for the same iteration.

An owner without a guest in this iteration may start one, however many guests of another wait; an owner with one starts
no other after its share. An owner's own guests start in the order they came; those that have got an answer go on before
them, until one that was woken to start finds no time left for that.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from heapq import heapify, heappop, heappush
from itertools import count
from time import monotonic

from .budget import Budget

GUEST_TIME_S = 0.001
"""How long after the first guest of an iteration others may start in it, in seconds.

The last to start may take one slice more, so guests take at most 2 ms of an iteration at a tick of 1 ms. Preparing them
and answering their host calls counts.
"""

OWNER_TIME_S = 0.0001
"""How long after the first guest of an iteration an owner may start a second one in it, in seconds.

Others that arrive while one owner has more guests than there is time for wait as long as this.
"""

ALONE_AFTER_S = 1.0
"""How long after the last guest of another an owner is alone, in seconds: then it has the guests' whole time.

The first guest of another waits for the end of an iteration, once; from then on each has its share.
"""

_MAX_WOKEN = 16
"""Guests woken for one iteration, at most; those that find no time left stay first in their queue."""

_BEFORE_ALL = 1 << 62
"""Taken off the ticket of a guest that goes first in its queue."""


class _OwnerQueue:
    """The waiting guests of one owner: how many are woken for this iteration, and the others by ticket."""

    __slots__ = ("passed_over", "waiting", "woken")

    def __init__(self) -> None:
        self.woken = 0
        self.passed_over = False
        """Whether the last one that was woken found no time left, and none was ahead of it."""
        self.waiting: list[tuple[int, asyncio.Future[bool]]] = []

    def wake_first(self) -> bool:
        """Wake the first that still waits. ``False`` if none does."""
        while self.waiting:
            future = heappop(self.waiting)[1]
            if not future.done():
                future.set_result(True)
                self.woken += 1
                return True
        return False


class LoopScheduler:
    """Decides which guests may run in an iteration of one thread's event loop."""

    def __init__(self) -> None:
        self._reset(None)

    def _reset(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop = loop
        self._ends_at = 0.0
        """When guests may start no more in this iteration; 0 before the first has asked."""
        self.iteration = 0
        """Counts the iterations in which a guest asked for time."""
        self._next_scheduled = False
        self._served: set[str] = set()
        """Owners who started a guest in this iteration."""
        self._woken_started: set[str] = set()
        """Those of whom one that had waited did."""
        self._latest_owner = ""
        """Who asked last."""
        self._alone_from = monotonic() + ALONE_AFTER_S
        """When that owner is alone, unless another asks before."""
        self._queues: OrderedDict[str, _OwnerQueue] = OrderedDict()
        """By owner; first the owner whose last guest was woken the longest ago."""
        self._wake_limit = _MAX_WOKEN
        self._started = 0
        """How many of the woken guests started in this iteration."""
        self._woke_too_many = False
        self._tickets = count()

    def may_start(self, owner: str = "") -> bool:
        """Whether a guest of ``owner`` may start now, in this iteration."""
        self._note(owner)
        return owner not in self._queues and self._admits(owner, others_wait=bool(self._queues))

    def may_resume(self, owner: str = "") -> bool:
        """Whether a guest of ``owner`` that has got an answer may go on now, before those of it that wait to start.

        Each that goes on ends sooner, and does not wait in line a second time.
        """
        self._note(owner)
        queue = self._queues.get(owner)
        if queue is None:
            return self._admits(owner, others_wait=bool(self._queues))
        return not queue.passed_over and self._admits(owner, others_wait=len(self._queues) > 1)

    def _note(self, owner: str) -> None:
        """``owner`` has a guest that asks for time."""
        if asyncio.get_running_loop() is not self._loop:  # a loop that ended left its queues behind
            self._reset(asyncio.get_running_loop())
        if owner != self._latest_owner:
            self._latest_owner, self._alone_from = owner, monotonic() + ALONE_AFTER_S

    def may_continue(self) -> bool:
        """Whether a guest that started in this iteration may take another slice of it."""
        if self._ends_at:
            return monotonic() < self._ends_at
        self._ends_at = monotonic() + GUEST_TIME_S
        if not self._next_scheduled:
            self._schedule_next()
        return True

    @property
    def has_waiting(self) -> bool:
        """Whether any guest waits to start."""
        return bool(self._queues)

    async def wait_to_start(
        self, owner: str = "", *, first: bool = False, budget: Budget | None = None
    ) -> bool:
        """Return in an iteration that has time for a guest of ``owner``, behind its waiting guests, or ``first``.

        ``False`` if the deadline of ``budget`` passes before, or the budget is stopped.
        """
        if self.may_start(owner):
            return True
        loop, ticket = asyncio.get_running_loop(), next(self._tickets) - (_BEFORE_ALL if first else 0)
        while True:
            future = loop.create_future()
            heappush(self._queue(owner).waiting, (ticket, future))
            if not self._next_scheduled:
                self._schedule_next()
            if budget is not None:
                budget.limit_wait(future)
            try:
                woken = await future
            finally:
                if budget is not None:
                    budget.started()
                if loop is self._loop:
                    self._remove(owner, ticket, future)
            if not woken:
                return False
            if self._admits(owner, others_wait=False):
                self._started += 1
                self._note_start(owner)
                return True
            self._woke_too_many = True
            self._queue(owner).passed_over = owner not in self._woken_started
            self._queues.move_to_end(owner, last=False)

    def _note_start(self, owner: str) -> None:
        """A guest of ``owner`` that waited has started."""
        self._woken_started.add(owner)
        queue = self._queues.get(owner)
        if queue is not None:
            queue.passed_over = False

    def _queue(self, owner: str) -> _OwnerQueue:
        queue = self._queues.get(owner)
        if queue is None:
            queue = self._queues[owner] = _OwnerQueue()
        return queue

    def _admits(self, owner: str, *, others_wait: bool) -> bool:
        if not self._ends_at:
            self._ends_at = monotonic() + GUEST_TIME_S
            if not self._next_scheduled:
                self._schedule_next()
        elif owner not in self._served:
            if monotonic() >= self._ends_at:
                return False
        elif others_wait or not self._has_share_left():
            return False
        self._served.add(owner)
        return True

    def _has_share_left(self) -> bool:
        """Whether an owner with a guest in this iteration may start another, if none of another waits."""
        now = monotonic()
        return now < self._ends_at - (0.0 if now >= self._alone_from else GUEST_TIME_S - OWNER_TIME_S)

    def _remove(self, owner: str, ticket: int, future: asyncio.Future[bool]) -> None:
        """Take a guest that waits no more out of its queue."""
        queue = self._queues.get(owner)
        if queue is not None:  # _wake drops a queue whose guests all gave up
            if not future.done():  # the coroutine was closed without being run
                queue.waiting.remove((ticket, future))
                heapify(queue.waiting)
            elif not future.cancelled() and future.result():
                queue.woken -= 1
            if not queue.woken and not queue.waiting:
                del self._queues[owner]
        if self._queues and not self._next_scheduled:
            self._schedule_next()

    def _schedule_next(self) -> None:
        """Have the next iteration begin, which was not scheduled yet."""
        self._next_scheduled = True
        loop = asyncio.get_running_loop()
        if self._queues:  # timers run last in an iteration, after the events found in it
            loop.call_later(0, self._begin_iteration, loop)
        else:
            loop.call_soon(self._begin_iteration, loop)

    def _begin_iteration(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give guests their time again, and wake the first that wait."""
        if loop is not self._loop:
            return
        self._next_scheduled = False
        self._ends_at = 0.0
        self._served.clear()
        self._woken_started.clear()
        self.iteration += 1
        if self._queues and not self._wake():
            self._schedule_next()  # otherwise the woken do so, and the next iteration is without guests

    def _wake(self) -> bool:
        """Wake one guest of each owner in turn, about as many as the last iteration had time for.

        ``False`` if none could be woken.
        """
        if self._woke_too_many:
            self._wake_limit, self._woke_too_many = max(1, self._started), False
        else:
            self._wake_limit = min(self._wake_limit + 1, _MAX_WOKEN)
        self._started = 0
        left = limit = max(self._wake_limit, min(len(self._queues), _MAX_WOKEN))
        passed = 0
        while left and passed < len(self._queues):
            owner, queue = next(iter(self._queues.items()))
            if queue.wake_first():
                left -= 1
                passed = 0
            elif not queue.woken:
                del self._queues[owner]
                continue
            else:
                passed += 1
            self._queues.move_to_end(owner)
        return left < limit or not self._queues


class ThreadScheduler(threading.local):
    """Each thread's own ``loop_scheduler``, for the loop that runs in it."""

    def __init__(self) -> None:
        self.loop_scheduler = LoopScheduler()
