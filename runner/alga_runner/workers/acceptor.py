"""How many connections each worker has, in memory that all of them see.

Connections taken from a port that several workers share, so that each has about as many.

All listen on one socket, so that a connection waits for whoever is free, not for a worker that hangs, drains or has
died. Left to themselves, workers then take whole bursts: of 200 connections at once, two took 186 and 14. A socket for
each (SO_REUSEPORT) spreads by chance, 4, 4, 9 and 15 of 32, and binds a connection to one worker before that accepts.
So a worker that has more than the one with the fewest steps back for a millisecond: 8, 8, 8 and 8.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import mmap
import os
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Self

_ABSENT = -1
_BYTES = 4


class ConnectionCounts:
    """A seat for each worker, with its number of open connections; a worker that takes none is absent.

    Each worker writes its own seat alone, a word at a time, so no lock is needed. What another wrote may be a moment
    old, which is good enough to choose by.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, 0)
        self._seats = memoryview(self._memory).cast("i")

    @classmethod
    def create(cls, seats: int) -> Self:
        """A board on which everybody is absent."""
        descriptor = os.memfd_create("alga-runner-board", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, seats * _BYTES)
        board = cls(descriptor)
        for seat in range(seats):
            board.leave(seat)
        return board

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._seats.release()
        self._memory.close()
        os.close(self.descriptor)

    def set(self, seat: int, connections: int) -> None:
        """The worker at ``seat`` has so many, and takes more."""
        self._seats[seat] = connections

    def leave(self, seat: int) -> None:
        """The worker at ``seat`` takes no more, or is gone."""
        self._seats[seat] = _ABSENT

    def fewest(self) -> int:
        """The fewest connections that a worker has which takes more; 0 if there is none."""
        return min((count for count in self._seats if count != _ABSENT), default=0)


logger = logging.getLogger("alga_runner")

AHEAD = 1
"""Connections that a worker may have more than the one with the fewest, before it steps back."""

STEP_BACK_S = 0.001
"""How long it leaves the next connection to the others. If that is still there then, it takes it."""

EXHAUSTED_S = 1.0
"""How long it waits when the system has no room for another connection."""

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Acceptor:
    """Takes connections from ``listener``, each for a protocol of ``connect``, until it is closed.

    ``connections`` says how many are open; ``changed`` is to be called when that changes.
    """

    def __init__(
        self,
        listener: socket.socket,
        board: ConnectionCounts,
        seat: int,
        *,
        connect: Callable[[], asyncio.Protocol],
        connections: Callable[[], int],
    ) -> None:
        self._listener = listener
        self._board = board
        self._seat = seat
        self._connect = connect
        self._connections = connections
        self._coming: set[asyncio.Task[object]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._open = False

    def open(self) -> None:
        """Begin."""
        self._loop = asyncio.get_running_loop()
        self._listener.setblocking(False)
        self._open = True
        self.changed()
        self._loop.add_reader(self._listener, self._accept)

    async def close(self) -> None:
        """Take no more, and return when all that were taken are open. What still waits is the others'."""
        if self._open:
            self._open = False
            if self._pause is not None:
                self._pause.cancel()
            self._loop.remove_reader(self._listener)
            self._board.leave(self._seat)
        if self._coming:
            await asyncio.wait(self._coming)

    def changed(self) -> None:
        """Tell the others how many connections there are."""
        if self._open:
            self._board.set(self._seat, self._mine())

    def _mine(self) -> int:
        return self._connections() + len(self._coming)

    def _accept(self) -> None:
        if self._mine() > self._board.fewest() + AHEAD:
            self._wait(STEP_BACK_S)
        else:
            self._take()

    def _wait(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        self._loop.add_reader(self._listener, self._accept)
        self._take()

    def _take(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another took it, or its client left
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            logger.error(  # noqa: TRY400 - the sentence says it
                "The runner cannot take another connection: %s", error.strerror, extra={"action": "exhausted"}
            )
            self._wait(EXHAUSTED_S)
            return
        connection.setblocking(False)
        coming = self._loop.create_task(self._loop.connect_accepted_socket(self._connect, connection))
        self._coming.add(coming)
        coming.add_done_callback(self._came)
        self.changed()

    def _came(self, coming: asyncio.Task[object]) -> None:
        self._coming.discard(coming)
        if not coming.cancelled() and (error := coming.exception()) is not None:
            logger.warning("A connection was lost at once: %s", error, extra={"action": "connection_lost"})
        self.changed()
