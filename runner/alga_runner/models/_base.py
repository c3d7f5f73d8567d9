"""The two spellings on the wire: Alga's runner API writes snake_case, its host APIs and guests camelCase."""

from __future__ import annotations

from functools import lru_cache

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class WireModel(BaseModel):
    """A snake_case document. Unknown members are ignored (alga-contract 1.1)."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @property
    def model_fields_set(self) -> set[str]:
        """The names of the given members. A copy, since models may share theirs."""
        return set(self.__pydantic_fields_set__)


class CamelModel(BaseModel):
    """A camelCase document, strict about types: ``"5"`` is not a number. Unknown members are ignored."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, strict=True, alias_generator=to_camel, populate_by_name=True
    )


def share_given(model: WireModel) -> None:
    """Have ``model``, which is frozen, share its set of given members with models that were given the same.

    For one that is kept for long: a set of five takes 700 bytes.
    """
    object.__setattr__(model, "__pydantic_fields_set__", _shared(frozenset(model.__pydantic_fields_set__)))


@lru_cache(maxsize=1024)
def _shared(given: frozenset[str]) -> set[str]:
    return set(given)
