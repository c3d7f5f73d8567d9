"""Jobs of Procrastinate on PostgreSQL: one waits for each live schedule, until the instant at which it is due.

A trigger (the first migration makes it) defers and cancels them, in the transaction and on the connection that changes
the schedule: a rollback leaves no job, and no write can forget one. A job's ``queueing_lock`` is its schedule,
so that at most one waits. A worker in each server takes jobs; whether a time is to be fired, the claim decides as ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import anyio
from sqlalchemy import URL, Connection, make_url, text

from alga_runner.errors import SettingsError

from ...clock import Clock, MovableClock
from ...settings import ServerSettings
from ...storage import locks, tables
from ..due import DueSchedule
from ..reconcile.checks import Discrepancy
from .jobs import Fire, JobRunner

if TYPE_CHECKING:
    from procrastinate import App, JobContext

logger = logging.getLogger("alga_server")

QUEUE = "alga_schedules"
TASK = "alga_server.fire"
"""The trigger names both."""

_FETCH_S = 1.0
"""How often a worker asks for jobs whose instant has come; it is notified of new ones that are due."""

_AGAIN = timedelta(seconds=1)
"""From a worker's failure to the next try."""

_OPENS_WITHIN_S = 5.0
"""How long a worker may take to reach the database, until it is tried again."""

_STOPS_WITHIN_S = 5.0
"""How long a worker may take to stop, besides its jobs, until it is cancelled again."""

_CONNECTIONS = 4
_DEAD_AFTER_S = 30
"""How long a worker may be silent before its jobs are another's; it sends a heartbeat every ten seconds."""

_DISCREPANCIES = text("""
    WITH live AS (
        SELECT id, tenant_id, install_id, LEAST(next_run_at, retry_at) AT TIME ZONE 'UTC' AS due_at
        FROM tenant_extension_schedule WHERE next_run_at IS NOT NULL
    ), job AS (
        SELECT job.id, job.queueing_lock AS lock, job.status::text AS status, job.scheduled_at,
        COALESCE(job.queueing_lock, job.args->>'schedule_id', '') AS schedule_id,
        COALESCE(job.args->>'tenant_id', '') AS tenant_id, COALESCE(job.args->>'install_id', '') AS install_id,
        worker.id IS NULL OR worker.last_heartbeat < now() - make_interval(secs => :dead) AS stalled
        FROM procrastinate_jobs job LEFT JOIN procrastinate_workers worker ON worker.id = job.worker_id
        WHERE job.queue_name = :queue AND job.status IN ('todo', 'doing')
    )
    SELECT 'job_stalled' AS kind, job.id AS job_id, tenant_id, install_id, schedule_id
    FROM job WHERE status = 'doing' AND stalled
    UNION ALL
    SELECT CASE WHEN live.id IS NULL THEN 'job_without_schedule' ELSE 'job_at_wrong_time' END,
    job.id, job.tenant_id, job.install_id, job.schedule_id
    FROM job LEFT JOIN live ON live.id = job.lock
    WHERE job.status = 'todo' AND (live.id IS NULL OR live.due_at IS DISTINCT FROM job.scheduled_at)
    UNION ALL
    SELECT 'job_missing', NULL, live.tenant_id, live.install_id, live.id
    FROM live LEFT JOIN job ON job.lock = live.id WHERE job.id IS NULL
    ORDER BY schedule_id, kind
""")

_REMOVE = text("DELETE FROM procrastinate_jobs WHERE id = ANY(:jobs) AND status::text = :status")
_REMOVED = {"todo": {"job_without_schedule", "job_at_wrong_time"}, "doing": {"job_stalled"}}
"""Kinds by the status of their jobs; a worker may have taken one meanwhile."""


class QueuedJobs(JobRunner):
    """The engine ``procrastinate``. Raises ``SettingsError`` on another database, or where it is not installed."""

    session: Mapping[str, str] = {"alga.job_engine": "procrastinate"}
    apart = True

    def __init__(self, settings: ServerSettings, clock: Clock) -> None:
        self._url = make_url(settings.database_url)
        if self._url.get_backend_name() != "postgresql":
            raise SettingsError(
                "The setting job_engine (ALGA_SERVER_JOB_ENGINE) names procrastinate, which works on PostgreSQL only.",
                hint="Set database_url (ALGA_SERVER_DATABASE_URL) to a PostgreSQL database, or job_engine to embedded.",
            )
        try:
            import procrastinate  # noqa: F401, PLC0415 - optional
        except ImportError:
            raise SettingsError(
                "The setting job_engine (ALGA_SERVER_JOB_ENGINE) names procrastinate, which is not installed.",
                hint="Install alga-runner with its extra `postgres`, as docs/postgresql.md shows.",
            ) from None
        self._clock = clock
        self._connected = True
        self._concurrency = settings.max_schedule_runs
        self._grace = settings.shutdown_grace_seconds

    @property
    def dispatcher_looks(self) -> bool:
        """With a clock that can be moved: the queue knows the machine's time alone."""
        return isinstance(self._clock, MovableClock)

    async def run(self, fire: Fire) -> None:
        """Work; begin again when the database was lost, which is logged once."""
        while True:
            try:
                await self._work(fire)
            except Exception as error:
                if not _is_outage(error):
                    logger.exception("The worker of the queue failed", extra={"action": "dispatch_failure"})
                elif self._connected:
                    logger.warning(
                        "The worker of the queue lost the database", extra={"action": "queue_unavailable"}
                    )
                    self._connected = False
            await self._clock.sleep_until(self._clock.now() + _AGAIN)

    async def _work(self, fire: Fire) -> None:
        app = self._app(fire)
        try:
            with anyio.fail_after(
                _OPENS_WITHIN_S, shield=True
            ):  # cut in two, it would leave connections behind
                await app.open_async()
            self._connected = True
            await self._work_on(app)
        finally:
            with anyio.CancelScope(shield=True):
                await app.close_async()

    async def _work_on(self, app: App) -> None:
        working = asyncio.create_task(
            app.run_worker_async(
                queues=[QUEUE],
                concurrency=self._concurrency,
                fetch_job_polling_interval=_FETCH_S,
                delete_jobs="always",  # the runs' history is our own
                install_signal_handlers=False,
                shutdown_graceful_timeout=self._grace,
                stalled_worker_timeout=_DEAD_AFTER_S,
            )
        )
        try:
            await asyncio.shield(working)
        finally:
            with anyio.CancelScope(shield=True):
                while not working.done():  # a cancellation can be lost between its many waits
                    working.cancel()  # it lets its jobs come to their end, which is near
                    await asyncio.wait({working}, timeout=self._grace + _STOPS_WITHIN_S)

    def put_back(self, connection: Connection, due: DueSchedule) -> None:
        """The trigger gives it a fresh job."""
        self._defer_anew(connection, [due.schedule_id])

    def discrepancies(self, connection: Connection) -> list[Discrepancy]:
        """Of all schedules and all of their jobs."""
        return [_discrepancy(row) for row in self._found(connection)]

    def repair(self, connection: Connection) -> list[Discrepancy]:
        """Remove what is wrong and stalled, and have the trigger defer anew. One server at a time."""
        locks.alone(connection, "repairing jobs")
        suspects = sorted({row.schedule_id for row in self._found(connection)})
        if not suspects:
            return []
        locks.change_schedules(connection, tables.schedule.c.id.in_(suspects))
        wrong = [row for row in self._found(connection) if row.schedule_id in suspects]
        for status, kinds in _REMOVED.items():
            jobs = [row.job_id for row in wrong if row.kind in kinds]
            connection.execute(_REMOVE, {"jobs": jobs, "status": status})
        self._defer_anew(connection, [row.schedule_id for row in wrong])
        return [replace(_discrepancy(row), repaired=True) for row in wrong]

    def _defer_anew(self, connection: Connection, schedule_ids: list[str]) -> None:
        connection.execute(
            text("UPDATE tenant_extension_schedule SET next_run_at = next_run_at WHERE id = ANY(:ids)"),
            {"ids": schedule_ids},
        )

    def _found(self, connection: Connection) -> list[Any]:
        return list(connection.execute(_DISCREPANCIES, {"queue": QUEUE, "dead": _DEAD_AFTER_S}))

    def _app(self, fire: Fire) -> App:
        from procrastinate import App, PsycopgConnector  # noqa: PLC0415 - optional

        # As many as there may ever be: one that the pool opens while it closes would be left open.
        app = App(
            connector=PsycopgConnector(
                conninfo=_conninfo(self._url), min_size=_CONNECTIONS, max_size=_CONNECTIONS
            )
        )

        @app.task(name=TASK, queue=QUEUE, pass_context=True)
        async def carry_out(context: JobContext, tenant_id: str, install_id: str, schedule_id: str) -> None:
            due_at = context.job.scheduled_at
            if due_at is not None:
                await fire(DueSchedule(tenant_id, install_id, schedule_id, running=False), due_at)

        return app


def _is_outage(error: BaseException) -> bool:
    """Whether the database could not be reached, and no more is wrong."""
    import psycopg  # noqa: PLC0415 - optional

    if isinstance(error, BaseExceptionGroup):
        return all(_is_outage(one) for one in error.exceptions)
    lost = (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError, OSError)
    return isinstance(error, lost) or isinstance(error.__cause__, lost)


def _conninfo(url: URL) -> str:
    """Return what libpq connects with. A URL would be read again, by other rules than SQLAlchemy's."""
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415 - optional

    url = url.set(drivername="postgresql+psycopg")
    _, arguments = url.get_dialect()().create_connect_args(url)
    return make_conninfo(**arguments)


def _discrepancy(row: Any) -> Discrepancy:
    return Discrepancy(row.kind, row.tenant_id, row.install_id, row.schedule_id)
