"""Fires schedules: waits until one is due, claims it, calls its handler, records how the run ended.

Any number of dispatchers may share a database, without a leader: ``claims`` decides who fires what. No transaction is
open while a handler runs. Time, and waiting for it, is the injected clock's.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Self
from uuid import uuid4

import anyio
from anyio.abc import TaskGroup

from ..clock import Clock
from ..errors import DatabaseUnavailable, DispatcherUnavailable, NotFound
from ..execution.executions import Executor
from ..metrics import Metrics
from ..settings import ServerSettings
from ..storage.database import Database
from . import claims, runs
from . import due as due_schedules
from .attendance import Attendance
from .claims import Claim, Claimed
from .due import DueSchedule, Position, Survey
from .history import History
from .others import OtherTenants
from .places import Places
from .queue.jobs import JobRunner
from .recording import Worker
from .runs import Run
from .underway import LiveRun, RunsUnderWay

_BATCH = 500
"""Due schedules that one query reads at most; otherwise as many as twice the runs that may be under way."""

_LEAST = 100

_AGAIN = timedelta(seconds=1)
"""From an outage of the database, or from a look that did not come to every tenant, to the next."""

_TOGETHER = 25
"""Schedules claimed in one transaction: others that write wait meanwhile."""

logger = logging.getLogger("alga_server")


class Dispatcher:
    """Fires the schedules of one database. Use it as ``async with Dispatcher(...)``.

    It looks when the next schedule is due, when ``wake`` is called, and every ``dispatch_poll_seconds`` for what other
    processes changed. When its context ends, runs under way get ``shutdown_grace_seconds``, then they are cut off and
    recorded as lost.
    """

    def __init__(
        self,
        settings: ServerSettings,
        clock: Clock,
        database: Database,
        metrics: Metrics,
        executor: Executor,
        *,
        jobs: JobRunner,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._database = database
        self._jobs = jobs
        self._worker = Worker(
            id=str(uuid4()),
            lease=timedelta(seconds=settings.run_lease_seconds),
            grace=timedelta(seconds=settings.late_after_seconds),
        )
        self._turn = anyio.Lock()
        self._woken = anyio.Event()
        self._looks_at = clock.now()
        """When it looks again at the latest."""
        self._places = Places(settings.max_schedule_runs)
        self._runs = RunsUnderWay(
            clock,
            database,
            metrics,
            executor,
            worker=self._worker,
            places=self._places,
            changed=self.wake,
        )
        self._others = OtherTenants(database, self._places)
        self._history = History(database, clock, keep=settings.run_history_per_install)
        self._crowded = False
        """Whether jobs that wait for room may keep others from being brought: then it looks for those."""
        self._attendance = Attendance(
            database, every=self._poll / 2, gap=max(self._worker.grace, 2 * self._poll)
        )
        self._group: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._places.closed = False
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._group.start_soon(self._watch)
        self._group.start_soon(self._history.keep_short)
        if self._settings.dispatch_schedules:
            self._group.start_soon(self._jobs.run, self._carry_out_job)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        group = self._group
        if group is None or self._places.closed:
            return
        self._places.closed = True
        self.wake()  # jobs that wait for their turn are put back
        try:
            with anyio.CancelScope(shield=True), anyio.move_on_after(self._settings.shutdown_grace_seconds):
                async with self._turn:  # a claim in progress is a run under way too
                    pass
                await self._runs.all_ended()
        finally:
            self._group = None
            group.cancel_scope.cancel()
            try:
                # The body's error is the caller's; given to the group, it would come back wrapped.
                await group.__aexit__(None, None, None)
            finally:  # a caller that is cancelled is so here
                await self._release()

    async def _release(self) -> None:
        """Give up what this dispatcher holds."""
        with anyio.CancelScope(shield=True):
            async with self._turn:  # until a claim in progress is done
                pass
            await self._runs.release()
        self.wake()

    def wake(self) -> None:
        """Look again now: a schedule was changed."""
        woken, self._woken = self._woken, anyio.Event()
        woken.set()

    def expect(self, due_at: datetime | None) -> None:
        """Look again by ``due_at``, when a new schedule is due first; ``None`` is never."""
        if due_at is not None and due_at < self._looks_at:
            self.wake()

    async def run_due(self) -> list[Run]:
        """Fire every due schedule, in the order of their instants; the runs, once all of them have ended.

        Raises ``DispatcherUnavailable`` outside of its context.
        """
        now = self._clock.now()
        before = await self._database.read(runs.last_ordinal)
        while True:
            self._running_group()
            changed = self._woken
            fired, crowded, _ = await self._look(now, may_fire=True)
            if crowded or self._runs.was_due(now):
                await changed.wait()
            elif not fired:
                break
        return await self._database.read(lambda c: runs.scheduled_since(c, before, self._worker.id))

    async def run_now(self, tenant_id: str, install_id: str, schedule_id: str, *, wait: bool = True) -> Run:
        """Run a schedule immediately, by the rules of the clock's runs: it may be skipped. The run, ended if ``wait``.

        Raises ``NotFound``, ``DispatcherUnavailable``.
        """
        self._running_group()
        async with self._turn:
            with anyio.CancelScope(shield=True):
                now = self._clock.now()
                await self._runs.keep(now)
                await self._runs.reap(now)
                if not self._places.has_room(tenant_id):
                    raise DispatcherUnavailable("Too many runs are under way; try again later")
                claimed = await self._database.write(
                    lambda c: claims.claim_now(
                        c, tenant_id, install_id, schedule_id, worker=self._worker, clock=self._clock
                    )
                )
                live = self._start(claimed)
        run = claimed if isinstance(claimed, Run) else claimed.run
        if live is None or not wait:
            return run
        await live.ended.wait()
        ended = await self._database.read(lambda c: runs.get(c, tenant_id, install_id, run.id))
        if ended is None:
            raise NotFound("Install not found")
        return ended

    async def _watch(self) -> None:
        while True:
            woken = self._woken
            now = self._clock.now()
            self._looks_at = now + self._poll
            try:
                looks = self._jobs.dispatcher_looks or self._crowded
                may_fire = self._settings.dispatch_schedules and looks
                _, self._crowded, next_at = await self._look(now, may_fire=may_fire)
            except DatabaseUnavailable:
                next_at = self._clock.now() + _AGAIN
            except Exception:
                logger.exception("Looking for due schedules failed", extra={"action": "dispatch_failure"})
                next_at = now + self._poll
            self._looks_at = next_at
            await _first_of(woken.wait, partial(self._clock.sleep_until, next_at))

    async def _carry_out_job(self, due: DueSchedule, due_at: datetime) -> None:
        """Fire the schedule if it is due, and wait for the end of its run: the job is under way as long.

        A job waits here for its turn: for room, and for the schedule's run under way. If that takes long, or the
        schedule cannot be claimed, it goes to the end of the queue, since here it keeps another from being taken.
        """
        began = self._clock.now()
        while True:
            woken, now = self._woken, self._clock.now()
            live: LiveRun | None = None
            again_at = max(due_at, now + self._poll)
            try:
                if self._places.closed or now >= began + self._poll:
                    await self._database.write(partial(self._jobs.put_back, due=due))
                    return
                async with self._turn:
                    await self._attend()
                    take = partial(
                        claims.claim_many,
                        due=[due],
                        worker=self._worker,
                        clock=self._clock,
                        room=int(self._places.has_room(due.tenant_id)),
                    )
                    [outcome] = await self._database.write(take)
                    if claimed := isinstance(outcome, Claim | Run):
                        live = self._start(outcome)
                    elif outcome == "no_room" and self._places.free and not self._crowded:
                        self._crowded = True
                        self.wake()
                if live is not None:
                    await live.ended.wait()
                if claimed or await self._database.read(partial(due_schedules.due_at, due=due)) != due_at:
                    return
            except DatabaseUnavailable:
                again_at = self._clock.now() + _AGAIN
            except Exception:
                logger.exception(
                    "Carrying out a schedule's job failed",
                    extra={"action": "dispatch_failure", "schedule_id": due.schedule_id},
                )
            await _first_of(woken.wait, partial(self._clock.sleep_until, again_at))

    async def _look(self, now: datetime, *, may_fire: bool) -> tuple[bool, bool, datetime]:
        """Fire every schedule that is due, a page at a time. Cancelling it interrupts no transaction.

        Returns whether this or another server fired any, whether some lack room, and when to look again.
        """
        fired = crowded = False
        times = [now + self._poll]
        after: Position | None = None
        while True:
            async with self._turn:
                survey = await self._survey(now, self._page if may_fire else 0, after)
                others = await self._others.hidden_by(survey, now)
                some, crowded = await self._fire_all([*others.due, *survey.due])
            fired |= some
            times += [survey.next_at] if survey.next_at else []
            after = survey.more  # past those that cannot be claimed, so that they hold up no other
            if after is None or crowded:
                if crowded and self._places.free and not others.all:
                    times.append(now + _AGAIN)  # for tenants that it has not come to
                break
        times += [renew_at] if (renew_at := self._runs.renew_at) is not None else []
        return fired, crowded, min(times)

    async def _survey(self, now: datetime, limit: int, after: Position | None) -> Survey:
        with anyio.CancelScope(shield=True):
            await self._runs.keep(self._clock.now())
            if limit or self._settings.dispatch_schedules:
                await self._attend()
            look = partial(due_schedules.survey, now=now, limit=limit, after=after)
            survey = await self._database.read(look)
            if survey.expired:
                await self._runs.reap(now)
                survey = await self._database.read(look)
        return survey

    async def _fire_all(self, due: Sequence[DueSchedule]) -> tuple[bool, bool]:
        """Claim schedules and start their runs.

        Returns whether this or another server fired any, and whether some lack room.
        """
        fired = crowded = wait = False
        rest, locked = self._places.in_turn(due), list[DueSchedule]()
        while rest or locked:
            if not rest:
                rest, locked, wait = locked, [], True  # the other server may have released them by now
            claimed = await self._claim(rest, wait=wait)
            crowded |= claimed.full
            rest = [] if claimed.full else claimed.rest
            for schedule, outcome in claimed.outcomes:
                if outcome == "locked":
                    locked.append(schedule)
                crowded |= outcome == "no_room"
                fired |= outcome == "nothing" or isinstance(outcome, Claim | Run)
        return fired, crowded

    async def _claim(self, due: Sequence[DueSchedule], *, wait: bool) -> Claimed:
        """Claim some of the schedules in one transaction, and start their runs."""
        claim = partial(
            claims.claim_some,
            due=due,
            pick=self._places.copy().pick,
            worker=self._worker,
            clock=self._clock,
            together=_TOGETHER,
            room=self._places.free,
            wait=wait,
        )
        with anyio.CancelScope(shield=True):
            claimed = await self._database.write(claim)
        for _, outcome in claimed.outcomes:
            if isinstance(outcome, Claim | Run):
                self._start(outcome)
                run = outcome if isinstance(outcome, Run) else outcome.run
                if run.reason == "superseded":
                    self.wake()  # for the occurrence that took its place
        return claimed

    def _start(self, claimed: Claim | Run) -> LiveRun | None:
        self._history.recorded(claimed if isinstance(claimed, Run) else claimed.run)
        return self._runs.start(claimed, self._group)

    async def _attend(self) -> None:
        """Have the database know that this server is there to fire, and know since when one is."""
        if await self._attendance.note(self._clock.now()):
            self._worker = replace(self._worker, since=self._attendance.since)

    def _running_group(self) -> TaskGroup:
        if self._group is None or self._places.closed:
            raise DispatcherUnavailable("This server is not running schedules")
        return self._group

    @property
    def _page(self) -> int:
        return min(_BATCH, max(_LEAST, 2 * self._places.most))

    @property
    def _poll(self) -> timedelta:
        return timedelta(seconds=self._settings.dispatch_poll_seconds)


async def _first_of(*waits: Callable[[], Awaitable[object]]) -> None:
    """Return when the first of ``waits`` does; the others are cancelled."""
    async with anyio.create_task_group() as group:

        async def one(wait: Callable[[], Awaitable[object]]) -> None:
            await wait()
            group.cancel_scope.cancel()

        for wait in waits:
            group.start_soon(one, wait)
