"""Decides which compilation is next: of the tenant whose modules have cost the fewest seconds of late.

A compilation cannot be interrupted without losing it, so places are kept free for short ones: those that may be slow
never take the last place, and neither does one owner. Of those that wait, the one whose owner has used the fewest
seconds goes first; old seconds count less and less. So a small module waits at most for one short compilation of
another owner, however many modules others load.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import exp2
from time import monotonic

from ...errors import Overloaded

HALF_LIFE_S = 60.0
"""After that long, a used second counts half."""

MAX_WAITING = 128
MAX_OWNER_WAITING = 32
"""Compilations that wait, in total and for one owner; each holds its module."""

_RETRY_AFTER_MS = 5_000
_NEGLIGIBLE_S = 0.001
_MAX_OWNERS = 1_000
"""Owners whose seconds are remembered; those that have used the fewest are forgotten first."""


@dataclass(slots=True, eq=False)
class _Turn:
    """One compilation that has a place or waits for one."""

    owner: str
    slow: bool
    served: asyncio.Future[None]
    since: float = 0.0


@dataclass(slots=True)
class _Used:
    """Seconds that an owner has used, as they counted at the time ``at``."""

    seconds: float = 0.0
    at: float = 0.0

    def counted(self, now: float) -> float:
        return self.seconds * exp2((self.at - now) / HALF_LIFE_S)


@dataclass(slots=True)
class CompileQueue:
    """Gives out ``places``. All calls belong to one event loop; ``clock`` tells seconds::

    async with queue.place(tenant, slow=len(wasm) > 1_000_000):
        ...
    """

    places: int
    clock: Callable[[], float] = monotonic
    _running: list[_Turn] = field(default_factory=list)
    _waiting: list[_Turn] = field(default_factory=list)
    """In the order in which they came."""
    _used: dict[str, _Used] = field(default_factory=dict)

    @asynccontextmanager
    async def place(self, owner: str, *, slow: bool) -> AsyncIterator[None]:
        """Hold a place for ``owner``, after waiting for it. ``slow`` ones never hold all places.

        Raises ``Overloaded`` if too many wait.
        """
        turn = _Turn(owner, slow, asyncio.get_running_loop().create_future())
        await self._enter(turn)
        try:
            yield
        finally:
            self._leave(turn)

    def used_s(self, owner: str) -> float:
        """The seconds that ``owner`` has used of late, compilations under way included."""
        now = self.clock()
        used = self._used.get(owner)
        under_way = sum(now - turn.since for turn in self._running if turn.owner == owner)
        return under_way + (used.counted(now) if used is not None else 0.0)

    async def _enter(self, turn: _Turn) -> None:
        of_owner = self._waits(turn.owner)
        if len(self._waiting) >= MAX_WAITING or of_owner >= MAX_OWNER_WAITING:
            raise Overloaded(
                "The module is not compiled yet, and too many modules"
                f"{' of the tenant' if of_owner >= MAX_OWNER_WAITING else ''} wait to be compiled.",
                retry_after_ms=_RETRY_AFTER_MS,
                of_tenant=of_owner >= MAX_OWNER_WAITING,
                hint="Send it again later, or compile ahead with `alga-runner precompile`.",
            )
        self._waiting.append(turn)
        self._serve()
        try:
            await turn.served
        except BaseException:
            if turn in self._running:
                self._leave(turn)
            else:
                self._waiting.remove(turn)
            raise

    def _leave(self, turn: _Turn) -> None:
        now = self.clock()
        self._running.remove(turn)
        used = self._used.get(turn.owner, _Used())
        self._used[turn.owner] = _Used(used.counted(now) + now - turn.since, now)
        self._forget(now)
        self._serve()

    def _serve(self) -> None:
        """Give the free places to those that wait."""
        while candidates := [turn for turn in self._waiting if self._may_run(turn)]:
            first = min(candidates, key=lambda turn: (self.used_s(turn.owner), self._runs(turn.owner)))
            self._waiting.remove(first)
            first.since = self.clock()
            self._running.append(first)
            first.served.set_result(None)

    def _may_run(self, turn: _Turn) -> bool:
        """Whether a place is free for ``turn``: the last one is for short compilations, and for another owner."""
        all_but_one = max(1, self.places - 1)
        return (
            len(self._running) < self.places
            and self._runs(turn.owner) < all_but_one
            and not (turn.slow and sum(other.slow for other in self._running) >= all_but_one)
            and not turn.served.done()  # cancelled
        )

    def _runs(self, owner: str) -> int:
        return sum(turn.owner == owner for turn in self._running)

    def _waits(self, owner: str) -> int:
        return sum(turn.owner == owner for turn in self._waiting)

    def _forget(self, now: float) -> None:
        """Forget owners that have used next to nothing, and the least of too many."""
        for owner in [owner for owner, used in self._used.items() if used.counted(now) < _NEGLIGIBLE_S]:
            del self._used[owner]
        if len(self._used) > _MAX_OWNERS:
            del self._used[min(self._used, key=lambda owner: self._used[owner].counted(now))]
