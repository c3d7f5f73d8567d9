"""The execution's token between runner and server: it travels with every host call, and without it none is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from alga_runner.alga import HttpAlgaServer, Identity
from alga_runner.errors import HostCallCode, HostCallError
from alga_runner.models import CreateScheduleInput, UpdateScheduleInput
from alga_server import ManualClock, Server, ServerSettings
from tests.support.bundles import make_archive, manifest_api

pytestmark = pytest.mark.anyio

RUNNER_TOKEN = SecretStr("runner-token-for-tests")
ADMIN = {"authorization": "Bearer admin-token-for-tests"}

BUNDLE = make_archive(capabilities=["cap:scheduler.manage"], api=manifest_api("POST /sync"))

Ask = Callable[[HttpAlgaServer, Identity, float], Awaitable[Any]]

OPERATIONS: dict[str, Ask] = {
    "list": lambda port, who, end: port.list_schedules(who, end),
    "get": lambda port, who, end: port.get_schedule(who, "x", end),
    "create": lambda port, who, end: port.create_schedule(
        who, CreateScheduleInput(endpoint="/sync", cron="0 * * * *"), end
    ),
    "update": lambda port, who, end: port.update_schedule(who, UpdateScheduleInput(schedule_id="x"), end),
    "delete": lambda port, who, end: port.delete_schedule(who, "x", end),
    "endpoints": lambda port, who, end: port.get_endpoints(who, end),
}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def server(clock: ManualClock) -> AsyncIterator[Server]:
    settings = ServerSettings(runner_token=RUNNER_TOKEN, admin_token="admin-token-for-tests")
    async with Server(settings, clock=clock) as server:
        yield server


@pytest.fixture
async def strict_port(server: Server) -> AsyncIterator[HttpAlgaServer]:
    port = HttpAlgaServer("http://server", RUNNER_TOKEN, transport=httpx.ASGITransport(server.app))
    yield port
    await port.aclose()


@pytest.fixture
async def executing(server: Server) -> Identity:
    """An execution under way."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(server.app), base_url="http://admin", headers=ADMIN
    ) as admin:
        extension = (await admin.post("/api/admin/extensions", content=BUNDLE)).json()["extensionId"]
        body = {"extensionId": extension, "grants": ["cap:scheduler.manage"]}
        install = (await admin.post("/api/admin/tenants/acme/installs", json=body)).json()["installId"]
    token = await server._services.tokens.issue(
        tenant_id="acme", install_id=install, request_id="request-1", lifetime_s=40
    )
    return Identity("acme", extension, install, "request-1", token)


async def refused(ask: Ask, port: HttpAlgaServer, who: Identity, end: float) -> HostCallCode | None:
    """The code of the refusal when the execution was not believed; ``None`` when it was."""
    try:
        await ask(port, who, end)
    except HostCallError as error:
        return error.host_code if "token" in str(error) else None
    return None


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_an_execution_with_its_token_is_believed(
    strict_port: HttpAlgaServer, executing: Identity, operation: str, soon: float
) -> None:
    assert await refused(OPERATIONS[operation], strict_port, executing, soon) is None


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_an_execution_without_a_token_is_denied(
    strict_port: HttpAlgaServer, executing: Identity, operation: str, soon: float
) -> None:
    anonymous = executing._replace(execution_token=None)

    assert await refused(OPERATIONS[operation], strict_port, anonymous, soon) is HostCallCode.DENIED


async def test_a_token_does_not_pass_to_another_request(
    strict_port: HttpAlgaServer, executing: Identity, soon: float
) -> None:
    other = executing._replace(request_id="request-2")

    assert await refused(OPERATIONS["list"], strict_port, other, soon) is HostCallCode.DENIED


async def test_a_token_is_denied_once_it_has_expired(
    strict_port: HttpAlgaServer, executing: Identity, clock: ManualClock, soon: float
) -> None:
    clock.advance(timedelta(seconds=40))

    assert await refused(OPERATIONS["list"], strict_port, executing, soon) is HostCallCode.DENIED
