"""Runs of schedules: the history, and run-now."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Query, Response
from pydantic import BeforeValidator
from sqlalchemy import Connection

from alga_common.time import parse_since

from ...catalog import installs
from ...errors import NotFound, ValidationFailed
from ...firing import runs
from ...firing.runs import MAX_PAGE, Page, Run, Status
from ...schedules import schedules
from ..dependencies import ServicesDep
from ..params import Id, TenantId
from ..schemas import Instant, Output, refused
from .router import INSTALL, admin_router

router = admin_router()

_Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
_Cursor = Annotated[str | None, Query(pattern="^[1-9][0-9]{0,17}$")]


class RunShown(Output):
    """A run; ``dueAt`` is the instant of its ``nominalTime``.

    ``guestLog`` and ``responseBody`` are the ends of what a failed run logged and answered.
    """

    id: str
    tenant_id: str
    install_id: str
    schedule_id: str
    trigger: str
    nominal_time: str
    due_at: Instant
    attempt: int
    status: str
    reason: str | None
    missed: int
    http_status: int | None
    error_code: str | None
    error_message: str | None
    request_id: str
    started_at: Instant
    finished_at: Instant | None
    duration_ms: int | None
    guest_log: str | None
    response_body: str | None


def _text(cursor: int | None) -> str | None:
    return None if cursor is None else str(cursor)


class RunsListed(Output):
    """Runs, newest first; ``cursor`` continues."""

    runs: list[RunShown]
    cursor: Annotated[str | None, BeforeValidator(_text)]


class FoundRun(RunShown):
    """A run, and the names of its schedule and extension; null for those that were deleted."""

    schedule_name: str | None
    extension_name: str | None


class RunsFound(Output):
    """Runs of one tenant or of all, newest first; ``cursor`` continues."""

    runs: list[FoundRun]
    cursor: str | None


@router.get("/runs", response_model=RunsFound, responses=refused(400))
async def find(
    *,
    services: ServicesDep,
    tenant_id: Annotated[TenantId | None, Query(alias="tenantId")] = None,
    install_id: Annotated[Id | None, Query(alias="installId")] = None,
    schedule_id: Annotated[Id | None, Query(alias="scheduleId")] = None,
    status: Status | None = None,
    since: Annotated[str | None, Query(max_length=64)] = None,
    limit: _Limit = 50,
    cursor: _Cursor = None,
) -> RunsFound:
    """List runs of all tenants, or those with the given properties.

    ``since`` is an instant, or a duration before now such as ``1h``; it bounds when a run started.
    """
    started_since = None if since is None else _since(since, services.clock.now())

    def transaction(connection: Connection) -> RunsFound:
        page = runs.search(
            connection,
            tenant_id,
            install_id=install_id,
            schedule_id=schedule_id,
            status=status,
            since=started_since,
            limit=limit,
            cursor=_number(cursor),
        )
        names = runs.names(connection, page.runs)
        shown = [
            FoundRun(
                **RunShown.model_validate(run).model_dump(),
                schedule_name=names[run.id][0],
                extension_name=names[run.id][1],
            )
            for run in page.runs
        ]
        return RunsFound(runs=shown, cursor=_text(page.cursor))

    return await services.database.read(transaction)


def _since(text: str, now: datetime) -> datetime:
    try:
        return parse_since(text, now)
    except ValueError as error:
        raise ValidationFailed(field_errors={"since": str(error)}) from None


@router.get(INSTALL + "/runs", response_model=RunsListed, responses=refused(400, 404))
async def of_install(
    services: ServicesDep, tenant_id: TenantId, install_id: Id, limit: _Limit = 50, cursor: _Cursor = None
) -> Page:
    """List the runs of an install."""

    def transaction(connection: Connection) -> Page:
        installs.require(connection, tenant_id, install_id)
        return runs.page(connection, tenant_id, install_id, limit=limit, cursor=_number(cursor))

    return await services.database.read(transaction)


@router.get("/tenants/{tenant_id}/runs/{run_id}", response_model=RunShown, responses=refused(404))
async def get(services: ServicesDep, tenant_id: TenantId, run_id: Id) -> Run:
    """Show one run of a tenant."""
    run = await services.database.read(lambda connection: runs.of_tenant(connection, tenant_id, run_id))
    if run is None:
        raise NotFound("Run not found")
    return run


@router.get(INSTALL + "/schedules/{schedule_id}/runs", response_model=RunsListed, responses=refused(400, 404))
async def of_schedule(
    *,
    services: ServicesDep,
    tenant_id: TenantId,
    install_id: Id,
    schedule_id: Id,
    limit: _Limit = 50,
    cursor: _Cursor = None,
) -> Page:
    """List the runs of a schedule, deleted ones included."""

    def transaction(connection: Connection) -> Page:
        install = installs.require(connection, tenant_id, install_id)
        page = runs.page(
            connection,
            tenant_id,
            install_id,
            schedule_id=schedule_id,
            limit=limit,
            cursor=_number(cursor),
        )
        # The history of a deleted schedule shows that it existed.
        if not page.runs and cursor is None and schedules.get(connection, install, schedule_id) is None:
            raise NotFound("Schedule not found")
        return page

    return await services.database.read(transaction)


@router.post(
    INSTALL + "/schedules/{schedule_id}/run-now",
    response_model=RunShown,
    responses={202: {"model": RunShown}, **refused(400, 404, 409, 503)},
)
async def run_now(
    *,
    services: ServicesDep,
    response: Response,
    tenant_id: TenantId,
    install_id: Id,
    schedule_id: Id,
    wait: Literal["true", "false"] = "true",
) -> Run:
    """Fire a schedule now; 202 while its run is under way."""
    run = await services.dispatcher.run_now(tenant_id, install_id, schedule_id, wait=wait == "true")
    if run.status == "running":
        response.status_code = 202
    return run


def _number(cursor: str | None) -> int | None:
    return None if cursor is None else int(cursor)
