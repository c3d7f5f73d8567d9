"""The service on a socket: from listening to the last answer, and how signals end it."""

from __future__ import annotations

import signal
from collections.abc import Callable

import anyio
from anyio.abc import TaskGroup, TaskStatus

from ..runner import Runner
from ..settings import Settings
from ..telemetry import exporting
from .app import create_service
from .server import Server, listening, require_store, url_of


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
    them immediately. ``announce`` gets the URL as soon as it answers; port 0 takes any free one. Raises
    ``SettingsError`` for a bundle store that cannot be read, an address that cannot be used, a missing token.
    """
    status = _Status()
    with exporting(settings):
        async with Runner(settings) as runner:
            service = create_service(runner, settings, require_token=require_token)
            await require_store(runner, settings)
            with listening(host, port) as listener:
                server = Server(service, settings, lambda: announce(url_of(listener)))
                async with anyio.create_task_group() as tasks:
                    await tasks.start(_obey_signals, tasks, server, status)
                    tasks.start_soon(service.watch_checks)
                    await server.serve(sockets=[listener])
                    tasks.cancel_scope.cancel()
    return status.code


class _Status:
    """The exit status."""

    code = 0


async def _obey_signals(
    tasks: TaskGroup,
    server: Server,
    status: _Status,
    *,
    task_status: TaskStatus[None],
) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        await anext(signals)
        tasks.start_soon(server.drain)
        number = await anext(signals)
        status.code = 128 + number
        await server.stop()
