"""Connections taken from a port that several workers share, so that each worker has about as many.

All workers listen on one socket, so that a connection waits for whichever worker is free, not for one that hangs,
drains or has died. Left to themselves, workers then take whole bursts: of 200 concurrent connections, two workers took
186 and 14. A socket for each worker (SO_REUSEPORT) spreads them by chance, 4, 4, 9 and 15 of 32, and binds a connection
to one worker before that one accepts it. So a worker that has more connections than the one with the fewest leaves the
next to the others for a millisecond: 8, 8, 8 and 8.
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

logger = logging.getLogger("alga_runner")

MAX_AHEAD = 1
"""How many connections more than the worker with the fewest a worker may have before it leaves the next to others."""

STEP_BACK_S = 0.001
"""How long it leaves the next connection to others. If the connection still waits then, it takes it."""

EXHAUSTED_S = 1.0
"""How long a worker waits when the system has no room for another connection."""

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_ABSENT = -1
_BYTES = 4


class ConnectionCounts:
    """How many connections each worker has, by index, in memory that all workers share.

    A worker that takes none is absent. Each worker writes its own count only, a word at a time, so no lock is needed.
    The count of another worker may be a moment old, which is good enough to choose by.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, 0)
        self._counts = memoryview(self._memory).cast("i")

    @classmethod
    def create(cls, size: int) -> Self:
        """Counts of ``size`` workers, all of them absent."""
        descriptor = os.memfd_create("alga-runner-connections", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, size * _BYTES)
        counts = cls(descriptor)
        for index in range(size):
            counts.leave(index)
        return counts

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._counts.release()
        self._memory.close()
        os.close(self.descriptor)

    def set(self, index: int, connections: int) -> None:
        """Set the count of a worker that takes connections."""
        self._counts[index] = connections

    def leave(self, index: int) -> None:
        """Make a worker absent: it takes no more connections, or has ended."""
        self._counts[index] = _ABSENT

    def fewest(self) -> int:
        """The fewest connections of a worker that takes some; 0 without such a worker."""
        return min((count for count in self._counts if count != _ABSENT), default=0)


class Acceptor:
    """Takes connections from ``listener``, each with a protocol of ``connect``, until it is closed.

    ``open_connections`` returns how many are open; call ``update_count`` when that changes.
    """

    def __init__(
        self,
        listener: socket.socket,
        counts: ConnectionCounts,
        index: int,
        *,
        connect: Callable[[], asyncio.Protocol],
        open_connections: Callable[[], int],
    ) -> None:
        self._listener = listener
        self._counts = counts
        self._index = index
        self._connect = connect
        self._open_connections = open_connections
        self._opening: set[asyncio.Task[object]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._accepting = False

    def open(self) -> None:
        """Begin to take connections."""
        self._loop = asyncio.get_running_loop()
        self._listener.setblocking(False)
        self._accepting = True
        self.update_count()
        self._loop.add_reader(self._listener, self._accept)

    async def close(self) -> None:
        """Take no more, and return when all accepted connections are open. Others take those that wait."""
        if self._accepting:
            self._accepting = False
            if self._pause is not None:
                self._pause.cancel()
            self._loop.remove_reader(self._listener)
            self._counts.leave(self._index)
        if self._opening:
            await asyncio.wait(self._opening)

    def update_count(self) -> None:
        """Show the other workers how many connections this one has."""
        if self._accepting:
            self._counts.set(self._index, self._count())

    def _count(self) -> int:
        return self._open_connections() + len(self._opening)

    def _accept(self) -> None:
        if self._count() > self._counts.fewest() + MAX_AHEAD:
            self._wait(STEP_BACK_S)
        else:
            self._take()

    def _wait(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._loop.add_reader(self._listener, self._accept)
        self._take()

    def _take(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another worker took it, or its client left
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            logger.error(  # noqa: TRY400 - the sentence names the cause
                "Accepting a connection failed: %s", error.strerror, extra={"action": "exhausted"}
            )
            self._wait(EXHAUSTED_S)
            return
        connection.setblocking(False)
        opening = self._loop.create_task(self._loop.connect_accepted_socket(self._connect, connection))
        self._opening.add(opening)
        opening.add_done_callback(self._opened)
        self.update_count()

    def _opened(self, opening: asyncio.Task[object]) -> None:
        self._opening.discard(opening)
        if not opening.cancelled() and (error := opening.exception()) is not None:
            logger.warning(
                "Connection lost while it was opened: %s", error, extra={"action": "connection_lost"}
            )
        self.update_count()
