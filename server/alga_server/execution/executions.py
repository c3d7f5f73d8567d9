"""Run one endpoint of one install, for the gateway, the dispatcher and an admin's run-now."""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from uuid import uuid4

from alga_common.sharing.rate import TokenBucket
from alga_common.text import cut
from alga_runner.models import (
    ExecuteAnswer,
    ExecuteRequest,
    ExecutionContext,
    ExecutionLimits,
    HttpCall,
    User,
)

from ..catalog.installs import Install
from ..clock import Clock
from ..errors import ExecutionFailed, RunnerFailure
from ..settings import ServerSettings
from .runner_client import RunnerClient
from .tokens import ExecutionTokens

ANSWER_GRACE_S = 5.0
"""How much longer than the execution's own time the runner's answer may take, so that the runner's deadline ends it."""

TOKEN_GRACE_S = 10.0
"""How much longer than the execution's own time its token is valid."""


DEVELOPMENT_LOG_BYTES = 4 * 1024
"""Bytes of the end of each guest's log that a server in development shows in its own log."""

MAX_LINE_CHARACTERS = 1_000

logger = logging.getLogger("alga_server")


class Firing(NamedTuple):
    """The run of a schedule, as the handler sees it. Times are RFC 3339 in UTC; ``attempt`` counts from 1."""

    trigger: str
    schedule_id: str
    schedule_name: str | None
    schedule_timezone: str
    nominal_time: str
    started_at: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one execution: either the guest's ``response`` or a ``failure``."""

    request_id: str
    response: ExecuteAnswer | None
    failure: RunnerFailure | None

    @property
    def log_tail(self) -> str | None:
        """Return the end of the guest's log, if the runner gave it."""
        if self.response is not None:
            return self.response.log_tail
        return self.failure.log_tail if isinstance(self.failure, ExecutionFailed) else None

    def unwrap(self) -> ExecuteAnswer:
        """Return the response. Raises the failure."""
        if self.response is None:
            raise self.failure or RunnerFailure
        return self.response


class Executor:
    """Turns an install and an HTTP call into an execute request, and the runner's answer into an ``Outcome``.

    No transaction is open while the runner works. Cancelling the caller ends the call, and with it the guest.
    """

    def __init__(
        self, settings: ServerSettings, clock: Clock, tokens: ExecutionTokens, runner: RunnerClient
    ) -> None:
        self._settings = settings
        self._tokens = tokens
        self._runner = runner
        self._guest_lines = TokenBucket(per_second=50, burst=500, clock=clock.monotonic)

    async def execute(
        self,
        install: Install,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        user: User | None = None,
        request_id: str | None = None,
        idempotency_key: str | None = None,
        firing: Firing | None = None,
        timeout_ms: int | None = None,
        log_bytes: int = 0,
        trace: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Execute ``method path`` of ``install``; a failure is returned, not raised.

        The caller checks that the install is enabled and has that endpoint. ``headers`` reach the guest unchanged, and
        ``x-alga-tenant`` and ``x-alga-extension`` are added. ``timeout_ms`` is the execution's wall time, by default
        ``execution_timeout_ms``; ``request_id`` is fresh by default. ``firing`` is set for a run of a schedule.
        ``log_bytes`` of the end of the guest's log are asked for; ``trace`` are headers that name the caller's span.
        """
        request_id = request_id or str(uuid4())
        timeout_ms = timeout_ms or self._settings.execution_timeout_ms
        request = ExecuteRequest(
            context=ExecutionContext(
                request_id=request_id,
                tenant_id=install.tenant_id,
                extension_id=install.extension_id,
                install_id=install.install_id,
                content_hash=install.content_hash,
                version_id=install.version_id,
                config=dict(install.config),
                **(firing._asdict() if firing else {}),
            ),
            http=HttpCall(
                method=method,
                path=path,
                query=dict(query or {}),
                headers={
                    **(headers or {}),
                    "x-alga-tenant": install.tenant_id,
                    "x-alga-extension": install.extension_id,
                },
                body_b64=None if body is None else base64.b64encode(body).decode(),
            ),
            limits=ExecutionLimits(timeout_ms=timeout_ms, memory_mb=self._settings.execution_memory_mb),
            providers=sorted(install.providers),
            user=user,
            execution_token=await self._tokens.issue(
                tenant_id=install.tenant_id,
                install_id=install.install_id,
                request_id=request_id,
                lifetime_s=timeout_ms / 1000 + TOKEN_GRACE_S,
            ),
        )
        response: ExecuteAnswer | None = None
        failure: RunnerFailure | None = None
        try:
            response = await self._runner.execute(
                request,
                timeout_s=timeout_ms / 1000 + ANSWER_GRACE_S,
                idempotency_key=idempotency_key,
                log_bytes=max(log_bytes, DEVELOPMENT_LOG_BYTES) if self._settings.development else log_bytes,
                trace=trace,
                scheduled=firing is not None,
            )
        except RunnerFailure as error:
            failure = error
        outcome = Outcome(request_id, response, failure)
        if self._settings.development and outcome.log_tail:
            self._show_log(outcome.log_tail, request.context)
        return outcome

    def _show_log(self, log: str, context: ExecutionContext) -> None:
        """Log what the guest logged, for its developer in front of the terminal; its rate is bounded."""
        for line in log.splitlines():
            if self._guest_lines.take():
                logger.info(
                    "Extension %s logged: %s",
                    context.extension_id,
                    cut(line, MAX_LINE_CHARACTERS),
                    extra={
                        "action": "guest_log",
                        "tenant_id": context.tenant_id,
                        "install_id": context.install_id,
                        "extension_id": context.extension_id,
                        "request_id": context.request_id,
                    },
                )
