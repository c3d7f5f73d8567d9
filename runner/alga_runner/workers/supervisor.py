"""Several workers behind one port, from listening to the last answer, and how signals end or renew them."""

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

CUT_OFF_S = 5.0
"""How long workers have to end once they were cut off; then they are killed."""

LINGER_S = 15.0
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

    SIGHUP replaces the workers, one after the other. ``announce`` is told the URL once all of them answer. Raises what
    keeps one from starting, and ``WorkerFailed`` when they die again and again.
    """
    settings.for_worker(workers, workers)  # what cannot be divided is told before anything starts
    supervisor = _Supervisor(settings)
    with listening(host, port) as listener, ConnectionCounts.create(workers + 1) as board:
        listener.setblocking(False)
        plan = Plan(settings, workers, require_token, listener, board)
        async with anyio.create_task_group() as tasks:
            fleet = WorkerPool(plan, tasks, ReplyCache.within(settings))
            try:
                await tasks.start(supervisor.obey_signals, fleet)
                await supervisor.serve(fleet, lambda: announce(url_of(listener)))
            finally:
                fleet.kill()
                tasks.cancel_scope.cancel()
    if supervisor.failure is not None:
        raise supervisor.failure
    return supervisor.status


class _Supervisor:
    """What it did so far."""

    def __init__(self, settings: Settings) -> None:
        self._grace_s = settings.shutdown_grace_ms / 1000
        self._in_terminal = _has_terminal()
        self.status = 0
        self.failure: AlgaError | None = None

    async def serve(self, fleet: WorkerPool, announce: Callable[[], None]) -> None:
        """From the start of the fleet to its end."""
        try:
            await fleet.start()
        except AlgaError as error:
            self.failure = error
            return
        if not fleet.ending:
            announce()
        await fleet.gone()
        self.failure = fleet.failure

    async def obey_signals(self, fleet: WorkerPool, *, task_status: TaskStatus[None]) -> None:
        """The first SIGTERM or SIGINT drains, the second cuts off; SIGHUP replaces."""
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            task_status.started()
            await self._told_to_end(signals, fleet)
            logger.info("The runner is shutting down", extra={"action": "draining"})
            fleet.end("drain", self._grace_s + LINGER_S)
            self.status = 128 + await self._told_to_end(signals, fleet)
            fleet.end("stop", CUT_OFF_S)

    async def _told_to_end(self, signals: AsyncIterator[signal.Signals], fleet: WorkerPool) -> int:
        """The number of the next signal that ends."""
        async for number in signals:
            if number != signal.SIGHUP or (self._in_terminal and not _has_terminal()):
                return number
            fleet.roll()
        raise AssertionError("signals do not end")


def _has_terminal() -> bool:
    """Whether the log goes to a terminal that is still there: SIGHUP says, too, that it is not."""
    try:
        return os.isatty(sys.stderr.fileno()) and os.tcgetpgrp(sys.stderr.fileno()) >= 0
    except (OSError, ValueError):
        return False
