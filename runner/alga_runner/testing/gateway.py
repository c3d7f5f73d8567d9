"""The execute request that Alga's gateway would send for one HTTP call of an install (alga-contract 1.9)."""

from __future__ import annotations

import base64
import difflib
import json as json_codec
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict
from uuid import uuid4

from ..errors import EndpointNotFound, ExtensionNotAvailable
from ..models import ExecuteRequest, ExecutionContext, ExecutionLimits, HttpCall

FORWARDED_HEADERS = frozenset(
    {"accept", "accept-encoding", "content-type", "user-agent", "x-idempotency-key", "x-request-id"}
)
"""The caller's headers that reach a guest. Cookies and ``authorization`` never do."""


class CallOptions(TypedDict, total=False):
    """What a call may say besides its method and path."""

    json: object
    """Sent as the body in JSON; ``None`` is no body."""
    body: bytes | None
    headers: Mapping[str, str] | None
    query: Mapping[str, str] | None
    timeout_ms: int | None
    trigger: str | None
    """``schedule`` for a scheduled call, which has ``schedule_id`` and ``nominal_time`` (RFC 3339), too."""
    schedule_id: str | None
    nominal_time: str | None


def execute_request(
    install: Mapping[str, Any],
    method: str,
    path: str,
    *,
    json: object = None,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    timeout_ms: int | None = None,
    trigger: str | None = None,
    schedule_id: str | None = None,
    nominal_time: str | None = None,
) -> ExecuteRequest:
    """The request for ``install``, as the admin API shows it.

    The keywords are ``CallOptions``. Raises ``ExtensionNotAvailable`` for a disabled install,
    ``EndpointNotFound`` for a method and path that the installed version does not have, ``ValueError`` when both
    ``json`` and ``body`` are given.
    """
    name = install["extensionName"]
    if not install["enabled"]:
        raise ExtensionNotAvailable(
            f"The install of {name} for tenant {install['tenantId']} is disabled.", hint="Enable it first."
        )
    method = method.upper()
    _require_endpoint(name, install["endpoints"], method, path)
    if json is not None and body is not None:
        raise ValueError("a call has one body: give json or body, not both")
    given = {key.lower(): value for key, value in (headers or {}).items()}
    if json is not None:
        body = json_codec.dumps(json, allow_nan=False).encode()
        given.setdefault("content-type", "application/json")
    request_id = str(uuid4())
    return ExecuteRequest(
        context=ExecutionContext(
            request_id=request_id,
            tenant_id=install["tenantId"],
            extension_id=install["extensionId"],
            install_id=install["installId"],
            content_hash=install["contentHash"],
            version_id=install["versionId"],
            config=install["config"],
            trigger=trigger,
            schedule_id=schedule_id,
            nominal_time=nominal_time,
        ),
        http=HttpCall(
            method=method,
            path=path,
            query=dict(query or {}),
            headers={
                "x-request-id": request_id,
                **{key: value for key, value in given.items() if key in FORWARDED_HEADERS},
                "x-alga-tenant": install["tenantId"],
                "x-alga-extension": install["extensionId"],
            },
            body_b64=None if body is None else base64.b64encode(body).decode(),
        ),
        limits=ExecutionLimits(timeout_ms=timeout_ms),
        providers=list(install["providers"]),
    )


def _require_endpoint(name: str, endpoints: Iterable[Mapping[str, Any]], method: str, path: str) -> None:
    known = [f"{each['method']} {each['path']}" for each in endpoints]
    if any(_answers(one, method, path) for one in known):
        return
    wanted = f"{method} {path}"
    nearest = difflib.get_close_matches(wanted, known, n=1)
    raise EndpointNotFound(
        f"{name} has no endpoint {wanted}. It has {', '.join(known) or 'none'}.",
        hint=f"Did you mean {nearest[0]}?"
        if nearest
        else "Endpoints are declared in manifest.json, api.endpoints.",
    )


def _answers(endpoint: str, method: str, path: str) -> bool:
    """Whether ``endpoint`` answers; a segment ``:name`` or ``{name}`` of it stands for any one segment."""
    own_method, _, own_path = endpoint.partition(" ")
    own, asked = own_path.split("/"), path.split("/")
    return (
        own_method == method
        and len(own) == len(asked)
        and all(
            mine == theirs or (theirs and _PARAMETER.fullmatch(mine))
            for mine, theirs in zip(own, asked, strict=True)
        )
    )


_PARAMETER = re.compile(r":.+|\{.+\}")
