"""The runner as the server sees it: ``POST /v1/execute`` over HTTP, one bounded exchange per execution."""

from __future__ import annotations

import base64
import binascii
import ssl
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Literal

import anyio
import httpx
from pydantic import BaseModel, ValidationError

from alga_common.environment import EnvironmentFault
from alga_common.fair_limiter import share
from alga_common.http import peer
from alga_common.http.exchange import Answer, base_url, get, post
from alga_common.http.response import HttpProtocolError, IncompleteResponse
from alga_common.http.semantics import STATUSES
from alga_common.http.tls import tls_for
from alga_common.http.transport import Head, SocketTransport
from alga_common.readiness import Finding
from alga_common.wire import MAX_ERROR_CHARACTERS
from alga_runner.errors import SettingsError
from alga_runner.models import ExecuteAnswer, ExecuteRequest, WarmupRequest

from ..catalog.bundle_store import Placement
from ..errors import (
    ExecutionFailed,
    ExecutionTimedOut,
    RunnerBusy,
    RunnerFailure,
    RunnerProtocolError,
    RunnerRefused,
    RunnerTimeout,
    RunnerUnavailable,
)
from ..settings import ServerSettings

RUNNER_CHECK = "runner"
"""The name of the readiness check that asks the runner."""

MAX_WARMUPS = 8
"""Concurrent requests to load a bundle ahead; they take no connection of an execution."""

_POOL_TIMEOUT_S = 2.0
_PEER = peer.Peer(
    name=RUNNER_CHECK,
    title="The runner",
    token_check="runner_service_token",  # noqa: S106 - the name of a check
    clock_check="runner_clock",
    address_variable="ALGA_SERVER_RUNNER_URL",
    token_hint="ALGA_SERVER_RUNNER_SERVICE_TOKEN must be the runner's RUNNER_SERVICE_TOKEN.",  # noqa: S106
)


class Loaded(BaseModel):
    """The runner has a bundle loaded, or there is no module in it."""

    status: Literal["ready", "no_module"]


class Unfit(BaseModel):
    """The runner cannot execute a bundle: its code, such as ``abi_marker_missing``, its sentence and the next step."""

    error: str
    message: str
    hint: str | None = None


class RunnerClient:
    """Calls one runner, or a load balancer in front of several.

    Nothing is sent twice: a handler may have acted before its connection broke. Requests go over sockets, or over the
    ``transport`` that is given, which is closed with the client. Raises ``SettingsError`` for a URL that
    cannot be used.
    """

    def __init__(self, settings: ServerSettings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        runner_url = _base_url(settings.runner_url)
        self._url = httpx.URL(runner_url + "/v1/execute")
        self._check_url = httpx.URL(runner_url + "/v1/ping")
        self._warmup_url = httpx.URL(runner_url + "/warmup")
        self._max_answer_bytes = settings.max_runner_response_bytes
        self._headers = {
            "host": self._url.netloc.decode(),
            "accept": "application/json",
            "accept-encoding": "identity",
            "content-type": "application/json",
            "user-agent": "alga-server",
        }
        token = settings.runner_service_token.get_secret_value() if settings.runner_service_token else ""
        if token:
            self._headers["x-runner-service-token"] = token
        tls = None if transport else _tls_for(settings.runner_url)
        # Runs of schedules have connections of their own: sleeping guests of the gateway keep none from them.
        for_schedules = share(settings.max_runner_calls)
        for_gateway = max(1, settings.max_runner_calls - for_schedules)
        of_tenant = settings.max_runner_calls_per_tenant
        self._transport, self._schedule_transport = (
            transport
            or SocketTransport(
                most,
                share(most) if of_tenant is None else min(most, of_tenant),
                max_answer_bytes=self._max_answer_bytes,
                tls=tls,
            )
            for most in (for_gateway, for_schedules)
        )
        # Checks have a connection of their own: they are answered when executions use all the others.
        self._check_transport = transport or SocketTransport(
            1, 1, max_answer_bytes=peer.MAX_ANSWER_BYTES, tls=tls
        )
        self._warmup_transport = transport or SocketTransport(
            MAX_WARMUPS, MAX_WARMUPS, max_answer_bytes=peer.MAX_ANSWER_BYTES, tls=tls
        )

    async def execute(
        self,
        request: ExecuteRequest,
        *,
        timeout_s: float,
        idempotency_key: str | None = None,
        log_bytes: int = 0,
        trace: Mapping[str, str] | None = None,
        scheduled: bool = False,
    ) -> ExecuteAnswer:
        """The guest's response, all of it within ``timeout_s`` seconds; its body is base64 that decodes.

        The runner is asked for ``log_bytes`` of the end of the guest's log; not every runner knows of that. ``trace``
        are headers of the W3C's Trace Context. A ``scheduled`` one takes a connection of those for runs of schedules.

        Raises ``RunnerUnavailable``, ``RunnerBusy``, ``RunnerRefused``, ``RunnerTimeout``, ``RunnerProtocolError``; and
        ``ExecutionFailed`` with the runner's words when the execution itself ended without a response,
        ``ExecutionTimedOut`` when that was for its time.
        """
        headers = {
            **self._headers,
            "x-alga-tenant": request.context.tenant_id,
            "x-alga-extension": request.context.extension_id,
            **(trace or {}),
        }
        if request.context.request_id is not None:
            headers["x-request-id"] = request.context.request_id
        if idempotency_key is not None:
            headers["x-idempotency-key"] = idempotency_key
        if log_bytes:
            headers["x-alga-log-tail"] = str(log_bytes)
        with anyio.move_on_after(timeout_s):
            try:
                answer = await post(
                    self._schedule_transport if scheduled else self._transport,
                    Head("POST", self._url, _encoded(headers)),
                    request.model_dump_json(exclude_none=True).encode(),
                    owner=request.context.tenant_id,
                    max_answer_bytes=self._max_answer_bytes,
                    pool_timeout_s=_POOL_TIMEOUT_S,
                )
            except httpx.HTTPError as error:
                raise _failure(error) from None
            _check_status(answer)
            return _response(answer.body)
        raise RunnerTimeout(f"The runner did not answer within {round(timeout_s * 1000)} ms")

    async def warm_up(self, placement: Placement, *, timeout_s: float) -> Loaded | Unfit:
        """Have the runner load a bundle of the store, and return how that ended.

        Raises ``RunnerTimeout`` while the runner goes on with it, and ``RunnerUnavailable``, ``RunnerBusy``,
        ``RunnerRefused`` or ``RunnerProtocolError``.
        """
        request = WarmupRequest(
            content_hash=placement.content_hash,
            tenant_id=placement.tenant_id,
            extension_id=placement.extension_id,
        )
        with anyio.move_on_after(timeout_s):
            try:
                answer = await post(
                    self._warmup_transport,
                    Head("POST", self._warmup_url, _encoded(self._headers)),
                    request.model_dump_json().encode(),
                    owner=placement.tenant_id,
                    max_answer_bytes=peer.MAX_ANSWER_BYTES,
                    pool_timeout_s=_POOL_TIMEOUT_S,
                )
            except httpx.HTTPError as error:
                raise _failure(error) from None
            return _warmed(answer)
        raise RunnerTimeout(f"The runner is not done after {timeout_s:g} s, and goes on with it")

    async def check(self, now: Callable[[], datetime] | None) -> list[Finding]:
        """Whether the runner answers, accepts the service token, and has the time of ``now``, if that is given."""

        async def ask() -> Answer:
            return await get(
                self._check_transport,
                self._check_url,
                _encoded(self._headers),
                max_answer_bytes=peer.MAX_ANSWER_BYTES,
            )

        return await peer.ask_peer(_PEER, ask, lambda answer: answer.status in {401, 403}, now)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._check_transport.aclose()
        await self._warmup_transport.aclose()
        await self._transport.aclose()
        await self._schedule_transport.aclose()


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def _tls_for(url: str) -> ssl.SSLContext | None:
    try:
        return tls_for(url)
    except EnvironmentFault as fault:
        raise SettingsError.of(fault) from None


def _base_url(text: str) -> str:
    try:
        return base_url(text)
    except ValueError as error:
        raise SettingsError(
            f"The setting runner_url (ALGA_SERVER_RUNNER_URL) {error}.",
            hint="It is like http://127.0.0.1:8080.",
        ) from None


def _failure(error: httpx.HTTPError) -> RunnerFailure:
    # The texts of httpx's own errors are left out: they may quote a header, and the service token is one.
    if isinstance(error, httpx.PoolTimeout):
        return RunnerBusy("All connections to the runner are in use")
    if isinstance(error, httpx.ConnectError):
        return RunnerUnavailable()
    if isinstance(error, IncompleteResponse):
        return RunnerUnavailable("The connection to the runner was lost in the middle of its answer")
    if isinstance(error, HttpProtocolError):
        return RunnerProtocolError(f"The runner's answer {error}")
    return RunnerUnavailable("The connection to the runner was lost before it answered")


def _check_status(answer: Answer) -> None:
    """Raise unless the runner's own status is 200: the guest's is in the body (alga-contract 1.2)."""
    status = answer.status
    if status == 429 or (status == 503 and "retry-after" in answer.headers):
        raise RunnerBusy(retry_after_s=max(1, answer.retry_after_s() or 1))
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


def _warmed(answer: Answer) -> Loaded | Unfit:
    if answer.status in {400, 404, 405}:
        raise RunnerRefused(f"The runner does not load extensions ahead (HTTP {answer.status})")
    try:
        if answer.status == 422:
            return Unfit.model_validate_json(answer.body)
        _check_status(answer)
        return Loaded.model_validate_json(answer.body)
    except ValidationError:
        raise RunnerProtocolError("The runner's answer is not that of a runner of this version") from None


def _response(body: bytes) -> ExecuteAnswer:
    try:
        response = ExecuteAnswer.model_validate_json(body)
    except ValidationError:
        # Its text would quote the answer, which holds a tenant's data.
        raise RunnerProtocolError("The runner's answer is not an execute response") from None
    if response.error is not None:
        if not 100 <= response.status <= 599:
            raise RunnerProtocolError(f"The failure's status {response.status} is no HTTP status")
        failed = ExecutionFailed(response.status, response.error[:MAX_ERROR_CHARACTERS], response.log_tail)
        if failed.runner_code == "deadline_exceeded":
            raise ExecutionTimedOut(failed.status, failed.error, failed.log_tail)
        raise failed
    if response.status not in STATUSES:
        raise RunnerProtocolError(f"The response's status {response.status} ends no HTTP exchange")
    try:
        base64.b64decode(response.body_b64 or "", validate=True)
    except (binascii.Error, ValueError):
        raise RunnerProtocolError("The response's body is not base64") from None
    return response
