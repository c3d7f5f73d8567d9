"""A whole Alga server in memory, spoken to over HTTP alone."""

from __future__ import annotations

import builtins
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from alga_runner.models.archive import pack
from alga_server import ManualClock, Server, ServerSettings
from alga_server.firing.runs import Run
from alga_server.storage import migrations

collect_ignore_glob = [] if "ALGA_TEST_POSTGRES" in os.environ else ["postgres/*"]

RUNNER_TOKEN = "runner-token-of-the-test"
ADMIN_TOKEN = "admin-token-of-the-test"
GATEWAY_TOKEN = "gateway-token-of-the-test"

MANIFEST: dict[str, Any] = {
    "name": "com.example.sync",
    "publisher": "Example",
    "version": "1.0.0",
    "runtime": "wasm-js@1",
    "capabilities": ["cap:scheduler.manage", "cap:storage.kv"],
    "api": {
        "endpoints": [
            {"method": "post", "path": "sync", "handler": "sync"},
            {"method": "GET", "path": "/report", "handler": "report"},
            {"method": "GET", "path": "/both", "handler": "both_get"},
            {"method": "POST", "path": "/both", "handler": "both_post"},
            {"method": "DELETE", "path": "/gone", "handler": "gone"},
            {"method": "PUT", "path": "/put", "handler": "put"},
            {"method": "GET", "path": "/items/:id", "handler": "item"},
            {"method": "GET", "path": "/things/{id}", "handler": "thing"},
        ]
    },
}


def bundle(**changes: Any) -> bytes:
    manifest = {**MANIFEST, **changes}
    return pack({"manifest.json": json.dumps(manifest).encode(), "dist/main.wasm": b"\0asm"})


class PlayedRunner:
    """A runner as a test wants it: it keeps what it was asked, and answers now or when it is let go."""

    def __init__(self) -> None:
        self.status = 200
        self.answer: httpx.Response | None = None
        """The runner's own answer, in place of one that has the handler's ``status``."""
        self.asked: list[dict[str, Any]] = []
        self.headers: list[httpx.Headers] = []
        self.running = 0
        self.most_running = 0
        self._gate: anyio.Event | None = None
        self._changed = anyio.Event()

    def hold(self) -> None:
        """Answer nobody until ``let_go``."""
        self._gate = anyio.Event()

    def let_go(self) -> None:
        """Answer who waits, and everybody after."""
        if self._gate is not None:
            self._gate.set()
        self._gate = None

    async def was_asked(self, times: int) -> None:
        """Return once it was asked that often."""
        while len(self.asked) < times:
            await self._changed.wait()

    def nominal_times(self) -> list[str]:
        """Of all it was asked, in that order."""
        return [each["context"]["nominal_time"] for each in self.asked]

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(json.loads(request.content))
        self.headers.append(request.headers)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
        try:
            if self._gate is not None:
                await self._gate.wait()
            if self.answer is not None:
                return self.answer
            return httpx.Response(
                200, json={"status": self.status, "headers": {}, "body_b64": None, "error": None}
            )
        finally:
            self.running -= 1


@dataclass
class Installed:
    """One install, and the host calls it can make."""

    house: House
    tenant: str
    extension: str
    id: str

    def headers(self, **changes: str | None) -> dict[str, str]:
        headers = {
            "x-runner-auth": RUNNER_TOKEN,
            "x-alga-tenant": self.tenant,
            "x-alga-extension": self.extension,
            "x-ext-install-id": self.id,
            "x-request-id": "request-1",
        }
        for name, value in changes.items():
            key = name.replace("_", "-")
            headers.pop(key, None)
            if value is not None:
                headers[key] = value
        return headers

    @property
    def path(self) -> str:
        return f"/api/internal/ext-scheduler/install/{self.id}"

    @property
    def admin_path(self) -> str:
        return f"/api/admin/tenants/{self.tenant}/installs/{self.id}"

    async def call(self, operation: str, **members: Any) -> httpx.Response:
        body = {"operation": operation, **members}
        # Not ``json=``: httpx refuses what JSON text can say, half a surrogate pair.
        return await self.house.client.post(self.path, content=json.dumps(body), headers=self.headers())

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A call through the gateway, as Alga's session layer would make it."""
        headers = {"authorization": f"Bearer {GATEWAY_TOKEN}", "x-alga-tenant": self.tenant}
        headers |= options.pop("headers", {})
        url = f"/api/ext/{self.extension}{path}"
        return await self.house.client.request(method, url, headers=headers, **options)

    async def create(self, **members: Any) -> str:
        response = await self.call("create", **{"endpoint": "/sync", "cron": "0 * * * *", **members})
        assert response.status_code == 201, response.text
        created: str = response.json()["scheduleId"]
        return created

    async def get(self, schedule_id: str) -> dict[str, Any] | None:
        response = await self.call("get", scheduleId=schedule_id)
        assert response.status_code == 200, response.text
        found: dict[str, Any] | None = response.json()["schedule"]
        return found

    async def runs(self, schedule_id: str | None = None) -> builtins.list[dict[str, Any]]:
        """The history, oldest first."""
        path = f"{self.admin_path}/schedules/{schedule_id}/runs" if schedule_id else f"{self.admin_path}/runs"
        response = await self.house.admin("GET", path, params={"limit": 200})
        assert response.status_code == 200, response.text
        found: builtins.list[dict[str, Any]] = response.json()["runs"][::-1]
        return found

    async def run_now(self, schedule_id: str, **query: str) -> httpx.Response:
        path = f"{self.admin_path}/schedules/{schedule_id}/run-now"
        return await self.house.admin("POST", path, params=query)

    async def next_run_at(self, schedule_id: str) -> str | None:
        response = await self.house.admin("GET", f"{self.admin_path}/schedules")
        [found] = [each for each in response.json()["schedules"] if each["id"] == schedule_id]
        when: str | None = found["nextRunAt"]
        return when

    async def list(self) -> builtins.list[dict[str, Any]]:
        response = await self.call("list")
        assert response.status_code == 200, response.text
        found: builtins.list[dict[str, Any]] = response.json()["schedules"]
        return found


@dataclass
class House:
    """The server, a client, and an admin's hands."""

    server: Server
    client: httpx.AsyncClient
    clock: ManualClock

    async def admin(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {ADMIN_TOKEN}"}
        return await self.client.request(method, path, headers=headers, **kwargs)

    async def publish(self, **changes: Any) -> dict[str, Any]:
        response = await self.admin("POST", "/api/admin/extensions", content=bundle(**changes))
        assert response.status_code in (200, 201), response.text
        published: dict[str, Any] = response.json()
        return published

    async def install(
        self, tenant: str = "tenant-a", *, grants: tuple[str, ...] = ("cap:scheduler.manage",), **changes: Any
    ) -> Installed:
        extension = (await self.publish(**changes))["extensionId"]
        body = {"extensionId": extension, "grants": list(grants)}
        response = await self.admin("POST", f"/api/admin/tenants/{tenant}/installs", json=body)
        assert response.status_code == 201, response.text
        return Installed(self, tenant, extension, response.json()["installId"])

    async def pass_time(self, **step: float) -> list[Run]:
        """Put the clock forward, then fire what is due."""
        self.clock.advance(timedelta(**step))
        return await self.server.dispatcher.run_due()

    async def metrics(self) -> str:
        return (await self.client.get("/metrics")).text


@pytest.fixture(params=["postgres"] if "ALGA_TEST_POSTGRES" in os.environ else ["memory", "file"])
def each_database_url(request: pytest.FixtureRequest, database_url: str) -> str:
    """A database of each kind that there is."""
    return "sqlite://" if request.param == "memory" else database_url


@pytest.fixture
def settings(quick_database_url: str) -> ServerSettings:
    """Host calls come from the tests themselves here, not from executions: they carry no execution's token."""
    return ServerSettings(
        database_url=quick_database_url,
        runner_token=RUNNER_TOKEN,
        admin_token=ADMIN_TOKEN,
        gateway_token=GATEWAY_TOKEN,
        require_execution_token=False,
        dispatch_schedules=False,  # tests that want schedules to fire say so
    )


@pytest.fixture
def runner_transport() -> httpx.AsyncBaseTransport | None:
    """The runner, where a test plays it."""
    return None


@pytest.fixture
def played() -> PlayedRunner:
    """A runner for ``runner_transport``."""
    return PlayedRunner()


@pytest.fixture
async def house(
    settings: ServerSettings, runner_transport: httpx.AsyncBaseTransport | None
) -> AsyncIterator[House]:
    clock = ManualClock()
    async with Server(settings, clock=clock, runner_transport=runner_transport) as server:
        transport = httpx.ASGITransport(server.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            yield House(server, client, clock)


@pytest.fixture
async def mine(house: House) -> Installed:
    return await house.install("tenant-a")


@pytest.fixture
def make_bundle() -> Any:
    return bundle


@pytest.fixture
def add_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Adds a migration 0002, as a later release may bring one: it makes the table ``note``, then runs ``statement``."""

    def add(statement: str = "pass") -> None:
        folder = tmp_path / "migrations"
        shutil.copytree(migrations.SCRIPTS, folder, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "versions" / "v0002_note.py").write_text(
            "import sqlalchemy as sa\nfrom alembic import op\n"
            'revision, down_revision = "0002", "0001"\n'
            f'def upgrade():\n    op.create_table("note", sa.Column("id", sa.Integer()))\n    {statement}\n'
        )
        monkeypatch.setattr(migrations, "SCRIPTS", folder)
        migrations._script.cache_clear()

    yield add
    migrations._script.cache_clear()
