"""Executions that end before their time: the client left, the runner is full, the runner ends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import httpx
import pytest

from alga_common.http.asgi import WHEN_GONE
from alga_runner import Runner, Settings
from alga_runner.alga import Identity, NoAlgaServer
from alga_runner.engine.context import engine_context
from alga_runner.models import ScheduleInfo
from alga_runner.service import Service, create_service
from tests.support.guests import LIST_IMPORT

pytestmark = pytest.mark.anyio

WAITING: dict[str, Any] = {
    "handler": """
      (drop (call $list (i32.const 1024) (i32.const 1) (i32.const 2048) (i32.const 1024)))
      (call $respond (i32.const 0) (global.get $ok))""",
    "imports": LIST_IMPORT,
    "data": b"\xc0",
}
"""A guest that asks for its schedules, and responds after any answer."""

GRANTED = ["cap:scheduler.manage"]


class SlowAlga(NoAlgaServer):
    """Sets ``asked`` when it is asked, and answers once ``may_answer`` is set."""

    def __init__(self) -> None:
        self.asked = anyio.Event()
        self.may_answer = anyio.Event()

    async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
        self.asked.set()
        await self.may_answer.wait()
        return []


@pytest.fixture
def alga() -> SlowAlga:
    return SlowAlga()


@pytest.fixture
async def runner(settings: Settings, bundles, alga: SlowAlga) -> AsyncIterator[Runner]:
    async with Runner(settings, bundles=bundles, alga=alga) as running:
        yield running


@pytest.fixture
def waiting_request(request_for, publish) -> dict[str, Any]:
    """A request whose guest waits for the server."""
    body: dict[str, Any] = request_for(publish(**WAITING), providers=GRANTED)
    return body


def live_guests() -> int:
    return sum(engine.ticker.live for engine in engine_context._engines.values())


def executions(runner: Runner) -> dict[str, float]:
    lines = runner.telemetry.render().decode().splitlines()
    name = "alga_runner_executions_total{"
    counts = {line.split('"')[1]: float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name)}
    return {status: count for status, count in counts.items() if count}


class Connection:
    """A client that sends one request, and closes the connection when a test tells it to."""

    def __init__(self, headers: dict[str, str], body: bytes, *, complete: bool = True) -> None:
        given = headers | {"content-type": "application/json"}
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": "/v1/execute",
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        }
        self.messages = [{"type": "http.request", "body": body, "more_body": not complete}]
        self.closed = anyio.Event()
        self.sent: list[Any] = []

    async def receive(self) -> Any:
        if self.messages:
            return self.messages.pop(0)
        await self.closed.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)


async def test_a_client_that_leaves_takes_its_guest_along(
    service: Service, runner: Runner, alga: SlowAlga, headers, waiting_request
) -> None:
    connection = Connection(headers, json.dumps(waiting_request).encode())
    before = live_guests()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service, connection.scope, connection.receive, connection.send)
        await alga.asked.wait()
        assert live_guests() == before + 1
        connection.closed.set()

    assert connection.sent == []
    assert live_guests() == before
    assert service.executions == 0
    assert executions(runner) == {"cancelled": 1.0}
    assert "alga_runner_executions_in_progress 0.0" in runner.telemetry.render().decode()
    assert 'alga_runner_http_requests_total{route="/v1/execute",status="499"} 1.0' in (
        runner.telemetry.render().decode()
    )


async def test_a_server_that_tells_when_a_client_leaves_is_not_asked(
    service: Service, runner: Runner, alga: SlowAlga, headers, waiting_request
) -> None:
    connection = Connection(headers, json.dumps(waiting_request).encode())
    given: list[Callable[[], None] | None] = []
    connection.scope[WHEN_GONE] = given.append

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service, connection.scope, connection.receive, connection.send)
        while not given:
            await anyio.lowlevel.checkpoint()
        (tell,) = given
        assert tell is not None
        tell()

    assert connection.sent == []
    assert executions(runner) == {"cancelled": 1.0}
    assert given == [tell, None]


async def test_a_guest_that_spins_ends_with_its_client(
    service: Service, runner: Runner, headers, request_for, publish
) -> None:
    body = json.dumps(request_for(publish("(loop (br 0))"))).encode()
    connection = Connection(headers, body)
    before = live_guests()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service, connection.scope, connection.receive, connection.send)
        while live_guests() == before:
            await anyio.lowlevel.checkpoint()
        connection.closed.set()

    assert live_guests() == before
    assert executions(runner) == {"cancelled": 1.0}


async def test_a_client_that_leaves_in_the_middle_of_its_body(
    service: Service, runner: Runner, headers
) -> None:
    connection = Connection(headers, b"{", complete=False)
    connection.closed.set()

    await service(connection.scope, connection.receive, connection.send)

    assert connection.sent == []
    assert service.executions == 0
    assert executions(runner) == {}


async def test_a_client_that_leaves_after_a_body_that_took_its_time(
    service: Service, runner: Runner, alga: SlowAlga, headers, waiting_request
) -> None:
    """The request was looked at while its body arrived: its connection is watched from the body's end on."""
    body = json.dumps(waiting_request).encode()
    connection = Connection(headers, body[:10], complete=False)
    whole = anyio.Event()

    async def receive() -> Any:
        if not connection.messages and not whole.is_set():
            while not service._requests._looked_at:
                await anyio.lowlevel.checkpoint()
            whole.set()
            return {"type": "http.request", "body": body[10:]}
        return await connection.receive()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service, connection.scope, receive, connection.send)
        await alga.asked.wait()
        connection.closed.set()

    assert connection.sent == []
    assert executions(runner) == {"cancelled": 1.0}


@pytest.fixture
def post(client, headers, waiting_request):
    """Post the request; its answer is added to ``into``."""

    async def carry_out(into: list[httpx.Response]) -> None:
        into.append(await client.post("/v1/execute", json=waiting_request, headers=headers))

    return carry_out


async def test_while_it_drains_executions_finish_and_new_ones_are_refused(
    client, service: Service, alga: SlowAlga, post
) -> None:
    running: list[httpx.Response] = []
    late: list[httpx.Response] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(post, running)
        await alga.asked.wait()
        tasks.start_soon(service.drain)
        await anyio.wait_all_tasks_blocked()
        await post(late)
        ready = await client.get("/readyz")
        alive = await client.get("/healthz")
        alga.may_answer.set()

    assert running[0].json()["status"] == 200
    assert (late[0].status_code, late[0].json()["error"]) == (503, "draining")
    assert "retry-after" in late[0].headers
    assert ready.status_code == 503
    assert ready.json()["checks"]["accepting"] == "draining"
    assert alive.status_code == 200


async def test_draining_a_runner_that_has_nothing_to_do_ends_at_once(service: Service) -> None:
    await service.drain()

    assert service.executions == 0


async def test_after_the_grace_executions_are_cancelled(
    runner: Runner, alga: SlowAlga, headers, waiting_request
) -> None:
    service = create_service(runner, runner.settings.model_copy(update={"shutdown_grace_ms": 0}))
    before = live_guests()
    answers = []
    async with httpx.AsyncClient(transport=httpx.ASGITransport(service), base_url="http://runner") as client:

        async def post() -> None:
            answers.append(await client.post("/v1/execute", json=waiting_request, headers=headers))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(post)
            await alga.asked.wait()
            await service.drain()
            assert live_guests() == before

    reply = answers[0].json()
    assert answers[0].status_code == 200
    assert reply["status"] == 500
    assert reply["error"].startswith("execute_failed: cancelled: ")


async def test_what_was_only_being_read_when_the_runner_ended_may_be_sent_again(
    service: Service, headers
) -> None:
    connection = Connection(headers, b"{", complete=False)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service, connection.scope, connection.receive, connection.send)
        await anyio.wait_all_tasks_blocked()
        assert service.executions == 1
        service.stop()

    assert connection.sent[0]["status"] == 503
    assert b'"draining"' in connection.sent[1]["body"]
