"""A reference server and a runner in this process, on SQLite and a folder, that reach each other over sockets alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from alga_runner import Runner, Settings
from alga_runner.service import create_service
from alga_server import ManualClock, Server, ServerSettings
from tests.support.patience import PATIENCE_S
from tests.support.requests import execute_document
from tests.support.sockets import listener, served, url_of

Document = dict[str, Any]
SCHEDULER = "cap:scheduler.manage"
MAX_SCHEDULES = 4
BURST = 12
"""How many schedules an install may have, and how many changes it may make in a burst."""

_ADMIN, _GATEWAY, _HOST, _SERVICE = "admin-token", "gateway-token", "host-call-token", "service-token"


class Outages:
    """In front of the server: answers host calls 503 in ``down()``, and lets them wait in ``held()``."""

    def __init__(self, app: Any) -> None:
        self.waiting = 0
        """How many calls wait."""
        self._app = app
        self._down = False
        self._released: anyio.Event | None = None

    @contextmanager
    def down(self) -> Iterator[None]:
        self._down = True
        try:
            yield
        finally:
            self._down = False

    @contextmanager
    def held(self) -> Iterator[None]:
        self._released = released = anyio.Event()
        try:
            yield
        finally:
            self._released = None
            released.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].startswith("/api/internal/"):
            if self._released is not None:
                self.waiting += 1
                await self._released.wait()
                self.waiting -= 1
            if self._down:
                await send({"type": "http.response.start", "status": 503, "headers": []})
                await send({"type": "http.response.body"})
                return
        await self._app(scope, receive, send)


@dataclass
class Install:
    """One install, and what a caller of the gateway and an admin do with it."""

    deployment: Deployment
    tenant: str
    extension_id: str
    id: str

    @property
    def _path(self) -> str:
        return f"tenants/{self.tenant}/installs/{self.id}"

    async def call(self, method: str, path: str, *, json: object = None, **headers: str) -> httpx.Response:
        """Call an endpoint of the extension through the server's gateway."""
        given = {"authorization": f"Bearer {_GATEWAY}", "x-alga-tenant": self.tenant}
        return await self.deployment.client.request(
            method,
            f"/api/ext/{self.extension_id}{path}",
            json=json,
            headers={**given, **{name.replace("_", "-"): value for name, value in headers.items()}},
        )

    async def attempt(self, operation: str, **members: Any) -> Document:
        """One host call made by the sample's ``POST /try``: ``{"ok": value}`` or ``{"error": {...}}``."""
        response = await self.call("POST", "/try", json={"operation": operation, **members})
        assert response.status_code == 200, response.text
        seen: Document = response.json()
        return seen

    async def execute(self, path: str, **headers: str) -> Document:
        """What the runner answers to a ``POST`` with these headers, which no server has looked at."""
        known = await self.deployment.admin("GET", self._path)
        document = execute_document(
            known["contentHash"],
            tenant=self.tenant,
            context={"extension_id": self.extension_id, "install_id": self.id},
            http={"path": path, "headers": headers},
        )
        response = await self.deployment.client.post(
            f"{self.deployment.runner_url}/v1/execute",
            json=document,
            headers={
                "x-runner-service-token": _SERVICE,
                "x-alga-tenant": self.tenant,
                "x-alga-extension": self.extension_id,
            },
        )
        answer: Document = response.json()
        return answer

    async def schedules(self) -> list[Document]:
        """The server's own, oldest first."""
        listed: list[Document] = (await self.deployment.admin("GET", f"{self._path}/schedules"))["schedules"]
        return listed

    async def runs(self) -> list[Document]:
        """The history, oldest first."""
        listed: list[Document] = (await self.deployment.admin("GET", f"{self._path}/runs"))["runs"]
        return listed[::-1]

    async def change(self, **changes: object) -> None:
        """Change ``grants``, ``config`` or ``enabled``."""
        await self.deployment.admin("PATCH", self._path, json=changes)

    async def uninstall(self) -> None:
        await self.deployment.admin("DELETE", self._path)


@dataclass
class Deployment:
    """A server that is asked over its socket, and the runner that it calls over another."""

    client: httpx.AsyncClient
    server: Server
    runner: Runner
    runner_url: str
    outages: Outages

    async def admin(self, method: str, path: str, **given: Any) -> Document:
        """The document that a request below ``/api/admin`` is answered with."""
        headers = {"authorization": f"Bearer {_ADMIN}"}
        response = await self.client.request(method, f"/api/admin/{path}", headers=headers, **given)
        assert response.is_success, response.text
        return dict(response.json()) if response.content else {}

    async def publish(self, archive: bytes) -> str:
        """The extension's id."""
        published = await self.admin("POST", "extensions", content=archive)
        return str(published["extensionId"])

    async def install(
        self, extension_id: str, tenant: str, *, grants: tuple[str, ...] = (SCHEDULER,)
    ) -> Install:
        body = {"extensionId": extension_id, "grants": list(grants)}
        install = await self.admin("POST", f"tenants/{tenant}/installs", json=body)
        return Install(self, tenant, extension_id, install["installId"])

    async def to_midnight(self) -> None:
        """Put the server's clock forward to the next midnight, UTC."""
        now = (await self.admin("GET", "clock"))["now"]
        await self.admin("POST", "clock", json={"to": f"{now[:10]}T23:59:59Z"})
        await self.pass_time(seconds=1)

    async def pass_time(self, **step: float) -> list[Document]:
        """Put the server's clock forward; the runs that fired meanwhile."""
        answer = await self.admin("POST", "clock", json={"advance": step})
        assert answer["arrived"]
        fired: list[Document] = answer["fired"]
        return fired

    async def host_calls(self) -> dict[tuple[str, str], int]:
        """How many host calls the server has answered so far, by operation and status; of those that it had at all."""
        text = (await self.client.get("/metrics")).text
        return {
            (sample.labels["operation"], sample.labels["status"]): int(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "extension_scheduler_api_calls_total" and sample.value
        }


@asynccontextmanager
async def deployed(
    folder: Path, *, of_server: Mapping[str, Any] | None = None, of_runner: Mapping[str, Any] | None = None
) -> AsyncIterator[Deployment]:
    """Start a server and a runner, with these settings; database and bundles are in ``folder``."""
    (folder / "bundles").mkdir(mode=0o700)
    for_server, for_runner = listener(), listener()
    server_settings = ServerSettings(
        database_url=f"sqlite:///{folder / 'alga.db'}",
        bundle_store=folder / "bundles",
        admin_token=SecretStr(_ADMIN),
        gateway_token=SecretStr(_GATEWAY),
        runner_token=SecretStr(_HOST),
        runner_service_token=SecretStr(_SERVICE),
        runner_url=url_of(for_runner),
        max_schedules_per_install=MAX_SCHEDULES,
        schedule_changes_burst=BURST,
        dispatch_schedules=False,  # due schedules fire as a test puts the clock forward
        shutdown_grace_seconds=0,
        development=True,
    ).model_copy(update=of_server or {})
    settings = Settings(
        server_url=url_of(for_server),
        server_token=SecretStr(_HOST),
        server_dialect="prd",
        service_token=SecretStr(_SERVICE),
        bundle_store=str(folder / "bundles"),
        log_guest_lines=True,
        max_guests=8,
        max_guests_per_tenant=8,
    ).model_copy(update=of_runner or {})
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            Server(server_settings, clock=ManualClock(), allow_clock=True)
        )
        runner = await stack.enter_async_context(Runner(settings))
        outages = Outages(server.app)
        await stack.enter_async_context(served(create_service(runner, settings), for_runner))
        await stack.enter_async_context(served(outages, for_server))
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=url_of(for_server), timeout=PATIENCE_S, trust_env=False)
        )
        yield Deployment(client, server, runner, url_of(for_runner), outages)
