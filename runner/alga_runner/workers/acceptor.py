"""Connections taken from a port that several workers share, so that each has about as many.

All listen on one socket, so that a connection waits for whoever is free, not for a worker that hangs, drains or has
died. Left to themselves, workers then take whole bursts: of 200 connections at once, two took 186 and 14. A socket for
each (SO_REUSEPORT) spreads by chance, 4, 4, 9 and 15 of 32, and binds a connection to one worker before that accepts.
So a worker that has more than the one with the fewest steps back for a millisecond: 8, 8, 8 and 8.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

from .board import ConnectionCounts

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
