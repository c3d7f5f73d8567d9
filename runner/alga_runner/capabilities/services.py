"""``cap:service.read``: the services and products that the tenant sells (docs/capabilities.md)."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from ..alga import answers
from ..models.business import FoundService, ServiceRef, ServicesListInput, ServicesListResult, ServiceSummary
from .operation import READ_CODES, Execution, Operation
from .pages import asked_by, page_of

CAPABILITY = "cap:service.read"

_PAGE = TypeAdapter(ServicesListResult)
_ITEM = TypeAdapter(ServiceSummary | None)


async def _list(execution: Execution, which: ServicesListInput) -> ServicesListResult:
    answer = await execution.ask("services.list", {"input": page_of(which), **asked_by(execution)})
    return answers.parsed(_PAGE, answer)


async def _get(execution: Execution, service: ServiceRef) -> FoundService:
    asked = {"input": service.model_dump(by_alias=True), **asked_by(execution)}
    return FoundService(service=answers.parsed(_ITEM, await execution.ask("services.get", asked), "item"))


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation(
        name="services.list",
        capability=CAPABILITY,
        summary="The services and products that the tenant sells, one page at a time.",
        input=ServicesListInput,
        output=ServicesListResult,
        run=_list,
        codes=READ_CODES,
    ),
    Operation(
        name="services.get",
        capability=CAPABILITY,
        summary="One service or product, if the tenant has one with that id.",
        input=ServiceRef,
        output=FoundService,
        run=_get,
        codes=READ_CODES,
    ),
)
