"""Heals jobs that no transaction could have left as they are, and says what it healed.

Once when the server starts, then every ``reconcile_seconds``; jobs that are apart from their schedules every
``run_lease_seconds`` as well, since a dead worker leaves some. Any number of servers may do it on one database: each
discrepancy is healed, and told, by one of them. On the way it forgets idempotency keys that are older than a day.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from ...clock import Clock
from ...metrics import Metrics
from ...schedules import idempotency
from ...settings import ServerSettings
from ...storage.database import Database
from ..queue.jobs import JobRunner
from . import reconciliation
from .checks import Calendar, Discrepancy

logger = logging.getLogger("alga_server")


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """One look at everything: how many schedules there are, and what was wrong."""

    examined: int
    discrepancies: list[Discrepancy]


class Reconciler:
    """Use it as ``async with Reconciler(...)``: it goes on until that ends. ``healed`` is called when it healed."""

    def __init__(
        self,
        settings: ServerSettings,
        clock: Clock,
        database: Database,
        metrics: Metrics,
        healed: Callable[[], None],
        *,
        jobs: JobRunner,
    ) -> None:
        self._clock = clock
        self._database = database
        self._metrics = metrics
        self._healed = healed
        self._jobs = jobs
        self._every = timedelta(seconds=settings.reconcile_seconds)
        self._lease = timedelta(seconds=settings.run_lease_seconds)
        self._group: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        """Heal what is wrong, then go on in the background."""
        await self._try(self.reconcile)
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._group.start_soon(self._go_on, self.reconcile, self._every)
        if self._jobs.apart:
            self._group.start_soon(self._go_on, self._heal_jobs, self._lease)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        group, self._group = self._group, None
        if group is not None:
            group.cancel_scope.cancel()
            await group.__aexit__(None, None, None)

    async def look(self) -> Reconciliation:
        """What is wrong, and nothing done about it."""
        now = self._clock.now()
        examined, found = (
            0,
            await self._database.read(partial(reconciliation.runs, now=now, lease=self._lease)),
        )
        calendar, cursor = Calendar(now), _FIRST
        while cursor is not None:
            page = await self._page(cursor, calendar)
            examined, found, cursor = examined + page.examined, found + page.suspects, page.cursor
        if self._jobs.apart:
            found = found + await self._database.read(self._jobs.discrepancies)
        return Reconciliation(examined, found)

    async def reconcile(self) -> Reconciliation:
        """Heal what is wrong, say it in the log and count it; forget old keys."""
        now = self._clock.now()
        examined, found = 0, await self._lease_runs(now)
        calendar, cursor = Calendar(now), _FIRST
        while cursor is not None:
            page = await self._page(cursor, calendar)
            if page.suspects:
                found += self._tell(
                    await self._database.write(
                        partial(reconciliation.heal, suspects=page.suspects, calendar=calendar)
                    )
                )
            examined, cursor = examined + page.examined, page.cursor
        found += await self._heal_jobs()  # after the schedules, which took theirs along
        await self._forget_keys(now)
        if any(each.healed for each in found):
            self._healed()
        return Reconciliation(examined, found)

    async def _go_on(self, heal: Callable[[], Awaitable[object]], every: timedelta) -> None:
        at = self._clock.now()
        while True:
            await self._clock.sleep_until(at + every)
            at = self._clock.now()
            await self._try(heal)

    async def _try(self, heal: Callable[[], Awaitable[object]]) -> None:
        try:
            await heal()
        except Exception:
            logger.exception("Reconciling failed", extra={"action": "reconcile_failure"})

    async def _page(self, cursor: str, calendar: Calendar) -> reconciliation.Page:
        return await self._database.read(
            partial(reconciliation.schedules, after_id=cursor, calendar=calendar)
        )

    async def _lease_runs(self, now: datetime) -> list[Discrepancy]:
        suspects = await self._database.read(partial(reconciliation.runs, now=now, lease=self._lease))
        if not suspects:
            return []
        give = partial(reconciliation.lease, suspects=suspects, now=now, lease=self._lease)
        return self._tell(await self._database.write(give))

    async def _heal_jobs(self) -> list[Discrepancy]:
        if not self._jobs.apart or not await self._database.read(self._jobs.discrepancies):
            return []
        return self._tell(await self._database.write(self._jobs.heal))

    async def _forget_keys(self, now: datetime) -> None:
        while await self._database.read(partial(idempotency.any_expired, now=now)):
            await self._database.write(partial(idempotency.forget_expired, now=now))

    def _tell(self, found: list[Discrepancy]) -> list[Discrepancy]:
        for each in found:
            self._metrics.discrepancy(each.kind, healed=each.healed)
            logger.warning(
                "A schedule's job was not what it should be (%s): %s",
                each.kind.replace("_", " "),
                "healed" if each.healed else "left as it is",
                extra={
                    "action": "schedule_reconciled",
                    "discrepancy": each.kind,
                    "healed": each.healed,
                    "tenant_id": each.tenant_id,
                    "install_id": each.install_id,
                    "schedule_id": each.schedule_id,
                    "run_id": each.run_id,
                },
            )
        return found


_FIRST: str | None = ""
