"""``POST /v1/execute``: the checks in the contract's order, then one execution (alga-contract 1.3)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic

import anyio

from alga_common.http.semantics import clean_id
from alga_common.settings import MOST
from alga_common.sharing.large_work import LARGE_BYTES

from ..capabilities.gate import unexpected
from ..errors import AlgaError, Draining, Overloaded
from ..execution.margin import NO_MARGIN, Margin
from ..models import ExecuteRequest
from ..runner import Runner
from ..settings import Settings
from ..telemetry.tracing import HEADERS
from .callers import Callers
from .http import Answer, Exchange
from .replies import error_reply, failed_reply, guest_reply, key_reused_reply, log_tail
from .reply_cache import IdempotencyKey, KeyReused, Replies
from .request import parse_request, require_json, routing_fault
from .request_tracker import Ending, RequestTracker, draining, no_room

logger = logging.getLogger("alga_runner")

MAX_LOG_TAIL_BYTES = 16 * 1024
"""Bytes of the guest's log that an answer has at most, for a caller that asks for them with ``x-alga-log-tail``."""


MIN_MARGIN_MS = 50
"""The least by which an execution ends earlier than its caller stops waiting, where that is a tenth of its time."""


class Execute:
    """The route, for ``callers``."""

    def __init__(
        self,
        runner: Runner,
        settings: Settings,
        requests: RequestTracker,
        replies: Replies,
        callers: Callers,
    ) -> None:
        self._runner = runner
        self._settings = settings
        self._requests = requests
        self._replies = replies
        self._callers = callers
        self._body_timeout_s = settings.http_body_timeout_ms / 1000

    async def __call__(self, exchange: Exchange) -> Answer:
        """Answer one request.

        Raises ``Refused`` if it is not a valid execute request, and ``ClientGone`` if its client closed the connection.
        """
        self._callers.require_execute(exchange)
        arrived = monotonic()
        tenant = exchange.by_name.get(b"x-alga-tenant", b"").decode("latin-1")
        async with self._requests.track(tenant, exchange) as tracked:
            require_json(exchange)
            body = await tracked.read_body(
                limit=self._settings.max_http_body_bytes, timeout_s=self._body_timeout_s
            )
            if len(body) < LARGE_BYTES:
                request = _parse(body)
            else:
                request = await self._runner.large_work.run(tenant, partial(_parse, body))
            del body  # here and below: the guest reads a document made of it, and may run for long
            _note(exchange, request)
            if fault := routing_fault(exchange, request):
                return failed_reply(400, fault)
            margin = self._margin(request, monotonic() - arrived)
            if key := exchange.by_name.get(b"x-idempotency-key"):
                replying = self._reply(exchange, request, margin, key)
            else:
                replying = self._run(exchange, request, margin)
            del request
            tracing = self._runner.telemetry.tracing
            if tracing is None:
                return await replying
            # The execution's span has the caller's for its parent.
            headers = {name: exchange.value(name.encode()).decode("latin-1") for name in HEADERS}
            with tracing.caller(headers):
                return await replying
        if tracked.ending is Ending.STOP and exchange.executing:
            return failed_reply(
                500,
                "execute_failed: cancelled: The runner ended before the handler did; what the handler did until then "
                "is not undone.",
            )
        raise tracked.refusal()

    def _margin(self, request: ExecuteRequest, elapsed_s: float) -> Margin:
        """How much before its time limit the execution is to end, so that the answer reaches a caller that still waits.

        Alga's callers stop waiting ``limits.timeout_ms`` after they began to send (alga-contract 1.9), so the time that
        the request took to arrive, ``elapsed_s``, counts, too.
        """
        asked, percent = request.limits.timeout_ms, self._settings.timeout_margin_percent
        if asked is None or asked > MOST or not percent:
            return NO_MARGIN
        margin_ms = min(max(asked * percent / 100, MIN_MARGIN_MS), asked / 10)
        left_s = (asked - margin_ms) / 1000 - elapsed_s
        total_s = self._runner.timeout_s(asked) - left_s
        return Margin(total_s, margin_ms / 1000) if total_s > 0 else NO_MARGIN

    async def _reply(
        self, exchange: Exchange, request: ExecuteRequest, margin: Margin, header: bytes
    ) -> Answer:
        """The reply to a request with an idempotency key, the ``header``: a stored one, if there is one."""
        patience_s = max(0.0, self._runner.timeout_s(request.limits.timeout_ms) - margin.total_s)
        with anyio.move_on_after(patience_s) as scope:
            try:
                if len(request.http.body_b64 or "") < LARGE_BYTES:
                    key = IdempotencyKey.of(header, request)
                else:
                    tenant = request.context.tenant_id
                    key = await self._runner.large_work.run(
                        tenant, partial(IdempotencyKey.of, header, request)
                    )
                waiting = [request]
                del request
                replying = self._replies.once(
                    key, _without_deadline(scope, lambda: self._run(exchange, waiting.pop(), margin))
                )
                return await replying
            except KeyReused:
                return key_reused_reply()
        return failed_reply(
            500,
            "execute_failed: deadline_exceeded: A request with the same idempotency key was still under way "
            f"after {round(patience_s * 1000)} ms.",
        )

    async def _run(self, exchange: Exchange, request: ExecuteRequest, margin: Margin) -> Answer:
        exchange.executing = True
        log_bytes = _log_bytes(exchange)
        tail: str | None = None
        context, providers = request.context, request.providers
        observing = self._runner.observe(request, recorded_bytes=0, margin=margin)
        del request
        try:
            observed = await observing
            tail = log_tail(observed.log, log_bytes) if log_bytes else None
            response = observed.unwrap()
            if len(response.body_b64 or "") < LARGE_BYTES:
                answer = guest_reply(response, tail)
            else:
                tenant = context.tenant_id
                answer = await self._runner.large_work.run(tenant, partial(guest_reply, response, tail))
        except Overloaded as error:
            return no_room(error).answer()
        except Draining:
            return draining().answer()
        except AlgaError as error:
            return error_reply(error, providers, tail)
        except Exception as error:  # noqa: BLE001 - a fault of the runner ends only this execution
            logger.error(  # noqa: TRY400 - a traceback may quote the request
                "Execution failed inside the runner: %s",
                unexpected(error),
                extra={"action": "execution_failure", "request_id": context.request_id},
            )
            return failed_reply(500, "execute_failed: internal: The runner failed; its log has the cause.")
        if context.trigger == "schedule" and response.status >= 400:
            # Its reply is not stored: the next attempt of the schedule's run has the same key, and must be executed.
            return answer._replace(outcome="handler_failed")
        return answer


def _parse(body: bytes) -> ExecuteRequest:
    return parse_request(body, ExecuteRequest, "an execute request")


def _without_deadline(
    scope: anyio.CancelScope, run: Callable[[], Awaitable[Answer]]
) -> Callable[[], Awaitable[Answer]]:
    """``run``, preceded by lifting the deadline of ``scope``: it bounds the wait for the key; ``run`` has its own."""

    async def lift_and_run() -> Answer:
        scope.deadline = float("inf")
        return await run()

    return lift_and_run


def _log_bytes(exchange: Exchange) -> int:
    """Return how many bytes of the guest's log the caller asks for; 0 unless the header is a number."""
    asked = exchange.by_name.get(b"x-alga-log-tail")
    return (
        0 if asked is None or not asked.isdigit() or len(asked) > 7 else min(int(asked), MAX_LOG_TAIL_BYTES)
    )


def _note(exchange: Exchange, request: ExecuteRequest) -> None:
    context = request.context
    exchange.tenant_id = context.tenant_id
    exchange.extension_id = context.extension_id
    exchange.install_id = context.install_id
    exchange.version_id = context.version_id
    exchange.request_id = context.request_id or clean_id(exchange.value(b"x-request-id").decode("latin-1"))
    exchange.id_from_header = exchange.request_id != context.request_id
