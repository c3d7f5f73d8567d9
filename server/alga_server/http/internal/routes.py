"""The scheduler's routes for runners: two dialects, one behaviour (``scheduler_call``).

``alga`` is the route that Alga's server ships, one for each install, the operation in the body (alga-contract 4 and
5.1); ``prd`` has a route for each operation, the install in the identity headers (PRD, "Internal API").
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request

from ..answers import Created, Done, EndpointsListed, ScheduleFound, ScheduleListed
from ..dependencies import Services
from ..openapi import described, header
from ..requests import AlgaRequest, CreateRequest, NoMembers, ScheduleRefRequest, UpdateRequest
from ..responses import Answer
from .call import SchedulerCall

PRD_ROOT = "/api/internal/extensions/scheduler"
_HEADERS = (
    header("x-alga-tenant"),
    header("x-alga-extension"),
    header("x-ext-install-id"),
    header("x-request-id", required=False),
    header("x-alga-execution-token", required=False),
)


def _described(answer: Any, body: Any, *, status: int = 200, also: tuple[int, ...] = ()) -> dict[str, Any]:
    writes = answer in {Created, Done} or bool(also)
    refusals = (400, 403, 404, 409, 413, 429) if writes else (400, 403, 404, 413)
    return described(
        answer,
        status=status,
        also=also,
        body=body,
        parameters=_HEADERS,
        refusals=refusals,
        security="runner",
    )


PRD_ROUTES: dict[str, tuple[str, dict[str, Any]]] = {
    "list": ("list", _described(ScheduleListed, NoMembers)),
    "get": ("get", _described(ScheduleFound, ScheduleRefRequest)),
    "create": ("create", _described(Created, CreateRequest, status=201)),
    "update": ("update", _described(Done, UpdateRequest)),
    "delete": ("delete", _described(Done, ScheduleRefRequest)),
    "get-endpoints": ("getEndpoints", _described(EndpointsListed, NoMembers)),
}
"""The last segment of each route, the operation it means, and what it says of itself."""


def internal_router(services: Services) -> APIRouter:
    """Both dialects."""
    router = APIRouter()

    any_answer = ScheduleListed | ScheduleFound | Created | Done | EndpointsListed

    @router.post(
        "/api/internal/ext-scheduler/install/{install_id}",
        **_described(any_answer, AlgaRequest, also=(201,)),
    )
    async def scheduler(request: Request, install_id: str) -> Answer:
        return await SchedulerCall(services, request, install_id=install_id).answer()

    for segment, (operation, said) in PRD_ROUTES.items():
        router.add_api_route(
            f"{PRD_ROOT}/{segment}", _asking(services, operation), methods=["POST"], name=segment, **said
        )
    return router


def _asking(services: Services, operation: str) -> Callable[[Request], Awaitable[Answer]]:
    async def ask(request: Request) -> Answer:
        return await SchedulerCall(services, request, operation=operation).answer()

    return ask
