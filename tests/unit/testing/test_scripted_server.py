"""Failures that a test chooses, of a server that would answer."""

from __future__ import annotations

from time import monotonic

import httpx
import pytest
from pydantic import SecretStr

from alga_runner.alga import DIALECTS, AlgaServer, HttpAlgaServer, Identity
from alga_runner.alga.calls import CALLS
from alga_runner.capabilities import OPERATIONS
from alga_runner.errors import HostCallCode, HostCallError
from alga_runner.models import CreateScheduleInput
from alga_runner.testing.scripted import SERVER_OPERATIONS, ScriptedServer

pytestmark = pytest.mark.anyio

ACME = Identity("acme", "extension-1", "install-1", "request-1")
SCHEDULE = CreateScheduleInput(endpoint="/sync", cron="0 * * * *")
ANSWER = {
    "success": True,
    "scheduleId": "s-1",
    **dict.fromkeys(call.member for call in CALLS.values() if call.member != "success"),
}


class Behind:
    """A server that answers every operation and records their names."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path.rpartition("/")[2])
        return httpx.Response(200, json=ANSWER)


@pytest.fixture
def behind() -> Behind:
    return Behind()


@pytest.fixture
def server(behind: Behind) -> ScriptedServer:
    return ScriptedServer(httpx.MockTransport(behind))


def client(server: ScriptedServer) -> AlgaServer:
    return HttpAlgaServer("http://server", SecretStr("token"), dialect=DIALECTS["prd"], transport=server)


async def create(server: ScriptedServer) -> str:
    return await client(server).create_schedule(ACME, SCHEDULE, monotonic() + 60)


async def test_every_operation_of_the_port_reaches_the_server_and_can_fail(
    server: ScriptedServer, behind: Behind
) -> None:
    async def call(name: str) -> object:
        return await client(server).ask(name, {}, ACME, monotonic() + 60)

    for name in CALLS:
        await call(name)
    for operation in SERVER_OPERATIONS:
        server.fail(operation)
    for name, operation in zip(CALLS, SERVER_OPERATIONS, strict=True):
        with pytest.raises(HostCallError, match=f"The test made {operation} fail"):
            await call(name)

    assert len(behind.asked) == len(SERVER_OPERATIONS)
    assert server.unmet() == []


def test_what_can_fail_are_operations() -> None:
    assert set(SERVER_OPERATIONS) <= OPERATIONS.keys()


async def test_a_failure_is_met_once_and_then_over(server: ScriptedServer, behind: Behind) -> None:
    server.fail("scheduler.create", code="rate-limited", message="Slow down", retry_after_ms=100)

    with pytest.raises(HostCallError, match="Slow down") as failure:
        await create(server)
    assert await create(server) == "s-1"
    assert (failure.value.host_code, failure.value.retry_after_ms) == (HostCallCode.RATE_LIMITED, 100)
    assert behind.asked == ["create"]


async def test_failures_come_in_the_order_they_were_asked_for(server: ScriptedServer) -> None:
    server.fail("scheduler.create", code="timeout", times=2)
    server.fail("scheduler.create", code="internal")

    codes = []
    for _ in range(3):
        with pytest.raises(HostCallError) as failure:
            await create(server)
        codes.append(failure.value.host_code.value)

    assert codes == ["timeout", "timeout", "internal"]


async def test_another_operation_does_not_meet_it(server: ScriptedServer) -> None:
    server.fail("scheduler.delete")

    assert await create(server) == "s-1"


async def test_an_answer_is_lost_after_the_server_acted(server: ScriptedServer, behind: Behind) -> None:
    server.fail("scheduler.create", acted=True)

    with pytest.raises(HostCallError):
        await create(server)
    assert behind.asked == ["create"]


async def test_a_server_that_is_down_is_not_asked_and_comes_back(
    server: ScriptedServer, behind: Behind
) -> None:
    with server.down(), pytest.raises(HostCallError) as failure:
        await create(server)

    assert failure.value.host_code is HostCallCode.UNAVAILABLE
    assert behind.asked == []
    assert await create(server) == "s-1"


async def test_failures_that_were_not_met_are_listed(server: ScriptedServer) -> None:
    server.fail("scheduler.create", times=3)
    server.fail("scheduler.list", times=None)
    server.fail("scheduler.get", optional=True)
    with pytest.raises(HostCallError):
        await create(server)

    assert server.unmet() == [
        "alga.server.fail('scheduler.create') was met 1 of 3 times",
        "alga.server.fail('scheduler.list') was met 0 of 1 times",
    ]


def test_an_operation_that_never_reaches_the_server_cannot_fail_there(server: ScriptedServer) -> None:
    with pytest.raises(ValueError, match=r"no host call 'log\.emit' reaches the server; these do: scheduler"):
        server.fail("log.emit")


def test_an_unknown_code_is_refused(server: ScriptedServer) -> None:
    with pytest.raises(ValueError, match="has no error 'gone'; it has denied, not-found"):
        server.fail("scheduler.create", code="gone")
