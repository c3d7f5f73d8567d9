"""The gateway: ``/api/ext/{extensionId}/{path}`` calls an endpoint of the tenant's install (alga-contract 1.9).

Alga's session layer authenticates people and calls the gateway with the gateway's token; the gateway trusts the tenant
and the person that it names. The checks run in this order: caller, install, endpoint, body; then the runner is called.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from typing import TypeVar
from urllib.parse import quote
from uuid import UUID, uuid4

import anyio
from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from alga_common import routing
from alga_common.http.semantics import METHODS, may_have_body
from alga_common.routing import Routes
from alga_runner.models import EndpointInfo, ExecuteResponse, User

from ...catalog import installs
from ...catalog.installs import Install
from ...errors import (
    BodyTooLarge,
    EndpointNotFound,
    ExecutionFailed,
    ExtensionNotAvailable,
    PayloadTooLarge,
    RateLimited,
    RunnerFailure,
    ServerError,
    Unauthenticated,
    ValidationFailed,
)
from ..dependencies import Services, services_of
from ..params import parse_uuid
from ..responses import Answer, bearer_is, read_body, single_header
from . import headers

PREFIX = "/api/ext/"
_READS = frozenset({"GET", "HEAD"})
_CLIENT_GONE = 499
"""The status in the log when the caller closed the connection; it is never sent."""

logger = logging.getLogger("alga_server")

T = TypeVar("T")


class _ClientGone(Exception):
    """The caller closed the connection before it was answered."""


router = APIRouter(include_in_schema=False)
"""Everything below ``/api/ext``."""


@router.api_route(PREFIX + "{extension_id}", methods=list(METHODS))
@router.api_route(PREFIX + "{extension_id}/{path:path}", methods=list(METHODS))
async def call(request: Request, extension_id: str) -> Response:
    """Forward a user's request to the extension's endpoint."""
    return await _Call(services_of(request), request, extension_id).answer()


class _Call:
    """One gateway call, from its headers to its log line."""

    def __init__(self, services: Services, request: Request, extension_id: str) -> None:
        self._services = services
        self._request = request
        self._extension_id = parse_uuid(extension_id)
        self._caller_request_id = single_header(request, "x-request-id")
        self._request_id = self._caller_request_id or str(uuid4())
        """The id that the caller and the guest see."""
        self._execution_id = self._request_id if self._caller_request_id is None else str(uuid4())
        """The id of the execution. A caller cannot choose it, since the id tells creates of schedules apart."""
        self._tenant_id: str | None = None
        self._install: Install | None = None
        self._endpoint: EndpointInfo | None = None
        self._outcome = "cancelled"
        self._detail: str | None = None

    async def answer(self) -> Response:
        """Carry out the call. Every outcome gives an answer and one log line."""
        started = self._services.clock.monotonic()
        status: int | None = None
        try:
            response = await self._answer()
            status = response.status_code
        finally:
            self._record(status, self._services.clock.monotonic() - started)
        response.headers["x-request-id"] = self._request_id
        return response

    async def _answer(self) -> Response:
        try:
            response = await self._carry_out()
        except _ClientGone:
            self._outcome = "client_gone"
            return Response(status_code=_CLIENT_GONE)
        except ServerError as error:
            return self._refusal(error)
        except Exception:
            logger.exception("Gateway call failed", extra={"action": "gateway_failure"})
            return self._refusal(ServerError())
        self._outcome = "handler_error" if response.status_code >= 500 else "success"
        return response

    async def _carry_out(self) -> Response:
        self._tenant_id = tenant_id = self._authenticated()
        user = headers.user(self._request.headers)
        install, routes = await self._services.database.read(
            lambda connection: self._find(connection, tenant_id)
        )
        self._install = install
        method, asked = self._request.method, self._raw_path()
        root, path = self._divided(asked)
        segments = None if path is None else routing.split_path(path)
        by_method = {} if segments is None else routes.matching(segments)
        if method == "OPTIONS" and by_method and method not in by_method:
            return _allowed(by_method)
        # Without an endpoint for HEAD, the GET answers, and its body is left out (RFC 9110, 9.3.2).
        called = "GET" if method == "HEAD" and method not in by_method else method
        if segments is None or called not in by_method:
            raise EndpointNotFound
        self._endpoint = by_method[called]
        key = self._idempotency_key(called)
        if key is not None:
            self._execution_id = _execution_id(install, user, called, path, key)
        with self._held_bytes(tenant_id) as hold:
            body = await self._body(hold)
            outcome = await _unless_gone(
                self._request,
                lambda: self._services.executor.execute(
                    install,
                    called,
                    routing.join_path(segments) + self._raw_query(),
                    headers=headers.for_guest(self._request.headers, self._request_id),
                    body=body or None,
                    user=user,
                    request_id=self._execution_id,
                    idempotency_key=None if called in _READS else key or self._execution_id,
                    trace=headers.trace(self._request.headers),
                ),
            )
        response = outcome.unwrap()
        passed = headers.for_caller(response.header_pairs(), asked.decode("latin-1"), root.decode("latin-1"))
        return _response(response, method, called, passed)

    def _authenticated(self) -> str:
        """Return the tenant for whom the caller calls. Raises ``Unauthenticated``."""
        settings = self._services.settings
        if not bearer_is(self._request, settings.usable_token(settings.gateway_token)):
            raise Unauthenticated
        tenant_id = single_header(self._request, "x-alga-tenant")
        if tenant_id is None:
            raise Unauthenticated("The header x-alga-tenant names no tenant")
        return tenant_id

    def _find(self, connection: Connection, tenant_id: str) -> tuple[Install, Routes[EndpointInfo]]:
        install = installs.enabled(connection, tenant_id, self._extension_id)
        if install is None:
            raise ExtensionNotAvailable
        return install, self._services.routes.of(connection, install.version_id).routes

    def _raw_path(self) -> bytes:
        scope = self._request.scope
        return scope.get("raw_path") or quote(scope["path"]).encode()

    def _divided(self, raw: bytes) -> tuple[bytes, bytes | None]:
        """Divide a percent-encoded path into that of the extension, up to its id, and the one after it.

        The second is ``None`` if the encoded path is divided differently from the decoded one, from which the route
        took the id: a proxy that filters by path must see the same call as the gateway.
        """
        before = (self._request.scope.get("root_path", "") + PREFIX).encode()
        extension_id, _, path = raw.removeprefix(before).partition(b"/")
        same = raw.startswith(before) and extension_id.lower() == self._extension_id.encode()
        return before + extension_id, path if same else None

    def _raw_query(self) -> str:
        """Return the query as it was sent, with its ``?``; bytes that no URL has are percent-encoded."""
        query: bytes = self._request.scope["query_string"]
        return "?" + routing.quoted_query(query) if query else ""

    def _idempotency_key(self, method: str) -> str | None:
        """Return the caller's key; ``None`` for a read. Raises ``ValidationFailed``."""
        if method in _READS or "x-idempotency-key" not in self._request.headers:
            return None
        key = single_header(self._request, "x-idempotency-key")
        if key is None:
            raise ValidationFailed("The header x-idempotency-key is not 128 printable characters at most")
        return key

    @contextmanager
    def _held_bytes(self, tenant_id: str) -> Iterator[Callable[[int], None]]:
        """Count bytes of the call for the tenant until it ends. Raises ``RateLimited`` beyond a bound."""
        memory, held = self._services.gateway_memory, 0

        def hold(count: int) -> None:
            nonlocal held
            if not memory.try_take(tenant_id, count):
                raise RateLimited("Too many bytes of calls are in memory, please try again later")
            held += count

        try:
            yield hold
        finally:
            memory.free(tenant_id, held)

    async def _body(self, hold: Callable[[int], None]) -> bytes:
        try:
            return await read_body(self._request, self._services.settings.max_gateway_body_bytes, hold)
        except BodyTooLarge as error:
            raise PayloadTooLarge(str(error)) from None

    def _refusal(self, error: ServerError) -> Answer:
        """Return ``{error, requestId}``, with a ``code`` if the runner failed; never the runner's message."""
        status, name, headers = error.http_status, error.code, {"cache-control": "no-store"}
        body: dict[str, str] = {}
        if isinstance(error, RunnerFailure):
            body["code"] = error.runner_code if isinstance(error, ExecutionFailed) else error.code
            name = {429: "rate_limited", 504: "gateway_timeout"}.get(status, "bad_gateway")
        if body.get("code") == "idempotency_key_reused":
            status, name = 409, "idempotency_key_reused"
        if error.retry_after_s is not None:
            headers["retry-after"] = str(error.retry_after_s)
        if isinstance(error, Unauthenticated):
            headers["www-authenticate"] = "Bearer"
        self._outcome, self._detail = error.code, body.get("code")
        return Answer({"error": name, **body, "requestId": self._request_id}, status, headers)

    def _record(self, status: int | None, duration_s: float) -> None:
        install, endpoint = self._install, self._endpoint
        self._services.metrics.gateway_call(self._outcome, duration_s)
        # The manifest's path: the path in the request may hold personal data or secrets.
        declared = f"{endpoint.method} {endpoint.path}" if endpoint else None
        logger.info(
            "Gateway call %s: %s",
            declared or "of no endpoint",
            self._outcome,
            extra={
                "action": "gateway_call",
                "endpoint": declared,
                "tenant_id": self._tenant_id,
                "extension_id": self._extension_id or None,
                "install_id": install.install_id if install else None,
                "version_id": install.version_id if install else None,
                "request_id": self._execution_id,
                "caller_request_id": self._caller_request_id,
                "status": self._outcome,
                "detail": self._detail,
                "http_status": status,
                "duration_ms": round(duration_s * 1000, 3),
            },
        )


def _execution_id(install: Install, user: User | None, method: str, path: bytes | None, key: str) -> str:
    """Return the same id when the same person repeats a call with its key. No other call gets that id."""
    parts = [
        install.tenant_id,
        install.install_id,
        user and user.user_id,
        method,
        (path or b"").decode("latin-1"),
        key,
    ]
    return str(UUID(bytes=sha256(json.dumps(parts).encode()).digest()[:16], version=5))


async def _unless_gone(request: Request, work: Callable[[], Awaitable[T]]) -> T:
    """Return the result of ``work``; cancel it and raise ``_ClientGone`` if the caller closes the connection."""
    results: list[T] = []
    failures: list[Exception] = []
    async with anyio.create_task_group() as tasks:

        async def watch() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            tasks.cancel_scope.cancel()

        tasks.start_soon(watch)
        try:
            results.append(await work())
        except Exception as error:  # noqa: BLE001 - raised below: the group would wrap it
            failures.append(error)
        tasks.cancel_scope.cancel()
    for failure in failures:
        raise failure
    if not results:
        raise _ClientGone
    return results[0]


def _response(response: ExecuteResponse, method: str, called: str, passed: Mapping[str, str]) -> Response:
    """Return the guest's status, body and permitted headers; no header of the runner (alga-contract 7, fault 44)."""
    answer = Response(b"", response.status, passed)
    if may_have_body(method, response.status):
        answer = Response(response.body(), response.status, passed)
    elif method == "HEAD" and called == "GET":
        answer.headers["content-length"] = str(len(response.body()))
    elif "content-length" in answer.headers:  # the length of what a GET would get is not known
        del answer.headers["content-length"]
    return answer


def _allowed(by_method: Mapping[str, EndpointInfo]) -> Response:
    methods = {*by_method, "OPTIONS", *(("HEAD",) if "GET" in by_method else ())}
    return Response(status_code=204, headers={"allow": ", ".join(sorted(methods))})
