"""The scheduler as the runner calls it: one route, the ``operation`` in the body (alga-contract 4 and 5.1).

Order: the runner's token, the identity headers, the execution's token, the body, the operation; then, in one
transaction, the install, its capability and the operation itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.requests import Request

from . import installs, publishing, schedules
from .errors import ExecutionTokenInvalid, ServerError, Unauthorized, ValidationFailed
from .ids import known_form
from .installs import Caller, Install
from .services import Services
from .web import Answer, read_json_object, same_secret, single_header

_CAPABILITY = "cap:scheduler.manage"
_TRIGGER = "host_api"

logger = logging.getLogger("alga_server")


def internal_router(services: Services) -> APIRouter:
    """``POST /api/internal/ext-scheduler/install/{install_id}``."""
    router = APIRouter()

    @router.post("/api/internal/ext-scheduler/install/{install_id}", response_model=None)
    async def scheduler(request: Request, install_id: str) -> Answer:
        return await _Call(services, request, install_id).answer()

    return router


@dataclass(frozen=True, slots=True)
class _Reply:
    body: dict[str, Any]
    status: int = 200


class _Call:
    """One call of the scheduler API, from its headers to its log line."""

    def __init__(self, services: Services, request: Request, path_install_id: str) -> None:
        self._services = services
        self._request = request
        self._path_install_id = path_install_id
        self._operation = "unknown"
        self._status = "cancelled"

    async def answer(self) -> Answer:
        """Carry it out. Whatever happens is an answer, is counted, and is one line in the log."""
        started = self._services.clock.monotonic()
        try:
            reply = await self._carry_out()
            self._status = "success"
        except ServerError as error:
            self._status = error.label
            reply = _refusal(self._operation, error)
        except Exception:
            failure = ServerError()
            self._status = failure.label
            logger.exception("A scheduler call failed", extra={"action": "scheduler_api_failure"})
            reply = _refusal(self._operation, failure)
        finally:
            self._record(self._services.clock.monotonic() - started)
        return Answer(reply.body, status_code=reply.status)

    async def _carry_out(self) -> _Reply:
        settings = self._services.settings
        token = settings.usable_token(settings.runner_token)
        if not same_secret(self._request.headers.get("x-runner-auth", ""), token):
            raise Unauthorized("Invalid runner token")
        caller = self._caller()
        if settings.require_execution_token:
            await self._check_execution(caller)
        body = await read_json_object(self._request, settings.max_request_bytes)
        name = body.get("operation")
        if not isinstance(name, str) or name not in _OPERATIONS:
            raise ValidationFailed(field_errors={"operation": "Unsupported operation"}, schema=True)
        self._operation = name
        run, writes = _OPERATIONS[name]

        def transaction(connection: Connection) -> _Reply:
            install = installs.for_caller(connection, caller, capability=_CAPABILITY, lock=writes)
            return run(self._services, connection, install, body)

        database = self._services.database
        if not writes:
            return await database.read(transaction)
        reply = await database.write(transaction)
        self._services.dispatcher.wake()
        return reply

    def _caller(self) -> Caller:
        tenant_id = single_header(self._request, "x-alga-tenant")
        extension_id = single_header(self._request, "x-alga-extension")
        install_id = single_header(self._request, "x-ext-install-id")
        if not (tenant_id and extension_id and install_id):
            raise Unauthorized("Missing identity headers")
        return Caller(tenant_id, extension_id, install_id, self._path_install_id)

    async def _check_execution(self, caller: Caller) -> None:
        """The call comes from an execution under way: the runner's token alone speaks for nobody."""
        token = single_header(self._request, "x-alga-execution-token")
        request_id = single_header(self._request, "x-request-id")
        if not (token and request_id):
            raise ExecutionTokenInvalid("Missing execution token")
        await self._services.tokens.verify(
            token, tenant_id=caller.tenant_id, install_id=caller.install_id, request_id=request_id
        )

    def _record(self, duration_s: float) -> None:
        self._services.metrics.scheduler_call(self._operation, self._status, duration_s)
        logger.info(
            "Scheduler call %s: %s",
            self._operation,
            self._status,
            extra={
                "action": "scheduler_api_call",
                "operation": self._operation,
                "tenant_id": single_header(self._request, "x-alga-tenant"),
                "extension_id": single_header(self._request, "x-alga-extension"),
                "install_id": single_header(self._request, "x-ext-install-id"),
                "request_id": single_header(self._request, "x-request-id"),
                "status": self._status,
                "duration_s": duration_s,
            },
        )


def _refusal(operation: str, error: ServerError) -> _Reply:
    """``{error, code, details}``; for the operations that answer with a result, ``success: false`` besides."""
    body: dict[str, Any] = {"error": str(error), "code": error.code.upper()}
    field_errors = error.field_errors if isinstance(error, ValidationFailed) else {}
    if operation in _RESULTS:
        body = {"success": False, **body}
        if field_errors:
            body["fieldErrors"] = field_errors
    else:
        body["details"] = None
    if isinstance(error, ValidationFailed) and error.schema:
        lists = {field: [message] for field, message in field_errors.items()}
        body["details"] = {"formErrors": [], "fieldErrors": lists}
    return _Reply(body, error.http_status)


def _list(services: Services, connection: Connection, install: Install, body: dict[str, Any]) -> _Reply:
    found = schedules.list_all(connection, install)
    return _Reply({"schedules": [each.info.model_dump(by_alias=True) for each in found]})


def _get(services: Services, connection: Connection, install: Install, body: dict[str, Any]) -> _Reply:
    found = schedules.get(connection, install, _schedule_id(body))
    return _Reply({"schedule": found.info.model_dump(by_alias=True) if found else None})


def _create(services: Services, connection: Connection, install: Install, body: dict[str, Any]) -> _Reply:
    schedule_id = schedules.create(
        connection, install, body, trigger=_TRIGGER, limits=services.limits, now=services.clock.now()
    )
    return _Reply({"success": True, "scheduleId": schedule_id}, 201)


def _update(services: Services, connection: Connection, install: Install, body: dict[str, Any]) -> _Reply:
    now = services.clock.now()
    schedules.change(connection, install, _schedule_id(body), body, limits=services.limits, now=now)
    return _Reply({"success": True})


def _delete(services: Services, connection: Connection, install: Install, body: dict[str, Any]) -> _Reply:
    schedules.remove(connection, install, _schedule_id(body), now=services.clock.now())
    return _Reply({"success": True})


def _endpoints(services: Services, connection: Connection, install: Install, body: dict[str, Any]) -> _Reply:
    found = publishing.endpoints(connection, install.version_id)
    return _Reply({"endpoints": [each.model_dump(by_alias=True) for each in found]})


def _schedule_id(body: dict[str, Any]) -> str:
    value = body.get("scheduleId")
    if not isinstance(value, str) or not value.strip():
        raise ValidationFailed(field_errors={"scheduleId": "Missing scheduleId"}, schema=True)
    return known_form(value)


_Operation = Callable[[Services, Connection, Install, dict[str, Any]], _Reply]

_OPERATIONS: dict[str, tuple[_Operation, bool]] = {
    "list": (_list, False),
    "get": (_get, False),
    "create": (_create, True),
    "update": (_update, True),
    "delete": (_delete, True),
    "getEndpoints": (_endpoints, False),
}
"""Each operation, and whether it writes."""

_RESULTS = frozenset({"create", "update", "delete"})
