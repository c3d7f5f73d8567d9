"""Failures that a test asks for, in front of a server that answers."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from alga_runner.alga import AlgaServer, Identity
from alga_runner.capabilities import OPERATIONS
from alga_runner.errors import HostCallCode, HostCallError
from alga_runner.models import CreateScheduleInput, UpdateScheduleInput
from alga_runner.testing.scripted import RELAYED, Relay, ScriptedServer

pytestmark = pytest.mark.anyio

ACME = Identity("acme", "extension-1", "install-1", "request-1")
SCHEDULE = CreateScheduleInput(endpoint="/sync", cron="0 * * * *")
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "get_schedule": ("s",),
    "create_schedule": (SCHEDULE,),
    "update_schedule": (UpdateScheduleInput(schedule_id="s"),),
    "delete_schedule": ("s",),
}


class Recording(Relay):
    """Answers nothing, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(self)
        self.asked: list[str] = []

    async def carry(self, operation: str, ask: Any) -> Any:
        self.asked.append(operation)
        return f"answer to {operation}"


@pytest.fixture
def behind() -> Recording:
    return Recording()


@pytest.fixture
def server(behind: Recording) -> ScriptedServer:
    return ScriptedServer(behind)


async def create(server: AlgaServer) -> str:
    return await server.create_schedule(ACME, SCHEDULE, 0.0)


async def test_every_method_of_the_port_is_passed_on(server: ScriptedServer, behind: Recording) -> None:
    methods = [
        name
        for name, method in inspect.getmembers(AlgaServer, inspect.iscoroutinefunction)
        if getattr(method, "__isabstractmethod__", False)
    ]

    answers = [await getattr(server, name)(ACME, *ARGUMENTS.get(name, ()), 0.0) for name in methods]

    assert sorted(behind.asked) == sorted(RELAYED)
    assert answers.count(None) == 2, "update and delete answer nothing"


def test_what_can_fail_are_operations() -> None:
    assert set(RELAYED) <= OPERATIONS.keys()


async def test_a_failure_is_met_once_and_then_over(server: ScriptedServer, behind: Recording) -> None:
    server.fail("scheduler.create", code="rate-limited", message="Slow down", retry_after_ms=100)

    with pytest.raises(HostCallError, match="Slow down") as failure:
        await create(server)
    assert await create(server) == "answer to scheduler.create"
    assert (failure.value.host_code, failure.value.retry_after_ms) == (HostCallCode.RATE_LIMITED, 100)
    assert behind.asked == ["scheduler.create"]


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

    assert await create(server) == "answer to scheduler.create"


async def test_a_lost_answer_comes_after_the_work(server: ScriptedServer, behind: Recording) -> None:
    server.fail("scheduler.create", acted=True)

    with pytest.raises(HostCallError):
        await create(server)
    assert behind.asked == ["scheduler.create"]


async def test_a_server_that_is_down_is_not_asked_and_comes_back(
    server: ScriptedServer, behind: Recording
) -> None:
    with server.down(), pytest.raises(HostCallError) as failure:
        await create(server)

    assert failure.value.host_code is HostCallCode.UNAVAILABLE
    assert behind.asked == []
    assert await create(server) == "answer to scheduler.create"


async def test_what_was_not_met_is_told(server: ScriptedServer) -> None:
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
