"""Claims due schedules: the transaction by which one server takes occurrences and attempts, and no other server does.

Functions take a connection and run in its transaction. A claim inserts the run's row and moves the schedule on, both or
neither. The table's unique keys decide which server claims, with any number of servers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

from sqlalchemy import Connection, Row, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError

from ..catalog import installs
from ..catalog.installs import Install
from ..clock import Clock
from ..errors import NotFound
from ..schedules import next_run
from ..schedules.policies import NONE_WAITING
from ..schedules.schedules import rfc3339, stored_payload
from ..storage import batches, locks, plans, tables
from ..storage.batches import UpdateMany
from ..storage.owned import owned_key, place
from . import due as due_schedules
from . import misfires, recording, runs
from .due import DueSchedule
from .misfires import MisfirePolicy
from .recording import Worker
from .runs import Reason, Run, Status

logger = logging.getLogger("alga_server")

ENDPOINT_GONE = "Schedule endpoint not found; disabling schedule"


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that this server holds, and what to call for it; ``name`` is the schedule's, if it has one.

    ``timezone`` is the schedule's.
    """

    run: Run
    install: Install
    name: str | None
    timezone: str
    method: str
    path: str
    payload: Any


Outcome = Claim | Run | Literal["locked", "nothing", "no_room", "failed"]
"""What became of a due schedule: a ``Claim`` to carry out, or a ``Run`` that was recorded and is over.

Otherwise ``locked`` by another server, ``nothing`` to claim any more, ``no_room`` for a run, or ``failed`` and logged.
"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What became of some due schedules; ``rest`` was not looked at, and ``full`` is whether none of it may run now."""

    outcomes: list[tuple[DueSchedule, Outcome]]
    rest: list[DueSchedule]
    full: bool


_AHEAD = 4
"""How many times as many due schedules as it claims a server may try to lock, since others have locked the first."""

_Planned = tuple[Row[Any], Install, Run, dict[str, Any]]
"""A schedule, its install, the run to insert, and the columns that move the schedule on."""


def claim_some(
    connection: Connection,
    due: Sequence[DueSchedule],
    pick: Callable[[Sequence[DueSchedule], int], tuple[list[DueSchedule], list[DueSchedule]]],
    worker: Worker,
    clock: Clock,
    *,
    together: int,
    room: int,
    wait: bool,
) -> Claimed:
    """Claim as ``claim_many`` does, of those that are due still, ``together`` that ``pick`` takes, given how many.

    Servers that read the same page claim one after the other; had each picked before its turn came, all but the first
    would find nothing. Unless it is to ``wait``, it passes over schedules that another server has locked, and claims
    those that come after them.
    """
    now = clock.now()
    still = due_schedules.still_due(connection, due, now)
    passes = not wait and locks.needed(connection)
    picked, _ = pick(still, together * _AHEAD if passes else together)
    tried = len(picked)
    if passes:
        free, tried = _free(connection, picked, now, together)
    else:
        free = _locked(connection, picked, now) if picked else []
    claimed = _claim(connection, free, worker, clock.now(), room=room) if free else {}
    absent: Outcome = "locked" if passes else "nothing"  # who waits does not get the lock of one that is gone
    kept = {schedule.schedule_id for schedule in still}
    outcomes = [(one, claimed.get(one.schedule_id, absent)) for one in picked[:tried]]
    outcomes += [(one, "nothing") for one in due if one.schedule_id not in kept]
    over = {schedule.schedule_id for schedule, _ in outcomes}
    rest = [schedule for schedule in still if schedule.schedule_id not in over]
    return Claimed(outcomes, rest, full=bool(rest) and not picked)


def claim_many(
    connection: Connection,
    due: Sequence[DueSchedule],
    worker: Worker,
    clock: Clock,
    *,
    room: int,
) -> list[Outcome]:
    """Claim the occurrence or attempt that each of the schedules is due for; their outcomes, in the same order.

    At most ``room`` of the runs begin, at the instant when the locks were had. A schedule that cannot be claimed is
    logged and costs the others nothing; an ``OperationalError`` is the database's, and is raised.
    """
    plans.by_index(connection)
    locked = _locked(connection, due, clock.now())
    outcomes = _claim(connection, locked, worker, clock.now(), room=room) if locked else {}
    return [outcomes.get(schedule.schedule_id, "nothing") for schedule in due]


def claim_now(
    connection: Connection,
    tenant_id: str,
    install_id: str,
    schedule_id: str,
    *,
    worker: Worker,
    clock: Clock,
) -> Claim | Run:
    """Claim a run that an admin asked for; it is skipped by the same rules. Raises ``NotFound``."""
    install = installs.require(connection, tenant_id, install_id, lock=True)
    locks.change_schedule(connection, tenant_id, install_id, schedule_id)
    row = _rows(connection, [schedule_id]).get((tenant_id, install_id, schedule_id))
    if row is None:
        raise NotFound("Schedule not found")
    now = clock.now()
    reason = _obstacle(row, install)
    run = replace(
        _new_run(row, install, worker, now, skipped=reason is not None),
        trigger="run_now",
        nominal_time=rfc3339(now) or "",
        reason=reason,
    )
    run = replace(run, attempt=_attempts(connection, run) + 1)
    claimed = _record(connection, [(row, install, run, {})], worker).get(schedule_id)
    if claimed is None:
        raise LookupError("a run under a lock was recorded twice")
    return claimed


def _locked(connection: Connection, due: Sequence[DueSchedule], now: datetime) -> list[DueSchedule]:
    """Lock those that are due still once no other server has them locked."""
    if not locks.needed(connection):
        return list(due)
    owners = [(schedule.tenant_id, schedule.install_id) for schedule in due]
    free = locks.claim_several(connection, owners, [schedule.schedule_id for schedule in due], now)
    return [schedule for schedule in due if schedule.schedule_id in free]


def _free(
    connection: Connection, due: Sequence[DueSchedule], now: datetime, most: int
) -> tuple[list[DueSchedule], int]:
    """Lock the first ``most`` that no other server has locked; those, and how many were tried."""
    ids = [schedule.schedule_id for schedule in due]
    free = locks.claim_free(connection, ids, now, most) if ids else {}
    tried = len(due) if len(free) < most else 1 + max(map(ids.index, free))
    owners = {(schedule.tenant_id, schedule.install_id) for schedule in due if schedule.schedule_id in free}
    kept = locks.keep_free_installs(connection, owners) if free else set()
    locked = [
        schedule
        for schedule in due
        if schedule.schedule_id in free and (schedule.tenant_id, schedule.install_id) in kept
    ]
    return locked, tried


def _claim(
    connection: Connection, due: Sequence[DueSchedule], worker: Worker, now: datetime, *, room: int
) -> dict[str, Outcome]:
    """Claim locked schedules together; if that fails, each half by itself, down to the one that fails."""
    try:
        with connection.begin_nested():
            return _claim_together(connection, due, worker, now, room=room)
    except OperationalError:
        raise
    except Exception as error:  # noqa: BLE001 - logged with the schedule that it is about
        if len(due) == 1:
            return {due[0].schedule_id: _failed(due[0], error)}
    half = len(due) // 2
    first = _claim(connection, due[:half], worker, now, room=room)
    begun = sum(isinstance(outcome, Claim) for outcome in first.values())
    return first | _claim(connection, due[half:], worker, now, room=room - begun)


def _claim_together(
    connection: Connection, due: Sequence[DueSchedule], worker: Worker, now: datetime, *, room: int
) -> dict[str, Outcome]:
    rows = _rows(connection, [schedule.schedule_id for schedule in due])
    owners = installs.several(connection, {(row.tenant_id, row.install_id) for row in rows.values()})
    outcomes: dict[str, Outcome] = {}
    planned: list[_Planned] = []
    for schedule in due:
        row = rows.get((schedule.tenant_id, schedule.install_id, schedule.schedule_id))
        outcomes[schedule.schedule_id] = "nothing"
        if row is None:
            continue
        if room <= 0 and not row.running:
            outcomes[row.id] = "no_room"
            continue
        try:
            plan = _plan(row, owners[row.tenant_id, row.install_id], worker, now)
        except Exception as error:  # noqa: BLE001 - an unknown zone, say: logged, and costs the others nothing
            outcomes[row.id] = _failed(schedule, error)
            continue
        if plan is not None:
            planned.append(plan)
            room -= plan[2].status == "running"
    if planned:
        outcomes.update(_record(connection, planned, worker))
    return outcomes


def _failed(due: DueSchedule, error: Exception) -> Literal["failed"]:
    logger.error(
        "Claiming a due schedule failed",
        exc_info=error,
        extra={
            "action": "dispatch_failure",
            "tenant_id": due.tenant_id,
            "install_id": due.install_id,
            "schedule_id": due.schedule_id,
        },
    )
    return "failed"


def _plan(row: Row[Any], install: Install, worker: Worker, now: datetime) -> _Planned | None:
    """Decide what to record of a schedule, and how it moves on; ``None`` if nothing of it may be claimed now."""
    if row.next_run_at is None:
        return None
    if row.next_run_at > now or row.waits_for_attempt:
        attempt_is_due = not row.running and row.retry_at is not None and row.retry_at <= now
        return _plan_attempt(row, install, worker, now, reason=None) if attempt_is_due else None
    if row.waits:
        return None
    if not row.running and row.retry_at is not None:
        return _plan_attempt(row, install, worker, now, reason="superseded")
    first = next_run.read(row.next_run_at, row.next_nominal_time)
    window = None if row.missed_window_s is None else timedelta(seconds=row.missed_window_s)
    policy = MisfirePolicy(row.missed_policy, window, worker.grace, worker.since)
    plan = misfires.plan(row.cron, row.timezone, first, now, policy)
    obstacle = _obstacle(row, install) if plan.runs else None
    late: Reason = "late" if policy.attended(first) else "missed"
    run = replace(
        _new_run(row, install, worker, now, skipped=obstacle is not None or not plan.runs),
        nominal_time=plan.occurrence.nominal_time,
        due_at=plan.occurrence.due_at,
        reason=obstacle or (late if plan.made_up or plan.missed else None),
        missed=plan.missed,
    )
    return row, install, run, next_run.columns(plan.then)


def _plan_attempt(
    row: Row[Any], install: Install, worker: Worker, now: datetime, *, reason: Reason | None
) -> _Planned:
    """The attempt that waits; with a ``reason``, it is skipped for that."""
    run = replace(
        _new_run(row, install, worker, now, skipped=reason is not None),
        nominal_time=row.retry_nominal_time,
        due_at=row.retry_due_at,
        attempt=row.retry_attempt,
        reason=reason,
    )
    return row, install, run, NONE_WAITING


def _obstacle(row: Row[Any], install: Install) -> Reason | None:
    """Why a run of the schedule is skipped."""
    if not install.enabled:
        return "install_disabled"
    if not row.enabled:
        return "schedule_disabled"
    return "overlap" if row.running else None


def _new_run(row: Row[Any], install: Install, worker: Worker, now: datetime, *, skipped: bool) -> Run:
    """A run of the schedule, not inserted yet; it is over if it is ``skipped`` or its endpoint is gone."""
    gone = row.version_id != install.version_id
    status: Status = "skipped" if skipped else "error" if gone else "running"
    return Run(
        ordinal=0,
        id=str(uuid4()),
        tenant_id=row.tenant_id,
        install_id=row.install_id,
        schedule_id=row.id,
        trigger="schedule",
        nominal_time="",
        due_at=now,
        attempt=1,
        status=status,
        reason=None,
        missed=0,
        http_status=None,
        error_code="endpoint_not_found" if status == "error" else None,
        error_message=ENDPOINT_GONE if status == "error" else None,
        request_id=str(uuid4()),
        worker_id=worker.id,
        started_at=now,
        finished_at=None if status == "running" else now,
        duration_ms=None if status == "running" else 0,
    )


def _record(connection: Connection, planned: Sequence[_Planned], worker: Worker) -> dict[str, Claim | Run]:
    """Insert the runs and move their schedules on; by schedule, those that the database did not have already."""
    values = [
        {name: getattr(run, name) for name in _RUN_COLUMNS}
        | {"lease_expires_at": run.started_at + worker.lease if run.status == "running" else None}
        for _, _, run, _ in planned
    ]
    dialect = connection.dialect.name
    given = values if dialect == "sqlite" else batches.rows(values)
    ordinals = {row.id: row.ordinal for row in connection.execute(_INSERT[dialect], given)}
    moved = [
        {name: changes.get(name, getattr(row, name)) for name in next_run.NOTHING}
        | place(row.tenant_id, row.install_id)
        | {"of_schedule": row.id}
        for row, _, _, changes in planned
        if changes
    ]
    if moved:
        _MOVE_ON.run(connection, moved)
    recorded: dict[str, Claim | Run] = {}
    for row, install, run, _ in planned:
        if run.id not in ordinals:
            continue
        inserted = replace(run, ordinal=ordinals[run.id])
        if run.status == "running":
            recorded[row.id] = Claim(
                inserted, install, row.name, row.timezone, row.method, row.path, stored_payload(row)
            )
            continue
        recorded[row.id] = inserted
        if run.status == "error":
            this = locks.of_install(row.tenant_id, row.install_id) & (tables.schedule.c.id == row.id)
            disabled = {"enabled": False, **next_run.NOTHING}
            connection.execute(update(tables.schedule).where(this).values(disabled))
            recording.note(connection, run, "error", ENDPOINT_GONE)
    return recorded


def _rows(connection: Connection, schedule_ids: Iterable[str]) -> dict[tuple[str, str, str], Row[Any]]:
    """The schedules with their endpoints, by tenant, install and id; the caller has locked them.

    ``running``: a run is under way. ``waits``, ``waits_for_attempt``: its occurrence waits for that, or for an attempt.
    """
    rows = connection.execute(_SCHEDULES[connection.dialect.name], batches.ids(connection, schedule_ids))
    return {(row.tenant_id, row.install_id, row.id): row for row in rows}


def _attempts(connection: Connection, run: Run) -> int:
    """How many runs of the same schedule an admin asked for at the same instant."""
    table = tables.schedule_run.c
    query = select(func.coalesce(func.max(table.attempt), 0)).where(
        runs.of_install(run.tenant_id, run.install_id),
        table.schedule_id == run.schedule_id,
        table.trigger == "run_now",
        table.nominal_time == run.nominal_time,
    )
    highest: int = connection.execute(query).scalar_one()
    return highest


# Built once: every firing executes these.
_run = tables.schedule_run.c
_RUN_COLUMNS = [field.name for field in fields(Run) if field.name != "ordinal"]
_INSERTED = [*_RUN_COLUMNS, "lease_expires_at"]
_ONCE = ["schedule_id", "trigger", "nominal_time", "attempt"]
# Passes over a run that was recorded already. A second one under way is an error: the schedule does not move on.
_INSERT = {
    "sqlite": sqlite.insert(tables.schedule_run)
    .on_conflict_do_nothing(index_elements=_ONCE)
    .returning(tables.schedule_run.c.ordinal, tables.schedule_run.c.id),
    "postgresql": postgresql.insert(tables.schedule_run)
    .from_select(_INSERTED, select(batches.given({name: _run[name].type for name in _INSERTED})))
    .on_conflict_do_nothing(index_elements=_ONCE)
    .returning(tables.schedule_run.c.ordinal, tables.schedule_run.c.id),
}
_MOVE_ON = UpdateMany(tables.schedule, owned_key(tables.schedule, "of_schedule"), list(next_run.NOTHING))
_SCHEDULES = {
    dialect: select(
        tables.schedule,
        tables.endpoint.c.method,
        tables.endpoint.c.path,
        tables.endpoint.c.version_id,
        due_schedules.RUNNING.label("running"),
        due_schedules.WAITS.label("waits"),
        due_schedules.WAITS_FOR_ATTEMPT.label("waits_for_attempt"),
    )
    .join(tables.endpoint, tables.endpoint.c.id == tables.schedule.c.endpoint_id)
    .where(listed)
    for dialect, listed in batches.listed(tables.schedule.c.id).items()
}
