"""What stands before Alga's gateway: it authenticates the caller and hands the request on for the tenant."""

from __future__ import annotations

import json as json_codec
from collections.abc import Mapping
from typing import TypedDict
from urllib.parse import quote

import httpx
from pydantic import SecretStr

_OWN_HEADERS = ("authorization", "x-alga-")
"""What begins like this says for whom the layer before the gateway calls; a caller's own never gets past it."""

_PLAIN_IN_PATH = "/%:@!$&'()*+,;=-._~"


class HttpOptions(TypedDict, total=False):
    """What a call may say besides its method and path."""

    json: object
    """Sent as the body in JSON; ``None`` is no body."""
    body: bytes | None
    headers: Mapping[str, str] | None
    query: Mapping[str, str] | None


class CallOptions(HttpOptions, total=False):
    """What a test may say of a call."""

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
        query: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """The gateway's answer to one request of the tenant.

        ``path`` begins with a slash and may hold what is percent-encoded already. Raises ``ValueError`` when both
        ``json`` and ``body`` are given.
        """
        if json is not None and body is not None:
            raise ValueError("a call has one body: give json or body, not both")
        given = httpx.Headers({name: value for name, value in (headers or {}).items() if not _is_own(name)})
        if json is not None:
            body = json_codec.dumps(json, allow_nan=False).encode()
            given.setdefault("content-type", "application/json")
        given["authorization"] = f"Bearer {self._token.get_secret_value()}"
        given["x-alga-tenant"] = tenant_id
        return await self._client.request(
            method.upper(),
            f"/api/ext/{extension_id}{_in_url(path)}",
            params=dict(query) if query else None,
            headers=given,
            content=body,
        )


def _is_own(name: str) -> bool:
    return name.lower().startswith(_OWN_HEADERS)


def _in_url(path: str) -> str:
    """``path`` as a URL has it; dots stay what they are instead of climbing out of the extension."""
    return "/".join(
        part.replace(".", "%2E") if part in {".", ".."} else quote(part, safe=_PLAIN_IN_PATH)
        for part in path.split("/")
    )
