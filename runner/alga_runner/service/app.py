"""The ASGI app: routes each request, answers it even when a route fails, and logs it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic, perf_counter

import httpx

from alga_common.http.asgi import OPEN_SCOPE, RESPOND, TAKE_BODY, WHEN_GONE
from alga_common.http.semantics import origin_form
from alga_common.readiness import Checks

from ..capabilities.gate import unexpected
from ..runner import Runner
from ..settings import Settings
from ..telemetry import SLOW_S
from .callers import Callers
from .execute import Execute
from .health import Health, NoPeers, Peers, cache_checks_of, checks_of, log_failure
from .http import Answer, ClientGone, Exchange, Message, Receive, Refused, Send
from .reply_cache import LocalReplies, Replies, ReplyCache
from .request_tracker import RequestTracker, request_memory
from .ui import Ui
from .ui.registry import Registry
from .ui.routes import PREFIX
from .warmup import Warmup

logger = logging.getLogger("alga_runner")

CLIENT_GONE = 499
"""The status in log and metrics when the client closed the connection; it is never sent."""

_WORK = ("/v1/execute", "/warmup")
"""The routes that do work for a tenant; all others are probes."""

WORK_STATUSES = (200, 400, 401, 405, 408, 413, 415, 422, 429, CLIENT_GONE, 500, 503)
PROBE_STATUSES = (200, 405, 500, 503)
HOME_STATUSES = (307, 400, 404, 405, 500, 502, 503)
PAGE_STATUSES = (200, 304, 400, 404, 405, 413, 500, 502)
"""What routes answer, for metrics."""

Route = Callable[[Exchange], Awaitable[Answer]]


class Service:
    """The runner's HTTP service, an ASGI app without a lifespan: the owner of the runner enters and leaves it."""

    def __init__(
        self,
        runner: Runner,
        settings: Settings,
        callers: Callers,
        replies: Replies,
        peers: Peers,
        *,
        checks: Checks,
        cache: Checks,
        ui: Ui,
    ) -> None:
        self._runner = runner
        self._settings = settings
        self._requests = RequestTracker(request_memory(settings), runner.telemetry.refused)
        self._retiring = False
        self._checks = checks
        health = Health(runner, self._requests, peers, checks, cache)

        async def ping(exchange: Exchange) -> Answer:
            callers.require_token(exchange)
            return await health.ping(exchange)

        self._routes: Mapping[str, Mapping[str, Route]] = {
            "/v1/execute": {"POST": Execute(runner, settings, self._requests, replies, callers)},
            "/warmup": {"POST": Warmup(runner, settings, self._requests, callers)},
            "/v1/ping": {"GET": ping, "HEAD": ping},
            "/healthz": {"GET": health.alive, "HEAD": health.alive},
            "/readyz": {"GET": health.ready, "HEAD": health.ready},
            "/metrics": {"GET": health.metrics, "HEAD": health.metrics},
            "/": {"GET": ui.home, "HEAD": ui.home},
            PREFIX: {"GET": ui.asset, "HEAD": ui.asset},
        }
        answered: dict[str, tuple[int, ...]] = dict.fromkeys(self._routes, PROBE_STATUSES)
        answered |= dict.fromkeys(_WORK, WORK_STATUSES)
        answered |= {"/": HOME_STATUSES, PREFIX: PAGE_STATUSES, "other": (404,)}
        runner.telemetry.expect_http_requests(answered)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"the runner's service does not speak {scope['type']}")
        exchange = Exchange(
            scope["method"],
            origin_form(scope["path"]),
            scope["headers"],
            receive,
            scope.get("query_string", b""),
            scope.get(WHEN_GONE),
            scope.get(OPEN_SCOPE),
            scope.get(TAKE_BODY),
        )
        route = PREFIX if exchange.path.startswith(PREFIX) else exchange.path  # all files of pages have one
        started = perf_counter()
        status, outcome = CLIENT_GONE, None
        try:
            answer = await self._answer(route, exchange)
            status, outcome = answer.status, answer.outcome
            await answer.send(
                send,
                with_body=exchange.method != "HEAD",
                close=self._retiring,
                respond=scope.get(RESPOND),
            )
        except ClientGone:
            status = CLIENT_GONE
        finally:
            self._report(route, exchange, status, outcome, perf_counter() - started)

    @property
    def executions(self) -> int:
        """How many requests to execute or load ahead are under way, those whose body is still being read included."""
        return len(self._requests)

    async def watch_checks(self) -> None:
        """Log the checks that fail, a wrong token as an error, until none does; then return."""
        await self._checks.watch(log_failure)

    def retire(self) -> None:
        """Close each connection with its next answer. Requests are carried out as before."""
        self._retiring = True

    async def drain(self) -> None:
        """Refuse new executions, and return when those under way have ended or, after the grace, are cancelled."""
        self._runner.admission.close()
        await self._requests.drain(self._settings.shutdown_grace_ms / 1000)

    def stop(self) -> None:
        """Refuse new executions and cancel those under way."""
        self._runner.admission.close()
        self._requests.stop()

    async def _answer(self, route: str, exchange: Exchange) -> Answer:
        try:
            return await self._handler(route, exchange.method)(exchange)
        except Refused as refused:
            if not self._requests.draining:
                await exchange.discard(
                    self._settings.max_http_body_bytes, self._settings.http_body_timeout_ms / 1000
                )
            return refused.answer()
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - the client gets an answer to every failure
            logger.error(  # noqa: TRY400 - a traceback may quote the request
                "Request failed inside the runner: %s", unexpected(error), extra={"action": "http_failure"}
            )
            return Refused(500, "internal", "The runner failed; its log has the cause.").answer()

    def _handler(self, route: str, method: str) -> Route:
        methods = self._routes.get(route)
        if methods is None:
            raise Refused(404, "not_found", "There is no such route.")
        if method not in methods:
            allowed = ", ".join(methods)
            raise Refused(
                405,
                "method_not_allowed",
                f"This route takes {allowed}.",
                headers=((b"allow", allowed.encode()),),
            )
        return methods[method]

    def _report(
        self, route: str, exchange: Exchange, status: int, outcome: str | None, duration_s: float
    ) -> None:
        if route not in self._routes:
            route = "other"
        quiet = status < 400 and duration_s < SLOW_S and (route not in _WORK or _logged(exchange, outcome))
        self._runner.telemetry.http_request(
            route,
            status,
            duration_s,
            exchange,
            level=logging.DEBUG if quiet else logging.WARNING if status >= 500 else logging.INFO,
            detail=outcome,
        )


def _logged(exchange: Exchange, outcome: str | None) -> bool:
    """Whether the line of its execution has all that the request's own line would."""
    return exchange.executing and outcome == "ok" and not exchange.id_from_header


def create_service(
    runner: Runner,
    settings: Settings | None = None,
    *,
    require_token: bool = True,
    clock: Callable[[], float] = monotonic,
    replies: Replies | None = None,
    peers: Peers | None = None,
    registry: httpx.AsyncBaseTransport | None = None,
) -> Service:
    """Create the HTTP service of ``runner``, which the caller enters and leaves.

        async with Runner(settings) as runner:
            app = create_service(runner)

    ``settings`` are the runner's unless given. Callers of ``/v1/execute`` must send ``settings.service_token``. Without
    one, or with a well-known one, it raises ``SettingsError``, unless ``require_token`` is false, for development: then
    every caller may execute. ``settings.allow_unauthenticated_execute`` admits callers that send no token.
    ``replies`` stores the replies to requests with an idempotency key; by default in memory, where ``clock`` (seconds)
    tells their age. ``peers`` are the other processes behind the same port. ``registry`` replaces the
    sockets over which the registry is asked for pages.
    """
    settings = settings or runner.settings
    return Service(
        runner,
        settings,
        Callers.of(settings, development=not require_token),
        replies or LocalReplies(ReplyCache.of(settings, clock)),
        peers or NoPeers(runner.telemetry),
        checks=checks_of(runner, clock),
        cache=cache_checks_of(runner, clock),
        ui=Ui(runner, settings, Registry.of(settings, transport=registry, clock=clock)),
    )
