"""One host call of an extension, to any of the internal APIs, in either dialect.

The checks run in this order: the runner's token, the identity headers, the execution's token, the body, the operation;
then, in one transaction, the install and its capability. The operation runs in the same transaction, and its answer is
written there, in the database's thread. A long list is read page by page, each in a transaction and a turn of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import thread_time
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request

from ...catalog import installs
from ...catalog.installs import Caller, Install
from ...errors import ExecutionTokenInvalid, NotFound, ServerError, Unauthorized, ValidationFailed
from ..dependencies import Services
from ..responses import Answer, json_bytes, read_json_object, same_secret, single_header
from ..turns import LARGE_BYTES

logger = logging.getLogger("alga_server")

Body = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Reply:
    """Body, status and headers of an answer."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] | None = None
    committed: Callable[[Services], None] | None = None
    """Called once the operation's transaction is committed."""

    def written(self) -> Reply:
        """Return the same with its body as the bytes to send."""
        return self if isinstance(self.body, bytes) else replace(self, body=json_bytes(self.body))


@dataclass(frozen=True, slots=True)
class Page(Reply):
    """A part of the one list in an answer: its ``body`` is items as JSON, without brackets around them.

    ``cursor`` is what the request for the next part has in its member of this name; ``None`` after the last.
    """

    member: str = "items"
    cursor: str | None = None

    @staticmethod
    def joined(pages: Sequence[Page]) -> Reply:
        """Return the answer with the items of ``pages``, and the cursor of the last."""
        cursor = pages[-1].cursor
        rest = b"" if cursor is None else b',"nextCursor":' + json_bytes(cursor)
        items = b",".join(page.body for page in pages if page.body)
        return Reply(b'{"%s":[%s]%s}' % (pages[0].member.encode(), items, rest))


@dataclass(frozen=True, slots=True)
class Unread:
    """An answer whose size is known before it is read, in the same transaction."""

    size: int
    """In bytes, roughly."""
    read: Callable[[], Reply]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. The answer of one that ``writes`` has the member ``success``.

    One that answers with a ``Page`` is asked for the next until the last, unless the request is ``paged``.
    """

    run: Callable[[Services, Connection, Install, Body], Reply | Unread]
    writes: bool


@dataclass(frozen=True, slots=True)
class Api:
    """The operations of one capability, at ``/api/internal/ext-<name>/install/{install_id}`` (alga-contract 4)."""

    name: str
    """As the address, the metrics and the log have it."""
    capability: str
    operations: Mapping[str, Operation]
    codes: Mapping[str, str] = field(default_factory=dict)
    """Codes that the contract gives another name here."""
    no_install: type[ServerError] = NotFound
    """How an install is refused that is unknown, another's or disabled."""
    unsupported: str = "Validation error"
    """The message for an operation that there is not."""
    by_execution: bool = True
    """Whether calls carry the token of the execution that makes them."""


_IDENTITY = {
    "tenant_id": "x-alga-tenant",
    "extension_id": "x-alga-extension",
    "install_id": "x-ext-install-id",
    "request_id": "x-request-id",
}
"""The headers that say who calls, by the fields of a log line."""


async def _identify(
    services: Services,
    request: Request,
    named: Mapping[str, str | None],
    path_install_id: str | None,
    *,
    by_execution: bool,
) -> Caller:
    """Return who calls, once the runner's token and the execution's are checked. Raises ``Unauthorized``."""
    settings = services.settings
    if not same_secret(
        request.headers.get("x-runner-auth", ""), settings.usable_token(settings.runner_token)
    ):
        raise Unauthorized("Invalid runner token")
    tenant_id, extension_id, install_id = named["tenant_id"], named["extension_id"], named["install_id"]
    if not (tenant_id and extension_id and install_id):
        raise Unauthorized("Missing identity headers")
    caller = Caller(tenant_id, extension_id, install_id, path_install_id or install_id)
    if by_execution and settings.require_execution_token:
        await _check_execution(services, request, caller, named["request_id"])
    return caller


async def _check_execution(
    services: Services, request: Request, caller: Caller, request_id: str | None
) -> None:
    """Check that an execution under way makes the call: the runner's token alone is not enough."""
    token = single_header(request, "x-alga-execution-token")
    if not (token and request_id):
        raise ExecutionTokenInvalid("Missing execution token")
    await services.tokens.verify(
        token, tenant_id=caller.tenant_id, install_id=caller.install_id, request_id=request_id
    )


class HostCall:
    """One call, from its headers to its log line.

    ``operation`` and ``install_id`` are those of the route. Where the route has none, the body names the operation and
    the identity headers name the install.
    """

    def __init__(
        self,
        api: Api,
        services: Services,
        request: Request,
        *,
        operation: str | None = None,
        install_id: str | None = None,
    ) -> None:
        self._api = api
        self._services = services
        self._request = request
        self._named = {field: single_header(request, name) for field, name in _IDENTITY.items()}
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
            reply = self._refusal(error)
        except Exception:
            failure = ServerError()
            self._status = failure.label
            logger.exception(
                "%s call failed",
                self._api.name.capitalize(),
                extra={"action": f"{self._api.name}_api_failure"},
            )
            reply = self._refusal(failure)
        finally:
            self._record(self._services.clock.monotonic() - started)
        return Answer(reply.body, status_code=reply.status, headers=reply.headers)

    async def _carry_out(self) -> Reply:
        services, api = self._services, self._api
        caller = await _identify(
            services, self._request, self._named, self._route_install_id, by_execution=api.by_execution
        )
        name, body = await self._ask()
        if not isinstance(name, str) or name not in api.operations:
            faults = {"operation": "Unsupported operation"}
            raise ValidationFailed(api.unsupported, field_errors=faults, schema=True)
        self._operation = name
        operation, pages = api.operations[name], list[Page]()
        reply = await self._in_turn(caller, operation, body)
        while isinstance(reply, Page):
            pages.append(reply)
            if reply.cursor is None or body.get("paged") is True:
                return Page.joined(pages)
            reply = await self._in_turn(caller, operation, {**body, "cursor": reply.cursor})
        return reply

    async def _in_turn(self, caller: Caller, operation: Operation, body: Body) -> Reply:
        """Run the operation in a turn of the tenant's, charged with its time; return what it answers, written.

        Of a tenant's large answers one at a time is read: the second try waits for the others.
        """
        reply = await self._try(caller, operation, body, large=False)
        if reply is None:
            reply = await self._try(caller, operation, body, large=True)
        if reply is None:
            raise AssertionError("a read in the tenant's turn is not put off")
        if reply.committed is not None:
            reply.committed(self._services)
        return reply

    async def _try(self, caller: Caller, operation: Operation, body: Body, *, large: bool) -> Reply | None:
        """``None`` if the answer is large and the tenant's others are not known to wait for it."""
        services, api = self._services, self._api
        took_s = 0.0

        async with services.turns.of(caller.tenant_id, large=large) as turn:

            def transaction(connection: Connection) -> Reply | None:
                nonlocal took_s
                started = thread_time()
                try:
                    try:
                        install = installs.for_caller(
                            connection, caller, capability=api.capability, lock=operation.writes
                        )
                    except NotFound as missing:
                        raise api.no_install(str(missing)) from None
                    reply = operation.run(services, connection, install, body)
                    if isinstance(reply, Unread):
                        if reply.size >= LARGE_BYTES and not turn.alone:
                            return None
                        reply = reply.read()
                    return reply.written()
                finally:
                    took_s = thread_time() - started  # of the last time, if others' faults repeat it

            try:
                if operation.writes:
                    return await services.database.write_together(transaction)
                read = services.database if turn.alone else services.small_reads
                return await read.read(transaction)
            finally:
                turn.charge(took_s)

    async def _ask(self) -> tuple[object, Body]:
        """Read the request; return the operation's name and the body."""
        body = await read_json_object(self._request, self._services.settings.max_request_bytes)
        return self._route_operation or body.get("operation"), body

    def _record(self, duration_s: float) -> None:
        operation = self._operation or self._route_operation or "unknown"
        self._services.metrics.host_call(self._api.name, operation, self._status, duration_s)
        logger.info(
            "%s call %s: %s",
            self._api.name.capitalize(),
            operation,
            self._status,
            extra={
                "action": f"{self._api.name}_api_call",
                "operation": operation,
                **self._named,
                "status": self._status,
                "duration_ms": round(duration_s * 1000, 3),
            },
        )

    def _refusal(self, error: ServerError) -> Reply:
        """Return ``{error, code, details}``; for an operation that writes, ``{success, error, code}``."""
        code = self._api.codes.get(error.code, error.code.upper())
        body: dict[str, Any] = {"error": str(error), "code": code}
        field_errors = error.field_errors if isinstance(error, ValidationFailed) else {}
        if self._operation is not None and self._api.operations[self._operation].writes:
            body = {"success": False, **body}
            if field_errors:
                body["fieldErrors"] = field_errors
        else:
            body["details"] = None
        if isinstance(error, ValidationFailed) and error.schema:
            lists = {name: [message] for name, message in field_errors.items()}
            body["details"] = {"formErrors": [], "fieldErrors": lists}
        headers = None if error.retry_after_s is None else {"retry-after": str(error.retry_after_s)}
        return Reply(body, error.http_status, headers)
