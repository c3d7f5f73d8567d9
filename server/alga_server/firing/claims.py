"""Taking runs: the transactions by which one worker gets what is due.

Functions take a connection and run in its transaction. To claim is to insert the run's row and to move the schedule
on, both or neither; the table's unique keys decide who claims, whatever the number of workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import BindParameter, Connection, Row, Select, bindparam, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from ..catalog import installs
from ..catalog.installs import Install
from ..errors import NotFound
from ..schedules import next_run
from ..schedules.policies import NONE_WAITING
from ..schedules.schedules import rfc3339
from ..storage import locks, tables
from . import misfires, runs
from .due import DueSchedule
from .leases import Worker, note
from .misfires import MisfirePolicy
from .runs import Reason, Run, Status, Trigger

_ENOUGH = 25
"""Claims in one transaction: others that write wait meanwhile."""

ENDPOINT_GONE = "Schedule endpoint not found; disabling schedule"


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that this worker holds, and what to call for it; ``name`` is the schedule's, if it has one."""

    run: Run
    install: Install
    name: str | None
    method: str
    path: str
    payload: Any


@dataclass(frozen=True, slots=True)
class Batch:
    """What was taken together; whether others have taken any; what they held; what was not looked at any more."""

    taken: list[Claim | Run]
    others: bool
    held: list[DueSchedule]
    rest: Sequence[DueSchedule]


@dataclass(frozen=True, slots=True)
class Seen:
    """What claims in one transaction need to look up only once."""

    installs: dict[tuple[str, str], Install] = field(default_factory=dict)
    pruned: set[tuple[str, str]] = field(default_factory=set)

    def install(self, connection: Connection, row: Row[Any]) -> Install:
        """The schedule's install."""
        place = (row.tenant_id, row.install_id)
        if place not in self.installs:
            self.installs[place] = installs.require(connection, *place)
        return self.installs[place]


def claim_some(
    connection: Connection,
    due: Sequence[DueSchedule],
    worker: Worker,
    now: datetime,
    *,
    room: int,
    wait: bool = True,
) -> Batch:
    """Take what is due of the first of the schedules, in their order, until ``room`` runs begin or it is enough.

    As ``claim`` of each, in one transaction. Where one of them cannot be taken it raises, and nothing was. Without
    ``wait`` those that somebody else has at that moment are left for later.
    """
    seen = Seen()
    taken: list[Claim | Run] = []
    left = _still_due(connection, due, now)
    others = len(left) < len(due)
    some = [at for at, each in enumerate(due) if each.schedule_id in left][:_ENOUGH]
    end = some[-1] + 1 if len(some) == _ENOUGH else len(due)
    free = locks.claim_several(
        connection,
        [(due[at].tenant_id, due[at].install_id) for at in some],
        [due[at].schedule_id for at in some],
        wait=wait,
    )
    held: list[DueSchedule] = []
    for at in some:
        each = due[at]
        if each.schedule_id not in free:
            held.append(each)
            continue
        if room <= 0 and not each.running:
            return Batch(taken, others, held, due[at:])
        claimed = claim(connection, each, worker, now, may_run=room > 0, seen=seen)
        if claimed is not None:
            taken.append(claimed)
            room -= isinstance(claimed, Claim)
    return Batch(taken, others, held, due[end:])


def _still_due(connection: Connection, due: Sequence[DueSchedule], now: datetime) -> set[str]:
    """What others took meanwhile is not worth a look each."""
    schedule = tables.schedule.c
    wanted = schedule.id.in_([each.schedule_id for each in due])
    query = select(schedule.id).where(wanted, or_(schedule.next_run_at <= now, schedule.retry_at <= now))
    return set(connection.execute(query).scalars())


def claim(
    connection: Connection,
    due: DueSchedule,
    worker: Worker,
    now: datetime,
    *,
    may_run: bool,
    seen: Seen | None = None,
) -> Claim | Run | None:
    """Take what is due of the schedule: a ``Claim`` to carry out, or a ``Run`` that was recorded and is over.

    An occurrence, or the attempt that waits. A new occurrence takes its place, which is recorded first.

    ``None`` when there is nothing to take: another worker did, its turn has not come, or it would run and
    ``may_run`` is false. With ``seen`` it is one of several in its transaction, and raises ``IntegrityError`` where
    another worker recorded the same.
    """
    if seen is None:
        locks.keep_install(connection, due.tenant_id, due.install_id)
        locks.change_schedule(connection, due.tenant_id, due.install_id, due.schedule_id)
    row = _schedule(connection, due.tenant_id, due.install_id, due.schedule_id)
    if row is None or row.next_run_at is None:
        return None
    running = _running(connection, row)
    if running is None and not may_run:
        return None
    if row.next_run_at > now or (row.missed_policy == "all" and row.retry_at is not None):
        due_now = running is None and row.retry_at is not None and row.retry_at <= now
        return _claim_attempt(connection, row, worker, now, reason=None, seen=seen) if due_now else None
    if running is not None and _waits(row, running):
        return None
    if running is None and row.retry_at is not None:
        return _claim_attempt(connection, row, worker, now, reason="superseded", seen=seen)
    install = (seen or Seen()).install(connection, row)
    first = next_run.read(row.next_run_at, row.next_nominal_time)
    plan = misfires.plan(row.cron, row.timezone, first, now, _policy(row, worker))
    _change_schedule(connection, row, next_run.columns(plan.then))
    reason: Reason | None = "missed" if plan.made_up or plan.missed else None
    if plan.runs:
        reason = _obstacle(install, row, running) or reason
    return _record(
        connection,
        row,
        install,
        worker,
        now,
        trigger="schedule",
        nominal_time=plan.occurrence.nominal_time,
        due_at=plan.occurrence.due_at,
        reason=reason,
        missed=plan.missed,
        too_late=not plan.runs,
        seen=seen,
    )


def _claim_attempt(
    connection: Connection,
    row: Row[Any],
    worker: Worker,
    now: datetime,
    *,
    reason: Reason | None,
    seen: Seen | None,
) -> Claim | Run | None:
    """Take the attempt that waits, or record for which ``reason`` it will not be."""
    _change_schedule(connection, row, NONE_WAITING)
    return _record(
        connection,
        row,
        (seen or Seen()).install(connection, row),
        worker,
        now,
        trigger="schedule",
        nominal_time=row.retry_nominal_time,
        due_at=row.retry_due_at,
        reason=reason,
        attempt=row.retry_attempt,
        seen=seen,
    )


def claim_now(
    connection: Connection,
    tenant_id: str,
    install_id: str,
    schedule_id: str,
    *,
    worker: Worker,
    now: datetime,
) -> Claim | Run:
    """Take a run that somebody asked for, by the same rules. Raises ``NotFound``."""
    install = installs.require(connection, tenant_id, install_id, lock=True)
    locks.change_schedule(connection, tenant_id, install_id, schedule_id)
    row = _schedule(connection, tenant_id, install_id, schedule_id)
    if row is None:
        raise NotFound("Schedule not found")
    nominal_time = rfc3339(now) or ""
    claimed = _record(
        connection,
        row,
        install,
        worker,
        now,
        trigger="run_now",
        nominal_time=nominal_time,
        due_at=now,
        reason=_obstacle(install, row, _running(connection, row)),
        attempt=_attempts(connection, row, nominal_time) + 1,
    )
    if claimed is None:
        raise LookupError("a run under a lock was recorded twice")
    return claimed


def _policy(row: Row[Any], worker: Worker) -> MisfirePolicy:
    seconds = row.missed_window_s
    window = None if seconds is None else timedelta(seconds=seconds)
    return MisfirePolicy(row.missed_policy, window, worker.grace)


def _waits(row: Row[Any], running: Row[Any]) -> bool:
    """Whether the due occurrence waits for the run under way, as ``survey`` has it."""
    if running.trigger == "schedule" and running.due_at == row.next_run_at:
        return True
    return bool(row.missed_policy == "all" and row.next_run_at <= running.started_at)


def _obstacle(install: Install, row: Row[Any], running: Row[Any] | None) -> Reason | None:
    """Why a run of the schedule is skipped."""
    if not install.enabled:
        return "install_disabled"
    if not row.enabled:
        return "schedule_disabled"
    return None if running is None else "overlap"


def _record(
    connection: Connection,
    row: Row[Any],
    install: Install,
    worker: Worker,
    now: datetime,
    *,
    trigger: Trigger,
    nominal_time: str,
    due_at: datetime,
    reason: Reason | None,
    missed: int = 0,
    too_late: bool = False,
    attempt: int = 1,
    seen: Seen | None = None,
) -> Claim | Run | None:
    """Insert the run; ``None`` if the database has it already."""
    skipped = too_late or reason not in {None, "missed"}
    gone = row.version_id != install.version_id
    status: Status = "skipped" if skipped else "error" if gone else "running"
    values: dict[str, Any] = {
        "id": str(uuid4()),
        "tenant_id": row.tenant_id,
        "install_id": row.install_id,
        "schedule_id": row.id,
        "trigger": trigger,
        "nominal_time": nominal_time,
        "due_at": due_at,
        "attempt": attempt,
        "status": status,
        "reason": reason,
        "missed": missed,
        "request_id": str(uuid4()),
        "worker_id": worker.id,
        "started_at": now,
    }
    if status == "running":
        values["lease_expires_at"] = now + worker.lease
    else:
        values |= {"finished_at": now, "duration_ms": 0}
    if status == "error":
        values |= {"error_code": "endpoint_not_found", "error_message": ENDPOINT_GONE}
    try:
        # Of several claims none makes up for another; they fail together, and are made again one by one.
        with connection.begin_nested() if seen is None else nullcontext():
            added = connection.execute(insert(tables.schedule_run).values(values))
    except IntegrityError:
        if seen is not None:
            raise
        return None
    place = (row.tenant_id, row.install_id)
    if seen is None or place not in seen.pruned:
        runs.prune(connection, *place, keep=worker.history)
    if seen is not None:
        seen.pruned.add(place)
    run = runs.added(values, added.inserted_primary_key)
    if status == "error":
        _change_schedule(connection, row, {"enabled": False, **next_run.NOTHING})
        note(connection, run, "error", ENDPOINT_GONE)
    if status == "running":
        return Claim(run, install, row.name, row.method, row.path, row.payload)
    return run


def _schedule(connection: Connection, tenant_id: str, install_id: str, schedule_id: str) -> Row[Any] | None:
    """The schedule with its endpoint; the caller has locked it."""
    endpoint = tables.endpoint
    query = (
        select(tables.schedule, endpoint.c.method, endpoint.c.path, endpoint.c.version_id)
        .join(endpoint, endpoint.c.id == tables.schedule.c.endpoint_id)
        .where(locks.of_install(tenant_id, install_id), tables.schedule.c.id == schedule_id)
    )
    return connection.execute(query).one_or_none()


def _running(connection: Connection, row: Row[Any]) -> Row[Any] | None:
    """The schedule's run under way: its trigger, its instant, and when it began."""
    return connection.execute(_RUNNING, _named(row)).one_or_none()


def _attempts(connection: Connection, row: Row[Any], nominal_time: str) -> int:
    run = tables.schedule_run.c
    query = select(func.coalesce(func.max(run.attempt), 0)).where(
        runs.of_install(row.tenant_id, row.install_id),
        run.schedule_id == row.id,
        run.trigger == "run_now",
        run.nominal_time == nominal_time,
    )
    highest: int = connection.execute(query).scalar_one()
    return highest


def _change_schedule(connection: Connection, row: Row[Any], values: dict[str, Any]) -> None:
    connection.execute(_CHANGE, {**values, **_named(row)})


def _named(row: Row[Any]) -> dict[str, str]:
    """A schedule, for the statements below."""
    return {"of_tenant": row.tenant_id, "of_install": row.install_id, "of_schedule": row.id}


# Made once: what is asked for every firing.
_TENANT: BindParameter[str] = bindparam("of_tenant")
_INSTALL: BindParameter[str] = bindparam("of_install")
_SCHEDULE: BindParameter[str] = bindparam("of_schedule")
_RUN = tables.schedule_run.c
_RUNNING: Select[Any] = select(_RUN.trigger, _RUN.due_at, _RUN.started_at).where(
    _RUN.tenant_id == _TENANT,
    _RUN.install_id == _INSTALL,
    _RUN.schedule_id == _SCHEDULE,
    _RUN.status == "running",
)
_CHANGE = update(tables.schedule).where(
    tables.schedule.c.tenant_id == _TENANT,
    tables.schedule.c.install_id == _INSTALL,
    tables.schedule.c.id == _SCHEDULE,
)
