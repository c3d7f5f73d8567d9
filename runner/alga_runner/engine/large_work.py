"""Work that holds the event loop for milliseconds and cannot be cut, such as decoding a body of megabytes.

Each owner's is done a piece at a time, and after each the loop is left to others for twice as long. So whoever sends
large bodies one after the other slows down itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

T = TypeVar("T")

LARGE_BYTES = 256 * 1024
"""What is smaller takes a tenth of a millisecond, and is not worth to wait for."""

_REST = 2.0
"""How long an owner's work rests, by how long it took."""

_REMEMBERED = 64
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
        if len(self._owners) >= _REMEMBERED:
            now = self._clock()
            self._owners = {
                name: owner for name, owner in self._owners.items() if owner.users or owner.rests_until > now
            }
