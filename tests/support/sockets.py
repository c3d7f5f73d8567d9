"""ASGI apps on real sockets, in this process."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import uvicorn


def listener() -> socket.socket:
    """A socket that listens on a free port. Connections wait in its queue until an app is served, so no test has to."""
    listening = socket.create_server(("127.0.0.1", 0))
    # As the runner's own: without it an answer's body waits 40 ms for the acknowledgement of its head.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def url_of(listening: socket.socket) -> str:
    """The URL of the socket."""
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


@asynccontextmanager
async def served(app: Any, on: socket.socket) -> AsyncIterator[None]:
    """Serve ``app`` there, and close the socket at the end."""
    config = uvicorn.Config(app, lifespan="off", log_config=None, ws="none", http="h11")
    server = _QuietUvicorn(config)
    with on:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [on])
            yield
            server.should_exit = True


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """Serve ``app`` on a free port; its URL."""
    on = listener()
    async with served(app, on):
        yield url_of(on)


class _QuietUvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
