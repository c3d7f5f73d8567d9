"""The server in memory, an install to call it for, and a runner in place of the real one."""

from __future__ import annotations

import builtins
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import anyio
import httpx

from alga_server import ManualClock, Server
from alga_server.firing.runs import Run

from .bundles import make_archive

RUNNER_TOKEN = "runner-token-of-the-test"
ADMIN_TOKEN = "admin-token-of-the-test"
GATEWAY_TOKEN = "gateway-token-of-the-test"

MANIFEST: dict[str, Any] = {
    "name": "com.example.sync",
    "publisher": "Example",
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


def extension_archive(**changes: Any) -> bytes:
    """A packed bundle with ``MANIFEST`` and these changes."""
    return make_archive(**{**MANIFEST, **changes})


SUCCESS: dict[str, Any] = {"status": 200, "headers": {}, "body_b64": None, "error": None}
"""The runner's document for a handler that answered 200."""


class FakeRunner:
    """Keeps the execute requests it gets; answers immediately, or after ``let_go`` if the test holds it."""

    def __init__(self) -> None:
        self.status = 200
        self.answer: httpx.Response | None = None
        """The runner's own answer, in place of one that has the handler's ``status``."""
        self.asked: list[dict[str, Any]] = []
        self.headers: list[httpx.Headers] = []
        self.pings = 0
        self.ping_status = 200
        self.running = 0
        self.most_running = 0
        self._gate: anyio.Event | None = None
        self._held_tenant: str | None = None
        self._changed = anyio.Event()

    def hold(self, tenant: str | None = None) -> None:
        """Answer no request, or none of that tenant, until ``let_go``."""
        self._gate, self._held_tenant = anyio.Event(), tenant

    def let_go(self) -> None:
        """Answer the requests that wait, and later ones."""
        if self._gate is not None:
            self._gate.set()
        self._gate = None

    async def was_asked(self, times: int) -> None:
        """Return once it got so many requests."""
        while len(self.asked) < times:
            await self._changed.wait()

    def tenants(self) -> list[str]:
        """Those of all requests, in order."""
        return [document["context"]["tenant_id"] for document in self.asked]

    def nominal_times(self) -> list[str]:
        """Those of all requests, in order."""
        return [document["context"]["nominal_time"] for document in self.asked]

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/ping":
            self.pings += 1
            return httpx.Response(self.ping_status, json={"status": "ok"})
        self.asked.append(json.loads(request.content))
        tenant = self.asked[-1].get("context", {}).get("tenant_id")  # none in a warm-up
        self.headers.append(request.headers)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
        try:
            if self._gate is not None and self._held_tenant in (None, tenant):
                await self._gate.wait()
            if self.answer is not None:
                return self.answer
            return httpx.Response(200, json={**SUCCESS, "status": self.status})
        finally:
            self.running -= 1


Answer = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


class ScriptedRunner:
    """Keeps the requests it gets, and answers each with ``answer``, which a test sets."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []
        self.answer: Answer = lambda _: httpx.Response(200, json=SUCCESS)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answer(request)
        return answer if isinstance(answer, httpx.Response) else await answer

    def responds(self, status: int = 200, **members: Any) -> None:
        document = {**SUCCESS, "status": status, **members}
        # Upstream's runner sends cache-control with every reply (alga-contract 7, fault 15); the cookie is its own.
        headers = {"cache-control": "public, max-age=31536000, immutable", "set-cookie": "runner=1"}
        self.answer = lambda _: httpx.Response(200, json=document, headers=headers)

    @property
    def document(self) -> dict[str, Any]:
        """The execute request, of which there is one."""
        [request] = self.asked
        document: dict[str, Any] = json.loads(request.content)
        return document


@dataclass
class Install:
    """One install, and the host calls it can make."""

    alga: Alga
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
        return await self.host_call("scheduler", operation, **members)

    async def host_call(self, api: str, operation: str, **members: Any) -> httpx.Response:
        path = f"/api/internal/ext-{api}/install/{self.id}"
        body = {"operation": operation, **members}
        # Not ``json=``: httpx refuses what JSON text can say, half a surrogate pair.
        return await self.alga.client.post(path, content=json.dumps(body), headers=self.headers())

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A call through the gateway, as Alga's session layer would make it."""
        headers = {"authorization": f"Bearer {GATEWAY_TOKEN}", "x-alga-tenant": self.tenant}
        headers |= options.pop("headers", {})
        url = f"/api/ext/{self.extension}{path}"
        return await self.alga.client.request(method, url, headers=headers, **options)

    async def create(self, **members: Any) -> str:
        response = await self.call("create", **{"endpoint": "/sync", "cron": "0 * * * *", **members})
        assert response.status_code == 201, response.text
        created: str = response.json()["scheduleId"]
        return created

    async def create_by_admin(self, **members: Any) -> str:
        body = {"endpoint": "/sync", "cron": "0 * * * *", **members}
        response = await self.alga.admin("POST", f"{self.admin_path}/schedules", json=body)
        assert response.status_code == 201, response.text
        created: str = response.json()["id"]
        return created

    async def get(self, schedule_id: str) -> dict[str, Any] | None:
        response = await self.call("get", scheduleId=schedule_id)
        assert response.status_code == 200, response.text
        value: dict[str, Any] | None = response.json()["schedule"]
        return value

    async def runs(self, schedule_id: str | None = None) -> builtins.list[dict[str, Any]]:
        """The history, oldest first."""
        path = f"{self.admin_path}/schedules/{schedule_id}/runs" if schedule_id else f"{self.admin_path}/runs"
        response = await self.alga.admin("GET", path, params={"limit": 200})
        assert response.status_code == 200, response.text
        value: builtins.list[dict[str, Any]] = response.json()["runs"][::-1]
        return value

    async def run_now(self, schedule_id: str, **query: str) -> httpx.Response:
        path = f"{self.admin_path}/schedules/{schedule_id}/run-now"
        return await self.alga.admin("POST", path, params=query)

    async def next_run_at(self, schedule_id: str) -> str | None:
        response = await self.alga.admin("GET", f"{self.admin_path}/schedules")
        [schedule] = [row for row in response.json()["schedules"] if row["id"] == schedule_id]
        when: str | None = schedule["nextRunAt"]
        return when

    async def list(self) -> builtins.list[dict[str, Any]]:
        response = await self.call("list")
        assert response.status_code == 200, response.text
        value: builtins.list[dict[str, Any]] = response.json()["schedules"]
        return value


@dataclass
class Alga:
    """A server, its clock, and a client that can act as an admin."""

    server: Server
    client: httpx.AsyncClient
    clock: ManualClock

    async def admin(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {ADMIN_TOKEN}"}
        return await self.client.request(method, path, headers=headers, **kwargs)

    async def publish(self, **changes: Any) -> dict[str, Any]:
        response = await self.admin("POST", "/api/admin/extensions", content=extension_archive(**changes))
        assert response.status_code in (200, 201), response.text
        published: dict[str, Any] = response.json()
        return published

    async def install(
        self, tenant: str = "tenant-a", *, grants: tuple[str, ...] = ("cap:scheduler.manage",), **changes: Any
    ) -> Install:
        published = await self.publish(**changes)
        extension = published["extensionId"]
        body = {"extensionId": extension, "versionId": published["versionId"], "grants": list(grants)}
        response = await self.admin("POST", f"/api/admin/tenants/{tenant}/installs", json=body)
        assert response.status_code == 201, response.text
        return Install(self, tenant, extension, response.json()["installId"])

    async def pass_time(self, **step: float) -> list[Run]:
        """Put the clock forward, then fire the schedules that are due."""
        self.clock.advance(timedelta(**step))
        return await self.server.dispatcher.run_due()

    async def metrics(self) -> str:
        return (await self.client.get("/metrics")).text
