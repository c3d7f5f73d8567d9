"""A runner that is full: which requests wait, which are refused, and after how long clients may retry."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from alga_runner import Runner, Settings
from alga_runner.alga import Identity, NoAlgaServer
from alga_runner.models import ScheduleInfo
from alga_runner.service import Service
from alga_runner.service.request_tracker import REQUEST_BYTES, request_memory
from tests.support.guests import LIST_IMPORT

pytestmark = pytest.mark.anyio

LARGEST = 65_536

WAITING: dict[str, Any] = {
    "handler": """
      (drop (call $list (i32.const 1024) (i32.const 1) (i32.const 2048) (i32.const 1024)))
      (call $respond (i32.const 0) (global.get $ok))""",
    "imports": LIST_IMPORT,
    "data": b"\xc0",
}


class HoldingAlga(NoAlgaServer):
    """Keeps every call until it may answer."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = anyio.Event()

    async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
        self.asked += 1
        await self.may_answer.wait()
        return []


@pytest.fixture
def alga() -> HoldingAlga:
    return HoldingAlga()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Two places, one of each tenant; two may wait, one of each."""
    return settings.model_copy(
        update={
            "max_guests": 2,
            "max_guests_per_tenant": 1,
            "max_queued": 2,
            "max_queued_per_tenant": 1,
            "max_http_body_bytes": LARGEST,
            "max_http_bytes": 3 * (LARGEST + REQUEST_BYTES),
            "max_http_bytes_per_tenant": 2 * (LARGEST + REQUEST_BYTES),
        }
    )


@pytest.fixture
async def runner(settings: Settings, bundles, alga: HoldingAlga) -> AsyncIterator[Runner]:
    async with Runner(settings, bundles=bundles, alga=alga) as running:
        yield running


class Callers:
    """Those who post a request whose guest waits for the server, each for a tenant."""

    def __init__(
        self, client: httpx.AsyncClient, body: Any, headers: dict[str, str], alga: HoldingAlga
    ) -> None:
        self._client = client
        self._body = body
        self._headers = headers
        self._alga = alga
        self.answers: list[httpx.Response] = []

    async def post(self, tenant: str) -> httpx.Response:
        headers = self._headers | {"x-alga-tenant": tenant}
        answer = await self._client.post("/v1/execute", json=self._body(tenant), headers=headers)
        self.answers.append(answer)
        return answer

    async def post_waiting(self, tasks: anyio.abc.TaskGroup, *tenants: str, asked: int) -> None:
        """Post for each tenant, until the server was ``asked`` so often."""
        for tenant in tenants:
            tasks.start_soon(self.post, tenant)
        while self._alga.asked < asked:
            await anyio.lowlevel.checkpoint()
        for _ in range(30):
            await anyio.lowlevel.checkpoint()


@pytest.fixture
def callers(client: httpx.AsyncClient, request_for, publish, headers, alga: HoldingAlga) -> Callers:
    content_hash = publish(**WAITING)

    def body(tenant: str) -> dict[str, Any]:
        document: dict[str, Any] = request_for(
            content_hash, tenant=tenant, providers=["cap:scheduler.manage"]
        )
        return document

    return Callers(client, body, headers, alga)


async def test_who_finds_no_place_waits_and_is_carried_out(callers: Callers, alga: HoldingAlga) -> None:
    async with anyio.create_task_group() as tasks:
        await callers.post_waiting(tasks, "acme", "acme", asked=1)
        assert alga.asked == 1
        alga.may_answer.set()

    assert [answer.json()["status"] for answer in callers.answers] == [200, 200]


async def test_a_tenant_with_all_it_may_have_is_told_429(callers: Callers, alga: HoldingAlga) -> None:
    async with anyio.create_task_group() as tasks:
        await callers.post_waiting(tasks, "acme", "acme", asked=1)
        refused = await callers.post("acme")
        alga.may_answer.set()

    assert refused.status_code == 429
    assert refused.json() == {
        "error": "overloaded",
        "message": "There is no room: the tenant may have 1 executions under way and 1 waiting.",
    }
    assert int(refused.headers["retry-after"]) >= 1


async def test_when_the_runner_is_full_everybody_is_told_503(callers: Callers, alga: HoldingAlga) -> None:
    async with anyio.create_task_group() as tasks:
        await callers.post_waiting(tasks, "acme", "globex", asked=2)
        await callers.post_waiting(tasks, "initech", "acme", asked=2)
        refused = await callers.post("umbrella")
        alga.may_answer.set()

    assert refused.status_code == 503
    assert refused.json()["error"] == "overloaded"
    assert "the runner may have 2 executions under way and 2 waiting" in refused.json()["message"]
    assert "retry-after" in refused.headers


async def test_once_there_is_room_again_everybody_is_carried_out(callers: Callers, alga: HoldingAlga) -> None:
    async with anyio.create_task_group() as tasks:
        await callers.post_waiting(tasks, "acme", "acme", "acme", "acme", asked=1)
        alga.may_answer.set()
    again = [await callers.post(tenant) for tenant in ("acme", "globex", "acme")]

    assert [answer.status_code for answer in callers.answers[:4]].count(429) == 2
    assert [answer.json()["status"] for answer in again] == [200, 200, 200]


async def test_a_runner_that_drains_refuses_those_who_wait(
    callers: Callers, alga: HoldingAlga, service: Service
) -> None:
    async with anyio.create_task_group() as tasks:
        await callers.post_waiting(tasks, "acme", "acme", asked=1)
        tasks.start_soon(service.drain)
        while not callers.answers:
            await anyio.lowlevel.checkpoint()
        alga.may_answer.set()

    refused, finished = callers.answers
    assert (refused.status_code, refused.json()["error"]) == (503, "draining")
    assert finished.json()["status"] == 200
    assert alga.asked == 1


class Body:
    """A request that a test sends piece by piece, and its answer."""

    def __init__(
        self, headers: dict[str, str], pieces: list[bytes], *, length: int | None = None, whole: bool = False
    ) -> None:
        given = headers | {"content-type": "application/json"}
        if length is not None:
            given["content-length"] = str(length)
        self.scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/execute",
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        }
        self.pieces = pieces
        self.whole = whole
        self.gone = anyio.Event()
        self.sent: list[Any] = []

    async def receive(self) -> Any:
        if self.pieces:
            piece = self.pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(self.pieces) or not self.whole}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int | None:
        return self.sent[0]["status"] if self.sent else None

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.sent[1]["body"])
        return document


@pytest.fixture
async def sending(service: Service):
    """Start to send requests; all of them are gone at the end."""
    bodies: list[Body] = []

    async with anyio.create_task_group() as tasks:

        async def start(body: Body) -> Body:
            bodies.append(body)
            tasks.start_soon(service, body.scope, body.receive, body.send)
            for _ in range(30):
                await anyio.lowlevel.checkpoint()
            return body

        yield start
        for body in bodies:
            body.gone.set()


async def test_a_body_that_is_still_coming_holds_no_guest_s_place(
    sending, runner: Runner, callers: Callers, headers, alga: HoldingAlga
) -> None:
    await sending(Body(headers, [b"{"]))
    alga.may_answer.set()

    assert runner.admission.executing == 0
    assert (await callers.post("acme")).json()["status"] == 200


async def test_a_tenant_s_bodies_are_bounded_before_they_come(sending, headers) -> None:
    first = [await sending(Body(headers, [b"{"], length=LARGEST)) for _ in range(2)]
    third = await sending(Body(headers, [b"{"], length=LARGEST, whole=True))

    assert [body.status for body in first] == [None, None]
    assert third.status == 429
    assert third.document["error"] == "overloaded"
    assert "for the tenant" in third.document["message"]
    assert (b"retry-after", b"1") in third.sent[0]["headers"]


async def test_bodies_of_all_tenants_are_bounded(sending, headers) -> None:
    for tenant in ("acme", "globex", "initech"):
        await sending(Body(headers | {"x-alga-tenant": tenant}, [b"{"], length=LARGEST))
    fourth = await sending(Body(headers | {"x-alga-tenant": "umbrella"}, [b"{"], length=LARGEST, whole=True))

    assert fourth.status == 503
    assert "for the runner" in fourth.document["message"]


async def test_a_body_of_unknown_length_is_counted_as_it_comes(sending, headers) -> None:
    for _ in range(2):
        await sending(Body(headers, [b"{"], length=55_000))
    third = await sending(Body(headers, [b" " * 3_000, b" " * 3_000], whole=True))

    assert third.status == 429


async def test_what_a_body_held_is_free_once_it_is_gone(sending, headers, service: Service) -> None:
    for _ in range(3):
        body = await sending(Body(headers, [b"{"], length=LARGEST))
        body.gone.set()
        for _ in range(30):
            await anyio.lowlevel.checkpoint()

    memory = service._requests.memory
    assert (memory._total, dict(memory._by_tenant)) == (0, {})


async def test_refused_bodies_are_counted(sending, headers, runner: Runner) -> None:
    for _ in range(3):
        await sending(Body(headers, [b"{"], length=LARGEST))

    metrics = runner.telemetry.render().decode()
    assert 'alga_runner_executions_refused_total{reason="tenant_bytes"} 1' in metrics


def test_one_request_of_the_largest_size_always_fits() -> None:
    held = request_memory(
        Settings(max_http_bytes=1, max_http_bytes_per_tenant=1, max_http_body_bytes=1_000_000)
    )

    assert held.fits("acme", 1_000_000 + REQUEST_BYTES)
    assert not held.fits("acme", 1_000_000 + REQUEST_BYTES + 1)


def test_a_tenant_s_part_is_a_quarter_unless_it_is_set() -> None:
    assert request_memory(Settings(max_http_bytes=1 << 30)).tenant_limit == 1 << 28
