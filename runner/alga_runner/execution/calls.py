"""The execute request of a call that a Python program makes for a bundle it holds."""

from __future__ import annotations

import json as json_codec
from collections.abc import Iterable, Mapping
from typing import TypedDict

import pybase64
from pydantic import ValidationError

from ..bundles import Bundle
from ..errors import RequestInvalid
from ..models import ExecuteRequest


class CallOptions(TypedDict, total=False):
    """The arguments of ``Runner.call`` besides its bundle, method and path."""

    json: object
    """The body, sent as JSON; ``None`` is no body."""
    body: bytes | str | None
    headers: Mapping[str, str] | Iterable[tuple[str, str]] | None
    """Names and values; pairs may repeat a name."""
    query: Mapping[str, str] | None
    tenant_id: str
    """For whom the call is: tenants share the runner, and see nothing of each other. Default: ``local``."""
    grants: Iterable[str]
    """Capabilities, such as ``cap:scheduler.manage``. Default: those alone that every execution has."""
    config: Mapping[str, str] | None
    """The values of an install's configuration."""
    timeout_ms: int | None
    cpu_ms: int | None


def call_request(
    bundle: Bundle,
    method: str,
    path: str,
    *,
    json: object = None,
    body: bytes | str | None = None,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
    query: Mapping[str, str] | None = None,
    tenant_id: str = "local",
    grants: Iterable[str] = (),
    config: Mapping[str, str] | None = None,
    timeout_ms: int | None = None,
    cpu_ms: int | None = None,
) -> ExecuteRequest:
    """Build the request for a call of ``bundle``. Raises ``RequestInvalid``, ``ManifestInvalid``."""
    if json is not None and body is not None:
        raise RequestInvalid("A call has one body.", hint="Give json or body, not both.")
    if "?" in path:
        raise RequestInvalid(f"The path {path[:80]!r} has a '?'.", hint="Give the query as query={...}.")
    given = list(headers.items()) if isinstance(headers, Mapping) else list(headers or ())
    if json is not None:
        body = _encoded(json)
        if not any(name.lower() == "content-type" for name, _ in given):
            given.append(("content-type", "application/json"))
    if isinstance(body, str):
        body = body.encode()
    document = {
        "context": {
            "tenant_id": tenant_id,
            "extension_id": bundle.manifest.name,
            "version_id": bundle.manifest.version,
            "content_hash": bundle.content_hash,
            "config": dict(config or {}),
        },
        "http": {
            "method": method.upper(),
            "path": path,
            "query": dict(query or {}),
            "headers": (last := dict(given)),
            "header_list": given if len(last) < len(given) else None,
            "body_b64": None if body is None else pybase64.b64encode(body).decode(),
        },
        "limits": {"timeout_ms": timeout_ms, "cpu_ms": cpu_ms},
        "providers": sorted(grants),
    }
    try:
        return ExecuteRequest.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise RequestInvalid(f"The call's {field} cannot be used: {first['msg']}.") from None


def _encoded(json: object) -> bytes:
    try:
        return json_codec.dumps(json, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestInvalid(f"The call's json cannot be sent: {error}.") from None
