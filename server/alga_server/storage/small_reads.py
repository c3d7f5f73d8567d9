"""Small reads that wait at the same time share a worker thread's turn and a transaction, where that is cheaper.

To have a thread run something, and to begin and end a transaction, takes as long as a small read itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import TypeVar

import anyio
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from ..errors import ServerError
from .database import Database

T = TypeVar("T")

_LONG_S = 0.005
"""How long a group may take before no other joins it, another takes over the reads that wait, and those go on that
are done.

A read that is slow holds up its group's first alone, whose caller leads it.
"""


class _Read:
    """One read: waiting, then run in a group. One that is not done at the end of its group failed with it."""

    __slots__ = ("_run", "done", "ended", "failure", "left", "number", "overdue", "turn")

    def __init__(self, run: Callable[[Connection], None], number: int) -> None:
        self._run = run
        self.number = number
        self.done = False
        self.failure: BaseException | None = None
        """What it raised, if it is done."""
        self.turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """Ends the wait: with ``True`` to lead the next group, with ``False`` if there is nothing to wait for."""
        self.ended = False
        """Whether it is known to be done, or its group has ended, or left it out since its caller was cancelled."""
        self.overdue: asyncio.TimerHandle
        """Of the group that its caller leads."""
        self.left: anyio.Event | None = None
        """Set then, for a caller that was cancelled meanwhile."""

    def run(self, connection: Connection) -> None:
        try:
            self._run(connection)
        except DBAPIError:  # it may have ended the transaction, for all
            raise
        except BaseException as failure:  # noqa: BLE001 - raised to its caller
            self.failure = failure
        self.done = True

    def end(self) -> None:
        """Have the caller go on."""
        self.ended = True
        if self.left is not None:
            self.left.set()
        elif not self.turn.done():
            self.turn.set_result(False)


class SmallReads:
    """Runs small reads of one event loop; each has its own transaction if its database gains nothing otherwise.

    The first to come leads a group: its caller has the database run it, and all others that wait. A transaction's state
    is not older than any read in it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._came = 0
        """How many reads there were so far."""
        self._waiting: deque[_Read] = deque()
        self._taking = Lock()
        self._leader: _Read | None = None
        """The read whose caller is the last that began a group, or is about to."""

    async def read(self, fn: Callable[[Connection], T]) -> T:
        """Return what ``fn`` returns, as ``Database.read`` does; it should take a millisecond at most.

        If the database fails in a group, each of its reads that had no result is tried again, by itself.
        """
        if self._database.reads_together == 1:
            return await self._database.read(fn)
        results: list[T] = []
        self._came += 1
        read = _Read(lambda connection: results.append(fn(connection)), self._came)
        if self._leader is None:
            self._leader = read
            await self._lead(read)
        else:
            self._waiting.append(read)
            if await self._turn(read):
                await self._lead(read)
        if read.failure is not None:
            try:
                raise read.failure
            finally:
                del read  # the failure's traceback holds this frame
        return results[0] if read.done else await self._database.read(fn)

    async def _turn(self, read: _Read) -> bool:
        """Wait until the read's group has ended, or its caller has to lead the next: ``True``."""
        try:
            return await read.turn
        except asyncio.CancelledError:
            if read is self._leader:
                self._pass_on(read)
            elif not self._withdrawn(read) and not read.ended:
                read.left = anyio.Event()
                with anyio.CancelScope(shield=True):
                    await read.left.wait()
            raise

    async def _lead(self, read: _Read) -> None:
        """Have the database run a group, then the next one."""
        reads = [read]

        def group(connection: Connection) -> None:
            """In the database's thread, and again from the first that is not done if the transaction is repeated."""
            last, end = self._came, monotonic() + _LONG_S
            for begun in reads:
                if not begun.done:
                    begun.run(connection)
            while len(reads) < self._database.reads_together and monotonic() < end:
                if (following := self._take(last)) is None:
                    break
                reads.append(following)
                following.run(connection)

        read.overdue = asyncio.get_running_loop().call_later(_LONG_S, self._look, reads)
        try:
            await self._database.read(group)
        except (DBAPIError, ServerError):
            if len(reads) == 1:
                raise
        finally:
            read.overdue.cancel()
            for other in reads[1:]:
                other.end()
            self._pass_on(read)

    def _look(self, reads: list[_Read]) -> None:
        """A group takes long: until it ends, have those of ``reads`` go on that need not wait for it."""
        leader = reads[0]
        for other in reads[1:]:
            if other.done:
                other.end()
        self._pass_on(leader)
        leader.overdue = asyncio.get_running_loop().call_later(_LONG_S, self._look, reads)

    def _pass_on(self, leader: _Read) -> None:
        """Have the caller of the next read lead a group, unless another one leads already."""
        if self._leader is not leader:
            return
        self._leader = None
        while self._leader is None and (following := self._take(self._came)) is not None:
            if following.turn.cancelled():
                following.end()
            else:
                self._leader = following
                following.turn.set_result(True)

    def _take(self, last: int) -> _Read | None:
        """The next read that waits, if it came no later than ``last``."""
        with self._taking:
            return self._waiting.popleft() if self._waiting and self._waiting[0].number <= last else None

    def _withdrawn(self, read: _Read) -> bool:
        """Take a read out of those that wait; ``False`` if it does not wait any more."""
        with self._taking:
            if read not in self._waiting:
                return False
            self._waiting.remove(read)
            return True
