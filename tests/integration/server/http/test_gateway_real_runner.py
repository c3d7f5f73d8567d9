"""The whole way without sockets: gateway, runner service, guest, host calls with the execution's token, and back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from pydantic import SecretStr
from wasmtime import wat2wasm

from alga_runner import Runner, Settings
from alga_runner.alga import HttpAlgaServer
from alga_runner.bundles import Bundle, MemoryBundles, read_bundle
from alga_runner.models import pack
from alga_runner.service import create_service
from alga_server import ManualClock, Server, ServerSettings
from tests.support.bundles import bundle_files, manifest_api
from tests.support.patience import PATIENT

pytestmark = pytest.mark.anyio

DEMO = Path(__file__).parents[4] / "sample-extensions" / "scheduler-demo"
TOKENS = {"runner_token": "r-token", "admin_token": "a-token", "gateway_token": "g-token"}
SCHEDULER = "cap:scheduler.manage"
API = manifest_api("POST /run")


class HostCalls(httpx.AsyncBaseTransport):
    """Carries the runner's calls to the server and keeps them; once ``held``, sets ``arrived`` and carries none."""

    def __init__(self) -> None:
        self.kept: list[httpx.Request] = []
        self.held = False
        self.arrived = anyio.Event()
        self.inner: httpx.AsyncBaseTransport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.kept.append(request)
        if self.held:
            self.arrived.set()
            await anyio.sleep_forever()
        return await self.inner.handle_async_request(request)


@dataclass
class Town:
    """A server and a runner that know each other, and every host call that went between them."""

    runner: Runner
    client: httpx.AsyncClient
    bundles: MemoryBundles
    clock: ManualClock
    calls: HostCalls

    @property
    def host_calls(self) -> list[httpx.Request]:
        return self.calls.kept

    async def install(
        self,
        files: Any,
        *,
        tenant: str = "acme",
        grants: tuple[str, ...] = (SCHEDULER,),
        stored: bool = True,
    ) -> str:
        """Publish and install; the extension's id."""
        archive = pack(files)
        admin = {"authorization": "Bearer a-token"}
        published = await self.client.post("/api/admin/extensions", content=archive, headers=admin)
        extension: str = published.json()["extensionId"]
        body = {"extensionId": extension, "grants": list(grants)}
        url = f"/api/admin/tenants/{tenant}/installs"
        assert (await self.client.post(url, json=body, headers=admin)).status_code == 201
        if stored:
            self.bundles.add(Bundle.from_archive(archive), tenant_id=tenant)
        return extension

    async def ask(self, extension: str, path: str, *, tenant: str = "acme", **options: Any) -> httpx.Response:
        headers = {"authorization": "Bearer g-token", "x-alga-tenant": tenant}
        return await self.client.post(f"/api/ext/{extension}{path}", headers=headers, **options)

    async def replay(self, **changes: str | None) -> int:
        """Send the last host call again, with other headers."""
        last = self.host_calls[-1]
        headers = {name: value for name, value in last.headers.items() if name != "content-length"}
        for name, value in changes.items():
            headers.pop(name.replace("_", "-"), None)
            if value is not None:
                headers[name.replace("_", "-")] = value
        return (
            await self.client.post(last.url.path, content=await last.aread(), headers=headers)
        ).status_code


class _Late(httpx.AsyncBaseTransport):
    """The way to the runner, which the server needs before there is a runner."""

    inner: httpx.AsyncBaseTransport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self.inner.handle_async_request(request)


@pytest.fixture
def server_settings() -> ServerSettings:
    return ServerSettings(**TOKENS, runner_service_token="s-token")


@pytest.fixture
async def town(server_settings: ServerSettings) -> AsyncIterator[Town]:
    clock, bundles, to_runner = ManualClock(), MemoryBundles(), _Late()
    calls = HostCalls()
    settings = Settings(max_guests=8, service_token=SecretStr("s-token"), **PATIENT)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            Server(server_settings, clock=clock, runner_transport=to_runner)
        )
        calls.inner = httpx.ASGITransport(server.app)
        client = await stack.enter_async_context(
            httpx.AsyncClient(transport=httpx.ASGITransport(server.app), base_url="http://server")
        )
        alga = HttpAlgaServer("http://server", SecretStr("r-token"), transport=calls)
        runner = await stack.enter_async_context(Runner(settings, alga=alga, bundles=bundles))
        to_runner.inner = httpx.ASGITransport(create_service(runner))
        yield Town(runner, client, bundles, clock, calls)


@pytest.fixture
async def demo(town: Town) -> str:
    return await town.install(read_bundle(DEMO).files)


async def test_a_guest_answers_through_the_gateway(town: Town, demo: str) -> None:
    response = await town.ask(demo, "/setup")

    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("application/json")
    assert response.json()


async def test_its_host_calls_come_back_with_the_token_of_the_execution(town: Town, demo: str) -> None:
    await town.ask(demo, "/setup")

    assert town.host_calls
    for call in town.host_calls:
        assert call.headers["x-alga-tenant"] == "acme"
        assert call.headers["x-alga-execution-token"].startswith("v1.")


async def test_a_host_calls_token_is_worth_nothing_elsewhere(town: Town, demo: str) -> None:
    await town.ask(demo, "/try", json={"operation": "list"})
    theirs = await town.install(read_bundle(DEMO).files, tenant="globex")
    stolen = town.host_calls[-1].headers["x-alga-execution-token"]

    assert await town.replay() == 200
    assert await town.replay(x_alga_execution_token=None) == 401
    assert await town.replay(x_request_id="another") == 401
    await town.ask(theirs, "/try", tenant="globex", json={"operation": "list"})
    assert await town.replay() == 200
    assert await town.replay(x_alga_execution_token=stolen) == 401


async def test_a_token_dies_soon_after_its_execution_must_have_ended(town: Town, demo: str) -> None:
    await town.ask(demo, "/try", json={"operation": "list"})

    town.clock.advance(timedelta(seconds=30))
    assert await town.replay() == 200
    town.clock.advance(timedelta(seconds=10))
    assert await town.replay() == 401


async def test_what_was_not_granted_is_denied(town: Town) -> None:
    extension = await town.install(read_bundle(DEMO).files, grants=())

    response = await town.ask(extension, "/try", json={"operation": "list"})

    assert response.json()["error"]["code"] == "denied"
    assert town.host_calls == []


async def test_a_call_sent_again_under_its_key_executes_once(town: Town, demo: str) -> None:
    headers = {"authorization": "Bearer g-token", "x-alga-tenant": "acme", "x-idempotency-key": "key-1"}
    url = f"/api/ext/{demo}/try"
    create = {"operation": "create", "endpoint": "/sync", "cron": "0 * * * *"}

    first = await town.client.post(url, headers=headers, json=create)
    again = await town.client.post(url, headers=headers, json=create)

    assert "ok" in first.json()
    assert again.content == first.content
    assert len(town.host_calls) == 1


async def test_creates_of_two_calls_with_one_request_id_are_two_schedules(town: Town, demo: str) -> None:
    headers = {"authorization": "Bearer g-token", "x-alga-tenant": "acme", "x-request-id": "request-7"}
    url = f"/api/ext/{demo}/try"
    create = {"operation": "create", "endpoint": "/sync", "cron": "0 * * * *"}

    made = [await town.client.post(url, headers=headers, json=create) for _ in range(2)]

    assert len({answer.json()["ok"]["scheduleId"] for answer in made}) == 2


async def test_a_bundle_that_is_not_there_is_a_bad_gateway(town: Town) -> None:
    extension = await town.install(read_bundle(DEMO).files, stored=False)

    response = await town.ask(extension, "/setup")

    assert (response.status_code, response.json()["code"]) == (502, "bundle_not_found")


async def test_a_trap_is_a_bad_gateway_that_names_it(town: Town, guest_wat: Callable[..., str]) -> None:
    wasm = bytes(wat2wasm(guest_wat("(unreachable)")))
    extension = await town.install(bundle_files(wasm, api=API), grants=())

    response = await town.ask(extension, "/run")

    assert response.status_code == 502
    assert (response.json()["error"], response.json()["code"]) == ("bad_gateway", "guest_trap")


class TestASlowGuest:
    @pytest.fixture
    def server_settings(self) -> ServerSettings:
        return ServerSettings(**TOKENS, runner_service_token="s-token", execution_timeout_ms=50)

    async def test_is_ended_by_the_runner_and_told_as_a_timeout(
        self, town: Town, guest_wat: Callable[..., str]
    ) -> None:
        wasm = bytes(wat2wasm(guest_wat("(loop $on (br $on))")))
        extension = await town.install(bundle_files(wasm, api=API), grants=())

        response = await town.ask(extension, "/run")

        assert (response.status_code, response.json()["error"]) == (504, "gateway_timeout")
        assert response.json()["code"] == "deadline_exceeded"


class TestAServerWithAWrongServiceToken:
    @pytest.fixture
    def server_settings(self) -> ServerSettings:
        return ServerSettings(**TOKENS, runner_service_token="another")

    async def test_executes_nothing(self, town: Town, demo: str) -> None:
        response = await town.ask(demo, "/setup")

        assert (response.status_code, response.json()["code"]) == (502, "runner_refused")
        assert town.host_calls == []


async def test_when_the_caller_leaves_in_the_middle_of_a_host_call_the_guest_is_ended(
    town: Town, demo: str
) -> None:
    town.calls.held = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(town.ask, demo, "/setup")
        await town.calls.arrived.wait()
        tasks.cancel_scope.cancel()

    assert 'status="cancelled"' in town.runner.telemetry.render().decode()
