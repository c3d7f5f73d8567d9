"""``cap:secrets.get``: the install's secrets (alga-contract 1.6 and 4)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from ..errors import HostCallCode, HostCallError
from ..models._base import CamelModel
from ..models.members import MAX_MEMBERS, Text
from ..secrets import MAX_SECRETS_BYTES
from .operation import Execution, NoInput, Operation

CAPABILITY = "cap:secrets.get"


class SecretRef(CamelModel):
    """Names one secret."""

    key: Text = Field(description="as an admin named it")


class Secret(CamelModel):
    """One secret."""

    value: Annotated[str, Field(max_length=MAX_SECRETS_BYTES)] = Field(
        description="the secret itself; keep it out of responses"
    )


class SecretKeys(CamelModel):
    """The names of secrets."""

    keys: Annotated[list[Text], Field(max_length=MAX_MEMBERS)] = Field(description="in their order")


async def _get(execution: Execution, ref: SecretRef) -> Secret:
    value = await execution.secrets.read(ref.key, execution.context, execution.deadline)
    if value is None:
        raise HostCallError(HostCallCode.NOT_FOUND, "The install has no secret with this name.")
    return Secret(value=value)


async def _list_keys(execution: Execution, _: NoInput) -> SecretKeys:
    return SecretKeys(keys=sorted(await execution.secrets.all(execution.context, execution.deadline)))


_CODES = (HostCallCode.EXPIRED, HostCallCode.TIMEOUT, HostCallCode.UNAVAILABLE)

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation(
        name="secrets.get",
        capability=CAPABILITY,
        summary="One of the install's secrets.",
        input=SecretRef,
        output=Secret,
        run=_get,
        codes=(HostCallCode.NOT_FOUND, *_CODES),
    ),
    Operation(
        name="secrets.list-keys",
        capability=CAPABILITY,
        summary="The names of the install's secrets.",
        input=NoInput,
        output=SecretKeys,
        run=_list_keys,
        codes=_CODES,
    ),
)
