"""``cap:ui.proxy``: routes of the host's user interface (alga-contract 4, ui-proxy)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from ..alga.ui_proxy import MAX_PAYLOAD_BYTES, MAX_ROUTE
from ..errors import HostCallCode, HostCallError
from ..models._base import CamelModel
from ..models.guest_documents import Binary
from . import secrets
from .operation import Execution, Operation

CAPABILITY = "cap:ui.proxy"

API_KEY = "api_key"
"""The secret that goes along with a call, if the install may read secrets."""


class RouteCall(CamelModel):
    """One call of a route."""

    route: Annotated[str, Field(max_length=MAX_ROUTE)] = Field(
        description="below the extension's own routes, or `/api/...`; it may have a query"
    )
    payload: Binary | None = Field(default=None, description="JSON to POST; nil or absent is a GET")


class RouteAnswer(CamelModel):
    """What the route answered."""

    body: Binary


async def _call_route(execution: Execution, call: RouteCall) -> RouteAnswer:
    if execution.ui_proxy is None:
        raise HostCallError(
            HostCallCode.NOT_FOUND, "This runner knows no routes of the host (UI_PROXY_BASE_URL is not set)."
        )
    api_key = None
    if secrets.CAPABILITY in execution.granted:
        api_key = (await execution.secrets.all(execution.context, execution.deadline)).get(API_KEY)
    body = await execution.ui_proxy.call(
        call.route,
        call.payload,
        execution.context,
        execution.user,
        api_key=api_key,
        deadline=execution.deadline,
    )
    return RouteAnswer(body=body)


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation(
        name="ui-proxy.call-route",
        capability=CAPABILITY,
        summary="Call a route of the host's user interface, and give the body of its answer.",
        input=RouteCall,
        output=RouteAnswer,
        run=_call_route,
        codes=(
            *(HostCallCode.NOT_FOUND, HostCallCode.RATE_LIMITED, HostCallCode.EXPIRED),
            *(HostCallCode.TIMEOUT, HostCallCode.UNAVAILABLE),
        ),
        payload_bytes=MAX_PAYLOAD_BYTES,
        repeatable=lambda _, call: call.payload is None,
    ),
)
