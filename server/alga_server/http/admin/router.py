"""The routes of the admin API check the admin's token first, then read the body up to its limit."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.requests import Request
from starlette.responses import Response

from ...errors import Unauthorized
from ..dependencies import services_of
from ..responses import bearer_name, read_json_object
from ..schemas import refused
from .audit import PREFIX, note

INSTALLS = "/tenants/{tenant_id}/installs"
INSTALL = INSTALLS + "/{install_id}"


def admin_router() -> APIRouter:
    """Return a router for a part of the admin API."""
    return APIRouter(
        prefix=PREFIX,
        route_class=_AdminRoute,
        # Only for the OpenAPI document: FastAPI runs dependencies after it has read the body.
        dependencies=[Security(HTTPBearer(scheme_name="admin", auto_error=False))],
        responses=refused(401, 503),
    )


class _AdminRoute(APIRoute):
    """Checks the admin's token before it reads the body, with ``read_json_object`` like every other route."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        takes_json = self.body_field is not None
        operation = f"{min(self.methods or {''})} {self.path_format}"

        async def checked(request: Request) -> Response:
            note(request, operation=operation, **request.path_params)
            settings = services_of(request).settings
            name = bearer_name(request, settings.usable_admin_tokens())
            note(request, token_name=name)
            if name is None:
                raise Unauthorized("Invalid admin token")
            if takes_json:
                request = _Read(request, await read_json_object(request, settings.max_request_bytes))
            return await handle(request)

        return checked


class _Read(Request):
    """A request whose JSON body was read. Its content type is JSON, no matter what the client sent."""

    def __init__(self, request: Request, document: dict[str, Any]) -> None:
        headers = [pair for pair in request.scope["headers"] if pair[0] != b"content-type"]
        headers.append((b"content-type", b"application/json"))
        super().__init__({**request.scope, "headers": headers}, request.receive)
        self._document = document

    async def body(self) -> bytes:
        """Return a body that is not empty, so that FastAPI asks for the JSON."""
        return b"{}"

    async def json(self) -> dict[str, Any]:
        """Return the document."""
        return self._document
