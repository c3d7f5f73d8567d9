"""The socket that the service listens on, and uvicorn as this service uses it. Importing it loads no engine."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import anyio
import uvicorn

from alga_common.http.connection import bounded_connections
from alga_common.system.interpreter import prepare_to_serve

from ..errors import SettingsError

if TYPE_CHECKING:
    from uvicorn.server import Protocols

    from ..runner import Runner
    from ..settings import Settings
    from .app import Service

logger = logging.getLogger("alga_runner")

BACKLOG = 2048
"""Connections that wait to be accepted; the kernel may allow fewer (``net.core.somaxconn``)."""


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens until the block ends; port 0 takes any free one. Raises ``SettingsError`` if it cannot."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (while ")[0]
        raise SettingsError(
            f"The runner cannot listen on {host} port {port}: {reason}.",
            hint="Choose another --port; 0 takes any that is free.",
        ) from None
    with listener:
        # Accepted sockets inherit it. asyncio sets it only for a listener whose protocol is TCP; this one's is 0.
        # Without it, an answer's body waits 40 ms for the acknowledgement of its head.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listener


def url_of(listener: socket.socket) -> str:
    """The URL of the socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


KEEP_ALIVE_S = 75
"""How long an idle connection stays open: longer than clients and balancers keep theirs, so that they close first."""

STRAGGLERS_S = 5
"""How long connections may take to close once every execution has ended."""


class Server(uvicorn.Server):
    """uvicorn without its own signal handling; it counts connections and drains the service.

    ``on_start`` is called when it answers, ``on_change`` when a connection was opened or has closed.
    """

    def __init__(
        self,
        service: Service,
        settings: Settings,
        on_start: Callable[[], None],
        on_change: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(config(service, settings))
        self.service = service
        self._on_start = on_start
        self.server_state.connections = _Connections(on_change or (lambda: None))

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture no signals."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer."""
        await super().startup(sockets)
        prepare_to_serve()
        self._on_start()

    async def drain(self) -> None:
        """Refuse new executions, let those under way end within their grace, and end the server."""
        logger.info(
            "Shutting down: draining, %d executions under way",
            self.service.executions,
            extra={"action": "draining"},
        )
        await self.service.drain()
        self.should_exit = True

    async def stop(self) -> None:
        """Cancel the executions under way, and end the server."""
        self.service.stop()
        self.should_exit = self.force_exit = True

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self.server_state.connections)

    def connection(self) -> asyncio.Protocol:
        """The protocol of a connection that was accepted elsewhere."""
        make = cast("Callable[..., asyncio.Protocol]", self.config.http_protocol_class)
        return make(config=self.config, server_state=self.server_state, app_state={})

    def close_idle(self) -> None:
        """Close connections on which no request is under way; the others close after theirs."""
        for connection in list(self.server_state.connections):
            connection.shutdown()

    async def all_closed(self) -> None:
        """Return when no connection is open."""
        connections = cast("_Connections", self.server_state.connections)
        while connections:
            connections.emptied = anyio.Event()
            await connections.emptied.wait()


class _Connections(set["Protocols"]):
    """Open connections. uvicorn's protocols add and discard themselves."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        super().__init__()
        self._on_change = on_change
        self.emptied: anyio.Event | None = None

    def add(self, connection: Protocols) -> None:
        super().add(connection)
        self._on_change()

    def discard(self, connection: object) -> None:
        super().discard(connection)
        self._on_change()
        if not self and self.emptied is not None:
            self.emptied.set()


async def require_store(runner: Runner, settings: Settings) -> None:
    """Raise ``SettingsError`` unless there is a bundle store, and a folder can be read.

    A store over HTTP may be down meanwhile: extensions in the cache run without it.
    """
    hint = "Give --bundle-store or set BUNDLE_STORE_BASE: the folder that extensions are published to."
    if not settings.bundle_store:
        raise SettingsError("The runner has no bundle store to take extensions from.", hint=hint)
    if settings.bundle_store.lower().startswith(("http://", "https://")):
        return
    if not await runner.bundle_store_reachable():
        raise SettingsError(
            f"The bundle store {settings.bundle_store} is not a folder that can be read.", hint=hint
        )


def config(service: Service, settings: Settings) -> uvicorn.Config:
    """uvicorn's settings."""
    return uvicorn.Config(
        service,
        interface="asgi3",
        http=bounded_connections(settings.max_connections, settings.max_connections_per_address),
        lifespan="off",
        workers=1,  # else it reads WEB_CONCURRENCY
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STRAGGLERS_S,
    )
