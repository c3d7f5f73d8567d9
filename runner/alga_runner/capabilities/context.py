"""``cap:context.read``: what the extension may know of its own execution (guest ABI, "Messages")."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ..models._base import CamelModel
from .operation import Execution, NoInput, Operation

CAPABILITY = "cap:context.read"


class ContextInfo(CamelModel):
    """The execution's context; a member that has no value is absent."""

    request_id: str | None = None
    tenant_id: str
    extension_id: str
    install_id: str | None = None
    version_id: str | None = None
    config: dict[str, str] = Field(default_factory=dict)
    trigger: str | None = None
    schedule_id: str | None = None
    nominal_time: str | None = None
    schedule_name: str | None = None
    schedule_timezone: str | None = None
    attempt: int | None = None
    started_at: str | None = None


class CurrentContext(CamelModel):
    """What a request for the context answers."""

    context: ContextInfo


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
