"""The supervisor of several workers behind one port: starts them, and obeys the signals that end or replace them."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable

import anyio
from anyio.abc import TaskStatus

from ..errors import AlgaError
from ..service.reply_cache import ReplyCache
from ..service.server import listening, url_of
from ..settings import Settings
from .acceptor import ConnectionCounts
from .process import Plan
from .worker_pool import WorkerPool

logger = logging.getLogger("alga_runner")

STOP_S = 5.0
"""How long workers have to end once they were ordered to stop; then they are killed."""

DRAIN_S = 15.0
"""The same for those that drain, beyond ``shutdown_grace_ms``."""


async def serve_workers(
    settings: Settings,
    *,
    workers: int,
    host: str,
    port: int,
    require_token: bool,
    announce: Callable[[str], None],
) -> int:
    """Serve with ``workers`` processes until SIGTERM or SIGINT; the exit status and the signals are those of ``serve``.

    SIGHUP replaces the workers, one at a time. ``announce`` gets the URL once all of them are ready. Raises what
    keeps one from starting, and ``WorkerFailed`` when they die again and again.
    """
    settings.for_worker(workers, workers)  # raises before anything starts for settings that cannot be divided
    supervisor = _Supervisor(settings)
    with listening(host, port) as listener, ConnectionCounts.create(workers + 1) as counts:
        listener.setblocking(False)
        plan = Plan(settings, workers, require_token, listener, counts)
        async with anyio.create_task_group() as tasks:
            pool = WorkerPool(plan, tasks, ReplyCache.of(settings))
            try:
                await tasks.start(supervisor.obey_signals, pool)
                await supervisor.serve(pool, lambda: announce(url_of(listener)))
            finally:
                pool.kill()
                tasks.cancel_scope.cancel()
    if supervisor.failure is not None:
        raise supervisor.failure
    return supervisor.status


class _Supervisor:
    """The exit ``status`` or the ``failure`` of one service."""

    def __init__(self, settings: Settings) -> None:
        self._grace_s = settings.shutdown_grace_ms / 1000
        self._in_terminal = _has_terminal()
        self.status = 0
        self.failure: AlgaError | None = None

    async def serve(self, pool: WorkerPool, announce: Callable[[], None]) -> None:
        """Start the pool, and return when it ended."""
        try:
            await pool.start()
        except AlgaError as error:
            self.failure = error
            return
        if not pool.ending:
            announce()
        await pool.ended()
        self.failure = pool.failure

    async def obey_signals(self, pool: WorkerPool, *, task_status: TaskStatus[None]) -> None:
        """Drain on the first SIGTERM or SIGINT, stop on the second; replace the workers on SIGHUP."""
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            task_status.started()
            await self._ending_signal(signals, pool)
            logger.info("Shutting down: draining all workers", extra={"action": "draining"})
            pool.end("drain", self._grace_s + DRAIN_S)
            self.status = 128 + await self._ending_signal(signals, pool)
            pool.end("stop", STOP_S)

    async def _ending_signal(self, signals: AsyncIterator[signal.Signals], pool: WorkerPool) -> int:
        """The next signal that ends the service."""
        async for number in signals:
            if number != signal.SIGHUP or (self._in_terminal and not _has_terminal()):
                return number
            pool.replace_all()
        raise AssertionError("signals do not end")


def _has_terminal() -> bool:
    """Whether the log goes to a terminal that is still open: SIGHUP is also sent when it was closed."""
    try:
        return os.isatty(sys.stderr.fileno()) and os.tcgetpgrp(sys.stderr.fileno()) >= 0
    except (OSError, ValueError):
        return False
