"""``cap:context.read``: what the extension may know of its own execution (guest ABI, "Messages")."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ..models._base import CamelModel
from ..models.guest_documents import ContextInfo
from .operation import Execution, NoInput, Operation

CAPABILITY = "cap:context.read"


class CurrentContext(CamelModel):
    """What a request for the context answers."""

    context: ContextInfo = Field(description="that of the request")


_MEMBERS = set(ContextInfo.model_fields)


async def _get(execution: Execution, _: NoInput) -> CurrentContext:
    return CurrentContext(context=ContextInfo(**execution.context.model_dump(include=_MEMBERS)))


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation(
        name="context.get",
        capability=CAPABILITY,
        summary="The execution's context: tenant, extension, install, configuration, and what triggered it.",
        input=NoInput,
        output=CurrentContext,
        run=_get,
    ),
)
