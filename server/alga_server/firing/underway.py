"""The runs under way in one server: their handlers' calls, their leases, and the record of how each ended."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import anyio
from anyio.abc import TaskGroup

from ..clock import Clock
from ..errors import DatabaseUnavailable
from ..execution.executions import Executor
from ..metrics import Metrics
from ..storage.database import Database
from . import recording
from .claims import Claim
from .handler import call_handler
from .places import Places
from .recording import Ending, RunRecorder, Worker, report
from .runs import Run

_AGAIN = timedelta(seconds=1)
"""From an outage of the database to the next attempt to record."""

logger = logging.getLogger("alga_server")


@dataclass(frozen=True, slots=True)
class LiveRun:
    """A run under way here."""

    run: Run
    ended: anyio.Event = field(default_factory=anyio.Event)
    call: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    """Around the call of the handler."""


class RunsUnderWay:
    """Runs that the server claimed and whose ends are not recorded yet; ``changed`` is called when one ends."""

    def __init__(
        self,
        clock: Clock,
        database: Database,
        metrics: Metrics,
        executor: Executor,
        *,
        worker: Worker,
        places: Places,
        changed: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._database = database
        self._metrics = metrics
        self._executor = executor
        self._worker = worker
        self._places = places
        self._changed = changed
        self._endings = RunRecorder(database)
        self._live: dict[str, LiveRun] = {}
        self._renewed_at = clock.now()
        metrics.watch_runs(lambda: len(self._live), places.most)

    @property
    def renew_at(self) -> datetime | None:
        """When ``keep`` renews the leases; ``None`` if there is no run."""
        return self._renewed_at + self._worker.lease / 3 if self._live else None

    def was_due(self, now: datetime) -> bool:
        """Whether the clock fired one of them for an instant up to ``now``."""
        return any(live.run.trigger == "schedule" and live.run.due_at <= now for live in self._live.values())

    async def all_ended(self) -> None:
        """Return once the last has ended."""
        while self._live:
            await next(iter(self._live.values())).ended.wait()

    def start(self, claimed: Claim | Run, group: TaskGroup | None) -> LiveRun | None:
        """Start a claimed run in ``group``, or report one that is over already. ``None`` if none was started.

        Without a group it was claimed while the server ended, which gives it up next.
        """
        if isinstance(claimed, Run):
            report(claimed, self._metrics)
            return None
        if group is None:
            return None
        run = claimed.run
        live = self._live[run.id] = LiveRun(run)
        self._places.take(run.tenant_id)
        group.start_soon(self._carry_out, claimed, live)
        again = run.trigger == "schedule" and run.attempt > 1
        late = run.reason == "late"
        self._metrics.schedule_fired(run.trigger, run.started_at - run.due_at, again=again, late=late)
        return live

    async def keep(self, now: datetime) -> None:
        """Renew the leases, before another server may give them up."""
        renew_at = self.renew_at
        if renew_at is not None and now < renew_at:
            return
        if live := dict(self._live):
            kept = await self._database.write(
                lambda c: recording.renew(c, self._worker, list(live), self._clock)
            )
            for run_id in live.keys() - kept:
                # Another server gave it up, and may start the next run: a schedule does not overlap itself.
                live[run_id].call.cancel()
        self._renewed_at = now

    async def reap(self, expired_at: datetime) -> None:
        """Give up the runs of any server whose leases had run out at ``expired_at``."""
        await self._lose(partial(recording.reap, expired_at=expired_at, clock=self._clock))

    async def release(self) -> None:
        """Give up those that this server still holds; if the database cannot be used, their leases run out."""
        try:
            await self._lose(partial(recording.release, worker=self._worker, clock=self._clock))
        except DatabaseUnavailable:
            logger.warning(
                "Runs were not given up; their leases run out", extra={"action": "dispatch_failure"}
            )
        except Exception:
            logger.exception("Giving up the runs failed", extra={"action": "dispatch_failure"})

    async def _lose(self, lose: Callable[..., list[Run]]) -> None:
        lost = await self._database.write(lose)
        for run in lost:
            report(run, self._metrics)
        if lost:
            self._changed()  # for jobs that wait for the end of these runs

    async def _carry_out(self, claim: Claim, live: LiveRun) -> None:
        # The clock was read in the claim's transaction, whose commit is part of the run.
        committing = max((self._clock.now() - claim.run.started_at).total_seconds(), 0)
        started = self._clock.monotonic() - committing
        try:
            ending: Ending | None = None
            with live.call:
                ending = await call_handler(self._executor, claim)
            if ending is None:
                logger.warning(
                    "A schedule's run was cut off: it was given up, or its install was removed",
                    extra={"action": "schedule_run_cut_off", "run_id": claim.run.id},
                )
                return
            duration_ms = round((self._clock.monotonic() - started) * 1000)
            ended = await self._record(claim.run, ending, duration_ms)
            if ended is not None:
                report(ended, self._metrics)
            else:
                logger.warning(
                    "A schedule's run ended after it was given up, or its install was removed",
                    extra={"action": "schedule_run_late", "run_id": claim.run.id},
                )
        except Exception:
            # The lease runs out and frees the schedule.
            logger.exception("Recording a run failed", extra={"action": "dispatch_failure"})
        finally:
            del self._live[claim.run.id]
            self._places.leave(claim.run.tenant_id)
            live.ended.set()
            self._changed()

    async def _record(self, run: Run, ending: Ending, duration_ms: int) -> Run | None:
        """Record how a run ended, once the database can be used: its handler must not be called again for that."""
        while True:
            try:
                with anyio.CancelScope(shield=True):
                    return await self._endings.record(run, ending, duration_ms=duration_ms)
            except DatabaseUnavailable:
                await self._clock.sleep_until(self._clock.now() + _AGAIN)
