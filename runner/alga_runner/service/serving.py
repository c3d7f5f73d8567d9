"""The service on a socket: from listening to the last answer, and how signals end it."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
import uvicorn
from anyio.abc import TaskGroup, TaskStatus

from ..errors import SettingsError
from ..runner import Runner
from ..settings import Settings
from .app import Service, create_service

logger = logging.getLogger("alga_runner")

KEEP_ALIVE_S = 75
"""How long an idle connection stays open: longer than clients and balancers keep theirs, so that they close first."""

STRAGGLERS_S = 5
"""How long connections may take to close once every execution has ended."""


async def serve(
    settings: Settings,
    *,
    host: str,
    port: int,
    require_token: bool,
    announce: Callable[[str], None],
) -> int:
    """Serve until SIGTERM or SIGINT and return the exit status: 0, or 128 and the number of a second signal.

    The first signal drains: new executions are refused, those under way have ``shutdown_grace_ms``. The second ends
    them at once. ``announce`` is told the URL as soon as it answers; port 0 takes any free one. Raises
    ``SettingsError`` for a bundle store that is not there, an address that cannot be had, a missing token.
    """
    async with Runner(settings) as runner:
        service = create_service(runner, settings, require_token=require_token)
        await _require_store(runner, settings)
        with _listening(host, port) as listener:
            server = _Server(_config(service), lambda: announce(_url(listener)))
            status = _Status()
            async with anyio.create_task_group() as tasks:
                await tasks.start(_obey_signals, tasks, service, server, status)
                await server.serve(sockets=[listener])
                tasks.cancel_scope.cancel()
    return status.code


class _Status:
    """The exit status."""

    code = 0


class _Server(uvicorn.Server):
    """uvicorn, which leaves signals to us and says when it answers."""

    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer."""
        await super().startup(sockets)
        self._on_start()


async def _obey_signals(
    tasks: TaskGroup,
    service: Service,
    server: _Server,
    status: _Status,
    *,
    task_status: TaskStatus[None],
) -> None:
    async def drain() -> None:
        logger.info(
            "The runner is shutting down; %d executions are under way",
            service.executions,
            extra={"action": "draining"},
        )
        await service.drain()
        server.should_exit = True

    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        await anext(signals)
        tasks.start_soon(drain)
        number = await anext(signals)
        status.code = 128 + number
        service.stop()
        server.should_exit = server.force_exit = True


async def _require_store(runner: Runner, settings: Settings) -> None:
    hint = "Give --bundle-store or set BUNDLE_STORE_BASE: the folder that extensions are published to."
    if not settings.bundle_store:
        raise SettingsError("The runner has no bundle store to take extensions from.", hint=hint)
    if not await runner.bundle_store_reachable():
        raise SettingsError(
            f"The bundle store {settings.bundle_store} is not a folder that can be read.", hint=hint
        )


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (while ")[0]
        raise SettingsError(
            f"The runner cannot listen on {host} port {port}: {reason}.",
            hint="Choose another --port; 0 takes any that is free.",
        ) from None
    with listener:
        # Accepted sockets inherit it. asyncio sets it only where the listener's protocol says TCP, and this one's does
        # not; without it an answer's body waits for the acknowledgement of its head, 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _config(service: Service) -> uvicorn.Config:
    return uvicorn.Config(
        service,
        interface="asgi3",
        http="h11",  # whatever else is installed: it bounds a request's head, 64 KiB
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STRAGGLERS_S,
    )
