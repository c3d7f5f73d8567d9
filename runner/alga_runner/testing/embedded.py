"""A whole Alga in this process: the reference server and a runner, without sockets or files."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio.to_thread
import httpx
from pydantic import SecretStr

from alga_common.time import MovableClock

from ..alga import DIALECTS, AlgaServer, HttpAlgaServer, UiProxy
from ..bundles import Bundle, MemoryBundles, read_bundle
from ..bundles.read import read_archive
from ..egress import Egress
from ..models import pack
from ..runner import Runner
from ..service import Service, create_service
from ..service.http import Message, Receive, Send
from ..settings import Settings
from .admin import Admin
from .clock import EmbeddedClock
from .gateway import Gateway
from .installed import Installed
from .runner import ObservedRunner, SecretsOf, SharedRunner, no_secrets
from .runs import Chronicle, Runs

AsgiApp = Callable[[Message, Receive, Send], Awaitable[None]]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_LONGER_THAN_RUNNERS_ALLOW_MS = 3_600_000
"""The embedded runner decides how long an execution may take (``ObservedRunner``), and answers before this."""


class EmbeddedAlga:
    """Runs the reference Alga server and a runner in one process.

        async with EmbeddedAlga() as alga:
            ext = await alga.install("path/to/extension")
            observation = await ext.call("POST", "/setup")

    The server's state is in memory and ends with it, or in the database that ``database_url`` names; tokens are
    random; server and runner talk through the same HTTP applications that a deployment serves. ``settings`` are the
    runner's. ``clock`` is the wall clock of the server and of guests (default: the machine's, which can be put
    forward). ``around`` wraps the transport from the runner to the server, to fail requests for instance. ``shared``
    lends its runner, settings included. Needs the asyncio backend.
    """

    runner: Runner
    """Runs while the context is entered."""
    clock: EmbeddedClock
    """Schedules fire while it is put forward, and only then."""

    def __init__(
        self,
        *,
        settings: Settings | None = None,
        clock: MovableClock | None = None,
        around: Callable[[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport] | None = None,
        shared: SharedRunner | None = None,
        database_url: str = "sqlite://",
        database_file: Path | None = None,
        seed_data: Path | None = None,
        egress: Egress | None = None,
        secrets_of: SecretsOf = no_secrets,
    ) -> None:
        """``database_file`` keeps what the server stores, in place of ``database_url``; ``seed_data`` is a file with
        what extensions read; ``egress`` sends their requests to other servers (default: where ``settings`` allow it),
        ``secrets_of`` gives the secrets of an install.
        """
        self._egress = egress
        self._secrets_of = secrets_of
        self._seed_data = seed_data
        self._settings = settings
        self._database_file = database_file
        self._database_url = database_url
        self._clock = clock
        self._around = around
        self._shared = shared
        self._bundles = MemoryBundles()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start the server, then the runner. Raises ``SettingsError``, ``EngineUnavailable``."""
        import alga_server  # noqa: PLC0415 - only where a server is embedded (ARCHITECTURE.md)

        clock: MovableClock = self._clock or alga_server.OffsetClock()
        tokens = _Tokens()
        if self._database_file is not None:
            self._database_url = alga_server.sqlite_url(self._database_file)
        settings = alga_server.ServerSettings.load(
            database_url=self._database_url,
            bundle_store=None,
            seed_data=self._seed_data,
            runner_token=tokens.host_calls,
            admin_token=tokens.admin,
            gateway_token=tokens.gateway,
            runner_service_token=tokens.service,
            runner_url="http://runner",
            require_execution_token=True,
            execution_timeout_ms=_LONGER_THAN_RUNNERS_ALLOW_MS,
            dispatch_schedules=False,
            shutdown_grace_seconds=0,
            development=True,
        )
        services: list[Service] = []

        async def runner_app(scope: Message, receive: Receive, send: Send) -> None:
            await services[0](scope, receive, send)

        server = alga_server.Server(
            settings, clock=clock, runner_transport=_through(runner_app), allow_clock=True
        )
        async with AsyncExitStack() as stack:
            to_server: httpx.AsyncBaseTransport = _through(server.app)
            if self._around is not None:
                to_server = self._around(to_server)
            alga = HttpAlgaServer(
                "http://server", tokens.host_calls, dialect=DIALECTS["prd"], transport=to_server
            )
            stack.push_async_callback(alga.aclose)
            routes = UiProxy(
                "http://server/api/ui-proxy", key=tokens.host_calls, transport=_through(server.app)
            )
            stack.push_async_callback(routes.aclose)
            runner = await self._enter_runner(stack, alga, routes, clock)
            services.append(
                create_service(runner, runner.settings.model_copy(update={"service_token": tokens.service}))
            )
            await stack.enter_async_context(server)
            client = await stack.enter_async_context(_bare_client(_through(server.app)))
            self._admin = Admin(client, tokens.admin)
            self._gateway = Gateway(client, tokens.gateway)
            self._chronicle = Chronicle(self._admin, runner)
            self.clock = EmbeddedClock(clock, self._admin, self._chronicle)
            self.runner = runner
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(exc_type, exc, traceback)

    async def install(
        self,
        extension: Bundle | Path | str,
        *,
        tenant_id: str = "acme",
        grants: Iterable[str] = (),
        config: Mapping[str, str] | None = None,
    ) -> Installed:
        """Publish ``extension`` (a bundle, an extension's folder, a packed archive) and install it for a tenant.

            ext = await alga.install("path/to/extension", grants=["cap:scheduler.manage"])

        ``grants`` are all capabilities it gets, except those that every execution has. Raises a ``BundleError``, or
        ``AdminRefused``: a capability that the manifest does not declare, an extension that the tenant has already.
        """
        bundle, published = await self._publish(extension)
        install = await self._admin.install(
            tenant_id, published["extensionId"], published["versionId"], grants=grants, config=config or {}
        )
        return self._installed(install, bundle, tenant_id)

    async def keep_installed(
        self,
        extension: Bundle | Path | str,
        *,
        tenant_id: str,
        grants: Iterable[str] = (),
        config: Mapping[str, str] | None = None,
    ) -> Installed:
        """Like ``install``, but the tenant may have the extension already: its install, with its schedules, stays.

        It gets the version, and exactly ``grants`` and ``config``. Raises ``AdminRefused`` for another extension of the
        same name and version, too.
        """
        bundle, published = await self._publish(extension)
        extension_id, version_id = published["extensionId"], published["versionId"]
        installed = await self._admin.find(tenant_id, extension_id)
        if installed is None:
            install = await self._admin.install(
                tenant_id, extension_id, version_id, grants=grants, config=config or {}
            )
        else:
            install_id = installed["installId"]
            if installed["versionId"] != version_id:
                await self._admin.upgrade(tenant_id, install_id, version_id)
            install = await self._admin.change(
                tenant_id, install_id, grants=sorted(grants), config=dict(config or {}), enabled=True
            )
        return self._installed(install, bundle, tenant_id)

    async def _publish(self, extension: Bundle | Path | str) -> tuple[Bundle, dict[str, Any]]:
        archive = await anyio.to_thread.run_sync(_archive, extension)
        bundle = await anyio.to_thread.run_sync(Bundle.from_archive, archive)
        return bundle, await self._admin.publish(archive)

    def _installed(self, install: dict[str, Any], bundle: Bundle, tenant_id: str) -> Installed:
        self._bundles.add(bundle, tenant_id=tenant_id)
        self._chronicle.include(tenant_id)
        return Installed(self._gateway, self._admin, self._chronicle, install, bundle.manifest)

    async def seed(self, tenant_id: str, members: Mapping[str, object]) -> None:
        """Add to what the tenant's extensions read, as docs/extension-data.md has it. Raises ``AdminRefused``."""
        await self._admin.seed(tenant_id, members)

    async def invoices(self, tenant_id: str) -> list[dict[str, Any]]:
        """The invoices that the tenant's extensions made, newest first."""
        return await self._admin.invoices(tenant_id)

    def runs(self) -> Runs:
        """Every run of a schedule so far, in the order in which they fired."""
        return Runs(self._chronicle.runs)

    async def server_metrics(self) -> str:
        """The server's metrics in Prometheus' text form."""
        return await self._admin.metrics()

    async def _enter_runner(
        self, stack: AsyncExitStack, alga: AlgaServer, routes: UiProxy, clock: MovableClock
    ) -> ObservedRunner:
        def clock_ns() -> int:
            return (clock.now() - _EPOCH) // timedelta(microseconds=1) * 1000

        if self._shared is not None:
            return stack.enter_context(
                self._shared.lend(
                    alga,
                    self._bundles,
                    clock_ns,
                    egress=self._egress,
                    secrets_of=self._secrets_of,
                    ui_proxy=routes,
                )
            )
        runner = ObservedRunner(
            self._settings,
            alga=alga,
            bundles=self._bundles,
            clock_ns=clock_ns,
            egress=self._egress,
            secrets_of=self._secrets_of,
            ui_proxy=routes,
        )
        return await stack.enter_async_context(runner)


class _Tokens:
    """One Alga's secrets."""

    def __init__(self) -> None:
        self.host_calls, self.admin, self.gateway, self.service = (
            SecretStr(secrets.token_urlsafe(32)) for _ in range(4)
        )


def _through(app: AsgiApp) -> httpx.ASGITransport:
    return httpx.ASGITransport(app, raise_app_exceptions=False)


def _bare_client(transport: httpx.ASGITransport) -> httpx.AsyncClient:
    """A client that adds no headers of its own."""
    client = httpx.AsyncClient(transport=transport, base_url="http://embedded", trust_env=False)
    for name in ("accept", "accept-encoding", "user-agent"):
        del client.headers[name]
    return client


def _archive(extension: Bundle | Path | str) -> bytes:
    """The bytes to publish: the packed files of a folder or a bundle, or the archive itself."""
    if not isinstance(extension, Bundle):
        path = Path(extension)
        if path.is_file():
            return read_archive(path)
        extension = read_bundle(path)
    return pack(extension.files)
