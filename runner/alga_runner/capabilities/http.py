"""``cap:http.fetch``: requests to other servers, as far as the operator allows them (docs/egress.md).

The request and the answer are those of alga-contract 4, "HTTP"; redirects are the answer unless the guest asks that
they be followed.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from ..egress import INSTALL_RULES, MAX_REDIRECTS, InFlight, Outgoing
from ..errors import HostCallCode
from ..models._base import CamelModel
from ..models.guest_documents import MAX_BODY_BYTES, Binary, HeaderInfo
from ..models.members import FROM_FLOAT, MAX_MEMBERS, MAX_URL, Text
from .operation import Execution, Operation

CAPABILITY = "cap:http.fetch"

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class FetchInput(CamelModel):
    """One request to another server."""

    method: Text = Field(description="such as `GET`")
    url: Annotated[str, Field(max_length=MAX_URL)] = Field(description="absolute, http or https")
    headers: Annotated[list[HeaderInfo], Field(max_length=MAX_MEMBERS)] | None = Field(
        default=None, description="in visible ASCII; those of the connection and the framing are the host's"
    )
    body: Binary | None = Field(default=None, description="nil or absent is no body")
    redirects: Annotated[int, Field(ge=0, le=MAX_REDIRECTS), FROM_FLOAT] | None = Field(
        default=None, description="how many redirects are followed; without it, one is the answer"
    )


class FetchedResponse(CamelModel):
    """The answer of the other server, of any status."""

    status: Annotated[int, Field(ge=200, le=599)]
    headers: Annotated[list[HeaderInfo], Field(max_length=MAX_MEMBERS)] = Field(
        description="in the order of the answer, names in small letters"
    )
    body: Binary = Field(description="unpacked, unless the request named an `accept-encoding`")


async def _fetch(execution: Execution, request: FetchInput) -> FetchedResponse:
    context = execution.context
    headers = [(header.name, header.value) for header in request.headers or ()]
    execution.in_flight = in_flight = InFlight()
    try:
        answer = await execution.egress.fetch(
            Outgoing(request.method, request.url, headers, request.body, request.redirects or 0),
            context.tenant_id,
            execution.deadline,
            context.config.get(INSTALL_RULES),
            in_flight,
        )
    finally:
        execution.in_flight = None
    return FetchedResponse(
        status=answer.status,
        headers=[HeaderInfo(name=name, value=value) for name, value in answer.headers],
        body=answer.body,
    )


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation(
        name="http.fetch",
        capability=CAPABILITY,
        summary="Send one request to another server that the operator allows, and give its answer.",
        input=FetchInput,
        output=FetchedResponse,
        run=_fetch,
        codes=(HostCallCode.TIMEOUT, HostCallCode.UNAVAILABLE),
        payload_bytes=MAX_BODY_BYTES,
        repeatable=lambda _, request: request.method.upper() in _SAFE,
    ),
)
