"""A worker does not outlive its supervisor.

One worker process, from inside: it becomes what the supervisor says, serves, and ends when it is told to.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial

import anyio

from ..errors import AlgaError, SettingsError
from ..runner import Runner
from ..service import Service, create_service
from ..service.serving import cut_off, drain, require_store
from ..settings import MIB, Settings
from ..telemetry import configure_logging
from .acceptor import ConnectionCounts
from .link import Link
from .peers import SharedReplies, WorkerPeers
from .resources import Watermark, resident_bytes
from .server import WorkerServer

LAST_WORDS_S = 5.0
"""How long a worker has to end by itself once the supervisor is gone."""


def end_with(channel: int) -> None:
    """Kill this process ``LAST_WORDS_S`` seconds after the other end of ``channel`` has closed.

    The event loop sees that end too, and ends in its own way; this is for a loop that does not turn any more. The
    channel must stay open as long as the process.
    """
    threading.Thread(target=_watch, args=(channel,), name="alga-runner-lifeline", daemon=True).start()


def _watch(channel: int) -> None:
    poll = select.poll()
    poll.register(channel, 0)  # nothing is asked for: a hang-up is always told
    poll.poll()
    time.sleep(LAST_WORDS_S)
    os.kill(os.getpid(), signal.SIGKILL)


logger = logging.getLogger("alga_runner")

TELL_S = 1.0
"""How often it tells the supervisor what it counted. A crash costs what came after."""


def main(channel: int, listener: int, board: int) -> int:
    """Serve; the exit status. The arguments are file descriptors."""
    for each in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)  # the supervisor gets them too, and says what they mean
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGHUP, signal.SIGTERM})
    end_with(channel)
    with socket.socket(fileno=listener) as port, ConnectionCounts(board) as seats:
        return anyio.run(_work, socket.socket(fileno=channel), port, seats)


async def _work(connection: socket.socket, port: socket.socket, board: ConnectionCounts) -> int:
    status = 0
    link = Link(connection)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(link.run)
        await link.started.wait()
        if link.start:
            try:
                await _serve(link, port, board)
            except AlgaError as error:
                await link.tell("failed", code=error.code, message=error.sentence(), hint=error.hint)
                status = 1
        tasks.cancel_scope.cancel()
    return status


async def _serve(link: Link, port: socket.socket, board: ConnectionCounts) -> None:
    settings = Settings.of_document(link.start["settings"])
    configure_logging(settings.log_level, worker=link.start["worker"])
    async with Runner(settings) as runner:
        service = create_service(
            runner,
            settings,
            require_token=link.start["require_token"],
            replies=SharedReplies(link),
            peers=WorkerPeers(link),
        )
        await require_store(runner, settings)
        _require_room(settings.worker_max_rss_mb)
        link.report(runner.telemetry)
        async with anyio.create_task_group() as tasks:

            def ready() -> None:
                tasks.start_soon(partial(link.tell, "ready"))

            server = WorkerServer(service, ready, port, board, link.start["seat"])
            longest_s = (settings.max_timeout_ms + settings.http_body_timeout_ms) / 1000
            tasks.start_soon(_on, link.retire, partial(server.retire, longest_s))
            tasks.start_soon(_on, link.drain, partial(drain, service, server))
            tasks.start_soon(_on, link.stop, partial(_cut_off, service, server))
            tasks.start_soon(_ask_to_leave, link)
            tasks.start_soon(_tell_of_itself, link, settings.worker_max_rss_mb)
            await server.serve(sockets=[])
            tasks.cancel_scope.cancel()
        await link.tell_counts()


def _require_room(max_rss_mb: int) -> None:
    """Raise ``SettingsError`` for a bound that is passed before anything was done: it would be passed for ever."""
    has_mb = -(-resident_bytes() // MIB)
    if 0 < max_rss_mb <= has_mb:
        raise SettingsError(
            f"The setting worker_max_rss_mb is {max_rss_mb}, and a worker that has done nothing has {has_mb} MiB.",
            hint="Give it room for what it is to do, or 0 for no bound.",
        )


async def _on(order: anyio.Event, obey: Callable[[], Awaitable[None]]) -> None:
    await order.wait()
    await obey()


async def _cut_off(service: Service, server: WorkerServer) -> None:
    cut_off(service, server)


async def _ask_to_leave(link: Link) -> None:
    """SIGTERM to one worker alone is a wish to replace it."""
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        async for _ in signals:
            await link.tell("replace", why="asked")


async def _tell_of_itself(link: Link, max_rss_mb: int) -> None:
    watermark = Watermark(max_rss_mb * MIB)
    while True:
        resident = await link.tell_counts()
        if watermark.passed(resident):
            logger.warning(
                "This worker has %d MiB in memory; worker_max_rss_mb is %d",
                resident // MIB,
                max_rss_mb,
                extra={"action": "memory_passed"},
            )
            await link.tell("replace", why="memory")
        await anyio.sleep(TELL_S)
