"""Finds and repairs schedules and jobs that no transaction could have left as they are.

Runs when the server starts, then every ``reconcile_seconds``; jobs in a queue every ``run_lease_seconds`` as well,
since a dead worker leaves some. Any number of servers may do it on one database: one of them repairs and logs each
discrepancy. It also deletes idempotency keys older than a day, and stored records past their time.

Schedules are checked in pages, without a lock; those that look inconsistent are checked again under the locks that
their changes take, and only then repaired.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, Self, get_args

import anyio
from anyio.abc import TaskGroup
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, delete, func, select, update

from ...capabilities import records
from ...clock import Clock
from ...errors import DatabaseUnavailable
from ...metrics import Metrics
from ...schedules import idempotency
from ...settings import ServerSettings
from ...storage import locks, plans, tables
from ...storage.database import Database
from ..queue.jobs import JobRunner
from .checks import LONGEST_LEASE, Calendar, Discrepancy, Kind, judge

logger = logging.getLogger("alga_server")

PAGE = 500


@dataclass(frozen=True, slots=True)
class Page:
    """Schedules in the order of their ids; the next page begins after ``cursor``, if there is one."""

    examined: int
    suspects: list[Discrepancy]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """How many schedules were checked, and their discrepancies."""

    examined: int
    discrepancies: list[Discrepancy]


class Reconciler:
    """Reconciles until ``async with Reconciler(...)`` ends; calls ``repaired`` after it repaired anything."""

    def __init__(
        self,
        settings: ServerSettings,
        clock: Clock,
        database: Database,
        metrics: Metrics,
        repaired: Callable[[], None],
        *,
        jobs: JobRunner,
    ) -> None:
        self._clock = clock
        self._database = database
        self._metrics = metrics
        metrics.expect_discrepancies(get_args(Kind))
        self._repaired = repaired
        self._jobs = jobs
        self._every = timedelta(seconds=settings.reconcile_seconds)
        self._lease = timedelta(seconds=settings.run_lease_seconds)
        self._group: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        """Repair every discrepancy, then repeat in the background."""
        await self._try(self.reconcile)
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._group.start_soon(self._repeat, self.reconcile, self._every)
        if self._jobs.apart:
            self._group.start_soon(self._repeat, self._repair_jobs, self._lease)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        group, self._group = self._group, None
        if group is not None:
            group.cancel_scope.cancel()
            await group.__aexit__(None, None, None)

    async def look(self) -> Reconciliation:
        """Find every discrepancy, and change nothing."""
        now = self._clock.now()
        examined = 0
        discrepancies = await self._database.read(partial(check_leases, now=now, lease=self._lease))
        calendar = Calendar(now)
        cursor: str | None = ""
        while cursor is not None:
            page = await self._page(cursor, calendar)
            examined, discrepancies, cursor = (
                examined + page.examined,
                discrepancies + page.suspects,
                page.cursor,
            )
        if self._jobs.apart:
            discrepancies = discrepancies + await self._database.read(self._jobs.discrepancies)
        return Reconciliation(examined, discrepancies)

    async def reconcile(self) -> Reconciliation:
        """Repair, log and count every discrepancy; delete old idempotency keys and records."""
        now = self._clock.now()
        examined, discrepancies = 0, await self._repair_leases(now)
        calendar = Calendar(now)
        cursor: str | None = ""
        while cursor is not None:
            page = await self._page(cursor, calendar)
            if page.suspects:
                discrepancies += self._report(
                    await self._database.write(partial(repair, suspects=page.suspects, calendar=calendar))
                )
            examined, cursor = examined + page.examined, page.cursor
        discrepancies += await self._repair_jobs()  # after the schedules, whose repair repairs their jobs
        await self._delete_keys(now)
        await self._delete_records(now)
        if any(discrepancy.repaired for discrepancy in discrepancies):
            self._repaired()
        return Reconciliation(examined, discrepancies)

    async def _repeat(self, work: Callable[[], Awaitable[object]], every: timedelta) -> None:
        at = self._clock.now()
        while True:
            await self._clock.sleep_until(at + every)
            at = self._clock.now()
            await self._try(work)

    async def _try(self, work: Callable[[], Awaitable[object]]) -> None:
        try:
            await work()
        except DatabaseUnavailable:
            pass  # the database logged it; the next time will do
        except Exception:
            logger.exception("Reconciling failed", extra={"action": "reconcile_failure"})

    async def _page(self, cursor: str, calendar: Calendar) -> Page:
        return await self._database.read(partial(check_page, after_id=cursor, calendar=calendar))

    async def _repair_leases(self, now: datetime) -> list[Discrepancy]:
        suspects = await self._database.read(partial(check_leases, now=now, lease=self._lease))
        if not suspects:
            return []
        give = partial(repair_leases, suspects=suspects, clock=self._clock, lease=self._lease)
        return self._report(await self._database.write(give))

    async def _repair_jobs(self) -> list[Discrepancy]:
        if not self._jobs.apart or not await self._database.read(self._jobs.discrepancies):
            return []
        return self._report(await self._database.write(self._jobs.repair))

    async def _delete_keys(self, now: datetime) -> None:
        while await self._database.read(partial(idempotency.any_expired, now=now)):
            if not await self._database.write(partial(idempotency.forget_expired, now=now)):
                return  # other transactions hold all that are left; the next time will do

    async def _delete_records(self, now: datetime) -> None:
        while owners := await self._database.read(partial(records.expired_owners, now=now)):
            for owner in owners:
                await self._database.write(partial(records.purge, owner=owner, now=now))

    def _report(self, discrepancies: list[Discrepancy]) -> list[Discrepancy]:
        for discrepancy in discrepancies:
            self._metrics.discrepancy(discrepancy.kind, repaired=discrepancy.repaired)
            logger.warning(
                "Schedule inconsistent: %s, %s",
                discrepancy.kind,
                "repaired" if discrepancy.repaired else "left",
                extra={
                    "action": "schedule_reconciled",
                    "discrepancy": discrepancy.kind,
                    "repaired": discrepancy.repaired,
                    "tenant_id": discrepancy.tenant_id,
                    "install_id": discrepancy.install_id,
                    "schedule_id": discrepancy.schedule_id,
                    "run_id": discrepancy.run_id,
                },
            )
        return discrepancies


def check_page(connection: Connection, after_id: str, calendar: Calendar) -> Page:
    """The next page of schedules after ``after_id``, which is empty for the first."""
    plans.in_order(connection)  # not every schedule that follows, sorted for each page
    query = _query().where(tables.schedule.c.id > after_id).order_by(tables.schedule.c.id).limit(PAGE)
    rows = connection.execute(query).all()
    suspects = [discrepancy for row in rows for discrepancy in _discrepancies(row, calendar)]
    return Page(len(rows), suspects, rows[-1].id if len(rows) == PAGE else None)


def repair(connection: Connection, suspects: Iterable[Discrepancy], calendar: Calendar) -> list[Discrepancy]:
    """Repair the schedules of ``suspects`` that are still inconsistent under their locks; their discrepancies."""
    discrepancies: list[Discrepancy] = []
    keys = sorted({(suspect.tenant_id, suspect.install_id, suspect.schedule_id) for suspect in suspects})
    locks.change_several(connection, [key[:2] for key in keys], [key[2] for key in keys])
    for tenant_id, install_id, schedule_id in keys:
        schedule = tables.schedule
        this = and_(
            schedule.c.tenant_id == tenant_id,
            schedule.c.install_id == install_id,
            schedule.c.id == schedule_id,
        )
        row = connection.execute(_query().where(this)).one_or_none()
        verdict = None if row is None else judge(row, calendar)
        if row is None or verdict is None:
            continue
        if verdict.values is None:
            connection.execute(delete(schedule).where(this))
        elif verdict.values:
            connection.execute(update(schedule).where(this).values(verdict.values))
        repaired = verdict.values is None or bool(verdict.values)
        discrepancies += [
            replace(discrepancy, repaired=repaired) for discrepancy in _discrepancies(row, calendar)
        ]
    return discrepancies


def check_leases(connection: Connection, now: datetime, lease: timedelta) -> list[Discrepancy]:
    """Runs under way whose lease ends later than any server grants."""
    run = tables.schedule_run.c
    query = select(run.id, run.tenant_id, run.install_id, run.schedule_id)
    return [
        Discrepancy(
            "distant_lease",
            row.tenant_id,
            row.install_id,
            row.schedule_id,
            run_id=row.id,
        )
        for row in connection.execute(query.where(_distant(now, lease)).order_by(run.ordinal).limit(PAGE))
    ]


def repair_leases(
    connection: Connection, suspects: Iterable[Discrepancy], clock: Clock, lease: timedelta
) -> list[Discrepancy]:
    """Give the runs of ``suspects`` a lease from now on: a live server renews it, a dead one's run is lost."""
    run = tables.schedule_run
    repaired, now = [], clock.now()
    for suspect in suspects:
        this = and_(
            run.c.tenant_id == suspect.tenant_id,
            run.c.install_id == suspect.install_id,
            run.c.id == suspect.run_id,
        )
        shorten = update(run).where(this, _distant(now, lease)).values(lease_expires_at=now + lease)
        if connection.execute(shorten).rowcount:
            repaired.append(replace(suspect, repaired=True))
    return repaired


def _distant(now: datetime, lease: timedelta) -> ColumnElement[bool]:
    run = tables.schedule_run.c
    return and_(run.status == "running", run.lease_expires_at > now + lease + LONGEST_LEASE)


def _query() -> Select[Any]:
    """Schedules with their install and endpoint, which may be missing."""
    schedule, install, endpoint = tables.schedule, tables.install, tables.endpoint
    run = tables.schedule_run.c
    last = select(func.max(run.due_at)).where(run.schedule_id == schedule.c.id).scalar_subquery()
    owner = and_(install.c.tenant_id == schedule.c.tenant_id, install.c.id == schedule.c.install_id)
    return (
        select(
            schedule,
            install.c.enabled.label("install_enabled"),
            endpoint.c.method.label("endpoint_method"),
            last.label("last_due_at"),
        )
        .outerjoin(install, owner)
        .outerjoin(endpoint, endpoint.c.id == schedule.c.endpoint_id)
    )


def _discrepancies(row: Row[Any], calendar: Calendar) -> list[Discrepancy]:
    verdict = judge(row, calendar)
    kinds = verdict.kinds if verdict is not None else []
    return [Discrepancy(kind, row.tenant_id, row.install_id, row.id) for kind in kinds]
