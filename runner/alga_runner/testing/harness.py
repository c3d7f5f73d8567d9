"""The fixture ``alga``: an embedded Alga for each test, which tests use without ``async``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal
from pydantic.alias_generators import to_camel

from ..bundles import Bundle
from ..capabilities import HostCallRecord, LogLine
from ..errors import AlgaError
from ..settings import Settings
from .clock import Clock
from .data import Invoice, Storage
from .embedded import EmbeddedAlga
from .explain import add_notes
from .extension import Extension
from .response import Response
from .runner import SharedRunner
from .runs import Runs, Schedule
from .scripted import Elsewhere, ScriptedServer

T = TypeVar("T")


class Bench:
    """Runs an event loop in a thread and a runner on it, for any number of tests, one after the other."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal(backend="asyncio"))
            shared = SharedRunner(self._settings)
            self._shared = stack.enter_context(self._portal.wrap_async_context_manager(shared))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(exc_type, exc, traceback)

    @contextmanager
    def alga(self, root: Path, *, database_url: str = "sqlite://") -> Iterator[Alga]:
        """An Alga without any state, whose clock starts at 2026-01-01. Relative paths of extensions start at ``root``.

        The database that ``database_url`` names must be empty.
        """
        from alga_server import ManualClock  # noqa: PLC0415 - only where a server is embedded (ARCHITECTURE.md)

        scripted: list[ScriptedServer] = []

        def around(transport: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
            scripted.append(ScriptedServer(transport))
            return scripted[0]

        secrets = _Secrets()
        with self._portal.wrap_async_context_manager(Elsewhere()) as elsewhere:
            embedded = EmbeddedAlga(
                clock=ManualClock(),
                around=around,
                shared=self._shared,
                database_url=database_url,
                egress=elsewhere.client,
                secrets_of=secrets,
            )
            with self._portal.wrap_async_context_manager(embedded):
                yield Alga(embedded, self._portal, scripted[0], root, egress=elsewhere, secrets=secrets)


class _Secrets:
    """Secrets of a test: those of every install, and those of one."""

    def __init__(self) -> None:
        self.of_all: dict[str, str] = {}
        self.of_one: dict[str | None, Mapping[str, str]] = {}

    def __call__(self, install_id: str | None) -> Mapping[str, str]:
        return {**self.of_all, **self.of_one.get(install_id, {})}


class Alga:
    """Runs a real Alga server and a real runner for one test; pytest's fixture ``alga`` is one.

    def test_setup(alga):
        ext = alga.install("path/to/extension", grant=["cap:scheduler.manage"])
        assert ext.call("POST", "/setup").status == 200
    """

    clock: Clock
    """The clock of the server and of guests. It does not advance by itself; a test puts it forward."""
    server: ScriptedServer
    """The server that host calls reach; a test can make it fail."""
    egress: Elsewhere
    """The servers elsewhere, none of which can be reached until the test serves or allows it."""
    secrets: dict[str, str]
    """The secrets of every install, by name; a test can change them."""
    host_calls: list[HostCallRecord]
    """Every host call of every execution so far, apart from those that write the log."""
    log: list[LogLine]
    """Every line that guests wrote so far."""

    def __init__(
        self,
        embedded: EmbeddedAlga,
        portal: BlockingPortal,
        server: ScriptedServer,
        root: Path,
        *,
        egress: Elsewhere,
        secrets: _Secrets,
    ) -> None:
        self.clock = Clock(self, embedded.clock)
        self.server = server
        self.egress = egress
        self.secrets = secrets.of_all
        self._secrets = secrets
        self.host_calls = []
        self.log = []
        self._embedded = embedded
        self._portal = portal
        self._root = root
        self._extensions: list[Extension] = []

    def __repr__(self) -> str:
        installed = ", ".join(map(repr, self._installed()))
        return f"<Alga with {installed or 'nothing installed'}>"

    def install(
        self,
        extension: Bundle | Path | str,
        *,
        tenant: str = "acme",
        grant: Iterable[str] = (),
        config: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
    ) -> Extension:
        """Install an extension for a tenant, with the capabilities of ``grant`` and those that every execution has.

            ext = alga.install("path/to/extension", grant=["cap:scheduler.manage"])

        ``extension`` is its folder or packed archive, absolute or from pytest's root directory, or a ``Bundle``.
        ``secrets`` are this install's, in addition to ``alga.secrets``.
        Raises a ``BundleError``, or ``AdminRefused`` with the server's reason.
        """
        __tracebackhide__ = True
        if not isinstance(extension, Bundle):
            extension = self._root / extension
        install = self.run(
            partial(
                self._embedded.install,
                extension,
                tenant_id=tenant,
                grants=[grant] if isinstance(grant, str) else grant,
                config=config,
            )
        )
        self._secrets.of_one[install.install_id] = dict(secrets or {})
        installed = Extension(self, install)
        self._extensions.append(installed)
        return installed

    @property
    def storage(self) -> Storage:
        """What the extension stores; with several installed, each has its own ``storage``."""
        installed = self._installed()
        if len(installed) != 1:
            raise ValueError(f"{len(installed)} extensions are installed; use the storage of one of them")
        return installed[0].storage

    def seed(self, tenant: str = "acme", **members: object) -> None:
        """Add to what extensions of a tenant read; a second call adds to the first.

            alga.seed(clients=[{"clientId": CLIENT, "clientName": "Globex"}])

        ``clients``, ``services``, ``ui_routes``, ``users`` and ``tax_percent`` have the members of
        docs/extension-data.md. Raises ``AdminRefused`` that names the member.
        """
        __tracebackhide__ = True
        camel = {to_camel(name): value for name, value in members.items()}
        self.run(partial(self._embedded.seed, tenant, camel))

    def invoices(self, tenant: str = "acme") -> list[Invoice]:
        """The invoices that a tenant's extensions made, newest first."""
        __tracebackhide__ = True
        documents = self.run(partial(self._embedded.invoices, tenant))
        return [Invoice.model_validate(document) for document in documents]

    def schedules(self) -> list[Schedule]:
        """The schedules of everything installed here, install by install, oldest first."""
        __tracebackhide__ = True
        return [schedule for extension in self._installed() for schedule in extension.schedules()]

    def runs(self) -> Runs:
        """Every run of a schedule so far, of all installs, in the order in which they fired."""
        return self._embedded.runs()

    def server_metrics(self) -> str:
        """The server's metrics in Prometheus' text form."""
        __tracebackhide__ = True
        return self.run(self._embedded.server_metrics)

    def run(self, do: Callable[[], Awaitable[T]]) -> T:
        """Run ``do`` on the event loop. An ``AlgaError`` is raised without the frames it came through."""
        __tracebackhide__ = True
        future = self._portal.start_task_soon(do)
        try:
            return future.result()
        except AlgaError as error:
            raise add_notes(error) from None
        finally:
            future.cancel()  # without effect unless the wait was interrupted

    def note(self, responses: Iterable[Response]) -> None:
        """Add the log lines and host calls of ``responses``; flush the runner's own log, which belongs to the test."""
        self._embedded.runner.telemetry.flush()
        for response in responses:
            self.log += response.log
            self.host_calls += response.host_calls

    def _installed(self) -> list[Extension]:
        return [extension for extension in self._extensions if not extension.removed]
