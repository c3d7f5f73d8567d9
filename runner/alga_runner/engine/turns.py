"""The event loop's time for guests: about a millisecond in each of its turns, whoever the guests are.

However many arrive at once, those who find the turn's time over wait for a later one, in the order they came. Between
two turns with guests is one without, so everything else is reached within one (engine-lab B, "Event loop lag"): what
becomes due in a turn runs in the next, but behind the guests called for it.
"""

from __future__ import annotations

import asyncio
import threading
from heapq import heapify, heappop, heappush
from itertools import count
from time import monotonic

TURN_S = 0.001
"""How long after the first guest of a turn others may start in it, in seconds.

The last to start may take one slice more, so guests take at most 2 ms of a turn at a tick of 1 ms. What is made ready
for them, and what answers them, takes of the same time.
"""

_CALLED_A_TURN = 16
"""Guests called for one turn; those its time does not reach stay first in line."""


class Turns(threading.local):
    """The turns of the event loop that runs in this thread."""

    def __init__(self) -> None:
        self._start_over(None)

    def _start_over(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop = loop
        self._until = 0.0
        """When the turn's time is over; 0 before a guest has asked for it."""
        self.number = 0
        """Changes with each turn in which a guest ran."""
        self._ends = False
        self._called = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._tickets = count()

    def has_room(self) -> bool:
        """Whether a guest may start at once, in this turn: it has time, and nobody waits for it."""
        if asyncio.get_running_loop() is not self._loop:  # a loop that has ended left its queue behind
            self._start_over(asyncio.get_running_loop())
        return not self._called and not self._waiting and self.has_time()

    def has_time(self) -> bool:
        """Whether a guest that was let in this turn may go on. The first to ask has all of the turn's time."""
        if self._until:
            return monotonic() < self._until
        self._until = monotonic() + TURN_S
        self._end_this()
        return True

    async def room(self) -> None:
        """Return in a turn that has time for a guest, behind those who wait already."""
        if self.has_room():
            return
        loop, ticket = asyncio.get_running_loop(), next(self._tickets)
        while True:
            turn = loop.create_future()
            heappush(self._waiting, (ticket, turn))
            self._end_this()
            try:
                await turn
            finally:
                if loop is self._loop:
                    self._leave(ticket, turn)
            if self.has_time():
                return

    def _leave(self, ticket: int, turn: asyncio.Future[None]) -> None:
        if not turn.done():  # the coroutine was thrown away
            self._waiting.remove((ticket, turn))
            heapify(self._waiting)
        elif not turn.cancelled():
            self._called -= 1
        if self._waiting:
            self._end_this()

    def _end_this(self) -> None:
        if not self._ends:
            self._ends = True
            loop = asyncio.get_running_loop()
            loop.call_soon(self._next, loop)

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        """A turn begins: all its time is left, and those first in line are called."""
        if loop is not self._loop:
            return
        self._ends = False
        self._until = 0.0
        self.number += 1
        while self._waiting and self._called < _CALLED_A_TURN:
            turn = heappop(self._waiting)[1]
            if not turn.done():  # cancelled otherwise
                turn.set_result(None)
                self._called += 1
        if (
            self._waiting and not self._called
        ):  # otherwise the called end this turn, and the next is without guests
            self._end_this()


turns = Turns()
