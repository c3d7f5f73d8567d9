"""When a worker that died is replaced: at once, then after longer and longer pauses, and not for ever.

The workers behind one port: there are always as many as there should be, and they leave one at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import anyio
from anyio.abc import TaskGroup

from ..errors import AlgaError, WorkerFailed
from ..service.idempotency import IdempotencyKey
from ..service.reply_cache import ReplyCache
from .channel import Message
from .claims import WorkerClaims
from .process import Plan, WorkerProcess
from .totals import Totals

MAX_IN_A_ROW = 5
"""So many deaths in a row end the service: whoever started it can do more about it than another try."""

LONG_LIFE_S = 60.0
"""A worker that lived so long begins a new row."""

FIRST_PAUSE_S = 0.5
"""The pause before the second replacement in a row; it doubles with each."""


class Crashes:
    """The deaths in a row of one worker and its replacements."""

    def __init__(self, *, first_pause_s: float = FIRST_PAUSE_S) -> None:
        self._first_pause_s = first_pause_s
        self._in_a_row = 0

    def pause_s(self, lived_s: float) -> float | None:
        """Seconds until the replacement of a worker that lived ``lived_s`` seconds; ``None`` for no more of them."""
        self._in_a_row = 1 if lived_s >= LONG_LIFE_S else self._in_a_row + 1
        if self._in_a_row >= MAX_IN_A_ROW:
            return None
        return 0.0 if self._in_a_row == 1 else float(self._first_pause_s * 2 ** (self._in_a_row - 2))


logger = logging.getLogger("alga_runner")

START_S = 60.0
"""How long a worker may take until it answers."""

LOOK_S = 1.0
"""How often the fleet looks whether a worker has said something; each should every second."""

HUNG_LOOKS = 60
"""Looks in a row at which a worker had said nothing, after which it is killed."""

_WHY = {"memory": "it uses too much memory", "asked": "it was asked to make room"}


class WorkerPool:
    """N workers of ``plan``, in ``tasks``, whose idempotent replies are in one ``ledger``."""

    def __init__(
        self,
        plan: Plan,
        tasks: TaskGroup,
        ledger: ReplyCache,
        *,
        crashes: Callable[[], Crashes] = Crashes,
    ) -> None:
        self._plan = plan
        self._tasks = tasks
        self._ledger = ledger
        self._crashes = crashes
        self._workers: dict[int, WorkerProcess] = {}
        """By seat, those that are not gone."""
        self._current: dict[int, WorkerProcess] = {}
        """By number, those that take requests, or died last."""
        self._desks: dict[int, WorkerClaims] = {}
        """By seat."""
        self._turn = anyio.Lock()
        self._totals = Totals(lambda: list(self._workers.values()))
        self.ending = False
        self._gone = anyio.Event()
        self.failure: AlgaError | None = None
        """Why the fleet ended by itself."""

    async def start(self) -> None:
        """Start all at once; return when all answer, or were told to end. Raises why one of them does not."""
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
            self._tasks.start_soon(self._keep, number)
        self._tasks.start_soon(self._watch)

    async def gone(self) -> None:
        """Return when no worker is left and none will come."""
        while self._workers or not self.ending:
            self._gone = anyio.Event()
            await self._gone.wait()

    def roll(self) -> None:
        """Replace all, one after the other."""
        for worker in self._current.values():
            worker.wants("asked")

    def end(self, order: str, within_s: float) -> None:
        """Tell all to ``drain`` or ``stop``; those that still exist ``within_s`` seconds later are killed."""
        self.ending = True
        for worker in self._workers.values():
            if worker.ready.is_set():
                worker.tell(order)
            else:
                worker.kill()
        self._gone.set()
        self._tasks.start_soon(self._kill_later, within_s)

    def kill(self) -> None:
        """End all at once."""
        self.ending = True
        for worker in self._workers.values():
            worker.leaving = True
            worker.kill()

    # ---- One worker after the other

    async def _keep(self, number: int) -> None:
        """As long as the fleet lasts, there is a worker ``number``."""
        crashes = self._crashes()
        while True:
            worker = self._current[number]
            await worker.stirred.wait()
            if self.ending:
                return
            if not worker.ended.is_set():
                await self._replace(worker)
            elif not await self._replace_dead(worker, crashes):
                return

    async def _replace(self, worker: WorkerProcess) -> None:
        """A fresh worker first, then the end of ``worker``; one replacement at a time."""
        if not await self._its_turn(worker):
            return  # it died while it waited
        try:
            why, worker.wish, worker.stirred = worker.wish or "asked", None, anyio.Event()
            self._say(logging.INFO, "worker_replaced", worker, f"is replaced: {_WHY[why]}", why=why)
            try:
                self._current[worker.number] = await self._start(worker.number)
            except AlgaError as error:
                if not self.ending:
                    self._say(logging.ERROR, "worker_failed", worker, f"stays, for no other starts: {error}")
                return
            self._totals.replaced(why)
            if not self.ending:
                worker.tell("retire")
            await worker.ended.wait()
        finally:
            self._turn.release()

    async def _its_turn(self, worker: WorkerProcess) -> bool:
        """Take the turn, unless ``worker`` ends before; whether it has it."""
        has_it = False
        async with anyio.create_task_group() as waiting:

            async def give_up() -> None:
                await worker.ended.wait()
                waiting.cancel_scope.cancel()

            waiting.start_soon(give_up)
            await self._turn.acquire()
            has_it = True
            waiting.cancel_scope.cancel()
        return has_it

    async def _replace_dead(self, worker: WorkerProcess, crashes: Crashes) -> bool:
        """Another in the place of one that died; whether the fleet goes on."""
        lived_s = worker.lived_s
        while not self.ending:
            self._totals.replaced("crash")
            pause_s = crashes.pause_s(lived_s)
            if pause_s is None:
                self._give_up(worker)
                return False
            if pause_s:
                self._say(logging.WARNING, "worker_awaited", worker, f"is replaced in {pause_s:g} s")
                await anyio.sleep(pause_s)
            try:
                self._current[worker.number] = await self._start(worker.number)
            except AlgaError as error:
                lived_s = 0.0
                if not self.ending:
                    self._say(logging.ERROR, "worker_failed", worker, f"is not replaced yet: {error}")
            else:
                return True
        return False

    def _give_up(self, worker: WorkerProcess) -> None:
        self.failure = WorkerFailed(
            f"Worker {worker.number} died {MAX_IN_A_ROW} times in a row, the last time "
            f"{worker.how_it_ended()}; the service ends.",
            hint="The log says how each ended; a request that kills its worker is among the last of each.",
        )
        logger.error("%s", self.failure, extra={"action": "worker_failed", "worker": worker.number})
        self.end("drain", self._plan.settings.shutdown_grace_ms / 1000)

    # ---- One worker

    async def _start(self, number: int) -> WorkerProcess:
        """A worker that answers. Raises why it does not, and ``WorkerFailed`` once the fleet ends."""
        if self.ending:
            raise WorkerFailed("The service ends.")
        seat = next(seat for seat in range(self._plan.workers + 1) if seat not in self._workers)
        try:
            worker = WorkerProcess(self._plan, number, seat, self._converse)
        except OSError as error:
            raise WorkerFailed(f"Worker {number} cannot be started: {error.strerror}.") from None
        self._workers[seat] = worker
        self._desks[seat] = WorkerClaims(self._ledger, worker.post)
        self._tasks.start_soon(self._attend, worker)
        try:
            with anyio.move_on_after(START_S) as patience:
                await self._ready_or_ended(worker)
        except BaseException:
            worker.kill()
            raise
        if worker.ready.is_set():
            self._say(logging.INFO, "worker_started", worker, "answers")
            self._tell_all()
            return worker
        worker.kill()
        await worker.ended.wait()
        if patience.cancelled_caught:
            raise WorkerFailed(f"{worker} did not answer within {START_S:g} s.")
        raise worker.start_failure()

    async def _ready_or_ended(self, worker: WorkerProcess) -> None:
        async with anyio.create_task_group() as waiting:

            async def wait_for(event: anyio.Event) -> None:
                await event.wait()
                waiting.cancel_scope.cancel()

            waiting.start_soon(wait_for, worker.ready)
            waiting.start_soon(wait_for, worker.ended)

    async def _attend(self, worker: WorkerProcess) -> None:
        try:
            await worker.run()
        finally:
            del self._workers[worker.seat]
            self._desks.pop(worker.seat).close()
            self._totals.retire(worker)
            self._gone.set()
        if worker.ready.is_set() and not worker.leaving and not self.ending:
            self._say(logging.ERROR, "worker_died", worker, f"died: it ended {worker.how_it_ended()}")
        self._tell_all()

    async def _watch(self) -> None:
        """Kill workers that hang. Counted in looks, so that a machine that slept accuses nobody."""
        while True:
            await anyio.sleep(LOOK_S)
            for worker in list(self._workers.values()):
                worker.silent_for += 1
                if worker.ready.is_set() and worker.silent_for >= HUNG_LOOKS:
                    self._say(logging.ERROR, "worker_hung", worker, "says nothing any more; it is killed")
                    worker.kill()

    async def _kill_later(self, seconds: float) -> None:
        await anyio.sleep(seconds)
        for worker in list(self._workers.values()):
            self._say(logging.ERROR, "worker_hung", worker, "did not end in time; it is killed")
            worker.kill()

    # ---- What workers say

    def _converse(self, worker: WorkerProcess, message: Message) -> bool:
        desk = self._desks[worker.seat]
        match message:
            case {
                "kind": "claim",
                "number": int(number),
                "place": bytes(place),
                "fingerprint": bytes(fingerprint),
                "tenant": bytes(tenant),
            }:
                desk.claim(number, IdempotencyKey(place, fingerprint, tenant))
            case {"kind": "done", "number": int(number), "reply": reply}:
                desk.done(number, reply)
            case {"kind": "metrics", "number": int(number)}:
                self._tasks.start_soon(self._tell_totals, worker, number)
            case _:
                return False
        return True

    async def _tell_totals(self, worker: WorkerProcess, number: int) -> None:
        worker.post({"kind": "metrics", "number": number, "snapshot": await self._totals.now()})

    def _tell_all(self) -> None:
        workers = list(self._workers.values())
        ready = len({worker.number for worker in workers if worker.answers})
        for worker in workers:
            if worker.ready.is_set():
                worker.post({"kind": "fleet", "ready": ready, "of": self._plan.workers})

    def _say(self, level: int, action: str, worker: WorkerProcess, what: str, **fields: Any) -> None:
        logger.log(level, "%s %s", worker, what, extra={"action": action, **worker.who, **fields})
