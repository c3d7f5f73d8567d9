"""The two spellings on the wire: Alga's runner API writes snake_case, its host APIs and guests camelCase."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class WireModel(BaseModel):
    """A snake_case document. Unknown members are ignored (alga-contract 1.1)."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class CamelModel(BaseModel):
    """A camelCase document, strict about types: ``"5"`` is not a number. Unknown members are ignored."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, strict=True, alias_generator=to_camel, populate_by_name=True
    )
