"""Bounds concurrency, and shares it fairly between owners such as tenants.

While slots are free, acquiring one is two comparisons. Otherwise the caller waits, in a queue of bounded length for
each owner. A released slot goes to the waiting owner that holds the fewest slots; among equals, to the one that has
held that number for longest. So an owner's only request is served next, however many requests of another owner wait,
and owners that all want more than their part end up with equally many slots.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from enum import Enum, auto
from time import monotonic

SHARE = 4
"""One owner gets at most a fourth of a limit, unless the settings give another bound."""

FOREVER = float("inf")

_SERVED_REMEMBERED = 64
"""Served requests that the pace of a queue is computed from, at most; older ones count half."""


def share(whole: int) -> int:
    """Return one owner's part of ``whole``, rounded up, where the settings give no other bound."""
    return -(-whole // SHARE)


class Outcome(Enum):
    """How a request for a slot ended."""

    ACQUIRED = auto()
    FULL = auto()
    """No slot is free and as many requests wait as may."""
    OWNER_FULL = auto()
    """No slot is free for this owner and as many of its requests wait as may."""
    TIMED_OUT = auto()
    """No slot became free in time."""
    CLOSED = auto()


class _Queue:
    """Waiting requests, and how fast they are served. Times are readings of ``time.monotonic()``."""

    __slots__ = ("_served", "_since", "waiting")

    def __init__(self) -> None:
        self.waiting: OrderedDict[asyncio.Future[Outcome], None] = OrderedDict()
        self._since = monotonic()
        self._served = 0

    def count_served(self) -> None:
        """Count one waiting request that got its slot."""
        self._served += 1
        if self._served >= _SERVED_REMEMBERED:
            self._served //= 2
            self._since = (self._since + monotonic()) / 2

    def wait_s(self, count: int) -> float:
        """Estimate the seconds until ``count`` more requests are served, at the pace since the queue began."""
        return count * (monotonic() - self._since) / max(self._served, 1)


class FairLimiter:
    """Gives out ``limit`` slots, at most ``owner_limit`` of them to one owner.

    Up to ``max_waiting`` requests wait for a slot, up to ``owner_max_waiting`` of them for one owner. Release every
    acquired slot. All calls belong to one event loop::

        if await limiter.acquire(tenant, timeout_s=5) is Outcome.ACQUIRED:
            try:
                ...
            finally:
                limiter.release(tenant)
    """

    def __init__(
        self, limit: int, owner_limit: int, *, max_waiting: int = 0, owner_max_waiting: int | None = None
    ) -> None:
        self.limit = limit
        self.owner_limit = owner_limit
        self.max_waiting = max_waiting
        self.owner_max_waiting = max_waiting if owner_max_waiting is None else owner_max_waiting
        self.used = 0
        """How many slots are acquired."""
        self.waiting = 0
        """How many requests wait."""
        self._held: dict[str, int] = {}
        """Slots in use, by owner."""
        self._queues: dict[str, _Queue] = {}
        """Waiting requests, by owner."""
        self._by_held: dict[int, OrderedDict[str, None]] = {}
        """Waiting owners by the number of slots they hold, in the order in which they reached that number."""
        self._overall = _Queue()
        """Measures the pace of all queues together; holds no requests."""

    def try_acquire(self, owner: str) -> bool:
        """Acquire a slot for ``owner`` if one is free.

        This overtakes no waiting request: where a slot is free, the waiting owners have reached their own limit.
        """
        held = self._held.get(owner, 0)
        if held >= self.owner_limit or self.used >= self.limit:
            return False
        self._held[owner] = held + 1
        self.used += 1
        return True

    def release(self, owner: str) -> None:
        """Return one of ``owner``'s slots; the next waiting request gets it immediately."""
        held = self._held[owner] - 1
        if held:
            self._held[owner] = held
        else:
            del self._held[owner]
        self.used -= 1
        if self.waiting:
            if owner in self._queues:
                self._move(owner, held + 1, held)
            self._serve()

    async def acquire(self, owner: str, timeout_s: float) -> Outcome:
        """Acquire a slot for ``owner``, waiting up to ``timeout_s`` seconds. Cancellation leaves no slot acquired."""
        if self.try_acquire(owner):
            return Outcome.ACQUIRED
        if self.limit <= 0:
            return Outcome.CLOSED
        queue = self._queues.get(owner)
        if self.waiting >= self.max_waiting or self.owner_max_waiting <= (len(queue.waiting) if queue else 0):
            return self._refusal(owner)
        if timeout_s <= 0:
            return Outcome.TIMED_OUT
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Outcome] = loop.create_future()
        self._enqueue(owner, waiter)
        timer = loop.call_later(timeout_s, self._time_out, owner, waiter) if timeout_s < FOREVER else None
        try:
            return await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.result() is Outcome.ACQUIRED:
                self.release(owner)
            else:
                self._dequeue(owner, waiter)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def has_its_share(self, owner: str) -> bool:
        """Whether ``owner`` has reached its own limit while slots are free for others."""
        return self.used < self.limit and self._held.get(owner, 0) >= self.owner_limit

    def wait_s(self, owner: str | None = None) -> float | None:
        """Estimate how long a new request would wait, at the pace of ``owner``'s queue or of all queues together.

        ``None`` if no request waits: then there is no pace.
        """
        if owner is None:
            return self._overall.wait_s(self.waiting + 1) if self.waiting else None
        queue = self._queues.get(owner)
        return queue.wait_s(len(queue.waiting) + 1) if queue else None

    def close(self) -> None:
        """Refuse all requests, waiting ones included. Acquired slots are released as before."""
        self.limit = 0
        queues, self._queues, self._by_held, self.waiting = self._queues, {}, {}, 0
        for queue in queues.values():
            for waiter in queue.waiting:
                _resolve(waiter, Outcome.CLOSED)

    def _refusal(self, owner: str) -> Outcome:
        others_may_wait = self.waiting < self.max_waiting and self.owner_max_waiting > 0
        return Outcome.OWNER_FULL if others_may_wait or self.has_its_share(owner) else Outcome.FULL

    def _enqueue(self, owner: str, waiter: asyncio.Future[Outcome]) -> None:
        if not self.waiting:
            self._overall = _Queue()
        self.waiting += 1
        queue = self._queues.get(owner)
        if queue is None:
            queue = self._queues[owner] = _Queue()
            self._by_held.setdefault(self._held.get(owner, 0), OrderedDict())[owner] = None
        queue.waiting[waiter] = None

    def _dequeue(self, owner: str, waiter: asyncio.Future[Outcome]) -> bool:
        queue = self._queues.get(owner)
        if queue is None or waiter not in queue.waiting:
            return False
        del queue.waiting[waiter]
        self.waiting -= 1
        if not queue.waiting:
            del self._queues[owner]
            self._move(owner, self._held.get(owner, 0), None)
        return True

    def _time_out(self, owner: str, waiter: asyncio.Future[Outcome]) -> None:
        if self._dequeue(owner, waiter):
            _resolve(waiter, Outcome.TIMED_OUT)

    def _serve(self) -> None:
        """Give the free slots to waiting requests."""
        while self.used < self.limit and self._by_held:
            held = min(self._by_held)
            if held >= self.owner_limit:
                return
            owner = next(iter(self._by_held[held]))
            queue = self._queues[owner]
            waiter, _ = queue.waiting.popitem(last=False)
            self.waiting -= 1
            served = _resolve(waiter, Outcome.ACQUIRED)
            if served:
                queue.count_served()
                self._overall.count_served()
                self._held[owner] = held + 1
                self.used += 1
            if not queue.waiting:
                del self._queues[owner]
                self._move(owner, held, None)
            elif served:
                self._move(owner, held, held + 1)

    def _move(self, owner: str, before: int, now: int | None) -> None:
        """Record that waiting ``owner`` holds ``now`` slots instead of ``before``; ``None``: it waits no longer."""
        owners = self._by_held[before]
        del owners[owner]
        if not owners:
            del self._by_held[before]
        if now is not None:
            self._by_held.setdefault(now, OrderedDict())[owner] = None


def _resolve(waiter: asyncio.Future[Outcome], outcome: Outcome) -> bool:
    """Give a waiting request its ``outcome``; ``False`` if the request was cancelled before."""
    if waiter.done():
        return False
    waiter.set_result(outcome)
    return True
