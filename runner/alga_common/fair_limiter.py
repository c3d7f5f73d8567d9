"""A bounded number of places, shared fairly among those who hold them.

While there is room, taking a place is two comparisons. Otherwise one waits in a line of bounded length, and a place
that comes free goes to whoever holds the fewest; among equals, to whoever has been at that for longest. So a holder
who asks for one place gets the next, however many another waits for, and holders who all want more than there is end up
with as many each.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from enum import Enum, auto
from time import monotonic

SHARE = 4
"""One holder has at most one part in so many, unless the settings say otherwise."""

FOREVER = float("inf")

_SERVED_REMEMBERED = 64
"""How many places the pace of a line is judged by, at most; older ones count half."""


def share(whole: int) -> int:
    """One holder's part of ``whole``, unless the settings say otherwise."""
    return -(-whole // SHARE)


class Entry(Enum):
    """How asking for a place ended."""

    TAKEN = auto()
    FULL = auto()
    """Everybody's line is as long as it may be."""
    HOLDER_FULL = auto()
    """The holder's own line is."""
    LATE = auto()
    """None came free in time."""
    CLOSED = auto()


class _Line:
    """Who waits, and how fast they are served. Times are readings of ``time.monotonic()``."""

    __slots__ = ("_served", "_since", "waiting")

    def __init__(self) -> None:
        self.waiting: OrderedDict[asyncio.Future[Entry], None] = OrderedDict()
        self._since = monotonic()
        self._served = 0

    def served(self) -> None:
        """One who waited got a place."""
        self._served += 1
        if self._served >= _SERVED_REMEMBERED:
            self._served //= 2
            self._since = (self._since + monotonic()) / 2

    def wait_s(self, count: int) -> float:
        """Seconds until ``count`` more are served, going by those who were since the line formed."""
        return count * (monotonic() - self._since) / max(self._served, 1)


class FairLimiter:
    """``limit`` places, at most ``holder_limit`` of them one holder's; ``queue`` may wait, ``holder_queue`` of one.

    Every place that is taken is given back with ``free``. For one event loop.
    """

    def __init__(
        self, limit: int, holder_limit: int, *, queue: int = 0, holder_queue: int | None = None
    ) -> None:
        self.limit = limit
        self.holder_limit = holder_limit
        self.queue = queue
        self.holder_queue = queue if holder_queue is None else holder_queue
        self.taken = 0
        """How many are taken."""
        self.queued = 0
        """How many wait."""
        self._held: dict[str, int] = {}
        self._lines: dict[str, _Line] = {}
        self._by_held: dict[int, OrderedDict[str, None]] = {}
        """Those who wait, by how many places they hold, in the order they came to hold as many."""
        self._whole = _Line()
        """All lines as one, for its pace alone."""

    def try_take(self, holder: str) -> bool:
        """Take a place for ``holder`` if one is free. Nobody who waits is passed: they wait because they cannot."""
        held = self._held.get(holder, 0)
        if held >= self.holder_limit or self.taken >= self.limit:
            return False
        self._held[holder] = held + 1
        self.taken += 1
        return True

    def free(self, holder: str) -> None:
        """Give one of ``holder``'s places back; whoever is next has it at once."""
        held = self._held[holder] - 1
        if held:
            self._held[holder] = held
        else:
            del self._held[holder]
        self.taken -= 1
        if self.queued:
            if holder in self._lines:
                self._move(holder, held + 1, held)
            self._serve()

    async def take(self, holder: str, patience_s: float) -> Entry:
        """A place for ``holder``, waiting up to ``patience_s`` seconds for it. Cancelled, it leaves nothing behind."""
        if self.try_take(holder):
            return Entry.TAKEN
        if self.limit <= 0:
            return Entry.CLOSED
        line = self._lines.get(holder)
        if self.queued >= self.queue or self.holder_queue <= (len(line.waiting) if line else 0):
            return self._refusal(holder)
        if patience_s <= 0:
            return Entry.LATE
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Entry] = loop.create_future()
        self._join(holder, waiter)
        timer = loop.call_later(patience_s, self._give_up, holder, waiter) if patience_s < FOREVER else None
        try:
            return await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.result() is Entry.TAKEN:
                self.free(holder)
            else:
                self._leave(holder, waiter)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def has_its_share(self, holder: str) -> bool:
        """Whether ``holder`` has as many places as one may while there are others free."""
        return self.taken < self.limit and self._held.get(holder, 0) >= self.holder_limit

    def wait_s(self, holder: str | None = None) -> float | None:
        """Seconds until one who queued now would be served, at the pace of ``holder``'s line, or of all lines.

        ``None`` where nobody waits.
        """
        if holder is None:
            return self._whole.wait_s(self.queued + 1) if self.queued else None
        line = self._lines.get(holder)
        return line.wait_s(len(line.waiting) + 1) if line else None

    def close(self) -> None:
        """Nobody gets a place any more, and nobody waits; places that are taken are given back as ever."""
        self.limit = 0
        lines, self._lines, self._by_held, self.queued = self._lines, {}, {}, 0
        for line in lines.values():
            for waiter in line.waiting:
                _tell(waiter, Entry.CLOSED)

    def _refusal(self, holder: str) -> Entry:
        others_may_wait = self.queued < self.queue and self.holder_queue > 0
        return Entry.HOLDER_FULL if others_may_wait or self.has_its_share(holder) else Entry.FULL

    def _join(self, holder: str, waiter: asyncio.Future[Entry]) -> None:
        if not self.queued:
            self._whole = _Line()
        self.queued += 1
        line = self._lines.get(holder)
        if line is None:
            line = self._lines[holder] = _Line()
            self._by_held.setdefault(self._held.get(holder, 0), OrderedDict())[holder] = None
        line.waiting[waiter] = None

    def _leave(self, holder: str, waiter: asyncio.Future[Entry]) -> bool:
        line = self._lines.get(holder)
        if line is None or waiter not in line.waiting:
            return False
        del line.waiting[waiter]
        self.queued -= 1
        if not line.waiting:
            del self._lines[holder]
            self._move(holder, self._held.get(holder, 0), None)
        return True

    def _give_up(self, holder: str, waiter: asyncio.Future[Entry]) -> None:
        if self._leave(holder, waiter):
            _tell(waiter, Entry.LATE)

    def _serve(self) -> None:
        """Hand out what is free."""
        while self.taken < self.limit and self._by_held:
            held = min(self._by_held)
            if held >= self.holder_limit:
                return
            holder = next(iter(self._by_held[held]))
            line = self._lines[holder]
            waiter, _ = line.waiting.popitem(last=False)
            self.queued -= 1
            served = _tell(waiter, Entry.TAKEN)
            if served:
                line.served()
                self._whole.served()
                self._held[holder] = held + 1
                self.taken += 1
            if not line.waiting:
                del self._lines[holder]
                self._move(holder, held, None)
            elif served:
                self._move(holder, held, held + 1)

    def _move(self, holder: str, held: int, now: int | None) -> None:
        """``holder`` waits with ``now`` places instead of ``held``, or no longer."""
        equals = self._by_held[held]
        del equals[holder]
        if not equals:
            del self._by_held[held]
        if now is not None:
            self._by_held.setdefault(now, OrderedDict())[holder] = None


def _tell(waiter: asyncio.Future[Entry], entry: Entry) -> bool:
    """Tell one who waits how it ended, unless it was cancelled meanwhile; whether it was told."""
    if waiter.done():
        return False
    waiter.set_result(entry)
    return True
