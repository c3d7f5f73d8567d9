"""Records the fate of claimed runs: leases kept, runs given up, how they ended, which attempt is next.

A claim is a lease: a server that does not renew it loses the run, and its schedule is free again. Functions take a
connection and run in its transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import anyio
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, select, update

from alga_common.wire import codes_below
from alga_runner.errors import BundleError, EngineError, ExecutionError, ModuleError, RequestError

from ..clock import Clock
from ..errors import DatabaseUnavailable, RunnerFailure
from ..metrics import Metrics
from ..schedules.policies import policy_of
from ..schedules.validation import storable_part
from ..storage import batches, locks, plans, tables
from ..storage.batches import UpdateMany
from ..storage.database import Database
from ..storage.owned import owned_key, place
from . import runs
from .runs import MAX_MESSAGE, Reason, Run, Status

logger = logging.getLogger("alga_server")

_LOST: dict[Reason, str] = {
    "lease_expired": "The run was lost: the server that ran it stopped answering",
    "shutdown": "The run was cut off: the server that ran it was stopped",
}


RUN_CODES = frozenset(
    {"handler_status", "internal_error", "endpoint_not_found", "cancelled", "internal"}
    | {"execute_failed", "bundle_fetch_failed", "engine_init_failed", "idempotency_key_reused"}
    | {"missing_routing_headers", "routing_headers_mismatch"}
    | codes_below(RunnerFailure, EngineError, BundleError, ModuleError, RequestError, ExecutionError)
)
"""Codes with which a run ends in an error; a runner may have codes of its own."""


@dataclass(frozen=True, slots=True)
class Worker:
    """Who claims: an id of its own, and for how long a claim lasts unrenewed.

    ``grace`` is how late a time may fire without having been missed; ``since``, from when on a server has been there
    to fire: what came later was not missed, however late it is.
    """

    id: str
    lease: timedelta
    grace: timedelta = timedelta(minutes=1)
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run went; of a failed one with what the guest logged and the body that it answered, as text."""

    status: Status
    http_status: int | None = None
    error_code: str | None = None
    error_message: str | None = None
    guest_log: str | None = None
    response_body: str | None = None


_ENDED = (
    *("status", "http_status", "error_code", "error_message", "finished_at", "duration_ms"),
    *("guest_log", "response_body"),
)
"""The columns that the end of a run sets."""

_run = tables.schedule_run
_HELD: dict[str, Select[Any]] = {
    dialect: select(_run.c.id, _run.c.tenant_id, _run.c.install_id, _run.c.worker_id)
    .where(listed, _run.c.status == "running")
    .order_by(_run.c.ordinal)
    .with_for_update(of=_run)
    for dialect, listed in batches.listed(_run.c.id).items()
}
_END = UpdateMany(_run, owned_key(_run, "of_run"), [*_ENDED, "lease_expires_at"])
_NOTE = UpdateMany(
    tables.schedule,
    owned_key(tables.schedule, "of_schedule"),
    ["last_run_at", "last_run_status", "last_error"],
)


# Instants are read once a transaction has its locks, for which it may have waited long.


def renew(connection: Connection, worker: Worker, run_ids: list[str], clock: Clock) -> set[str]:
    """Keep the runs that the worker is at; the ids of those that are still its own."""
    run = tables.schedule_run
    own = and_(run.c.id.in_(run_ids), run.c.worker_id == worker.id, run.c.status == "running")
    locks.change_runs(connection, own)
    connection.execute(update(run).where(own).values(lease_expires_at=clock.now() + worker.lease))
    return set(connection.execute(select(run.c.id).where(own)).scalars())


def reap(connection: Connection, expired_at: datetime, clock: Clock) -> list[Run]:
    """Give up the runs whose leases had run out at ``expired_at``; their schedules are free.

    That instant is from before any wait for locks: meanwhile no server could renew a lease.
    """
    run = tables.schedule_run.c
    expired = and_(run.status == "running", run.lease_expires_at <= expired_at)
    return _lose(connection, expired, "lease_expired", clock)


def release(connection: Connection, worker: Worker, clock: Clock) -> list[Run]:
    """Give up every run that the worker still holds: it stops."""
    run = tables.schedule_run.c
    return _lose(connection, and_(run.status == "running", run.worker_id == worker.id), "shutdown", clock)


def finish(connection: Connection, run: Run, ending: Ending, *, duration_ms: int) -> Run | None:
    """Record how the run went, there and on its schedule; the run. ``None`` if it is no longer the worker's.

    It ended ``duration_ms`` after it began, however late that is recorded, and even if a clock was set meanwhile.
    """
    [record] = finish_all(connection, [_ended(run, ending, duration_ms)])
    return record


def _ended(run: Run, ending: Ending, duration_ms: int) -> Run:
    return replace(
        run,
        status=ending.status,
        http_status=ending.http_status,
        error_code=ending.error_code,
        error_message=storable_part(ending.error_message, MAX_MESSAGE),
        finished_at=run.started_at + timedelta(milliseconds=duration_ms),
        duration_ms=duration_ms,
        guest_log=runs.output(ending.guest_log),
        response_body=runs.output(ending.response_body),
    )


def finish_all(connection: Connection, records: Sequence[Run]) -> list[Run | None]:
    """Write runs as they ended; ``None`` for each that is no longer its worker's."""
    plans.by_index(connection)
    locks.change_listed(connection, [record.schedule_id for record in records])
    ids = batches.ids(connection, [record.id for record in records])
    held = {row.id: row for row in connection.execute(_HELD[connection.dialect.name], ids)}
    kept = {record.id: record for record in records if record.id in held and _holds(record, held[record.id])}
    if kept:
        _END.run(connection, [_end_of(record) for record in kept.values()])
        _NOTE.run(
            connection, [_note_of(record, record.status, record.error_message) for record in kept.values()]
        )
    for record in kept.values():
        if record.status != "success" and record.finished_at is not None:
            _schedule_retry(connection, record, record.finished_at)
    with_output = [record for record in kept.values() if record.guest_log or record.response_body]
    for tenant_id, install_id in sorted({(record.tenant_id, record.install_id) for record in with_output}):
        runs.prune_outputs(connection, tenant_id, install_id)
    return [kept.get(record.id) for record in records]


def _holds(record: Run, held: Row[Any]) -> bool:
    return bool((record.tenant_id, record.install_id, record.worker_id) == tuple(held)[1:])


def _end_of(record: Run) -> dict[str, object]:
    ended = {name: getattr(record, name) for name in _ENDED} | {"lease_expires_at": None}
    return place(record.tenant_id, record.install_id) | {"of_run": record.id} | ended


def note(connection: Connection, run: Run, status: Status, message: str | None) -> None:
    """Tell the schedule how its run went, ``success`` or ``error`` (alga-contract 5.9), if it is still there."""
    _NOTE.run(connection, [_note_of(run, status, message)])


def _note_of(run: Run, status: Status, message: str | None) -> dict[str, object]:
    return place(run.tenant_id, run.install_id) | {
        "of_schedule": run.schedule_id,
        "last_run_at": run.started_at,
        "last_run_status": "success" if status == "success" else "error",
        "last_error": message,
    }


def _lose(connection: Connection, which: ColumnElement[bool], reason: Reason, clock: Clock) -> list[Run]:
    held = [runs.read(row) for row in connection.execute(select(tables.schedule_run).where(which))]
    if held:
        locks.change_listed(connection, [run.schedule_id for run in held])
        locks.change_runs(connection, tables.schedule_run.c.id.in_([run.id for run in held]))
    lost, now = [], clock.now()
    for run in held:
        ended = connection.execute(
            update(tables.schedule_run)
            .where(tables.schedule_run.c.id == run.id, which)
            .values(
                status="lost",
                reason=reason,
                error_code="run_lost",
                error_message=_LOST[reason],
                lease_expires_at=None,
                finished_at=now,
            )
        )
        if ended.rowcount:
            note(connection, run, "lost", _LOST[reason])
            _schedule_retry(connection, run, now)
            again = runs.get(connection, run.tenant_id, run.install_id, run.id)
            lost += [again] if again is not None else []
    return lost


def report(run: Run, metrics: Metrics) -> None:
    """Log and count a run that is over or was skipped; neither shows its payload or its handler's words."""
    metrics.schedule_run(run.status, run.trigger, reason=run.reason, code=run.error_code, missed=run.missed)
    logger.log(
        logging.INFO if run.status in {"success", "skipped"} else logging.WARNING,
        "Schedule run: %s",
        run.status,
        extra={
            "action": "schedule_run",
            "tenant_id": run.tenant_id,
            "install_id": run.install_id,
            "schedule_id": run.schedule_id,
            "run_id": run.id,
            "request_id": run.request_id,
            "trigger": run.trigger,
            "nominal_time": run.nominal_time,
            "attempt": run.attempt,
            "status": run.status,
            "reason": run.reason,
            "missed": run.missed,
            "http_status": run.http_status,
            "error_code": run.error_code,
            "duration_ms": run.duration_ms,
        },
    )


def _schedule_retry(connection: Connection, run: Run, ended_at: datetime) -> None:
    """A run failed or was lost at ``ended_at``: its next attempt waits, if its schedule is live and grants one.

    Only what the clock fired is tried again; an admin who asks for a run sees how it ended.
    """
    if run.trigger != "schedule":
        return
    schedule = tables.schedule.c
    this = (
        (schedule.tenant_id == run.tenant_id)
        & (schedule.install_id == run.install_id)
        & (schedule.id == run.schedule_id)
    )
    query = select(
        schedule.max_attempts, schedule.retry_delay_s, schedule.retry_factor, schedule.next_run_at
    ).where(this)
    row = connection.execute(query.with_for_update(of=tables.schedule)).one_or_none()
    wait = None if row is None or row.next_run_at is None else policy_of(row).wait_after(run.attempt)
    if wait is not None:
        values = {
            "retry_at": ended_at + wait,
            "retry_attempt": run.attempt + 1,
            "retry_nominal_time": run.nominal_time,
            "retry_due_at": run.due_at,
        }
        connection.execute(update(tables.schedule).where(this).values(values))


@dataclass(slots=True)
class _Ended:
    """A run that ended, and once it is ``done`` what became of its record."""

    run: Run
    ending: Ending
    duration_ms: int
    done: bool = False
    record: Run | None = None
    failure: BaseException | None = None


class RunRecorder:
    """Those that end while others are being recorded wait for that, and are recorded together."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turn = anyio.Lock()
        self._waiting: list[_Ended] = []

    async def record(self, run: Run, ending: Ending, *, duration_ms: int) -> Run | None:
        """As ``finish``. Raises what the database raises. Cancelling the caller is for it to prevent."""
        entry = _Ended(run, ending, duration_ms)
        self._waiting.append(entry)
        async with self._turn:
            if not entry.done:
                batch, self._waiting = self._waiting, []
                await self._write(batch)
        if entry.failure is not None:
            raise entry.failure
        return entry.record

    async def _write(self, batch: list[_Ended]) -> None:
        try:
            await self._together(batch)
        except DatabaseUnavailable as failure:
            _fail(batch, failure)
        except Exception as failure:  # noqa: BLE001 - raised to the callers that it concerns
            if len(batch) == 1:
                _fail(batch, failure)
                return
            half = len(batch) // 2  # an ending that cannot be recorded fails alone
            await self._write(batch[:half])
            await self._write(batch[half:])
        except BaseException as failure:
            _fail(batch, failure)
            raise

    async def _together(self, batch: list[_Ended]) -> None:
        def transaction(connection: Connection) -> list[Run | None]:
            return finish_all(
                connection, [_ended(entry.run, entry.ending, entry.duration_ms) for entry in batch]
            )

        for entry, record in zip(batch, await self._database.write(transaction), strict=True):
            entry.record, entry.done = record, True


def _fail(batch: list[_Ended], failure: BaseException) -> None:
    for entry in batch:
        entry.failure, entry.done = failure, True
