"""Keeps the configured number of workers behind one port, and replaces them one at a time.

A worker that died is replaced immediately, the next after longer and longer pauses; ``MAX_CRASHES`` in a row end all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import anyio
from anyio.abc import TaskGroup

from ..errors import AlgaError, WorkerFailed
from ..service.reply_cache import IdempotencyKey, ReplyCache
from .channel import Message
from .claims import WorkerClaims
from .process import Plan, WorkerProcess
from .totals import Totals

logger = logging.getLogger("alga_runner")

MAX_CRASHES = 5
"""Crashes in a row that end the service: an operator can do more about them than another start."""

LONG_LIFE_S = 60.0
"""After a worker that lived so long, crashes are counted anew."""

FIRST_PAUSE_S = 0.5
"""The pause before the second replacement in a row; it doubles with each."""

START_S = 60.0
"""How long a worker may take until it is ready."""

CHECK_S = 1.0
"""How often the pool checks that each worker has sent a message; each should every second."""

MAX_SILENT_CHECKS = 60
"""Checks in a row without a message from a worker, after which it is killed."""

_REASONS = {"memory": "it uses too much memory", "asked": "its replacement was requested"}


class Crashes:
    """The crashes in a row of one worker and its replacements."""

    def __init__(self, *, first_pause_s: float = FIRST_PAUSE_S) -> None:
        self._first_pause_s = first_pause_s
        self._in_a_row = 0

    def pause_s(self, uptime_s: float) -> float | None:
        """Seconds until the replacement of a worker that lived ``uptime_s`` seconds; ``None`` for no replacement."""
        self._in_a_row = 1 if uptime_s >= LONG_LIFE_S else self._in_a_row + 1
        if self._in_a_row >= MAX_CRASHES:
            return None
        return 0.0 if self._in_a_row == 1 else float(self._first_pause_s * 2 ** (self._in_a_row - 2))


class WorkerPool:
    """The workers of ``plan``, run in ``tasks``. They share ``cache``."""

    def __init__(
        self,
        plan: Plan,
        tasks: TaskGroup,
        cache: ReplyCache,
        *,
        crashes: Callable[[], Crashes] = Crashes,
    ) -> None:
        self._plan = plan
        self._tasks = tasks
        self._cache = cache
        self._crashes = crashes
        self._workers: dict[int, WorkerProcess] = {}
        """All processes that have not ended, by index."""
        self._current: dict[int, WorkerProcess] = {}
        """By number, the worker that takes requests, or the last one, which died."""
        self._claims: dict[int, WorkerClaims] = {}
        """By index."""
        self._replacing = anyio.Lock()
        self._totals = Totals(lambda: list(self._workers.values()))
        self.ending = False
        self._changed = anyio.Event()
        self.failure: AlgaError | None = None
        """Why the pool ended itself."""

    async def start(self) -> None:
        """Start all workers, and return when all are ready or ordered to end. Raises why one of them did not start."""
        failures: list[AlgaError] = []
        async with anyio.create_task_group() as starting:

            async def start(number: int) -> None:
                try:
                    self._current[number] = await self._start(number)
                except AlgaError as error:
                    failures.append(error)
                    starting.cancel_scope.cancel()

            for number in range(1, self._plan.workers + 1):
                starting.start_soon(start, number)
        if failures and not self.ending:
            raise failures[0]
        for number in self._current:
            self._tasks.start_soon(self._supervise, number)
        self._tasks.start_soon(self._kill_hanging)

    async def ended(self) -> None:
        """Return when all workers have ended and no other will be started."""
        while self._workers or not self.ending:
            self._changed = anyio.Event()
            await self._changed.wait()

    def replace_all(self) -> None:
        """Replace all workers, one at a time."""
        for worker in self._current.values():
            worker.request_replacement("asked")

    def end(self, order: str, within_s: float) -> None:
        """Order all workers to ``drain`` or ``stop``; kill those that exist ``within_s`` seconds later."""
        self.ending = True
        for worker in self._workers.values():
            if worker.ready.is_set():
                worker.order(order)
            else:
                worker.kill()
        self._changed.set()
        self._tasks.start_soon(self._kill_later, within_s)

    def kill(self) -> None:
        """Kill all workers."""
        self.ending = True
        for worker in self._workers.values():
            worker.leaving = True
            worker.kill()

    # ---- Replacements

    async def _supervise(self, number: int) -> None:
        """Replace worker ``number`` when it ends or asks for it, until the pool ends."""
        crashes = self._crashes()
        while True:
            worker = self._current[number]
            await worker.needs_replacement.wait()
            if self.ending:
                return
            if not worker.ended.is_set():
                await self._replace(worker)
            elif not await self._replace_crashed(worker, crashes):
                return

    async def _replace(self, worker: WorkerProcess) -> None:
        """Start a successor, then retire ``worker``; one replacement at a time."""
        if not await self._acquire_replacing(worker):
            return  # it died meanwhile
        try:
            why = worker.begin_replacement()
            self._log(logging.INFO, "worker_replaced", worker, f"is being replaced: {_REASONS[why]}", why=why)
            try:
                self._current[worker.number] = await self._start(worker.number)
            except AlgaError as error:
                if not self.ending:
                    self._log(
                        logging.ERROR, "worker_failed", worker, f"goes on, its successor failed: {error}"
                    )
                return
            self._totals.count_replacement(why)
            if not self.ending:
                worker.order("retire")
            await worker.ended.wait()
        finally:
            self._replacing.release()

    async def _acquire_replacing(self, worker: WorkerProcess) -> bool:
        """Acquire the lock, unless ``worker`` ends before; returns whether it is acquired."""
        acquired = False
        async with anyio.create_task_group() as waiting:

            async def give_up() -> None:
                await worker.ended.wait()
                waiting.cancel_scope.cancel()

            waiting.start_soon(give_up)
            await self._replacing.acquire()
            acquired = True
            waiting.cancel_scope.cancel()
        return acquired

    async def _replace_crashed(self, worker: WorkerProcess, crashes: Crashes) -> bool:
        """Start another worker for one that died; returns whether the pool goes on."""
        uptime_s = worker.uptime_s
        while not self.ending:
            self._totals.count_replacement("crash")
            pause_s = crashes.pause_s(uptime_s)
            if pause_s is None:
                self._give_up(worker)
                return False
            if pause_s:
                self._log(logging.WARNING, "worker_awaited", worker, f"will be replaced in {pause_s:g} s")
                await anyio.sleep(pause_s)
            try:
                self._current[worker.number] = await self._start(worker.number)
            except AlgaError as error:
                uptime_s = 0.0
                if not self.ending:
                    self._log(logging.ERROR, "worker_failed", worker, f"was not replaced yet: {error}")
            else:
                return True
        return False

    def _give_up(self, worker: WorkerProcess) -> None:
        self.failure = WorkerFailed(
            f"Worker {worker.number} died {MAX_CRASHES} times in a row, the last time "
            f"{worker.exit_status()}; the service ends.",
            hint="The log has the exit of each; the request that kills them is among the last of each.",
        )
        logger.error("%s", self.failure, extra={"action": "worker_failed", "worker": worker.number})
        self.end("drain", self._plan.settings.shutdown_grace_ms / 1000)

    # ---- One worker

    async def _start(self, number: int) -> WorkerProcess:
        """Start a worker, and return it when it is ready. Raises why it is not, and ``WorkerFailed`` at the end."""
        if self.ending:
            raise WorkerFailed("The service ends.")
        index = next(index for index in range(self._plan.workers + 1) if index not in self._workers)
        try:
            worker = WorkerProcess(self._plan, number, index, self._handle)
        except OSError as error:
            raise WorkerFailed(f"Worker {number} cannot be started: {error.strerror}.") from None
        self._workers[index] = worker
        self._claims[index] = WorkerClaims(self._cache, worker.post)
        self._tasks.start_soon(self._run, worker)
        try:
            with anyio.move_on_after(START_S) as timeout:
                await self._ready_or_ended(worker)
        except BaseException:
            worker.kill()
            raise
        if worker.ready.is_set():
            self._log(logging.INFO, "worker_started", worker, "started")
            self._post_ready_workers()
            return worker
        worker.kill()
        await worker.ended.wait()
        if timeout.cancelled_caught:
            raise WorkerFailed(f"{worker} did not answer within {START_S:g} s.")
        raise worker.start_failure()

    async def _ready_or_ended(self, worker: WorkerProcess) -> None:
        async with anyio.create_task_group() as waiting:

            async def wait_for(event: anyio.Event) -> None:
                await event.wait()
                waiting.cancel_scope.cancel()

            waiting.start_soon(wait_for, worker.ready)
            waiting.start_soon(wait_for, worker.ended)

    async def _run(self, worker: WorkerProcess) -> None:
        try:
            await worker.run()
        finally:
            del self._workers[worker.index]
            self._claims.pop(worker.index).close()
            self._totals.keep(worker)
            self._changed.set()
        if worker.ready.is_set() and not worker.leaving and not self.ending:
            self._log(logging.ERROR, "worker_died", worker, f"died {worker.exit_status()}")
        self._post_ready_workers()

    async def _kill_hanging(self) -> None:
        """Kill workers that hang. Checks are counted, not seconds: a machine that slept must not kill any."""
        while True:
            await anyio.sleep(CHECK_S)
            for worker in list(self._workers.values()):
                worker.silent_checks += 1
                if worker.ready.is_set() and worker.silent_checks >= MAX_SILENT_CHECKS:
                    self._log(logging.ERROR, "worker_hung", worker, "hangs and is killed")
                    worker.kill()

    async def _kill_later(self, seconds: float) -> None:
        await anyio.sleep(seconds)
        for worker in list(self._workers.values()):
            self._log(logging.ERROR, "worker_hung", worker, "did not end in time and is killed")
            worker.kill()

    # ---- Messages

    def _handle(self, worker: WorkerProcess, message: Message) -> bool:
        claims = self._claims[worker.index]
        match message:
            case {
                "kind": "claim",
                "number": int(number),
                "digest": bytes(digest),
                "fingerprint": bytes(fingerprint),
                "tenant": bytes(tenant),
            }:
                claims.claim(number, IdempotencyKey(digest, fingerprint, tenant))
            case {"kind": "release", "number": int(number), "reply": reply}:
                claims.release(number, reply)
            case {"kind": "metrics", "number": int(number)}:
                self._tasks.start_soon(self._post_metrics, worker, number)
            case _:
                return False
        return True

    async def _post_metrics(self, worker: WorkerProcess, number: int) -> None:
        worker.post({"kind": "metrics", "number": number, "snapshot": await self._totals.collect()})

    def _post_ready_workers(self) -> None:
        workers = list(self._workers.values())
        ready = len({worker.number for worker in workers if worker.answers})
        for worker in workers:
            if worker.ready.is_set():
                worker.post({"kind": "workers", "ready": ready, "of": self._plan.workers})

    def _log(self, level: int, action: str, worker: WorkerProcess, event: str, **fields: Any) -> None:
        logger.log(level, "%s %s", worker, event, extra={"action": action, **worker.log_fields, **fields})
