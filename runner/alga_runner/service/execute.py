"""``POST /v1/execute``: the checks in the contract's order, then one execution (alga-contract 1.3)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import anyio

from ..capabilities.gate import unexpected
from ..engine import LARGE_BYTES
from ..errors import AlgaError, Draining, Overloaded
from ..models import ExecuteRequest
from ..runner import Runner
from ..settings import Settings
from .body import parse_request, read_body, require_json
from .checks import require_token, routing_fault
from .http import Answer, ClientGone, Exchange
from .replies import error_reply, failed_reply, guest_reply
from .reply_cache import IdempotencyKey, KeyReused, Replies
from .request_tracker import RequestTracker, draining, no_room

T = TypeVar("T")

logger = logging.getLogger("alga_runner")

_WATCHED_AFTER_S = 0.02
"""A client may have been gone for that long before its guest is ended, in seconds."""


class Execute:
    """The route. ``token`` is what callers must show; ``None`` asks for none."""

    def __init__(
        self, runner: Runner, settings: Settings, slots: RequestTracker, replies: Replies, token: bytes | None
    ) -> None:
        self._runner = runner
        self._settings = settings
        self._slots = slots
        self._replies = replies
        self._token = token

    async def __call__(self, exchange: Exchange) -> Answer:
        """The answer. Raises ``Refused`` for what never became a request, ``ClientGone`` when nobody waits for it."""
        require_token(exchange, self._token)
        tenant = exchange.value(b"x-alga-tenant").decode("latin-1")
        with self._slots.take(tenant) as slot:
            require_json(exchange)
            body = await read_body(
                exchange,
                limit=self._settings.max_http_body_bytes,
                timeout_s=self._settings.http_body_timeout_ms / 1000,
                hold=slot.hold,
                owner=tenant,
            )
            request = await self._sized(tenant, len(body), lambda: parse_request(body))
            _note(exchange, request)
            if fault := routing_fault(exchange, request):
                return failed_reply(400, fault)
            return await _unless_gone(exchange, lambda: self._reply(exchange, request))
        # Here only what was cancelled because the runner ends.
        if exchange.executing:
            return failed_reply(
                500,
                "execute_failed: cancelled: The runner ended before the handler did; what it had done by then stands.",
            )
        raise draining()

    async def _reply(self, exchange: Exchange, request: ExecuteRequest) -> Answer:
        async def run() -> Answer:
            exchange.executing = True
            return await self._run(request)

        header = exchange.value(b"x-idempotency-key")
        if not header:
            return await run()
        patience_s = self._runner.timeout_s(request)
        with anyio.move_on_after(patience_s) as scope:
            try:
                size = len(request.http.body_b64 or "")
                key = await self._sized(
                    request.context.tenant_id, size, lambda: IdempotencyKey.of(header, request)
                )
                return await self._replies.once(key, _outside(scope, run))
            except KeyReused:
                return failed_reply(409, "idempotency_key_reused")
        return failed_reply(
            500,
            "execute_failed: deadline_exceeded: A request with the same idempotency key was still under way "
            f"after {round(patience_s * 1000)} ms.",
        )

    async def _run(self, request: ExecuteRequest) -> Answer:
        try:
            response = await self._runner.execute(request)
            size = len(response.body_b64 or "")
            answer = await self._sized(request.context.tenant_id, size, lambda: guest_reply(response))
        except Overloaded as error:
            return no_room(error).answer()
        except Draining:
            return draining().answer()
        except AlgaError as error:
            return error_reply(error, request)
        except Exception as error:  # noqa: BLE001 - a fault of the runner ends this execution alone
            logger.error(  # noqa: TRY400 - a traceback may quote the request
                "An execution failed inside the runner: %s",
                unexpected(error),
                extra={"action": "execution_failure", "request_id": request.context.request_id},
            )
            return failed_reply(500, "execute_failed: internal: The runner failed; its log says how.")
        if request.context.trigger == "schedule" and response.status >= 400:
            # Not to be kept: the next attempt of a schedule's run comes with the same key, and is to be carried out.
            return replace(answer, outcome="handler_failed")
        return answer

    async def _sized(self, tenant: str, size: int, work: Callable[[], T]) -> T:
        """What ``work`` returns, done when it is the tenant's turn if it is about so many bytes that it takes long."""
        return work() if size < LARGE_BYTES else await self._runner.large_work.run(tenant, work)


def _outside(
    scope: anyio.CancelScope, run: Callable[[], Awaitable[Answer]]
) -> Callable[[], Awaitable[Answer]]:
    """``run``, which has a deadline of its own: that of ``scope`` is for waiting until it is its turn."""

    async def go() -> Answer:
        scope.deadline = float("inf")
        return await run()

    return go


async def _unless_gone(exchange: Exchange, work: Callable[[], Awaitable[Answer]]) -> Answer:
    """What ``work`` answers. When the client closes the connection, cancels it and raises ``ClientGone``.

    Most executions are over before anybody could leave: the connection is watched only beside those that take a while.
    """
    loop = asyncio.get_running_loop()
    watching: list[asyncio.Task[None]] = []
    with anyio.CancelScope() as scope:

        async def watch() -> None:
            await exchange.gone()
            scope.cancel()

        later = loop.call_later(_WATCHED_AFTER_S, lambda: watching.append(loop.create_task(watch())))
        try:
            return await work()
        finally:
            later.cancel()
            for task in watching:
                task.cancel()
                with anyio.CancelScope(shield=True):
                    await asyncio.wait([task])
    raise ClientGone


def _note(exchange: Exchange, request: ExecuteRequest) -> None:
    context = request.context
    exchange.tenant = context.tenant_id
    exchange.extension = context.extension_id
    exchange.install = context.install_id
    exchange.version = context.version_id
    exchange.request_id = context.request_id or exchange.value(b"x-request-id").decode("latin-1") or None
