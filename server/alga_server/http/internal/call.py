"""One call of the scheduler API, in either dialect.

The checks run in this order: the runner's token, the identity headers, the execution's token, the body, the operation;
then, in one transaction, the install and its capability. The operation runs in the same transaction.
"""

from __future__ import annotations

import logging
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request

from ...catalog import installs
from ...catalog.installs import Caller
from ...errors import ExecutionTokenInvalid, ServerError, Unauthorized, ValidationFailed
from ..dependencies import Services
from ..responses import Answer, read_json_object, same_secret, single_header
from .operations import CAPABILITY, OPERATIONS, Reply

logger = logging.getLogger("alga_server")


class SchedulerCall:
    """One call, from its headers to its log line.

    ``operation`` and ``install_id`` are those of the route. Where the route has none, the body names the operation and
    the identity headers name the install.
    """

    def __init__(
        self,
        services: Services,
        request: Request,
        *,
        operation: str | None = None,
        install_id: str | None = None,
    ) -> None:
        self._services = services
        self._request = request
        self._route_operation = operation
        self._route_install_id = install_id
        self._operation: str | None = None
        """The operation, once the call passed the checks before it; it decides the shape of a refusal."""
        self._status = "cancelled"

    async def answer(self) -> Answer:
        """Carry out the call. Every outcome gives an answer, one count in the metrics and one log line."""
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
            logger.exception("Scheduler call failed", extra={"action": "scheduler_api_failure"})
            reply = _refusal(self._operation, failure)
        finally:
            self._record(self._services.clock.monotonic() - started)
        return Answer(reply.body, status_code=reply.status, headers=reply.headers)

    async def _carry_out(self) -> Reply:
        settings = self._services.settings
        token = settings.usable_token(settings.runner_token)
        if not same_secret(self._request.headers.get("x-runner-auth", ""), token):
            raise Unauthorized("Invalid runner token")
        caller = self._caller()
        if settings.require_execution_token:
            await self._check_execution(caller)
        body = await read_json_object(self._request, settings.max_request_bytes)
        name = self._route_operation or body.get("operation")
        if not isinstance(name, str) or name not in OPERATIONS:
            raise ValidationFailed(field_errors={"operation": "Unsupported operation"}, schema=True)
        self._operation = name
        operation = OPERATIONS[name]

        def transaction(connection: Connection) -> Reply:
            install = installs.for_caller(connection, caller, capability=CAPABILITY, lock=operation.writes)
            return operation.run(self._services, connection, install, body)

        database = self._services.database
        if not operation.writes:
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
        return Caller(tenant_id, extension_id, install_id, self._route_install_id or install_id)

    async def _check_execution(self, caller: Caller) -> None:
        """Check that an execution under way makes the call: the runner's token alone is not enough."""
        token = single_header(self._request, "x-alga-execution-token")
        request_id = single_header(self._request, "x-request-id")
        if not (token and request_id):
            raise ExecutionTokenInvalid("Missing execution token")
        await self._services.tokens.verify(
            token, tenant_id=caller.tenant_id, install_id=caller.install_id, request_id=request_id
        )

    def _record(self, duration_s: float) -> None:
        operation = self._operation or self._route_operation or "unknown"
        self._services.metrics.scheduler_call(operation, self._status, duration_s)
        logger.info(
            "Scheduler call %s: %s",
            operation,
            self._status,
            extra={
                "action": "scheduler_api_call",
                "operation": operation,
                "tenant_id": single_header(self._request, "x-alga-tenant"),
                "extension_id": single_header(self._request, "x-alga-extension"),
                "install_id": single_header(self._request, "x-ext-install-id"),
                "request_id": single_header(self._request, "x-request-id"),
                "status": self._status,
                "duration_ms": round(duration_s * 1000, 3),
            },
        )


def _refusal(operation: str | None, error: ServerError) -> Reply:
    """Return ``{error, code, details}``; for an operation that writes, ``{success, error, code}``."""
    body: dict[str, Any] = {"error": str(error), "code": error.code.upper()}
    field_errors = error.field_errors if isinstance(error, ValidationFailed) else {}
    if operation is not None and OPERATIONS[operation].writes:
        body = {"success": False, **body}
        if field_errors:
            body["fieldErrors"] = field_errors
    else:
        body["details"] = None
    if isinstance(error, ValidationFailed) and error.schema:
        lists = {field: [message] for field, message in field_errors.items()}
        body["details"] = {"formErrors": [], "fieldErrors": lists}
    headers = None if error.retry_after_s is None else {"retry-after": str(error.retry_after_s)}
    return Reply(body, error.http_status, headers)
