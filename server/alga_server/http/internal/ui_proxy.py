"""Routes of the host's own API that extensions call through a runner, answered from the seed data (alga-contract 4).

A runner's ``UI_PROXY_BASE_URL`` is this server and ``UI_PROXY_PREFIX``; its ``UI_PROXY_AUTH_KEY`` is the runner token.
It sends no execution's token here; the runner's token, the install and its capability are checked.
"""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.requests import Request

from ...catalog.installs import Install
from ...errors import NoSuchRoute
from ...settings import UI_PROXY_PREFIX
from ..dependencies import Services, services_of
from ..responses import Answer, read_body
from .call import Api, Body, HostCall, Operation, Reply

METHODS = ("GET", "POST")
MAX_PAYLOAD_BYTES = 4 * 1024 * 1024

# Not in the OpenAPI document: routes and answers are the seed data's.
router = APIRouter(include_in_schema=False)

_HOST = "api"
"""The first part of routes that are not below an extension's id."""


def _answer(method: str, services: Services, connection: Connection, install: Install, asked: Body) -> Reply:
    parts = [part for part in str(asked["path"]).split("/") if part]
    if parts[:1] == [install.extension_id]:
        parts = parts[1:]
    elif parts[:1] != [_HOST]:
        raise NoSuchRoute
    route = services.seed.of(install.tenant_id).route(method, "/".join(parts))
    if route is None:
        raise NoSuchRoute
    return Reply(route.answer, route.status)


API = Api(
    "ui-proxy",
    capability="cap:ui.proxy",
    operations={method: Operation(partial(_answer, method), writes=False) for method in METHODS},
    by_execution=False,
)


class UiRouteCall(HostCall):
    """One call of a route; ``path`` is its address below ``UI_PROXY_PREFIX``. A payload is read, and has no effect."""

    def __init__(self, request: Request, path: str) -> None:
        super().__init__(API, services_of(request), request)
        self._path = path

    async def _ask(self) -> tuple[object, Body]:
        await read_body(self._request, MAX_PAYLOAD_BYTES)
        return self._request.method, {"path": self._path}


@router.api_route(UI_PROXY_PREFIX + "/{path:path}", methods=[*METHODS])
async def call_route(request: Request, path: str) -> Answer:
    """Answer with what the seed data has."""
    return await UiRouteCall(request, path).answer()
