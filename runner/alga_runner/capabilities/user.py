"""``cap:user.read``: the person on whose behalf the handler runs (alga-contract 1.5 and 4)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ..models._base import CamelModel
from ..models.guest_documents import UserInfo
from ..models.members import Text
from .operation import Execution, NoInput, Operation

CAPABILITY = "cap:user.read"


class TenantUser(UserInfo):
    """The person behind the request, and whose user it is."""

    tenant_id: Text = Field(description="of the execution's context")


class CurrentUser(CamelModel):
    """What a request for the user answers."""

    user: TenantUser | None = Field(default=None, description="absent where no person asks")


async def _get(execution: Execution, _: NoInput) -> CurrentUser:
    user = execution.user
    if user is None:
        return CurrentUser()
    members = {**dict(user), "additional_fields": dict(sorted(user.additional_fields.items()))}
    return CurrentUser(user=TenantUser(tenant_id=execution.context.tenant_id, **members))


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation(
        name="user.get",
        capability=CAPABILITY,
        summary="The person behind the request, if there is one; a schedule's run has none.",
        input=NoInput,
        output=CurrentUser,
        run=_get,
    ),
)
