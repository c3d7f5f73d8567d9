"""Calls endpoints through the server's gateway, and turns its refusals into errors for an extension's author."""

from __future__ import annotations

import difflib
import json as json_codec
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict
from urllib.parse import quote, urlencode

import httpx
from pydantic import SecretStr

from alga_common.http.exchange import Answer
from alga_common.routing import quoted_query

from ..errors import (
    AlgaError,
    DeadlineExceeded,
    EndpointNotFound,
    ExtensionNotAvailable,
    InvalidResponse,
    Overloaded,
    RequestInvalid,
)
from ..models import ExecuteResponse

_OWN_HEADERS = ("authorization", "x-alga-")
"""Prefixes of headers that name the tenant and the token; a caller's own headers of that name are dropped."""

_PLAIN_IN_PATH = "/%:@!$&'()*+,;=-._~"


class HttpOptions(TypedDict, total=False):
    """The arguments of a call besides its method and path."""

    json: object
    """The body, sent as JSON; ``None`` is no body."""
    body: bytes | None
    headers: Mapping[str, str] | None
    query: Mapping[str, str | Sequence[str]] | str | None
    """Text as in a URL, or names with a value each, or several."""


class CallOptions(HttpOptions, total=False):
    """The arguments of a test's call besides its method and path."""

    timeout_ms: int | None


class Gateway:
    """Calls over ``client``, which adds no headers of its own, with the gateway's ``token``."""

    def __init__(self, client: httpx.AsyncClient, token: SecretStr) -> None:
        self._client = client
        self._token = token

    async def call(
        self,
        tenant_id: str,
        extension_id: str,
        method: str,
        path: str,
        *,
        json: object = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str | Sequence[str]] | str | None = None,
    ) -> Answer:
        """Send one request for the tenant, and return the gateway's answer.

        ``path`` begins with a slash and may be percent-encoded already. Raises ``ValueError`` when both ``json`` and
        ``body`` are given.
        """
        if json is not None and body is not None:
            raise ValueError("a call has one body: give json or body, not both")
        given = httpx.Headers({name: value for name, value in (headers or {}).items() if not _is_own(name)})
        if json is not None:
            body = json_codec.dumps(json, allow_nan=False).encode()
            given.setdefault("content-type", "application/json")
        given["authorization"] = f"Bearer {self._token.get_secret_value()}"
        given["x-alga-tenant"] = tenant_id
        target = f"/api/ext/{extension_id}{_in_url(path)}"
        if query:
            target += "?" + (quoted_query(query) if isinstance(query, str) else urlencode(query, doseq=True))
        request = self._client.build_request(method.upper(), target, headers=given, content=body)
        response = await self._client.send(request, stream=True)
        try:
            # As it is: the guest may have named an encoding that its body does not have.
            content = b"".join([part async for part in response.aiter_raw()])
        finally:
            await response.aclose()
        return Answer(response.status_code, response.headers, content)


def _is_own(name: str) -> bool:
    return name.lower().startswith(_OWN_HEADERS)


def _in_url(path: str) -> str:
    """``path``, percent-encoded; the segments ``.`` and ``..`` are encoded too, so that they stay in the extension."""
    return "/".join(
        part.replace(".", "%2E") if part in {".", ".."} else quote(part, safe=_PLAIN_IN_PATH)
        for part in path.split("/")
    )


_BY_STATUS: Mapping[int, type[AlgaError]] = {
    400: RequestInvalid,
    409: RequestInvalid,
    413: RequestInvalid,
    429: Overloaded,
    504: DeadlineExceeded,
}


def is_refusal(answer: Answer) -> bool:
    """Whether the gateway itself refused: to a guest's answer it adds a content security policy."""
    return answer.status >= 400 and "content-security-policy" not in answer.headers


def refusal(answer: Answer, install: Mapping[str, Any], method: str, path: str) -> AlgaError:
    """The error for a refused call, of which nothing ran. ``install`` is the admin API's answer."""
    name, endpoint = install["extensionName"], f"{method.upper()} {path}"
    if answer.status == 404:
        if install["enabled"]:
            return unknown_endpoint(install, endpoint)
        return ExtensionNotAvailable(
            f"The install of {name} for tenant {install['tenantId']} is disabled.", hint="Enable it first."
        )
    document = json_codec.loads(answer.body)
    code = document.get("code", document["error"])
    kind = _BY_STATUS.get(answer.status, AlgaError)
    return kind(f"The gateway refused {endpoint} of {name} with HTTP {answer.status}: {code}.")


def unknown_endpoint(install: Mapping[str, Any], called: str) -> EndpointNotFound:
    """The error for a call of an endpoint that the manifest does not declare; it lists those that it does."""
    known = [f"{endpoint['method']} {endpoint['path']}" for endpoint in install["endpoints"]]
    nearest = difflib.get_close_matches(called, known, n=1)
    return EndpointNotFound(
        f"{install['extensionName']} has no endpoint {called}. It has {', '.join(known)}."
        if known
        else f"{install['extensionName']} has no handler for {called}: its manifest declares no endpoint.",
        hint=f"Did you mean {nearest[0]}?"
        if nearest
        else "Endpoints are declared in manifest.json, api.endpoints.",
    )


def withheld(answer: Answer, response: ExecuteResponse) -> AlgaError:
    """The error for a guest's response that the gateway did not forward."""
    return InvalidResponse(
        f"The gateway did not forward the guest's response, whose status is {response.status}, and answered "
        f"HTTP {answer.status}.",
        hint="The server takes answers of up to max_runner_response_bytes from a runner.",
    )
