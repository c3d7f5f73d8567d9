"""Work in worker threads that takes long now and then, shared between owners such as tenants.

A thread that computes keeps the event loop waiting for the interpreter, so one owner's work must not go on without end.
"""

from __future__ import annotations

from collections.abc import Callable
from time import thread_time
from typing import TypeVar

import anyio.to_thread

from .large_work import LargeWorkQueue
from .weighted_limiter import WeightedLimiter

T = TypeVar("T")


class ThreadTurns:
    """Runs ``limit`` pieces of work at the same time, of one owner its share of them.

    An owner whose work takes long does one piece at a time, and rests for twice as long after each; ``queue`` tells the
    time. All calls belong to one event loop.
    """

    def __init__(self, limit: int, queue: LargeWorkQueue | None = None) -> None:
        self._places = WeightedLimiter(limit)
        self._queue = queue or LargeWorkQueue()

    async def run(self, owner: str, work: Callable[[], T]) -> T:
        """Do ``work`` of ``owner``; returns or raises as it does. A caller that is cancelled waits for the thread."""
        took = 0.0
        result: list[T] = []

        def measured() -> None:
            nonlocal took
            started = thread_time()
            try:
                result.append(work())
            finally:
                took = thread_time() - started

        async with self._queue.charged(owner) as under_way, self._places.of(owner, 1):
            try:
                await anyio.to_thread.run_sync(measured)
            finally:
                under_way.charge(took)
        return result[0]
