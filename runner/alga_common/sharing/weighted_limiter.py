"""Bounds the weight of work under way, its bytes for example, and shares it between owners such as tenants.

Work begins in the order in which it was asked for, that of an owner with less under way first. Work that does not fit
keeps later work waiting until it does, so that light work does not keep heavy work waiting for ever; work of more than
the whole limit begins alone. All calls belong to one event loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from ..fair_limiter import share


class _Waiting(NamedTuple):
    number: int
    weight: int
    begun: asyncio.Future[None]


class WeightedLimiter:
    """Lets work of ``limit`` in all be under way, of one owner its share; of an owner without any, work of any weight.

    How much work waits is for the callers to bound::

        async with memory.of(tenant, len(archive)):
            ...
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        """The weight of the work under way."""
        self._held: Counter[str] = Counter()
        self._queues: dict[str, deque[_Waiting]] = {}
        """Waiting requests by owner, the oldest first."""
        self._number = 0

    def has_room(self, owner: str, weight: int) -> bool:
        """Whether work of ``owner`` would begin immediately."""
        held = self._held[owner]
        fits = not self.used or self.used + weight <= self.limit
        return fits and not self._queues and (not held or held + weight <= share(self.limit))

    @asynccontextmanager
    async def of(self, owner: str, weight: int) -> AsyncIterator[None]:
        """Begin work of ``owner`` as soon as there is room for its ``weight``; it ends with the context."""
        await self._acquire(owner, weight)
        try:
            yield
        finally:
            self._release(owner, weight)

    async def _acquire(self, owner: str, weight: int) -> None:
        begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._number += 1
        waiting = _Waiting(self._number, weight, begun)
        self._queues.setdefault(owner, deque()).append(waiting)
        self._serve()
        try:
            await begun
        except BaseException:
            if begun.done() and not begun.cancelled():
                self._release(owner, weight)
            else:
                self._leave(owner, waiting)
                self._serve()
            raise

    def _release(self, owner: str, weight: int) -> None:
        self.used -= weight
        self._held[owner] -= weight
        if not self._held[owner]:
            del self._held[owner]
        self._serve()

    def _serve(self) -> None:
        while (owner := self._next()) is not None:
            waiting = self._queues[owner][0]
            if self.used and self.used + waiting.weight > self.limit:
                return
            self._leave(owner, waiting)
            if not waiting.begun.done():
                self.used += waiting.weight
                self._held[owner] += waiting.weight
                waiting.begun.set_result(None)

    def _next(self) -> str | None:
        """The owner whose oldest request is next."""
        able = [
            (self._held[owner], queue[0].number, owner)
            for owner, queue in self._queues.items()
            if not self._held[owner] or self._held[owner] + queue[0].weight <= share(self.limit)
        ]
        return min(able)[2] if able else None

    def _leave(self, owner: str, waiting: _Waiting) -> None:
        queue = self._queues.get(owner, deque())
        if waiting in queue:
            queue.remove(waiting)
        if not queue:
            self._queues.pop(owner, None)
