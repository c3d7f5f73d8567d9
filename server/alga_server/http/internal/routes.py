"""The routes for runners: one for each API and install, the operation in the body (alga-contract 4 and 5.1).

The scheduler has two dialects with one behaviour (``HostCall``): ``alga`` is such a route; ``prd`` has one for each
operation, the install in the identity headers (docs/scheduling.md, "How runners ask").
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ...errors import Unauthorized
from ..dependencies import services_of
from ..openapi import header, json_body
from ..responses import Answer, same_secret
from ..schemas import (
    ALGA_REQUESTS,
    Created,
    CreateRequest,
    Done,
    EndpointsListed,
    ListRequest,
    NoMembers,
    ScheduleFound,
    ScheduleListed,
    ScheduleRefRequest,
    TokenAccepted,
    UpdateRequest,
    refused,
)
from . import directory, invoicing, scheduler, storage, ui_proxy
from .call import HostCall

PRD_ROOT = "/api/internal/extensions/scheduler"
_HEADERS = [
    header("x-alga-tenant"),
    header("x-alga-extension"),
    header("x-ext-install-id"),
    header("x-request-id", required=False),
    header("x-alga-execution-token", required=False),
]


class _HostCallRoute(APIRoute):
    """Declared for the document; ``HostCall`` checks token and body itself, with the contract's messages."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the route's function, without what FastAPI would look for, check and keep open for it."""
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)  # which refuses it
            return
        request = Request(scope, receive, send)
        response: Response = await self.endpoint(request, **request.path_params)
        await response(scope, receive, send)


router = APIRouter(
    route_class=_HostCallRoute,
    dependencies=[Security(APIKeyHeader(name="x-runner-auth", scheme_name="runner", auto_error=False))],
    responses=refused(400, 401, 403, 404, 413, 429, 503),
)
_WRITES = refused(409)

APIS_BY_INSTALL = (scheduler.API, storage.API, directory.CLIENTS, directory.SERVICES, invoicing.API)
APIS = (*APIS_BY_INSTALL, ui_proxy.API)


@router.get("/api/internal/ping", response_model=TokenAccepted, responses=refused(401))
async def ping(request: Request) -> Answer:
    """Check the runner's token and nothing else."""
    settings = services_of(request).settings
    given = request.headers.get("x-runner-auth", "")
    if not same_secret(given, settings.usable_token(settings.runner_token)):
        raise Unauthorized("Invalid runner token")
    return Answer({"status": "ok"}, headers={"cache-control": "no-store"})


def _asks(*bodies: type[BaseModel]) -> dict[str, Any]:
    return {"parameters": _HEADERS, "requestBody": json_body(*bodies)}


@router.post(
    "/api/internal/ext-scheduler/install/{install_id}",
    response_model=ScheduleListed | ScheduleFound | Created | Done | EndpointsListed,
    responses={201: {"model": Created}, **_WRITES},
    openapi_extra=_asks(*ALGA_REQUESTS),
)
async def call_scheduler(request: Request, install_id: str) -> Answer:
    """Carry out the operation that the body names."""
    return await HostCall(scheduler.API, services_of(request), request, install_id=install_id).answer()


@router.post(
    "/api/internal/ext-storage/install/{install_id}",
    response_model=storage.RecordFound
    | storage.RecordWritten
    | storage.RecordsListed
    | storage.BulkWritten
    | Done,
    responses=_WRITES,
    openapi_extra=_asks(*storage.REQUESTS),
)
async def call_storage(request: Request, install_id: str) -> Answer:
    """Carry out the operation that the body names."""
    return await HostCall(storage.API, services_of(request), request, install_id=install_id).answer()


@router.post(
    "/api/internal/ext-clients/install/{install_id}",
    response_model=directory.ClientsListed | directory.ClientFound,
    openapi_extra=_asks(directory.ListClients, directory.GetClient),
)
async def call_clients(request: Request, install_id: str) -> Answer:
    """Carry out the operation that the body names."""
    return await HostCall(directory.CLIENTS, services_of(request), request, install_id=install_id).answer()


@router.post(
    "/api/internal/ext-services/install/{install_id}",
    response_model=directory.ServicesListed | directory.ServiceFound,
    openapi_extra=_asks(directory.ListServices, directory.GetService),
)
async def call_services(request: Request, install_id: str) -> Answer:
    """Carry out the operation that the body names."""
    return await HostCall(directory.SERVICES, services_of(request), request, install_id=install_id).answer()


@router.post(
    "/api/internal/ext-invoicing/install/{install_id}",
    status_code=201,
    response_model=invoicing.InvoiceCreated,
    openapi_extra=_asks(invoicing.CreateInvoice),
)
async def call_invoicing(request: Request, install_id: str) -> Answer:
    """Carry out the operation that the body names."""
    return await HostCall(invoicing.API, services_of(request), request, install_id=install_id).answer()


def _asking(operation: str) -> Callable[[Request], Awaitable[Answer]]:
    async def ask(request: Request) -> Answer:
        return await HostCall(scheduler.API, services_of(request), request, operation=operation).answer()

    return ask


PRD_ROUTES: dict[str, tuple[str, type[BaseModel], type[BaseModel]]] = {
    "list": ("list", ListRequest, ScheduleListed),
    "get": ("get", ScheduleRefRequest, ScheduleFound),
    "create": ("create", CreateRequest, Created),
    "update": ("update", UpdateRequest, Done),
    "delete": ("delete", ScheduleRefRequest, Done),
    "get-endpoints": ("getEndpoints", NoMembers, EndpointsListed),
}
"""The last segment of each route: its operation, request and answer."""

for _segment, (_operation, _request, _reply) in PRD_ROUTES.items():
    router.add_api_route(
        f"{PRD_ROOT}/{_segment}",
        _asking(_operation),
        methods=["POST"],
        name=_segment,
        status_code=201 if _reply is Created else 200,
        response_model=_reply,
        responses=_WRITES if _reply in {Created, Done} else None,
        openapi_extra=_asks(_request),
    )
