"""The runner as the server sees it: ``POST /v1/execute`` over HTTP, one bounded exchange per execution.

The transport is httpx's own. Its pool costs more CPU the more calls are in flight; a cheaper one is given as
``transport`` without a change here.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator

import anyio
import httpx
from pydantic import ValidationError

from alga_common.wire import retry_after_s
from alga_runner.errors import SettingsError
from alga_runner.models import ExecuteRequest, ExecuteResponse

from ..errors import (
    ExecutionFailed,
    ExecutionTimedOut,
    RunnerBusy,
    RunnerProtocolError,
    RunnerRefused,
    RunnerTimeout,
    RunnerUnavailable,
)
from ..settings import ServerSettings

MAX_ERROR_CHARACTERS = 2_000
MAX_RETRY_AFTER_S = 60 * 60

_POOL_WAIT_S = 2.0
_KEEP_ALIVE_S = 4.0
"""Sooner than the runner closes an idle connection (uvicorn: 5 s), so that a call seldom meets a closing one."""


class RunnerClient:
    """Calls one runner, or what balances several.

    Redirects are not followed, the environment's proxies not used, cookies not kept, nothing is tried twice: a handler
    may have acted before its connection broke. A given ``transport`` is closed with the client. Raises
    ``SettingsError`` for a URL or a token that cannot be used.
    """

    def __init__(self, settings: ServerSettings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url = _base_url(settings.runner_url) + "/v1/execute"
        self._max_bytes = settings.max_runner_response_bytes
        self._headers = {
            "accept": "application/json",
            "accept-encoding": "identity",
            "content-type": "application/json",
            "user-agent": "alga-server",
        }
        token = settings.runner_service_token.get_secret_value() if settings.runner_service_token else ""
        if token:
            if not (token.isascii() and token.isprintable() and token == token.strip()):
                raise SettingsError("The setting runner_service_token cannot travel in an HTTP header.")
            self._headers["x-runner-service-token"] = token
        self._transport = transport
        self._max_calls = settings.max_runner_calls
        self._client: httpx.AsyncClient | None = None

    async def execute(
        self, request: ExecuteRequest, *, timeout_s: float, idempotency_key: str | None = None
    ) -> ExecuteResponse:
        """The guest's response, all of it within ``timeout_s`` seconds; its body is base64 that decodes.

        Raises ``RunnerUnavailable``, ``RunnerBusy``, ``RunnerRefused``, ``RunnerTimeout``, ``RunnerProtocolError``; and
        ``ExecutionFailed`` with the runner's words when the execution itself ended without a response,
        ``ExecutionTimedOut`` when that was for its time.
        """
        headers = {
            **self._headers,
            "x-alga-tenant": request.context.tenant_id,
            "x-alga-extension": request.context.extension_id,
        }
        if request.context.request_id is not None:
            headers["x-request-id"] = request.context.request_id
        if idempotency_key is not None:
            headers["x-idempotency-key"] = idempotency_key
        content = request.model_dump_json(exclude_none=True).encode()
        with anyio.move_on_after(timeout_s):
            return _response(await self._exchange(headers, content))
        raise RunnerTimeout(f"The runner did not answer within {round(timeout_s * 1000)} ms")

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _connected(self) -> httpx.AsyncClient:
        """The client, made by the first call: reading the certificates of TLS takes tens of milliseconds."""
        if self._client is None:
            self._client = httpx.AsyncClient(
                transport=self._transport or _connections(self._max_calls),
                timeout=httpx.Timeout(
                    None, pool=_POOL_WAIT_S
                ),  # the whole exchange has one bound, in execute
                trust_env=False,
                follow_redirects=False,
            )
        return self._client

    async def _exchange(self, headers: dict[str, str], content: bytes) -> bytes:
        """The body of an answer with status 200."""
        client = self._connected()
        request = client.build_request("POST", self._url, headers=headers, content=content)
        try:
            response = await client.send(request, stream=True)
        except httpx.PoolTimeout:
            raise RunnerBusy("All connections to the runner are in use") from None
        except httpx.ConnectError:
            raise RunnerUnavailable from None
        except (httpx.HTTPError, httpx.StreamError):
            raise RunnerUnavailable("The connection to the runner was lost before it answered") from None
        try:
            _check_status(response)
            return await self._body(response)
        finally:
            with anyio.CancelScope(shield=True):
                await response.aclose()

    async def _body(self, response: httpx.Response) -> bytes:
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise RunnerProtocolError("The runner's answer is compressed, which was not asked for")
        body = bytearray()
        try:
            async for part in _parts(response):
                body += part
                if len(body) > self._max_bytes:
                    raise RunnerProtocolError(f"The runner's answer is larger than {self._max_bytes} bytes")
        except (httpx.HTTPError, httpx.StreamError):
            raise RunnerUnavailable(
                "The connection to the runner was lost in the middle of its answer"
            ) from None
        return bytes(body)


def _connections(at_once: int) -> httpx.AsyncHTTPTransport:
    limits = httpx.Limits(
        max_connections=at_once, max_keepalive_connections=at_once, keepalive_expiry=_KEEP_ALIVE_S
    )
    return httpx.AsyncHTTPTransport(limits=limits, trust_env=False)


def _base_url(text: str) -> str:
    try:
        url = httpx.URL(text.strip())
    except httpx.InvalidURL:
        raise SettingsError("The setting runner_url is not a URL.") from None
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo or url.query or url.fragment:
        raise SettingsError(
            "The setting runner_url is not an http or https URL of a host and perhaps a path.",
            hint="It is like http://127.0.0.1:8080.",
        )
    return str(url).rstrip("/")


async def _parts(response: httpx.Response) -> AsyncIterator[bytes]:
    if response.is_stream_consumed:  # a transport without streams has read it already
        yield response.content
        return
    async for part in response.aiter_raw():
        yield part


def _check_status(response: httpx.Response) -> None:
    """The runner's own status: the guest's is in the body (alga-contract 1.2)."""
    status, wait = response.status_code, response.headers.get("retry-after")
    if status == 429 or (status == 503 and wait is not None):
        raise RunnerBusy(retry_after_s=_seconds(wait))
    if status >= 500:
        raise RunnerUnavailable(f"The runner cannot serve (HTTP {status})")
    if status in {401, 403}:
        raise RunnerRefused(f"The runner does not accept this server's service token (HTTP {status})")
    if status >= 400:
        raise RunnerRefused(f"The runner refused the request (HTTP {status})")
    if status != 200:
        raise RunnerProtocolError(
            f"The runner answered with HTTP {status}, which is no answer to an execution"
        )


def _response(body: bytes) -> ExecuteResponse:
    try:
        response = ExecuteResponse.model_validate_json(body)
    except ValidationError:
        # Its text would quote the answer, which holds a tenant's data.
        raise RunnerProtocolError("The runner's answer is not an execute response") from None
    if response.error is not None:
        failed = ExecutionFailed(response.status, response.error[:MAX_ERROR_CHARACTERS])
        if failed.runner_code == "deadline_exceeded":
            raise ExecutionTimedOut(failed.status, failed.error)
        raise failed
    if not 200 <= response.status <= 599:
        raise RunnerProtocolError(f"The response's status {response.status} ends no HTTP exchange")
    try:
        base64.b64decode(response.body_b64 or "", validate=True)
    except (binascii.Error, ValueError):
        raise RunnerProtocolError("The response's body is not base64") from None
    return response


def _seconds(retry_after: str | None) -> int:
    return max(1, min(retry_after_s(retry_after) or 1, MAX_RETRY_AFTER_S))
