"""The OpenAPI document of the routes for runners and admins, derived by FastAPI. The gateway is left out: extensions
declare its endpoints."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from alga_common.http.semantics import ID_PATTERN

_FASTAPI_OWN = ("HTTPValidationError", "ValidationError")


class DescribedApp(FastAPI):
    """An app whose document has no 422: the server answers 400 to a request that breaks its declaration."""

    def openapi(self) -> dict[str, Any]:
        """Return the document, made once."""
        if self.openapi_schema is None:
            document = super().openapi()
            for operations in document["paths"].values():
                for operation in operations.values():
                    operation["responses"].pop("422", None)
            for name in _FASTAPI_OWN:
                document["components"]["schemas"].pop(name, None)
            self.openapi_schema = document
        return self.openapi_schema


def json_body(*models: type[BaseModel]) -> dict[str, Any]:
    """Describe a body that the route reads itself: one of ``models``, whose parts must not refer to themselves."""
    schemas = [_without_references(model.model_json_schema()) for model in models]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def header(name: str, *, required: bool = True) -> dict[str, Any]:
    """Describe a header that is sent once, in 1 to 128 printable ASCII characters."""
    schema = {"type": "string", "pattern": f"^{ID_PATTERN}$"}
    return {"name": name, "in": "header", "required": required, "schema": schema}


def _without_references(schema: dict[str, Any]) -> dict[str, Any]:
    """Put each definition in the place of the references to it, which would lead out of the document's part."""
    definitions = schema.pop("$defs", {})

    def resolved(value: Any) -> Any:
        if isinstance(value, list):
            return [resolved(member) for member in value]
        if not isinstance(value, dict):
            return value
        if isinstance(reference := value.get("$ref"), str):
            return resolved(definitions[reference.removeprefix("#/$defs/")])
        return {name: resolved(member) for name, member in value.items()}

    whole: dict[str, Any] = resolved(schema)
    return whole
