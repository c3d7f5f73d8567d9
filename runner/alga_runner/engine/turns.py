"""Turns on the event loop for guests that used up a slice: one guest a turn.

Were they all to run on in the same turn, fifty busy guests would keep everyone else from the loop for fifty slices
(engine-lab B, "Event loop lag"). Guests that only call the host never wait here.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque


class _Turns(threading.local):
    """The queue of the event loop that runs in this thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def next(self) -> None:
        """Wait for a turn, behind those who wait already."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # a loop that has ended left its queue behind
            self._loop, self._waiting = loop, deque()
        turn = loop.create_future()
        self._waiting.append(turn)
        if len(self._waiting) == 1:
            loop.call_soon(self._give, loop, self._waiting)
        await turn

    @staticmethod
    def _give(loop: asyncio.AbstractEventLoop, waiting: deque[asyncio.Future[None]]) -> None:
        while waiting:
            turn = waiting.popleft()
            if not turn.done():  # cancelled otherwise
                turn.set_result(None)
                break
        if waiting:
            loop.call_soon(_Turns._give, loop, waiting)


turns = _Turns()
