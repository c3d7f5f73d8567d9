"""``cap:client.read``: the tenant's clients (docs/capabilities.md, "Clients and services")."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from ..alga import answers
from ..models.business import ClientRef, ClientsListInput, ClientsListResult, ClientSummary, FoundClient
from .operation import READ_CODES, Execution, Operation
from .pages import asked_by, page_of

CAPABILITY = "cap:client.read"

_PAGE = TypeAdapter(ClientsListResult)
_ITEM = TypeAdapter(ClientSummary | None)


async def _list(execution: Execution, which: ClientsListInput) -> ClientsListResult:
    answer = await execution.ask("clients.list", {"input": page_of(which), **asked_by(execution)})
    return answers.parsed(_PAGE, answer)


async def _get(execution: Execution, client: ClientRef) -> FoundClient:
    asked = {"input": client.model_dump(by_alias=True), **asked_by(execution)}
    return FoundClient(client=answers.parsed(_ITEM, await execution.ask("clients.get", asked), "item"))


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation(
        name="clients.list",
        capability=CAPABILITY,
        summary="The tenant's clients, one page at a time.",
        input=ClientsListInput,
        output=ClientsListResult,
        run=_list,
        codes=READ_CODES,
    ),
    Operation(
        name="clients.get",
        capability=CAPABILITY,
        summary="One client, if the tenant has one with that id.",
        input=ClientRef,
        output=FoundClient,
        run=_get,
        codes=READ_CODES,
    ),
)
