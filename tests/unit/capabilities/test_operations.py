from __future__ import annotations

from collections.abc import Awaitable, Mapping
from time import monotonic
from typing import Any

import pytest
from pydantic import ValidationError

from alga_runner.alga import Identity, NoAlgaServer
from alga_runner.capabilities import OPERATIONS, Execution, LogLimits
from alga_runner.capabilities.gate import Gate
from alga_runner.capabilities.operation import Listing, LogLine, Members
from alga_runner.errors import HostCallCode, HostCallError, LogLimit
from alga_runner.models import (
    CreatedSchedule,
    CreateScheduleInput,
    EndpointInfo,
    ExecutionContext,
    ScheduleInfo,
    UpdateScheduleInput,
)
from alga_runner.telemetry import Telemetry

pytestmark = pytest.mark.anyio

HERE = Identity("tenant-1", "acme.sync", "install-1", "request-1")
NOWHERE = Identity("tenant-1", "acme.sync", None, None)

INPUTS: dict[str, dict[str, Any]] = {
    "scheduler.list": {},
    "scheduler.get": {"scheduleId": "s-1"},
    "scheduler.create": {"endpoint": "/sync", "cron": "0 * * * *", "payload": {"full": None}},
    "scheduler.update": {"scheduleId": "s-1", "name": None},
    "scheduler.delete": {"scheduleId": "s-1"},
    "scheduler.get-endpoints": {},
}


class Text(str):
    """A string of another type."""


class ListeningServer(NoAlgaServer):
    """Writes down what it is asked and answers with nothing much."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []
        self.created: Any = "s-2"

    async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
        self.heard.append(("list", identity, deadline))
        return []

    async def get_schedule(
        self, identity: Identity, schedule_id: str, deadline: float
    ) -> ScheduleInfo | None:
        self.heard.append(("get", identity, deadline, schedule_id))
        return None

    async def create_schedule(
        self,
        identity: Identity,
        schedule: CreateScheduleInput,
        deadline: float,
        *,
        idempotency_key: str | None = None,
    ) -> str:
        self.heard.append(
            ("create", identity, deadline, schedule.endpoint, schedule.payload, idempotency_key)
        )
        return self.created

    async def update_schedule(
        self, identity: Identity, changes: UpdateScheduleInput, deadline: float
    ) -> None:
        self.heard.append(("update", identity, deadline, changes.schedule_id, changes.changes()))

    async def delete_schedule(self, identity: Identity, schedule_id: str, deadline: float) -> None:
        self.heard.append(("delete", identity, deadline, schedule_id))

    async def get_endpoints(self, identity: Identity, deadline: float) -> list[EndpointInfo]:
        self.heard.append(("get-endpoints", identity, deadline))
        return []


class Plain:
    """No encoding at all."""

    def decode(self, request: object) -> object:
        return request

    def encode(self, reply: Mapping[str, object]) -> Mapping[str, object]:
        return reply

    def piece(self, item: object, /) -> object:
        return item


def an_execution(
    identity: Identity = HERE, context: ExecutionContext | None = None, **more: Any
) -> Execution:
    named = {name: value for name, value in identity._asdict().items() if name != "execution_token"}
    return Execution(
        context=context or ExecutionContext(**named, content_hash=""),
        granted=frozenset(),
        alga=ListeningServer(),
        deadline=monotonic() + 60,
        **more,
    )


async def run(execution: Execution, name: str, /, **members: Any) -> object:
    operation = OPERATIONS[name]
    output = await operation.run(execution, operation.validate(members))
    if isinstance(output, Listing):
        return [schedule async for page in output.pages for schedule in page.schedules]
    return output.members if isinstance(output, Members) else operation.dump(output)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("scheduler.list", ()),
        ("scheduler.get", ("s-1",)),
        ("scheduler.create", ("/sync", {"full": None}, "request-1:1")),
        ("scheduler.update", ("s-1", {"name": None})),
        ("scheduler.delete", ("s-1",)),
        ("scheduler.get-endpoints", ()),
    ],
)
async def test_a_scheduler_operation_asks_the_port_with_the_executions_identity_and_deadline(
    name: str, said: tuple[object, ...]
) -> None:
    execution = an_execution()
    await run(execution, name, **INPUTS[name])

    assert isinstance(execution.alga, ListeningServer)
    assert execution.alga.heard == [
        (name.removeprefix("scheduler."), HERE, execution.deadline, *said),
    ]


@pytest.mark.parametrize(
    "schedule_id", ["s-2", "", "é", 64 * "a", 65 * "a", "\ud800", b"s", 5, None, Text("s")]
)
async def test_the_id_of_a_new_schedule_is_checked_as_its_model_has_it(schedule_id: object) -> None:
    execution = an_execution()
    assert isinstance(execution.alga, ListeningServer)
    execution.alga.created = schedule_id

    answered = await outcome(run(execution, "scheduler.create", **INPUTS["scheduler.create"]))
    assert answered == await outcome(dumped(schedule_id))


async def dumped(schedule_id: Any) -> object:
    return CreatedSchedule(schedule_id=schedule_id).model_dump(by_alias=True)


async def outcome(answer: Awaitable[object]) -> object:
    """What ``answer`` gives, or the faults that it has."""
    try:
        return await answer
    except ValidationError as error:
        return error.errors(include_url=False)


@pytest.mark.parametrize("name", ["scheduler.update", "scheduler.delete"])
async def test_an_operation_without_an_output_answers_an_empty_map_of_its_own(name: str) -> None:
    outputs = [await run(an_execution(), name, **INPUTS[name]) for _ in "ab"]

    assert outputs == [{}, {}]
    assert outputs[0] is not outputs[1]


@pytest.mark.parametrize("name", sorted(INPUTS))
async def test_a_guest_cannot_name_another_install(name: str) -> None:
    execution = an_execution()
    await run(execution, name, **INPUTS[name], installId="install-2", tenantId="tenant-2", identity="x")

    assert isinstance(execution.alga, ListeningServer)
    assert [heard[1] for heard in execution.alga.heard] == [HERE]


@pytest.mark.parametrize("name", sorted(INPUTS))
async def test_without_an_install_schedules_are_denied_before_the_port_is_asked(name: str) -> None:
    execution = an_execution(NOWHERE)

    with pytest.raises(HostCallError, match=r"^Install ID missing$") as caught:
        await run(execution, name, **INPUTS[name])

    assert caught.value.host_code is HostCallCode.DENIED
    assert isinstance(execution.alga, ListeningServer)
    assert execution.alga.heard == []


@pytest.mark.parametrize(
    ("request_id", "keys"),
    [
        ("request-9", ["request-9:1", "request-9:2"]),
        (None, [None, None]),
        ("", [None, None]),
    ],
)
async def test_each_create_of_an_execution_has_its_own_idempotency_key(
    request_id: str | None, keys: list[str | None]
) -> None:
    execution = an_execution(HERE._replace(request_id=request_id))
    gate = Gate(Telemetry())
    execution.granted = frozenset({"cap:scheduler.manage"})
    for _ in range(2):
        await gate.call(execution, OPERATIONS["scheduler.create"], INPUTS["scheduler.create"], Plain())

    assert isinstance(execution.alga, ListeningServer)
    assert [heard[-1] for heard in execution.alga.heard] == keys


async def test_a_long_request_id_makes_a_key_that_servers_take() -> None:
    first, second = (an_execution(HERE._replace(request_id="r" * 500 + end)) for end in "ab")

    assert first.idempotency_key != second.idempotency_key
    assert len(str(first.idempotency_key)) <= 256


async def test_a_guest_cannot_choose_the_idempotency_key() -> None:
    execution = an_execution()
    await run(execution, "scheduler.create", **INPUTS["scheduler.create"], idempotencyKey="mine")

    assert isinstance(execution.alga, ListeningServer)
    assert [heard[-1] for heard in execution.alga.heard] == ["request-1:1"]


async def test_create_answers_the_new_id() -> None:
    assert await run(an_execution(), "scheduler.create", **INPUTS["scheduler.create"]) == {
        "scheduleId": "s-2"
    }


async def test_the_context_has_what_is_known() -> None:
    context = ExecutionContext(
        request_id="request-1",
        tenant_id="tenant-1",
        install_id="install-1",
        extension_id="acme.sync",
        content_hash="sha256:0",
        version_id="v-1",
        config={"region": "eu"},
        trigger="schedule",
        schedule_id="s-1",
        nominal_time="2026-01-02T03:00:00Z",
        schedule_name="Nightly",
        schedule_timezone="Europe/Berlin",
        attempt=2,
        started_at="2026-01-02T03:01:00Z",
    )
    execution = an_execution(context=context)

    assert (await run(execution, "context.get"))["context"] == {
        "requestId": "request-1",
        "tenantId": "tenant-1",
        "extensionId": "acme.sync",
        "installId": "install-1",
        "versionId": "v-1",
        "config": {"region": "eu"},
        "trigger": "schedule",
        "scheduleId": "s-1",
        "nominalTime": "2026-01-02T03:00:00.000Z",
        "scheduleName": "Nightly",
        "scheduleTimezone": "Europe/Berlin",
        "attempt": 2,
        "startedAt": "2026-01-02T03:01:00.000Z",
    }


async def test_the_context_leaves_out_what_is_not_known() -> None:
    assert (await run(an_execution(NOWHERE), "context.get"))["context"] == {
        "tenantId": "tenant-1",
        "extensionId": "acme.sync",
        "config": {},
    }


async def test_a_log_line_reaches_the_executions_log() -> None:
    execution = an_execution()
    await run(execution, "log.emit", level="warn", message="careful")

    assert execution.log == [LogLine("warn", "careful")]


async def test_an_unknown_level_counts_as_info() -> None:
    execution = an_execution()
    await run(execution, "log.emit", level="shout", message="hey")

    assert execution.log == [LogLine("info", "hey")]


async def test_a_long_line_is_cut_on_a_character() -> None:
    execution = an_execution(log_limits=LogLimits(line_bytes=5))
    await run(execution, "log.emit", level="info", message="abcdé")

    assert execution.log == [LogLine("info", "abcd", truncated=True)]


async def test_too_many_lines_end_the_execution() -> None:
    execution = an_execution(log_limits=LogLimits(lines=1))
    await run(execution, "log.emit", level="info", message="one")

    with pytest.raises(LogLimit):
        await run(execution, "log.emit", level="info", message="two")
    assert len(execution.log) == 1


async def test_too_many_bytes_end_the_execution() -> None:
    execution = an_execution(log_limits=LogLimits(total_bytes=5))

    with pytest.raises(LogLimit):
        await run(execution, "log.emit", level="info", message="sixsix")
    assert execution.log == []
