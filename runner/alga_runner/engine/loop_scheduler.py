"""The event loop's time for guests: about a millisecond in each of its turns, and a tenth of that for one owner.

However many arrive at once, those who find the turn's time over wait for a later one. Between two turns with guests
is one without, so everything else is reached within one (engine-lab B, "Event loop lag"). Whoever is woken by an event
goes before the guests that are called for the same turn.

Owners take turns: one who has had nothing of a turn yet finds room in it, however many guests of another wait, and one
who has had something starts no other guest once its share is over. An owner's own guests go in the order they came.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from heapq import heapify, heappop, heappush
from itertools import count
from time import monotonic
from typing import TypeVar

from .budget import Budget

T = TypeVar("T")

TURN_S = 0.001
"""How long after the first guest of a turn others may start in it, in seconds.

The last to start may take one slice more, so guests take at most 2 ms of a turn at a tick of 1 ms. What is made ready
for them, and what answers them, takes of the same time.
"""

SHARE_S = 0.0001
"""How long after the first guest of a turn an owner may start a second one in it, in seconds.

It is what others wait for who arrive while one owner has more to do than there is time.
"""

_MOST_CALLED = 16
"""Guests called for one turn, at most; those its time does not reach stay first in line."""


_AHEAD = 1 << 62
"""Taken off the ticket of who is to be first in its line."""


class _Line:
    """The guests of one owner that wait: how many are called for this turn, and those who are not."""

    __slots__ = ("called", "waiting")

    def __init__(self) -> None:
        self.called = 0
        self.waiting: list[tuple[int, asyncio.Future[bool]]] = []

    def call_first(self) -> bool:
        """Call the first who still waits; whether there was one."""
        while self.waiting:
            turn = heappop(self.waiting)[1]
            if not turn.done():
                turn.set_result(True)
                self.called += 1
                return True
        return False


class LoopScheduler:
    """The turns of the event loop that runs in one thread."""

    def __init__(self) -> None:
        self._start_over(None)

    def _start_over(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop = loop
        self._until = 0.0
        """When the turn's time is over; 0 before a guest has asked for it."""
        self.number = 0
        """Changes with each turn in which a guest ran."""
        self._ends = False
        self._had: set[str] = set()
        """Owners who started a guest in this turn."""
        self._lines: OrderedDict[str, _Line] = OrderedDict()
        """Whose guests wait; the first has been called for longest ago."""
        self._calls = _MOST_CALLED
        self._came = 0
        self._put_back = False
        self._tickets = count()

    def has_room(self, owner: str = "") -> bool:
        """Whether a guest of ``owner`` may start at once, in this turn."""
        if asyncio.get_running_loop() is not self._loop:  # a loop that has ended left its queue behind
            self._start_over(asyncio.get_running_loop())
        return owner not in self._lines and self._lets_in(owner, others_wait=bool(self._lines))

    @property
    def waited_for(self) -> bool:
        """Whether any guest waits for a turn."""
        return bool(self._lines)

    def has_time(self) -> bool:
        """Whether a guest that was let in this turn may go on. The first to ask has all of the turn's time."""
        if self._until:
            return monotonic() < self._until
        self._until = monotonic() + TURN_S
        self._end_this()
        return True

    def _lets_in(self, owner: str, *, others_wait: bool) -> bool:
        if not self._until:
            self._until = monotonic() + TURN_S
            self._end_this()
        elif owner not in self._had:
            if monotonic() >= self._until:
                return False
        elif others_wait or monotonic() >= self._until - (TURN_S - SHARE_S):
            return False
        self._had.add(owner)
        return True

    async def room(self, owner: str = "", *, first: bool = False, budget: Budget | None = None) -> bool:
        """Return in a turn that has time for a guest of ``owner``, behind its guests that wait, or ``first``.

        ``False`` if the time of ``budget`` is over before, or nobody waits for it any more.
        """
        if self.has_room(owner):
            return True
        loop, ticket = asyncio.get_running_loop(), next(self._tickets) - (_AHEAD if first else 0)
        while True:
            line = self._lines.setdefault(owner, _Line())
            turn = loop.create_future()
            heappush(line.waiting, (ticket, turn))
            self._end_this()
            late = budget.while_waiting(turn, loop) if budget is not None else None
            try:
                called = await turn
            finally:
                if late is not None:
                    late.cancel()
                if loop is self._loop:
                    self._leave(owner, ticket, turn)
            if not called:
                return False
            if self._lets_in(owner, others_wait=False):
                self._came += 1
                return True
            self._put_back = True
            self._lines.setdefault(owner, _Line())
            self._lines.move_to_end(owner, last=False)

    def _leave(self, owner: str, ticket: int, turn: asyncio.Future[bool]) -> None:
        line = self._lines.get(owner)
        if line is not None:  # a line of those who gave up is dropped when it is next
            if not turn.done():  # the coroutine was thrown away
                line.waiting.remove((ticket, turn))
                heapify(line.waiting)
            elif not turn.cancelled() and turn.result():
                line.called -= 1
            if not line.called and not line.waiting:
                del self._lines[owner]
        if self._lines:
            self._end_this()

    def _end_this(self) -> None:
        if self._ends:
            return
        self._ends = True
        loop = asyncio.get_running_loop()
        if self._lines:  # timers come last in a round of the loop, behind the events found in it
            loop.call_later(0, self._next, loop)
        else:
            loop.call_soon(self._next, loop)

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        """A turn begins: all its time is left, and those first in line are called."""
        if loop is not self._loop:
            return
        self._ends = False
        self._until = 0.0
        self._had.clear()
        self.number += 1
        if self._lines and not self._call():
            self._end_this()  # otherwise the called end this turn, and the next is without guests

    def _call(self) -> bool:
        """Call those who wait, one of each owner in turn: about as many as the last turn had time for.

        Whether there was one.
        """
        if self._put_back:
            self._calls, self._put_back = max(1, self._came), False
        else:
            self._calls = min(2 * self._calls, _MOST_CALLED)
        self._came = 0
        left = most = max(self._calls, min(len(self._lines), _MOST_CALLED))
        passed = 0
        while left and passed < len(self._lines):
            owner, line = next(iter(self._lines.items()))
            if line.call_first():
                left -= 1
                passed = 0
            elif not line.called:
                del self._lines[owner]
                continue
            else:
                passed += 1
            self._lines.move_to_end(owner)
        return left < most or not self._lines


class ThreadScheduler(threading.local):
    """The scheduler of the loop that runs in the thread that asks."""

    def __init__(self) -> None:
        self.loop_scheduler = LoopScheduler()


LARGE_BYTES = 256 * 1024
"""What is smaller takes a tenth of a millisecond, and is not worth to wait for."""

_REST = 2.0
"""How long an owner's work rests, by how long it took."""

_REMEMBERED_OWNERS = 64
"""Owners remembered without work of theirs that waits."""


class _Owner:
    """One owner's work: who does it, how many more want to, and until when it rests."""

    __slots__ = ("lock", "rests_until", "users")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0
        self.rests_until = 0.0


class LargeWorkQueue:
    """The heavy work of one event loop. ``clock`` gives seconds, ``sleep`` waits for some."""

    def __init__(
        self,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._owners: dict[str, _Owner] = {}

    async def run(self, name: str, work: Callable[[], T]) -> T:
        """What ``work`` returns, done for the owner of this ``name`` when it is its turn. Raises what it raises."""
        owner = self._owners.get(name)
        if owner is None:
            self._forget()
            owner = self._owners[name] = _Owner()
        owner.users += 1
        try:
            async with owner.lock:
                if (rest_s := owner.rests_until - self._clock()) > 0:
                    await self._sleep(rest_s)
                started = self._clock()
                try:
                    return work()
                finally:
                    ended = self._clock()
                    owner.rests_until = ended + _REST * (ended - started)
        finally:
            owner.users -= 1

    def _forget(self) -> None:
        if len(self._owners) >= _REMEMBERED_OWNERS:
            now = self._clock()
            self._owners = {
                name: owner for name, owner in self._owners.items() if owner.users or owner.rests_until > now
            }
