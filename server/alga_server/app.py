"""The reference Alga server as an ASGI app."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from types import TracebackType
from typing import Literal, Self

import httpx
from anyio import CancelScope
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from alga_common.fair_limiter import share
from alga_common.http.memory import RequestMemory
from alga_common.readiness import Finding, document
from alga_common.sharing.weighted_limiter import WeightedLimiter
from alga_runner.errors import SettingsError
from alga_runner.models.archive import MAX_UNPACKING_BYTES

from .capabilities import seed
from .capabilities.seed import SeedData
from .catalog.bundle_store import BundleStore
from .catalog.bundle_sync import BundleCopies
from .clock import Clock, MovableClock, OffsetClock, SystemClock
from .errors import SERVER_CODES, NoSuchRoute, ServerError, metric_label
from .execution.executions import Executor
from .execution.runner_client import RunnerClient
from .execution.tokens import ExecutionTokens
from .execution.warmup import Warmups
from .firing.dispatcher import Dispatcher
from .firing.queue.jobs import EmbeddedJobs
from .firing.queue.procrastinate import QueuedJobs
from .firing.reconcile.reconciler import Reconciler
from .firing.recording import RUN_CODES
from .http import readiness
from .http.admin import (
    extensions,
    installs,
    invoices,
    maintenance,
    runs,
    schedules,
    seed_data,
    storage,
)
from .http.admin.audit import AuditTrail, note
from .http.dependencies import Services
from .http.edge import Edge
from .http.gateway import gateway
from .http.internal import registry, ui_proxy
from .http.internal import routes as internal
from .http.openapi import DescribedApp
from .http.responses import Answer, answer_error, validation_failed
from .http.schemas import Health, Readiness
from .http.turns import Turns
from .metrics import CONTENT_TYPE, Metrics
from .settings import ServerSettings
from .storage.database import Database
from .storage.small_reads import SmallReads
from .storage.sqlite import sqlite_url

__all__ = ["Server", "create_app", "sqlite_url"]

logger = logging.getLogger("alga_server")


class Server:
    """One server: its storage and its ``app``.

    Run the app under an ASGI server, whose lifespan starts and closes it; or, embedded, enter the server itself::

        async with Server(settings) as server:
            transport = httpx.ASGITransport(server.app)

    ``runner_transport`` carries the calls of the runner in place of sockets; it is closed with the server.
    ``allow_clock`` lets admins put the clock forward, an ``OffsetClock`` unless another is given: for development, and
    only where nothing but this machine reaches the app. Raises ``SettingsError``.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        clock: Clock | None = None,
        runner_transport: httpx.AsyncBaseTransport | None = None,
        allow_clock: bool = False,
    ) -> None:
        clock = clock or (OffsetClock() if allow_clock else SystemClock())
        jobs = QueuedJobs(settings, clock) if settings.job_engine == "procrastinate" else EmbeddedJobs()
        database = Database(settings.database_url, threads=settings.database_threads, session=jobs.session)
        self._store = store = BundleStore(settings.bundle_store) if settings.bundle_store else None
        tokens = ExecutionTokens(database, clock)
        self._runner = RunnerClient(settings, runner_transport)
        metrics = Metrics(
            operations={api.name: [*api.operations, "unknown"] for api in internal.APIS},
            statuses=sorted(map(metric_label, SERVER_CODES)),
            codes=sorted(SERVER_CODES),
            run_codes=RUN_CODES,
        )
        executor = Executor(settings, clock, tokens, self._runner)
        dispatcher = Dispatcher(settings, clock, database, metrics, executor, jobs=jobs)
        unpacking = WeightedLimiter(MAX_UNPACKING_BYTES)
        bundles = BundleCopies(database, store, unpacking)
        checks = readiness.checks_of(clock, database, bundles, self._runner, clock_moves=allow_clock)
        self._services = Services(
            settings=settings,
            clock=clock,
            database=database,
            small_reads=SmallReads(database),
            metrics=metrics,
            tokens=tokens,
            executor=executor,
            bundles=bundles,
            warmups=Warmups(bundles, self._runner, settings.warmup_timeout_ms / 1000),
            dispatcher=dispatcher,
            reconciler=Reconciler(settings, clock, database, metrics, dispatcher.wake, jobs=jobs),
            checks=checks,
            turns=Turns(settings.database_threads),
            gateway_memory=_gateway_memory(settings),
            unpacking=unpacking,
            seed=seed.load(settings.seed_data) if settings.seed_data else SeedData(),
            movable_clock=_movable(clock, settings) if allow_clock else None,
        )
        self._stack = AsyncExitStack()
        self.app = self._app()

    @property
    def dispatcher(self) -> Dispatcher:
        """Fires the schedules while the server is entered."""
        return self._services.dispatcher

    @property
    def seed(self) -> SeedData:
        """What extensions read of the tenants; a test may add to it."""
        return self._services.seed

    async def start(self) -> None:
        """Create missing tables and bundles; warn of files open to everyone, and of a missing token."""
        await self._services.database.start()
        if self._store is not None and (sentence := self._store.exposure()):
            logger.warning(sentence, extra={"action": "open_to_everyone"})
        await self._services.bundles.keep_all()
        settings = self._services.settings
        for name, usable in {
            "runner_token": settings.usable_token(settings.runner_token),
            "admin_token": settings.usable_admin_tokens(),
            "gateway_token": settings.usable_token(settings.gateway_token),
        }.items():
            if not usable:
                logger.warning(
                    "No usable %s is set: calls that need it are refused",
                    name,
                    extra={"action": "token_missing"},
                )

    async def check(self) -> list[Finding]:
        """Return what the checks of ``/readyz`` find. The server need not be started: nothing is made or migrated."""
        return await self._services.checks.findings()

    def token_findings(self) -> list[Finding]:
        """Return which of the tokens that callers send are set."""
        return readiness.token_findings(self._services.settings)

    async def watch_checks(self) -> None:
        """Log the checks that fail, a wrong token as an error, until none does; then return."""
        await self._services.checks.watch(readiness.log_failure)

    async def aclose(self) -> None:
        """Close the connections to the runner, then the storage, even if cancelled. A database in memory is lost."""
        with CancelScope(shield=True):
            await self._services.checks.aclose()
            await self._runner.aclose()
            await self._services.database.aclose()

    async def __aenter__(self) -> Self:
        """Start, repair inconsistent jobs, and start to fire schedules."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.aclose)
            await self.start()
            await stack.enter_async_context(self._services.reconciler)
            await stack.enter_async_context(self._services.dispatcher)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    def _app(self) -> FastAPI:
        routers = [
            internal.router,
            registry.router,
            extensions.router,
            installs.router,
            schedules.router,
            runs.router,
            storage.router,
            invoices.router,
            maintenance.router,
            ui_proxy.router,
            gateway.router,
        ]
        if self._services.movable_clock is not None:
            routers += [maintenance.clock_router, seed_data.router]
        app = DescribedApp(
            title="Alga server",
            version="1",
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            lifespan=self._lifespan,
            # Included routers would have each route built once more for each app, and matched in two steps.
            routes=[route for router in routers for route in router.routes],
        )
        app.state.services = self._services
        app.add_middleware(Edge)
        app.add_api_route("/healthz", self._healthz)
        app.add_api_route(
            "/readyz", self._readyz, responses={503: {"model": Readiness}}, response_model=Readiness
        )
        app.add_api_route("/metrics", self._metrics, include_in_schema=False)
        app.add_middleware(AuditTrail)
        app.add_exception_handler(ServerError, _server_error)
        app.add_exception_handler(RequestValidationError, _request_error)
        app.add_exception_handler(HTTPException, _http_error)
        app.add_exception_handler(Exception, _failure)
        return app

    @asynccontextmanager
    async def _lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        async with self:
            yield

    async def _healthz(self) -> Health:
        await self._services.database.read(lambda connection: connection.exec_driver_sql("SELECT 1"))
        return Health(status="ok")

    async def _readyz(self, checks: Literal["own"] | None = None) -> Response:
        """Check what the server needs; with ``checks=own``, without the runner. 503 if a check fails."""
        body = document(await self._services.checks.findings(own=checks == "own"))
        status = 200 if body["status"] == "ready" else 503
        return Answer(body, status_code=status, headers={"cache-control": "no-store"})

    async def _metrics(self) -> Response:
        return Response(self._services.metrics.text(), headers={"content-type": CONTENT_TYPE})


def create_app(settings: ServerSettings, *, clock: Clock | None = None) -> FastAPI:
    """The app of a new ``Server``. Raises ``SettingsError`` for a database URL it cannot use."""
    return Server(settings, clock=clock).app


def _gateway_memory(settings: ServerSettings) -> RequestMemory:
    """What bodies of the gateway's calls may take; one of the largest size always fits."""
    limit = max(settings.max_gateway_bytes, settings.max_gateway_body_bytes)
    return RequestMemory(limit, max(share(limit), settings.max_gateway_body_bytes))


def _movable(clock: Clock, settings: ServerSettings) -> MovableClock:
    if not settings.development:
        raise SettingsError(
            "A clock that can be put forward is for development: set development (ALGA_SERVER_DEVELOPMENT)."
        )
    if not isinstance(clock, MovableClock):
        raise SettingsError("The server's clock cannot be put forward.")
    return clock


def _server_error(request: Request, error: Exception) -> Response:
    refusal = error if isinstance(error, ServerError) else ServerError()
    note(request, status=refusal.code)
    return answer_error(refusal)


def _request_error(request: Request, error: Exception) -> Response:
    return _server_error(
        request, validation_failed(error) if isinstance(error, RequestValidationError) else error
    )


def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    phrase = HTTPStatus(status).phrase
    # A route that does not exist is not the API's ``not_found``: callers tell them apart by the code.
    code = NoSuchRoute.code if status == HTTPStatus.NOT_FOUND else phrase.lower().replace(" ", "_")
    note(request, status=code)
    body = {"error": phrase, "code": code, "details": None}
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if "GET" in (allowed := headers.get("Allow", "").split(", ")):
        headers["Allow"] = ", ".join(sorted({*allowed, "HEAD"}))
    return Answer(body, status_code=status, headers=headers)


def _failure(_request: Request, _error: Exception) -> Response:
    return answer_error(ServerError())
