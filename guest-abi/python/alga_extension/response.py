"""Responses, and the parts of a request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from wit_world.imports.types import ExecuteRequest, ExecuteResponse, HttpHeader

from .types import Json


def json_response(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> ExecuteResponse:
    """A response with ``value`` as JSON; a dataclass in it is an object."""
    body = json.dumps(value, ensure_ascii=False, default=_plain).encode(errors="replace")
    return _response(status, {"content-type": "application/json", **(headers or {})}, body)


def text_response(text: str, status: int = 200) -> ExecuteResponse:
    """A response with text."""
    return _response(status, {"content-type": "text/plain; charset=utf-8"}, text.encode(errors="replace"))


def empty_response(status: int = 204) -> ExecuteResponse:
    """A response without a body."""
    return _response(status, {}, None)


def path_of(request: ExecuteRequest) -> str:
    """The path of the request, without its query."""
    return request.http.url.partition("?")[0]


def header_of(request: ExecuteRequest, name: str) -> str | None:
    """The first header of that name, in any case."""
    lowered = name.lower()
    return next((header.value for header in request.http.headers if header.name.lower() == lowered), None)


def text_of(request: ExecuteRequest) -> str:
    """The request's body as text; empty without one."""
    return (request.http.body or b"").decode(errors="replace")


def json_of(request: ExecuteRequest) -> Json:
    """The request's body as JSON; ``None`` without one. Raises ``ValueError`` for anything else."""
    text = text_of(request)
    value: Json = json.loads(text) if text else None
    return value


def _response(status: int, headers: Mapping[str, str], body: bytes | None) -> ExecuteResponse:
    return ExecuteResponse(status, [HttpHeader(name, value) for name, value in headers.items()], body)


def _plain(value: object) -> dict[str, Any]:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"JSON has no form for {type(value).__name__}")
