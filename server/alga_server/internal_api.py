"""The scheduler's routes for runners: two dialects, one behaviour (``scheduler_call``).

``alga`` is the route that Alga's server ships, one for each install, the operation in the body (alga-contract 4 and
5.1); ``prd`` has a route for each operation, the install in the identity headers (PRD, "Internal API").
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from starlette.requests import Request

from .scheduler_call import SchedulerCall
from .services import Services
from .web import Answer

PRD_ROOT = "/api/internal/extensions/scheduler"
PRD_ROUTES = {
    "list": "list",
    "get": "get",
    "create": "create",
    "update": "update",
    "delete": "delete",
    "get-endpoints": "getEndpoints",
}
"""The last segment of each route, and the operation it means."""


def internal_router(services: Services) -> APIRouter:
    """Both dialects."""
    router = APIRouter()

    @router.post("/api/internal/ext-scheduler/install/{install_id}", response_model=None)
    async def scheduler(request: Request, install_id: str) -> Answer:
        return await SchedulerCall(services, request, install_id=install_id).answer()

    for segment, operation in PRD_ROUTES.items():
        router.add_api_route(
            f"{PRD_ROOT}/{segment}", _asking(services, operation), methods=["POST"], response_model=None
        )
    return router


def _asking(services: Services, operation: str) -> Callable[[Request], Awaitable[Answer]]:
    async def ask(request: Request) -> Answer:
        return await SchedulerCall(services, request, operation=operation).answer()

    return ask
