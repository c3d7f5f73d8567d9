"""The service on a socket: from listening to the last answer, and how signals end it."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable

import anyio
from anyio.abc import TaskGroup, TaskStatus

from ..errors import SettingsError
from ..runner import Runner
from ..settings import Settings
from .app import Service, create_service
from .server import Server, listening, url_of

logger = logging.getLogger("alga_runner")


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
        await require_store(runner, settings)
        with listening(host, port) as listener:
            server = Server(service, lambda: announce(url_of(listener)))
            status = _Status()
            async with anyio.create_task_group() as tasks:
                await tasks.start(_obey_signals, tasks, service, server, status)
                await server.serve(sockets=[listener])
                tasks.cancel_scope.cancel()
    return status.code


async def require_store(runner: Runner, settings: Settings) -> None:
    """Raise ``SettingsError`` unless there is a store to take bundles from."""
    hint = "Give --bundle-store or set BUNDLE_STORE_BASE: the folder that extensions are published to."
    if not settings.bundle_store:
        raise SettingsError("The runner has no bundle store to take extensions from.", hint=hint)
    if not await runner.bundle_store_reachable():
        raise SettingsError(
            f"The bundle store {settings.bundle_store} is not a folder that can be read.", hint=hint
        )


async def drain(service: Service, server: Server) -> None:
    """Refuse new executions, let those under way end within their grace, and end the server."""
    logger.info(
        "The runner is shutting down; %d executions are under way",
        service.executions,
        extra={"action": "draining"},
    )
    await service.drain()
    server.should_exit = True


def cut_off(service: Service, server: Server) -> None:
    """End what is under way, and the server."""
    service.stop()
    server.should_exit = server.force_exit = True


class _Status:
    """The exit status."""

    code = 0


async def _obey_signals(
    tasks: TaskGroup,
    service: Service,
    server: Server,
    status: _Status,
    *,
    task_status: TaskStatus[None],
) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        await anext(signals)
        tasks.start_soon(drain, service, server)
        number = await anext(signals)
        status.code = 128 + number
        cut_off(service, server)
