"""A whole Alga in this process: the reference server and a runner, without sockets or files."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import anyio.to_thread
import httpx
from pydantic import SecretStr

from ..alga import AlgaServer
from ..alga.in_process import InProcessAlgaServer
from ..bundles import Bundle, MemoryBundles, read_bundle
from ..bundles.read import read_archive
from ..models import pack
from ..runner import Runner
from ..settings import Settings
from .admin import Admin
from .installed import Installed
from .shared import SharedRunner

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Time as the server reads it: ``alga_server.SystemClock``, ``alga_server.ManualClock``, or your own."""

    def now(self) -> datetime:
        """The current instant, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        ...

    async def sleep_until(self, instant: datetime) -> None:
        """Return once the clock shows ``instant`` or later."""
        ...


class EmbeddedAlga:
    """The reference Alga server and a runner in one process. Use it as ``async with EmbeddedAlga() as alga``.

    The server's state lives in memory and ends with it; tokens are random; everything between the parts goes
    through the same HTTP applications that a deployment serves. ``settings`` are the runner's. ``clock`` is the wall
    clock of the server and of guests (default: the machine's). ``around`` may put something between the runner and
    the server, such as failures. ``shared`` lends its runner, settings included. Needs the asyncio backend.
    """

    runner: Runner
    """What executes; it runs while the context is entered."""

    def __init__(
        self,
        *,
        settings: Settings | None = None,
        clock: Clock | None = None,
        around: Callable[[AlgaServer], AlgaServer] | None = None,
        shared: SharedRunner | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._around = around
        self._shared = shared
        self._bundles = MemoryBundles()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start the server, then the runner. Raises ``SettingsError``, ``EngineUnavailable``."""
        import alga_server  # noqa: PLC0415 - only where a server is embedded (ARCHITECTURE.md)

        runner_token, admin_token, gateway_token = (SecretStr(secrets.token_urlsafe(32)) for _ in range(3))
        server_settings = alga_server.ServerSettings.load(
            database_url="sqlite://",
            runner_token=runner_token,
            admin_token=admin_token,
            gateway_token=gateway_token,
            dispatch_schedules=False,
            require_execution_token=False,  # this runner is asked directly, and the server issues no tokens
        )
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(alga_server.Server(server_settings, clock=self._clock))
            transport = httpx.ASGITransport(server.app, raise_app_exceptions=False)
            client = httpx.AsyncClient(transport=transport, base_url="http://embedded", trust_env=False)
            self._admin = Admin(await stack.enter_async_context(client), admin_token)
            alga: AlgaServer = InProcessAlgaServer(server.app, runner_token)
            stack.push_async_callback(alga.aclose)
            if self._around is not None:
                alga = self._around(alga)
            self.runner = await self._enter_runner(stack, alga)
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

        Exactly ``grants`` are granted, besides what every execution has. Raises a ``BundleError``, or
        ``AdminRefused``: a capability that the manifest does not declare, an extension that the tenant has already.
        """
        archive = await anyio.to_thread.run_sync(_archive, extension)
        bundle = await anyio.to_thread.run_sync(Bundle.from_archive, archive)
        published = await self._admin.publish(archive)
        install = await self._admin.install(
            tenant_id, published["extensionId"], published["versionId"], grants=grants, config=config or {}
        )
        self._bundles.add(bundle, tenant_id=tenant_id)
        return Installed(self.runner, self._admin, install, bundle.manifest)

    async def server_metrics(self) -> str:
        """The server's metrics in Prometheus' text form."""
        return await self._admin.metrics()

    async def _enter_runner(self, stack: AsyncExitStack, alga: AlgaServer) -> Runner:
        if self._shared is not None:
            return stack.enter_context(self._shared.lend(alga, self._bundles, self._clock_ns()))
        runner = Runner(self._settings, alga=alga, bundles=self._bundles, clock_ns=self._clock_ns())
        return await stack.enter_async_context(runner)

    def _clock_ns(self) -> Callable[[], int]:
        clock = self._clock
        if clock is None:
            return time.time_ns
        return lambda: (clock.now() - _EPOCH) // timedelta(microseconds=1) * 1000


def _archive(extension: Bundle | Path | str) -> bytes:
    """What a publish uploads: of a folder or a bundle the packed files, of an archive its own bytes."""
    if not isinstance(extension, Bundle):
        place = Path(extension)
        if place.is_file():
            return read_archive(place)
        extension = read_bundle(place)
    return pack(extension.files)
