from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from time import monotonic
from typing import Any, Protocol

import httpx
import pytest
from pydantic import SecretStr

from alga_runner.alga import DIALECTS, AlgaServer, HttpAlgaServer, Identity
from alga_runner.alga.dialects import Dialect
from alga_server import ManualClock, Server, ServerSettings
from tests.support.algas_own import AlgasOwnServer
from tests.support.bundles import make_archive, manifest_api
from tests.support.sockets import serving

RUNNER_TOKEN = SecretStr("runner-token-for-tests")
ADMIN_TOKEN = "admin-token-for-tests"
MAX_SCHEDULES = 4

_numbers = count(1)


class Known(Protocol):
    """One install, how the runner would call in its name, and what its server stores of it."""

    identity: Identity

    async def stored(self) -> dict[str, dict[str, Any]]:
        """Every column of its schedules, by id."""


@dataclass
class Installed(Known):
    """One install of the reference server."""

    identity: Identity
    admin: httpx.AsyncClient

    async def stored(self) -> dict[str, dict[str, Any]]:
        identity = self.identity
        path = f"/api/admin/tenants/{identity.tenant_id}/installs/{identity.install_id}/schedules"
        return {row["id"]: row for row in (await self.admin.get(path)).json()["schedules"]}

    async def change(self, **changes: Any) -> None:
        identity = self.identity
        answer = await self.admin.patch(
            f"/api/admin/tenants/{identity.tenant_id}/installs/{identity.install_id}", json=changes
        )
        assert answer.status_code == 200, answer.text


@dataclass
class InstalledAtAlgasOwn(Known):
    """One install of the double of Alga's own server."""

    identity: Identity
    server: AlgasOwnServer

    async def stored(self) -> dict[str, dict[str, Any]]:
        return {row["id"]: dict(row) for row in self.server.installs[self.identity.install_id or ""]}


@dataclass
class Alga:
    """The reference server, and its admin."""

    server: Server
    admin: httpx.AsyncClient
    clock: ManualClock

    async def publish(self, name: str) -> str:
        archive = make_archive(
            name=name,
            capabilities=["cap:scheduler.manage"],
            api=manifest_api("GET /report", "POST /sync", "DELETE /thing/:id"),
        )
        answer = await self.admin.post("/api/admin/extensions", content=archive)
        assert answer.status_code in {200, 201}, answer.text
        extension_id = answer.json()["extensionId"]
        assert isinstance(extension_id, str)
        return extension_id

    async def install(self, tenant: str, extension_id: str, *grants: str) -> Installed:
        answer = await self.admin.post(
            f"/api/admin/tenants/{tenant}/installs",
            json={"extensionId": extension_id, "grants": list(grants)},
        )
        assert answer.status_code == 201, answer.text
        identity = Identity(tenant, extension_id, answer.json()["installId"], "request-1")
        return Installed(identity, self.admin)


@pytest.fixture(scope="module")
async def alga() -> AsyncIterator[Alga]:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    settings = ServerSettings(
        runner_token=RUNNER_TOKEN,
        admin_token=SecretStr(ADMIN_TOKEN),
        max_schedules_per_install=MAX_SCHEDULES,
        require_execution_token=False,  # the port is called here without any execution
        dispatch_schedules=False,
    )
    async with (
        Server(settings, clock=clock) as server,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(server.app),
            base_url="http://admin",
            headers={"authorization": f"Bearer {ADMIN_TOKEN}"},
        ) as admin,
    ):
        yield Alga(server, admin, clock)


@pytest.fixture(scope="module")
async def base_url(alga: Alga) -> AsyncIterator[str]:
    """The reference server."""
    async with serving(alga.server.app) as url:
        yield url


@pytest.fixture(scope="module")
def algas_own() -> AlgasOwnServer:
    return AlgasOwnServer(RUNNER_TOKEN.get_secret_value(), max_schedules=MAX_SCHEDULES)


@pytest.fixture(scope="module")
async def algas_own_url(algas_own: AlgasOwnServer) -> AsyncIterator[str]:
    async with serving(algas_own) as url:
        yield url


@pytest.fixture(scope="module")
async def algas_own_port(algas_own_url: str) -> AsyncIterator[AlgaServer]:
    """The way to the double of Alga's own server, in its dialect."""
    port = HttpAlgaServer(algas_own_url, RUNNER_TOKEN, dialect=DIALECTS["alga"])
    yield port
    await port.aclose()


@pytest.fixture(scope="module")
async def ports(alga: Alga, base_url: str) -> AsyncIterator[dict[str, AlgaServer]]:
    """Every way to ask: each dialect, with and without a socket."""
    servers: dict[str, AlgaServer] = {}
    in_process = httpx.ASGITransport(alga.server.app, raise_app_exceptions=False)
    for name, dialect in DIALECTS.items():
        servers[f"{name}-in-process"] = HttpAlgaServer(
            "http://server", RUNNER_TOKEN, dialect=dialect, transport=in_process
        )
        servers[f"{name}-http"] = HttpAlgaServer(base_url, RUNNER_TOKEN, dialect=dialect)
    yield servers
    for port in servers.values():
        await port.aclose()


WAYS = [f"{name}-{way}" for name in DIALECTS for way in ("in-process", "http")]


@pytest.fixture(params=WAYS)
def port(request: pytest.FixtureRequest, ports: dict[str, AlgaServer]) -> AlgaServer:
    return ports[request.param]


@pytest.fixture(params=[*WAYS, "algas-own-http"])
def every_port(
    request: pytest.FixtureRequest, ports: dict[str, AlgaServer], algas_own_port: AlgaServer
) -> AlgaServer:
    """Every way to the reference server, and the one to Alga's own."""
    return ports.get(request.param, algas_own_port)


@pytest.fixture
def home(
    every_port: AlgaServer, algas_own_port: AlgaServer, algas_own: AlgasOwnServer, installed: Installed
) -> Known:
    """A fresh install of the server that ``every_port`` leads to."""
    if every_port is not algas_own_port:
        return installed
    return InstalledAtAlgasOwn(installed.identity._replace(install_id=algas_own.install()), algas_own)


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return DIALECTS[request.param]


@pytest.fixture(scope="module")
async def extension_id(alga: Alga) -> str:
    return await alga.publish("com.acme.sync")


@pytest.fixture
async def installed(alga: Alga, extension_id: str) -> Installed:
    """A fresh tenant's install, with the capability."""
    alga.clock.advance(timedelta(seconds=61))
    return await alga.install(f"tenant-{next(_numbers)}", extension_id, "cap:scheduler.manage")


@pytest.fixture
async def stranger(alga: Alga, extension_id: str) -> Installed:
    """Another tenant's install of the same extension, with the capability."""
    return await alga.install(f"stranger-{next(_numbers)}", extension_id, "cap:scheduler.manage")


@pytest.fixture
def soon() -> float:
    """A deadline that is far enough for any test."""
    return monotonic() + 60
