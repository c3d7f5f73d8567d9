"""The history of a schedule's runs: what fired, when, why not, and how it ended.

Functions take a connection and run in its transaction. History survives its schedule and goes with its install; its
oldest runs make room for new ones (``history``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    func,
    or_,
    select,
    update,
)

from alga_common.text import utf8_tail

from ..storage import tables

Trigger = Literal["schedule", "run_now"]
Status = Literal["running", "success", "error", "skipped", "lost"]
Reason = Literal[
    "overlap",
    "install_disabled",
    "schedule_disabled",
    "missed",
    "late",
    "superseded",
    "lease_expired",
    "shutdown",
]

MAX_PAGE = 200
MAX_MESSAGE = 4_000

OUTPUT_BYTES = 2 * 1024
"""Bytes of the end of a failed run's guest log, and of its response's body, that are kept, in UTF-8."""

OUTPUTS_KEPT = 100
"""How many runs of an install keep those; older runs lose them."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run, or one that did not come to be.

    ``nominal_time`` is its local time, ``due_at`` the instant of that. ``reason`` is why it was
    skipped, late or lost; ``missed`` counts the occurrences passed over: earlier ones, and itself if it did not run.
    ``attempt`` counts from 1. ``guest_log`` and ``response_body`` are the ends of what a failed one logged and
    answered.
    """

    ordinal: int
    id: str
    tenant_id: str
    install_id: str
    schedule_id: str
    trigger: Trigger
    nominal_time: str
    due_at: datetime
    attempt: int
    status: Status
    reason: Reason | None
    missed: int
    http_status: int | None
    error_code: str | None
    error_message: str | None
    request_id: str
    worker_id: str
    started_at: datetime
    finished_at: datetime | None
    duration_ms: int | None
    guest_log: str | None = None
    response_body: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Runs, newest first; ``cursor`` continues, and is ``None`` at the end."""

    runs: list[Run]
    cursor: int | None


def page(
    connection: Connection,
    tenant_id: str,
    install_id: str,
    *,
    schedule_id: str | None = None,
    limit: int,
    cursor: int | None = None,
) -> Page:
    """The runs of an install, or of one of its schedules, that are older than ``cursor``."""
    of_schedule = [] if schedule_id is None else [tables.schedule_run.c.schedule_id == schedule_id]
    return _page(connection, [of_install(tenant_id, install_id), *of_schedule], limit, cursor)


def search(
    connection: Connection,
    tenant_id: str | None,
    *,
    install_id: str | None = None,
    schedule_id: str | None = None,
    status: Status | None = None,
    since: datetime | None = None,
    limit: int,
    cursor: int | None = None,
) -> Page:
    """The runs with these properties that are older than ``cursor``; with ``None`` for the tenant, of every tenant.

    ``since`` bounds when a run started. Without a tenant it is for admins of the server alone.
    """
    run = tables.schedule_run.c
    given = [(run.tenant_id, tenant_id), (run.install_id, install_id), (run.schedule_id, schedule_id)]
    conditions = [column == value for column, value in [*given, (run.status, status)] if value is not None]
    if since is not None:
        conditions.append(run.started_at >= since)
    return _page(connection, conditions, limit, cursor)


def _page(
    connection: Connection, conditions: Sequence[ColumnElement[bool]], limit: int, cursor: int | None
) -> Page:
    query = select(tables.schedule_run).where(*conditions)
    if cursor is not None:
        query = query.where(tables.schedule_run.c.ordinal < cursor)
    newest = query.order_by(tables.schedule_run.c.ordinal.desc()).limit(limit + 1)
    listed = [read(row) for row in connection.execute(newest)]
    return Page(listed[:limit], listed[limit - 1].ordinal if len(listed) > limit else None)


def names(connection: Connection, runs: Sequence[Run]) -> dict[str, tuple[str | None, str | None]]:
    """The names of schedule and extension of each run, by its id; ``None`` for those that were deleted."""
    schedule, install, extension = tables.schedule.c, tables.install.c, tables.extension.c
    query = (
        select(tables.schedule_run.c.id, schedule.name, extension.name)
        .select_from(tables.schedule_run)
        .outerjoin(tables.schedule, schedule.id == tables.schedule_run.c.schedule_id)
        .outerjoin(tables.install, install.id == tables.schedule_run.c.install_id)
        .outerjoin(tables.extension, extension.id == install.extension_id)
        .where(tables.schedule_run.c.ordinal.in_([run.ordinal for run in runs]))
    )
    return {run_id: (name, extension) for run_id, name, extension in connection.execute(query)}


def get(connection: Connection, tenant_id: str, install_id: str, run_id: str) -> Run | None:
    """One run of the install."""
    query = select(tables.schedule_run).where(
        of_install(tenant_id, install_id), tables.schedule_run.c.id == run_id
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else read(row)


def of_tenant(connection: Connection, tenant_id: str, run_id: str) -> Run | None:
    """One run of any install of the tenant."""
    run = tables.schedule_run.c
    row = connection.execute(
        select(tables.schedule_run).where(run.tenant_id == tenant_id, run.id == run_id)
    ).one_or_none()
    return None if row is None else read(row)


def output(text: str | None) -> str | None:
    """The end of what a guest logged or answered, as it is kept; a question mark for what no text column holds."""
    return utf8_tail(text.replace("\0", "?"), OUTPUT_BYTES) if text else None


def last_ordinal(connection: Connection) -> int:
    """The highest ordinal there is; runs recorded later have higher ones."""
    highest: int = connection.execute(
        select(func.coalesce(func.max(tables.schedule_run.c.ordinal), 0))
    ).scalar_one()
    return highest


def scheduled_since(connection: Connection, ordinal: int, worker_id: str) -> list[Run]:
    """The scheduled runs that a worker recorded after ``ordinal``, in the order in which they fired."""
    table = tables.schedule_run
    query = select(table).where(
        table.c.ordinal > ordinal, table.c.worker_id == worker_id, table.c.trigger == "schedule"
    )
    return [read(row) for row in connection.execute(query.order_by(table.c.ordinal))]


def prune_outputs(connection: Connection, tenant_id: str, install_id: str) -> None:
    """Forget what the install's older failed runs logged and answered, so that ``OUTPUTS_KEPT`` keep it."""
    table = tables.schedule_run
    own = of_install(tenant_id, install_id)
    output_kept = or_(table.c.guest_log.is_not(None), table.c.response_body.is_not(None))
    with_output = select(table.c.ordinal).where(own, output_kept).order_by(table.c.ordinal.desc())
    first_too_many = with_output.offset(OUTPUTS_KEPT).limit(1)
    if (ordinal := connection.execute(first_too_many).scalar_one_or_none()) is not None:
        old = select(table.c.ordinal).where(own, output_kept, table.c.ordinal <= ordinal)
        free = old.with_for_update(skip_locked=True)
        forget = update(table).where(own, table.c.ordinal.in_(free))
        connection.execute(forget.values(guest_log=None, response_body=None))


def of_install(tenant_id: str, install_id: str) -> ColumnElement[bool]:
    """The condition that a run is the install's."""
    return and_(tables.schedule_run.c.tenant_id == tenant_id, tables.schedule_run.c.install_id == install_id)


def read(row: Row[Any]) -> Run:
    """A row of the table."""
    return Run(**{field.name: getattr(row, field.name) for field in fields(Run)})
