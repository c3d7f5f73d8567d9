"""The OpenAPI document: the routes of runners and admins, their requests, their answers, every status they have.

Requests are checked by hand, for the messages that the contract wants (alga-contract 5.2), so what FastAPI would read
off a signature is said here. The gateway is left out: its routes are the extensions'.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from http import HTTPStatus
from typing import Any, get_args

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from . import answers
from .answers import Refusal

_REFERENCE = "#/components/schemas/{model}"
_SECURITY = {
    "admin": {"type": "http", "scheme": "bearer"},
    "runner": {"type": "apiKey", "in": "header", "name": "x-runner-auth"},
}


def described(
    answer: Any,
    *,
    status: int = 200,
    also: Iterable[int] = (),
    body: Any = None,
    parameters: Iterable[dict[str, Any]] = (),
    refusals: Iterable[int] = (),
    security: str | None = "admin",
) -> dict[str, Any]:
    """What a route says of itself, as arguments of FastAPI's decorators.

    ``answer`` is the model of a success, with ``status`` or one of ``also``, ``None`` for no body; ``body`` is the type
    of the request's; ``refusals`` are the other statuses it may have. Who is checked first is in ``security``.
    """
    responses = {each: _answered(each, answer) for each in (status, *also)}
    for each in sorted({*refusals, *([401] if security else ()), *([400, 413] if body else ())}):
        responses[each] = _answered(each, Refusal)
    extra: dict[str, Any] = {"parameters": list(parameters)} if parameters else {}
    if security:
        extra["security"] = [{security: []}]
    if body:
        schema = {"type": "string", "format": "binary"} if body is bytes else _inlined(body)
        kind = "application/octet-stream" if body is bytes else "application/json"
        extra["requestBody"] = {"required": True, "content": {kind: {"schema": schema}}}
    return {"response_model": None, "status_code": status, "responses": responses, "openapi_extra": extra}


def _answered(status: int, answer: Any) -> dict[str, Any]:
    """What a route answers with ``status``.

    By reference: of models given to FastAPI it builds a validator for each route and status, which takes a new server
    longer than all else, and nothing here is validated by them.
    """
    said: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if answer is not None:
        models = get_args(answer) or (answer,)
        references = [{"$ref": _REFERENCE.format(model=model.__name__)} for model in models]
        schema = references[0] if len(references) == 1 else {"anyOf": references}
        said["content"] = {"application/json": {"schema": schema}}
    return said


def header(name: str, *, required: bool = True) -> dict[str, Any]:
    """A header that stands there once, in up to 128 printable ASCII characters."""
    schema = {"type": "string", "pattern": "^[!-~]{1,128}$"}
    return {"name": name, "in": "header", "required": required, "schema": schema}


def query(name: str, **schema: Any) -> dict[str, Any]:
    """An optional query parameter."""
    return {"name": name, "in": "query", "required": False, "schema": schema}


def document(app: FastAPI) -> dict[str, Any]:
    """The document of ``app``."""
    made = get_openapi(title="Alga server", version="1", routes=app.routes)
    for path in made["paths"].values():
        for operation in path.values():
            # FastAPI's own refusal, which no route here gives: they check their requests themselves.
            operation["responses"].pop("422", None)
    made["components"] = {"schemas": _answers(), "securitySchemes": _SECURITY}
    return made


def _answers() -> dict[str, Any]:
    """The schemas of all answers, by name."""
    models = [
        each
        for each in vars(answers).values()
        if isinstance(each, type) and issubclass(each, BaseModel) and each.__module__ == answers.__name__
    ]
    _, found = models_json_schema([(each, "serialization") for each in models], ref_template=_REFERENCE)
    schemas: dict[str, Any] = found["$defs"]
    return {name: schema for name, schema in sorted(schemas.items()) if not name.startswith("_")}


@cache
def _inlined(kind: Any) -> dict[str, Any]:
    """The JSON schema of ``kind`` without references, which would be the document's and not its own."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    schema = adapter.json_schema(by_alias=True)
    definitions = schema.pop("$defs", {})

    def resolved(value: Any) -> Any:
        if isinstance(value, list):
            return [resolved(each) for each in value]
        if not isinstance(value, dict):
            return value
        if isinstance(reference := value.get("$ref"), str):
            return resolved(definitions[reference.removeprefix("#/$defs/")])
        return {name: resolved(each) for name, each in value.items()}

    inlined: dict[str, Any] = resolved(schema)
    return inlined
