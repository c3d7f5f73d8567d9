"""One worker process, from inside: it serves on the shared port, and ends when the supervisor orders it or ends."""

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

from alga_common.system.event_loop import loop_options

from ..errors import AlgaError, SettingsError
from ..runner import Runner
from ..service import Service, create_service
from ..service.server import KEEP_ALIVE_S, Server, require_store
from ..settings import MIB, Settings
from ..telemetry import configure_logging, exporting
from .acceptor import Acceptor, ConnectionCounts
from .link import Link, SharedReplies, WorkerPeers
from .resources import MemoryWatch, resident_bytes

logger = logging.getLogger("alga_runner")

REPORT_S = 1.0
"""How often a worker sends its counters. A crash loses the counts since then."""

UNREAD_S = 15.0
"""How long a retiring worker leaves an answer to a client that takes nothing of it."""

EXIT_GRACE_S = 5.0
"""How long a worker has to end by itself once the supervisor ended."""


def main(channel: int, listener: int, counts: int) -> int:
    """Serve; returns the exit status. The arguments are file descriptors."""
    signals = {signal.SIGINT, signal.SIGHUP, signal.SIGTERM}
    for number in signals:
        signal.signal(number, signal.SIG_IGN)  # the supervisor gets them, too, and orders what they mean
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    exit_with_supervisor(channel)
    with socket.socket(fileno=listener) as port, ConnectionCounts(counts) as shared_counts:
        connection = socket.socket(fileno=channel)
        return anyio.run(_run, connection, port, shared_counts, backend_options=loop_options())


def exit_with_supervisor(channel: int) -> None:
    """Kill this process ``EXIT_GRACE_S`` seconds after the other end of ``channel`` was closed.

    The event loop sees that end too, and ends in its own way; this is for a loop that hangs. The channel must stay
    open as long as the process.
    """
    threading.Thread(target=_watch, args=(channel,), name="alga-runner-supervisor", daemon=True).start()


def _watch(channel: int) -> None:
    poll = select.poll()
    poll.register(channel, 0)  # without events: the kernel reports a closed end always
    poll.poll()
    time.sleep(EXIT_GRACE_S)
    os.kill(os.getpid(), signal.SIGKILL)


async def _run(connection: socket.socket, port: socket.socket, counts: ConnectionCounts) -> int:
    status = 0
    link = Link(connection)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(link.run)
        await link.started.wait()
        if link.start:
            try:
                await _serve(link, port, counts)
            except AlgaError as error:
                await link.send("failed", code=error.code, message=error.sentence(), hint=error.hint)
                status = 1
        tasks.cancel_scope.cancel()
    return status


async def _serve(link: Link, port: socket.socket, counts: ConnectionCounts) -> None:
    settings = Settings.of_document(link.start["settings"])
    configure_logging(settings.log_level, worker=link.start["worker"])
    with exporting(settings):
        await _serve_with(settings, link, port, counts)


async def _serve_with(settings: Settings, link: Link, port: socket.socket, counts: ConnectionCounts) -> None:
    async with Runner(settings) as runner:
        service = create_service(
            runner,
            settings,
            require_token=link.start["require_token"],
            replies=SharedReplies(link),
            peers=WorkerPeers(link),
        )
        await require_store(runner, settings)
        _check_max_rss(settings.worker_max_rss_mb)
        link.report(runner.telemetry)
        async with anyio.create_task_group() as tasks:

            def on_start() -> None:
                tasks.start_soon(partial(link.send, "ready"))

            server = WorkerServer(service, settings, on_start, port, counts=counts, index=link.start["index"])
            longest_s = (settings.max_timeout_ms + settings.http_body_timeout_ms) / 1000
            tasks.start_soon(_on, link.retire, partial(server.retire, longest_s))
            tasks.start_soon(_on, link.drain, server.drain)
            tasks.start_soon(_on, link.stop, server.stop)
            tasks.start_soon(_request_replacement_on_sigterm, link)
            tasks.start_soon(_report, link, settings.worker_max_rss_mb)
            if link.start["worker"] == 1:  # the others would find, and log, the same
                tasks.start_soon(service.watch_checks)
            await server.serve(sockets=[])
            tasks.cancel_scope.cancel()
        await link.send_counters()


class WorkerServer(Server):
    """The service's server in a worker: it takes its connections from ``listener``, which all workers share."""

    def __init__(
        self,
        service: Service,
        settings: Settings,
        on_start: Callable[[], None],
        listener: socket.socket,
        *,
        counts: ConnectionCounts,
        index: int,
    ) -> None:
        self._on_ready = on_start
        self._acceptor = Acceptor(
            listener, counts, index, connect=self.connection, open_connections=lambda: self.connections
        )
        super().__init__(service, settings, self._open, self._acceptor.update_count)

    def _open(self) -> None:
        self._acceptor.open()
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, and close the open ones."""
        await self._acceptor.close()
        await super().shutdown(sockets)

    async def retire(self, longest_request_s: float) -> None:
        """Take no more connections, and end when none is open. No request is refused or cut off.

        A connection is closed with its next answer. One without a request is closed after as long as it may be idle
        anyway; ``longest_request_s`` bounds the requests that are under way then. One whose client takes nothing of an
        answer is aborted: the next worker's replacement waits for this one's end.
        """
        logger.info(
            "Retiring: taking no more connections, %d executions under way",
            self.service.executions,
            extra={"action": "retiring"},
        )
        await self._acceptor.close()
        self.service.retire()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._abort_unread)
            with anyio.move_on_after(KEEP_ALIVE_S):
                await self.all_closed()
            self.close_idle()
            with anyio.move_on_after(longest_request_s):
                await self.all_closed()
            tasks.cancel_scope.cancel()
        self.should_exit = True

    async def _abort_unread(self) -> None:
        """Abort connections whose client took nothing of an answer for ``UNREAD_S``."""
        before: dict[object, int] = {}
        while True:
            unread: dict[object, int] = {}
            for connection in list(self.server_state.connections):
                transport = connection.transport
                size = transport.get_write_buffer_size()
                if size and before.get(connection) == size:
                    transport.abort()
                elif size:
                    unread[connection] = size
            before = unread
            await anyio.sleep(UNREAD_S)


def _check_max_rss(max_rss_mb: int) -> None:
    """Raise ``SettingsError`` for a bound that an idle worker exceeds: each successor would exceed it, too."""
    resident_mb = -(-resident_bytes() // MIB)
    if 0 < max_rss_mb <= resident_mb:
        raise SettingsError(
            f"The setting worker_max_rss_mb (ALGA_RUNNER_WORKER_MAX_RSS_MB) is {max_rss_mb},"
            f" and an idle worker has {resident_mb} MiB.",
            hint="Leave room for executions, or set 0 for no bound.",
        )


async def _on(order: anyio.Event, obey: Callable[[], Awaitable[None]]) -> None:
    await order.wait()
    await obey()


async def _request_replacement_on_sigterm(link: Link) -> None:
    """SIGTERM to one worker alone is a request to replace it."""
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        async for _ in signals:
            await link.send("replace", why="asked")


async def _report(link: Link, max_rss_mb: int) -> None:
    """Send the counters every second, and a request for a replacement when memory stays above the bound."""
    watch = MemoryWatch(max_rss_mb * MIB)
    while True:
        resident = await link.send_counters()
        if watch.exceeded(resident):
            logger.warning(
                "Resident memory stays above worker_max_rss_mb: %d MiB, bound %d MiB",
                resident // MIB,
                max_rss_mb,
                extra={"action": "memory_passed"},
            )
            await link.send("replace", why="memory")
        await anyio.sleep(REPORT_S)
