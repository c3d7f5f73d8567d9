"""The service's server in a worker, which shares its port with others."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable

import anyio

from ..service import Service
from ..service.server import KEEP_ALIVE_S, Server
from .acceptor import Acceptor, ConnectionCounts

logger = logging.getLogger("alga_runner")


class WorkerServer(Server):
    """Takes its connections from ``listener``, at ``seat`` of ``board``."""

    def __init__(
        self,
        service: Service,
        on_start: Callable[[], None],
        listener: socket.socket,
        board: ConnectionCounts,
        seat: int,
    ) -> None:
        super().__init__(service, self._begin, self._changed)
        self._service = service
        self._tell = on_start
        self._acceptor = Acceptor(
            listener, board, seat, connect=self.connection, connections=lambda: self.connections
        )

    def _begin(self) -> None:
        self._acceptor.open()
        self._tell()

    def _changed(self) -> None:
        self._acceptor.changed()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, and close those that there are."""
        await self._acceptor.close()
        await super().shutdown(sockets)

    async def retire(self, longest_request_s: float) -> None:
        """Leave the port to the others, and end when nobody is connected any more. No request is refused or cut off.

        A connection is closed with its next answer. One that brings no request is closed after as long as it may be
        idle anyway; ``longest_request_s`` bounds what is under way then.
        """
        logger.info(
            "Leaving the port to the others; %d executions are under way",
            self._service.executions,
            extra={"action": "retiring"},
        )
        await self._acceptor.close()
        self._service.retire()
        with anyio.move_on_after(KEEP_ALIVE_S):
            await self.unconnected()
        self.close_idle()
        with anyio.move_on_after(longest_request_s):
            await self.unconnected()
        self.should_exit = True
