"""Requests of host calls that their models check: what a body lacks or has wrong is refused, unknown members are not.

An unknown member is ignored, as everywhere in the contract (alga-contract 1.1).
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from alga_common.text import storable
from alga_runner.models import json_fault

from ...errors import ValidationFailed
from .call import Body


class Asked(BaseModel):
    """A request, or a part of one."""

    model_config = ConfigDict(strict=True, frozen=True, alias_generator=to_camel, populate_by_name=True)


M = TypeVar("M", bound=Asked)


def read(model: type[M], body: Body) -> M:
    """Return the request that ``body`` is. Raises ``ValidationFailed`` with every field that is wrong."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        faults = {
            ".".join(map(str, fault["loc"])): fault["msg"] for fault in error.errors(include_input=False)
        }
        raise ValidationFailed(field_errors=faults, schema=True) from None


def _whole(value: object) -> object:
    """3.0 is 3, as JSON has it."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _storable(text: str) -> str:
    if not storable(text):
        raise ValueError("Holds characters that cannot be stored")
    return text


def _json(value: Any) -> Any:
    if fault := json_fault(value):
        raise ValueError(f"Must be JSON-serializable; it {fault}")
    return value


Whole = Annotated[int, BeforeValidator(_whole)]
"""A whole number."""

Storable = Annotated[str, AfterValidator(_storable)]
"""Text that every database can hold."""

Json = Annotated[Any, AfterValidator(_json)]
"""A value that is stored, and answered as it was."""
