"""What admins see and do about runs: the history, and run-now."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.requests import Request

from ...catalog import installs
from ...errors import NotFound, ValidationFailed
from ...firing import runs
from ...firing.runs import MAX_PAGE, Page
from ...schedules import schedules
from ..answers import RunShown, RunsListed
from ..dependencies import Services
from ..openapi import described, query
from ..params import parse_tenant, parse_uuid
from ..responses import Answer
from .models import run_answer

_DEFAULT_PAGE = 50
_PAGING = (
    query("limit", type="integer", minimum=1, maximum=MAX_PAGE),
    query("cursor", type="string", pattern="^[1-9][0-9]{0,17}$"),
)
_INSTALL = "/tenants/{tenant_id}/installs/{install_id}"


def add_runs(router: APIRouter, services: Services) -> None:
    """Runs of an install or a schedule, newest first; run-now."""
    database = services.database

    @router.get(_INSTALL + "/runs", **described(RunsListed, parameters=_PAGING, refusals=(400, 404)))
    async def of_install(request: Request, tenant_id: str, install_id: str) -> Answer:
        limit, cursor = _paging(request)

        def transaction(connection: Connection) -> Page:
            install = installs.require(connection, parse_tenant(tenant_id), parse_uuid(install_id))
            return runs.page(connection, install.tenant_id, install.install_id, limit=limit, cursor=cursor)

        return Answer(_page_answer(await database.read(transaction)))

    @router.get(
        _INSTALL + "/schedules/{schedule_id}/runs",
        **described(RunsListed, parameters=_PAGING, refusals=(400, 404)),
    )
    async def of_schedule(request: Request, tenant_id: str, install_id: str, schedule_id: str) -> Answer:
        limit, cursor = _paging(request)
        known = parse_uuid(schedule_id)

        def transaction(connection: Connection) -> Page:
            install = installs.require(connection, parse_tenant(tenant_id), parse_uuid(install_id))
            found = runs.page(
                connection,
                install.tenant_id,
                install.install_id,
                schedule_id=known,
                limit=limit,
                cursor=cursor,
            )
            # A deleted schedule is known by its history.
            if not found.runs and cursor is None and schedules.get(connection, install, known) is None:
                raise NotFound("Schedule not found")
            return found

        return Answer(_page_answer(await database.read(transaction)))

    @router.post(
        _INSTALL + "/schedules/{schedule_id}/run-now",
        **described(
            RunShown,
            also=(202,),
            parameters=[query("wait", type="string", enum=["true", "false"])],
            refusals=(400, 404, 409, 503),
        ),
    )
    async def run_now(request: Request, tenant_id: str, install_id: str, schedule_id: str) -> Answer:
        wait = _flag(request, "wait", default=True)
        run = await services.dispatcher.run_now(
            parse_tenant(tenant_id), parse_uuid(install_id), parse_uuid(schedule_id), wait=wait
        )
        return Answer(run_answer(run), status_code=202 if run.status == "running" else 200)


def _page_answer(page: Page) -> dict[str, Any]:
    cursor = None if page.cursor is None else str(page.cursor)
    return {"runs": [run_answer(each) for each in page.runs], "cursor": cursor}


def _paging(request: Request) -> tuple[int, int | None]:
    """``limit`` and ``cursor`` of the query. Raises ``ValidationFailed``."""
    limit = _number(request, "limit", f"Expected a number from 1 to {MAX_PAGE}", at_most=MAX_PAGE)
    cursor = _number(request, "cursor", "Expected the cursor of an earlier answer", at_most=2**63 - 1)
    return _DEFAULT_PAGE if limit is None else limit, cursor


def _number(request: Request, name: str, message: str, *, at_most: int) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and 1 <= int(text) <= at_most):
        raise ValidationFailed(field_errors={name: message})
    return int(text)


def _flag(request: Request, name: str, *, default: bool) -> bool:
    text = request.query_params.get(name, str(default).lower())
    if text not in {"true", "false"}:
        raise ValidationFailed(field_errors={name: "Expected true or false"})
    return text == "true"
