"""Work that holds the event loop, or the interpreter, for milliseconds and cannot be split, shared between owners.

Each owner's large work is done a piece at a time, and after each piece it rests for twice as long as that took: an
owner that has much of it slows down itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic
from typing import NamedTuple, TypeVar

T = TypeVar("T")

LARGE_BYTES = 256 * 1024
"""Work on less than this takes a tenth of a millisecond and needs no queue."""

_LARGE_S = 0.004
"""Work that took less is not charged, in seconds."""

_REST = 2.0
"""How long an owner's work rests, as a multiple of how long it took."""

_KNOWN_S = 1.0
"""How long an owner is known after its work has rested, in seconds."""

_REMEMBERED_OWNERS = 64
"""Owners remembered without work of theirs that waits."""


class _OwnerWork:
    """One owner's large work: one piece at a time, how many wait or work, and until when it rests."""

    __slots__ = ("lock", "rests_until", "users")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0
        self.rests_until = 0.0


class Charged(NamedTuple):
    """Work of an owner under way."""

    charge: Callable[[float], None]
    """To be called with the seconds that it took."""
    alone: bool
    """Whether no other work of the owner's that is known to be large is under way."""


class LargeWorkQueue:
    """Shares large work between owners such as tenants; all calls belong to one event loop.

    ``clock`` gives seconds, ``sleep`` waits.
    """

    def __init__(
        self,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self.known: dict[str, _OwnerWork] = {}
        """The owners who had large work of late, or work that seemed so."""
        self.charged_s = 0.0
        """What all owners rested for so far, or will, without the rests themselves."""

    async def run(self, name: str, work: Callable[[], T]) -> T:
        """Call ``work`` for the owner ``name`` once its earlier work has rested; returns or raises as it does."""
        async with self._turn(self._owner(name)) as owner:
            started = self._clock()
            try:
                return work()
            finally:
                self._rest(owner, self._clock() - started)

    @asynccontextmanager
    async def charged(self, name: str, *, large: bool = False) -> AsyncIterator[Charged]:
        """Do work of an owner that turns out large or not, and charge its time.

        Only an owner whose work was large of late waits, or ``large`` work of any owner: the owner does one piece at a
        time, and rests between them.
        """
        owner = self._owner(name) if large else self.known.get(name)
        if owner is None or (not large and not owner.users and owner.rests_until + _KNOWN_S <= self._clock()):
            yield Charged(partial(self._charge, name), alone=False)
        else:
            async with self._turn(owner):
                yield Charged(partial(self._charge, name), alone=True)

    def rests(self, name: str) -> bool:
        """Whether the owner ``name``, which is ``known``, has to wait for its ``turn``."""
        owner, now = self.known[name], self._clock()
        if owner.users or owner.rests_until > now:
            return True
        if owner.rests_until + _KNOWN_S < now:
            del self.known[name]
        return False

    async def turn(self, name: str) -> None:
        """Return when the owner ``name`` may do the next piece of its work, right then, before anything else."""
        async with self._turn(self._owner(name)):
            pass

    def record(self, name: str, seconds: float) -> None:
        """Have the owner ``name``, which is known from now on, rest after work that took so long."""
        self._rest(self._owner(name), seconds)

    def _charge(self, name: str, seconds: float) -> None:
        if seconds >= _LARGE_S:
            self._rest(self._owner(name), seconds)

    def _rest(self, owner: _OwnerWork, seconds: float) -> None:
        owner.rests_until = max(self._clock(), owner.rests_until) + _REST * seconds
        self.charged_s += seconds

    @asynccontextmanager
    async def _turn(self, owner: _OwnerWork) -> AsyncIterator[_OwnerWork]:
        owner.users += 1
        try:
            async with owner.lock:
                if (rest_s := owner.rests_until - self._clock()) > 0:
                    await self._sleep(rest_s)
                yield owner
        finally:
            owner.users -= 1

    def _owner(self, name: str) -> _OwnerWork:
        owner = self.known.get(name)
        if owner is None:
            self._forget_rested()
            owner = self.known[name] = _OwnerWork()
        return owner

    def _forget_rested(self) -> None:
        if len(self.known) >= _REMEMBERED_OWNERS:
            now = self._clock()
            for name, owner in tuple(self.known.items()):
                if not owner.users and owner.rests_until <= now:
                    del self.known[name]
