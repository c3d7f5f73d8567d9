"""Writes of several callers in one transaction, for a database with one writer at a time.

Those that wait while another transaction writes are a group: one hop to a thread, one beginning and one commit. Each
has a savepoint, so one that is refused takes back its own changes alone, and each caller hears of its own once they are
committed. If the transaction itself fails, each write is tried again in one of its own, so that every caller hears what
became of its write, and none of a neighbour's fault.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from time import monotonic
from typing import Any, Generic, TypeVar, cast

import anyio
from anyio import CancelScope
from sqlalchemy import Connection

from ..errors import DatabaseBusy, ServerError

T = TypeVar("T")

MAX_TOGETHER = 16
"""Writes in one transaction."""

_MAX_S = 0.010
"""Once a transaction has taken this long, no other write joins it: those in it wait for one another."""


class _Write(Generic[T]):
    """One caller's function and what came of it."""

    def __init__(self, fn: Callable[[Connection], T]) -> None:
        self.fn = fn
        self.since = anyio.current_time()
        self.done = False
        self.error: BaseException | None = None
        self._result: T | None = None
        self._woken = anyio.Event()

    def run(self, run: Callable[[Callable[[Connection], T]], T]) -> None:
        """Keep what ``run`` returns for ``fn``, or raises."""
        self.error = None
        try:
            self._result = run(self.fn)
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            self.error = error

    def join(self, connection: Connection, savepoint: AbstractContextManager[None]) -> None:
        """Run in the transaction of others, which any error but a refusal ends."""
        try:
            with savepoint:
                self._result = self.fn(connection)
        except ServerError as refusal:
            self.error = refusal

    def outcome(self) -> T:
        """Return or raise what came of it."""
        if self.error is not None:
            raise self.error
        return cast("T", self._result)

    async def woken(self) -> None:
        """Return once it is done, or next to run a group."""
        await self._woken.wait()
        self._woken = anyio.Event()

    def wake(self) -> None:
        """Have ``woken`` return."""
        self._woken.set()


class Together:
    """Runs writes in groups, in the order in which they came. One of a group's callers runs it for all.

    ``run`` runs a function in a transaction. ``in_turn`` does work in a thread that can call it, once the turn to write
    has come to a caller that has waited for it since the given time; it raises ``DatabaseBusy`` if that takes too long.
    """

    def __init__(
        self,
        run: Callable[[Callable[[Connection], Any]], Any],
        in_turn: Callable[[Callable[[], None], float], Awaitable[None]],
        savepoint: Callable[[Connection], AbstractContextManager[None]],
    ) -> None:
        self._run = run
        self._in_turn = in_turn
        self._savepoint = savepoint
        self._waiting: deque[_Write[Any]] = deque()
        self._running = False

    async def write(self, fn: Callable[[Connection], T]) -> T:
        """What ``fn`` returns, once it is committed. Cancelling the caller waits for a transaction that has begun."""
        write = _Write(fn)
        self._waiting.append(write)
        try:
            while not write.done:
                if self._running:
                    await write.woken()
                else:
                    await self._run_group(write.since)
        except BaseException:
            await self._leave(write)
            raise
        return write.outcome()

    async def _leave(self, write: _Write[Any]) -> None:
        try:
            self._waiting.remove(write)
        except ValueError:  # a transaction has it
            with CancelScope(shield=True):
                while not write.done:
                    await write.woken()
        self._wake_next()

    async def _run_group(self, since: float) -> None:
        group: list[_Write[Any]] = []
        self._running = True
        try:
            await self._in_turn(lambda: self._write_group(group), since)
        finally:
            self._running = False
            for write in group:
                write.done = True
                write.wake()
            self._wake_next()

    def _wake_next(self) -> None:
        if self._waiting and not self._running:
            self._waiting[0].wake()

    def _write_group(self, group: list[_Write[Any]]) -> None:
        """Run in a thread: move writes that wait to ``group``, each with what came of it."""

        def transaction(connection: Connection) -> None:
            for write in self._taken(group):
                write.join(connection, self._savepoint(connection))

        try:
            self._run(transaction)
        except BaseException as error:  # noqa: BLE001 - it is its callers'
            if group:
                self._run_each(group)
            else:  # it did not begin, and would not for each
                for write in self._taken(group):
                    write.error = error

    def _taken(self, group: list[_Write[Any]]) -> Iterator[_Write[Any]]:
        end = monotonic() + _MAX_S
        while len(group) < MAX_TOGETHER and (not group or monotonic() < end):
            try:
                group.append(self._waiting.popleft())
            except IndexError:  # none waits; one that is cancelled leaves at any time
                return
            yield group[-1]

    def _run_each(self, group: list[_Write[Any]]) -> None:
        error: BaseException | None = None
        for write in group:
            if isinstance(error, DatabaseBusy):  # one wait for a lock is enough
                write.error = error
            else:
                write.run(self._run)
                error = write.error
