"""Requests as bytes on a socket: forms that HTTP allows and clients seldom use, to both services."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import anyio
import httpx
import pytest
import uvicorn
from pydantic import SecretStr

from alga_runner import Runner, Settings
from alga_runner.alga import HttpAlgaServer
from alga_runner.bundles import MemoryBundles
from alga_runner.capabilities import Execution
from alga_runner.models import ExecutionContext
from alga_runner.service import create_service
from alga_runner.service.server import config, listening
from tests.support.patience import PATIENCE_S
from tests.support.server import ADMIN_TOKEN, GATEWAY_TOKEN, RUNNER_TOKEN, Alga, Install, ScriptedRunner

pytestmark = pytest.mark.anyio


@pytest.fixture
def runner() -> ScriptedRunner:
    return ScriptedRunner()


@pytest.fixture
def runner_transport(runner: ScriptedRunner) -> httpx.AsyncBaseTransport:
    return httpx.MockTransport(runner)


@asynccontextmanager
async def listening_on(app: Any) -> AsyncIterator[int]:
    """The port of a socket on which ``app`` is served, as both services are."""
    with listening("127.0.0.1", 0) as listener:
        server = uvicorn.Server(config(app, Settings()))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server._serve, [listener])
            yield listener.getsockname()[1]
            server.should_exit = True


async def exchange(port: int, request: bytes) -> tuple[bytes, bytes]:
    """The head and the body of the answer to ``request``, up to the connection's end."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(request)
        answer = b""
        with anyio.fail_after(PATIENCE_S):
            async for part in stream:
                answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


def written(method: str, target: str, **headers: str) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "host: elsewhere.test", "connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def calling(install: Install, method: str, path: str) -> bytes:
    return written(
        method,
        path.format(f"/api/ext/{install.extension}"),
        authorization=f"Bearer {GATEWAY_TOKEN}",
        x_alga_tenant=install.tenant,
    )


async def test_a_query_reaches_the_guest_as_it_was_sent(
    alga: Alga, install: Install, runner: ScriptedRunner
) -> None:
    query = "a=1&a=2&flag&=x&b=%ff&c=%zz&d=+%2B&e[]=\"'|&&"

    async with listening_on(alga.server.app) as port:
        head, _ = await exchange(port, calling(install, "GET", "{}/report?" + query))

    assert head.startswith(b"HTTP/1.1 200 ")
    assert runner.document["http"]["path"] == "/report?" + query
    assert runner.document["http"]["query"] == {}


async def test_a_target_in_absolute_form_is_the_same_request(
    alga: Alga, install: Install, runner: ScriptedRunner
) -> None:
    async with listening_on(alga.server.app) as port:
        called, _ = await exchange(port, calling(install, "GET", "http://other.test:1{}/report?x=1"))
        healthy, _ = await exchange(port, written("GET", "HTTPS://other.test/healthz"))
        nowhere, _ = await exchange(port, written("GET", "http://other.test"))

    assert runner.document["http"]["path"] == "/report?x=1"
    assert [head.split()[1] for head in (called, healthy, nowhere)] == [b"200", b"200", b"404"]


@pytest.mark.parametrize("request_id", ["a\tb", "größe \r\nx-request-id: forged", "\udc80", "x" * 1000, ""])
async def test_a_host_call_of_a_request_with_a_strange_id_arrives(
    alga: Alga, install: Install, caplog: pytest.LogCaptureFixture, request_id: str
) -> None:
    caplog.set_level("INFO", logger="alga_server")
    context = ExecutionContext(
        request_id=request_id,
        tenant_id=install.tenant,
        extension_id=install.extension,
        install_id=install.id,
        content_hash="sha256:0",
    )

    async with listening_on(alga.server.app) as port:
        server = HttpAlgaServer(f"http://127.0.0.1:{port}", SecretStr(RUNNER_TOKEN))
        execution = Execution(context, frozenset(), server, monotonic() + 60)
        schedules = await server.list_schedules(execution.identity, execution.deadline)
        await server.aclose()

    assert schedules == []
    [line] = [record for record in caplog.records if record.__dict__.get("action") == "scheduler_api_call"]
    assert line.__dict__["request_id"] == context.request_id


async def test_head_is_answered_where_get_is_without_a_body(alga: Alga, install: Install) -> None:
    admin = {"authorization": f"Bearer {ADMIN_TOKEN}"}
    async with listening_on(alga.server.app) as port:
        for path in ("/healthz", "/metrics", "/openapi.json", "/api/admin/extensions", install.admin_path):
            asked, body = await exchange(port, written("HEAD", path, **admin))
            got, content = await exchange(port, written("GET", path, **admin))

            assert asked.startswith(b"HTTP/1.1 200 "), path
            assert body == b""
            assert f"content-length: {len(content)}".encode() in got
            assert b"content-length: " in asked


async def test_a_refused_method_names_head(alga: Alga) -> None:
    response = await alga.client.post("/healthz")

    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")


async def test_the_runner_takes_the_same_forms() -> None:
    async with (
        Runner(Settings(max_guests=1), bundles=MemoryBundles()) as runner,
        listening_on(create_service(runner, require_token=False)) as port,
    ):
        for path in ("/healthz", "/readyz", "/metrics"):
            absolute, content = await exchange(port, written("GET", f"http://other.test{path}"))
            asked, body = await exchange(port, written("HEAD", path))

            assert absolute.split()[1] == asked.split()[1] == b"200", path
            assert (bool(content), body) == (True, b"")
