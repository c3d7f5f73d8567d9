"""The event loop's time for guests: about a millisecond in each of its turns, whoever the guests are.

However many arrive at once, those who find the turn's time spent wait for a later one, in the order they came; so
everything else on the loop is reached within one turn (engine-lab B, "Event loop lag").
"""

from __future__ import annotations

import asyncio
import threading
from heapq import heappop, heappush
from itertools import count

TURN_S = 0.001
"""Guest time in one turn of the loop after which no other guest starts, in seconds.

The last to start may take one slice more, so a turn has at most 2 ms of guest time at a tick of 1 ms.
"""

_CALLED_A_TURN = 16
"""Guests called for one turn; those its time does not reach stay first in line."""


class Turns(threading.local):
    """The turns of the event loop that runs in this thread."""

    def __init__(self) -> None:
        self._start_over(None)

    def _start_over(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop = loop
        self._spent_s = 0.0
        self.number = 0
        """Changes with each turn in which a guest ran."""
        self._ends = False
        self._called = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._tickets = count()

    def has_room(self) -> bool:
        """Whether a guest may start at once, in this turn."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # a loop that has ended left its queue behind
            self._start_over(loop)
        return self._spent_s < TURN_S and not self._called and not self._waiting

    def spend(self, seconds: float) -> None:
        """A guest, and what answered it at once, took this much of the turn."""
        self._spent_s += seconds
        if not self._ends:
            self._end_this()

    async def room(self) -> None:
        """Return in a turn that has time for a guest, behind those who wait already."""
        if self.has_room():
            return
        loop, ticket = self._loop, next(self._tickets)
        while True:
            turn = asyncio.get_running_loop().create_future()
            heappush(self._waiting, (ticket, turn))
            if not self._ends:
                self._end_this()
            try:
                await turn
            finally:
                if turn.done() and not turn.cancelled() and loop is self._loop:
                    self._called -= 1
            if self._spent_s < TURN_S:
                return

    def _end_this(self) -> None:
        self._ends = True
        loop = self._loop or asyncio.get_running_loop()
        loop.call_soon(self._next, loop)

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        """A turn begins: its time is unspent, and those first in line are called."""
        if loop is not self._loop:
            return
        self._ends = False
        self._spent_s = 0.0
        self.number += 1
        while self._waiting and self._called < _CALLED_A_TURN:
            turn = heappop(self._waiting)[1]
            if not turn.done():  # cancelled otherwise
                turn.set_result(None)
                self._called += 1
        if self._waiting:
            self._end_this()


turns = Turns()
