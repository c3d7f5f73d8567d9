"""``cap:client.read``: the tenant's clients (docs/capabilities.md, "Clients and services")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from ..alga import answers
from ..errors import HostCallCode, HostCallError
from ..models.business import ClientRef, ClientsListInput, ClientsListResult, ClientSummary, FoundClient
from .operation import READ_CODES, Execution, Operation
from .pages import FIRST_PAGE, PAGE_SIZE, asked_by, page_of

CAPABILITY = "cap:client.read"

_PAGE = TypeAdapter(ClientsListResult)
_ITEM = TypeAdapter(ClientSummary | None)


PAGE_SEARCHED = 100
MAX_SEARCHED = 1_000
"""Clients of a tenant that the runner searches itself, where the server cannot."""


async def _list(execution: Execution, which: ClientsListInput) -> ClientsListResult:
    try:
        return await _page(execution, page_of(which))
    except HostCallError as error:
        # Alga's own server fails at every search for clients (alga-contract 7, fault 27).
        its_own = error.host_code is HostCallCode.INTERNAL and error.fault is None
        if which.search is None or not its_own or (matching := await _search(execution, which)) is None:
            raise
        return matching


async def _page(execution: Execution, page: Mapping[str, object]) -> ClientsListResult:
    return answers.parsed(_PAGE, await execution.ask("clients.list", {"input": page, **asked_by(execution)}))


async def _search(execution: Execution, which: ClientsListInput) -> ClientsListResult | None:
    """The clients that match, out of all that the server lists; ``None`` where these are too many."""
    text, all_pages = (which.search or "").casefold(), page_of(which)
    del all_pages["search"]
    matching: list[ClientSummary] = []
    for page in range(1, MAX_SEARCHED // PAGE_SEARCHED + 1):
        listed = await _page(execution, {**all_pages, "page": page, "pageSize": PAGE_SEARCHED})
        if listed.total_count > MAX_SEARCHED:
            return None
        matching += [client for client in listed.items if _matches(client, text)]
        if page * PAGE_SEARCHED >= listed.total_count:
            break
    number, size = which.page or FIRST_PAGE, which.page_size or PAGE_SIZE
    return ClientsListResult(
        items=matching[(number - 1) * size : number * size],
        total_count=len(matching),
        page=number,
        page_size=size,
    )


def _matches(client: ClientSummary, text: str) -> bool:
    searched = (client.client_name, client.client_id, client.billing_email or "")
    return any(text in one.casefold() for one in searched)


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
