"""A whole Alga server in memory, spoken to over HTTP alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from alga_runner.models.archive import pack
from alga_server import ManualClock, Server, ServerSettings

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

    async def list(self) -> list[dict[str, Any]]:
        response = await self.call("list")
        assert response.status_code == 200, response.text
        found: list[dict[str, Any]] = response.json()["schedules"]
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

    async def metrics(self) -> str:
        return (await self.client.get("/metrics")).text


@pytest.fixture
def settings() -> ServerSettings:
    """Host calls come from the tests themselves here, not from executions: they carry no execution's token."""
    return ServerSettings(
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
