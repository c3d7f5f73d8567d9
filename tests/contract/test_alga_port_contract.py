"""What any way to an Alga server must do, checked against the reference server, in each dialect, with and without
a socket, and against a double of Alga's own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import monotonic
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from alga_runner.alga import AlgaServer, HttpAlgaServer, Identity
from alga_runner.alga.dialects import Dialect
from alga_runner.errors import HostCallCode, HostCallError, ServerFault
from alga_runner.models import CreateScheduleInput, UpdateScheduleInput

pytestmark = pytest.mark.anyio

RUNNER_TOKEN = SecretStr("runner-token-for-tests")
HOURLY = CreateScheduleInput(endpoint="/sync", cron="0 * * * *")
CHANGES_AT_ONCE = 50

Call = Callable[[AlgaServer, Identity, str, float], Awaitable[object]]

CALLS: dict[str, Call] = {
    "list": lambda port, identity, _, by: port.list_schedules(identity, by),
    "get": lambda port, identity, schedule_id, by: port.get_schedule(identity, schedule_id, by),
    "create": lambda port, identity, _, by: port.create_schedule(identity, HOURLY, by),
    "update": lambda port, identity, schedule_id, by: port.update_schedule(
        identity, UpdateScheduleInput(schedule_id=schedule_id, enabled=False), by
    ),
    "delete": lambda port, identity, schedule_id, by: port.delete_schedule(identity, schedule_id, by),
    "get-endpoints": lambda port, identity, _, by: port.get_endpoints(identity, by),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())


async def refusal(answer: Awaitable[object]) -> HostCallError:
    with pytest.raises(HostCallError) as caught:
        await answer
    return caught.value


async def test_a_new_install_has_no_schedules(every_port: AlgaServer, home: Any, soon: float) -> None:
    assert await every_port.list_schedules(home.identity, soon) == []


async def test_endpoints_come_by_path_and_say_whether_they_can_be_scheduled(
    every_port: AlgaServer, home: Any, soon: float
) -> None:
    endpoints = await every_port.get_endpoints(home.identity, soon)

    assert [(endpoint.method, endpoint.path, endpoint.schedulable) for endpoint in endpoints] == [
        ("GET", "/report", True),
        ("POST", "/sync", True),
        ("DELETE", "/thing/:id", False),
    ]


async def test_a_created_schedule_comes_back_as_it_was_given(
    every_port: AlgaServer, home: Any, soon: float
) -> None:
    payload = {"full": None, "list": [1, 2.5, "ü", {"deep": [None]}], "snake_case": True, "": ""}
    changed = CreateScheduleInput(
        endpoint="POST /sync",
        cron="*/15 8-17 * * 1,2",
        timezone="Europe/Riga",
        enabled=False,
        name="Nächtlich 🌒",
        payload=payload,
    )

    schedule_id = await every_port.create_schedule(home.identity, changed, soon)
    schedule = await every_port.get_schedule(home.identity, schedule_id, soon)

    assert schedule is not None
    assert schedule.model_dump(exclude={"created_at"}) == {
        "id": schedule_id,
        "endpoint_path": "/sync",
        "endpoint_method": "POST",
        "name": "Nächtlich 🌒",
        "cron": "*/15 8-17 * * 1,2",
        "timezone": "Europe/Riga",
        "enabled": False,
        "payload": payload,
        "last_run_at": None,
        "last_run_status": None,
        "last_error": None,
    }


async def test_what_is_not_given_takes_its_default(every_port: AlgaServer, home: Any, soon: float) -> None:
    await every_port.create_schedule(home.identity, HOURLY, soon)

    (schedule,) = await every_port.list_schedules(home.identity, soon)
    assert (schedule.timezone, schedule.enabled, schedule.name, schedule.payload) == ("UTC", True, None, None)


async def test_schedules_come_oldest_first(every_port: AlgaServer, alga: Any, home: Any, soon: float) -> None:
    ids = []
    for _ in range(3):
        ids.append(await every_port.create_schedule(home.identity, HOURLY, soon))
        alga.clock.advance(timedelta(seconds=1))

    assert [schedule.id for schedule in await every_port.list_schedules(home.identity, soon)] == ids


async def test_an_update_leaves_what_it_does_not_name(every_port: AlgaServer, home: Any, soon: float) -> None:
    changed = CreateScheduleInput(endpoint="/sync", cron="0 * * * *", name="mine", payload={"a": 1})
    schedule_id = await every_port.create_schedule(home.identity, changed, soon)

    await every_port.update_schedule(
        home.identity, UpdateScheduleInput(schedule_id=schedule_id, cron="5 * * * *"), soon
    )

    (schedule,) = await every_port.list_schedules(home.identity, soon)
    assert (schedule.cron, schedule.name, schedule.payload, schedule.enabled) == (
        "5 * * * *",
        "mine",
        {"a": 1},
        True,
    )


async def test_an_update_clears_what_it_names_with_nothing(
    every_port: AlgaServer, home: Any, soon: float
) -> None:
    changed = CreateScheduleInput(endpoint="/sync", cron="0 * * * *", name="mine", payload={"a": 1})
    schedule_id = await every_port.create_schedule(home.identity, changed, soon)

    await every_port.update_schedule(
        home.identity, UpdateScheduleInput(schedule_id=schedule_id, name=None, payload=None), soon
    )

    (schedule,) = await every_port.list_schedules(home.identity, soon)
    assert (schedule.name, schedule.payload) == (None, None)


async def test_a_deleted_schedule_is_gone(every_port: AlgaServer, home: Any, soon: float) -> None:
    schedule_id = await every_port.create_schedule(home.identity, HOURLY, soon)
    await every_port.delete_schedule(home.identity, schedule_id, soon)

    assert await every_port.get_schedule(home.identity, schedule_id, soon) is None
    assert await every_port.list_schedules(home.identity, soon) == []


async def test_getting_an_unknown_schedule_is_no_error(
    every_port: AlgaServer, home: Any, soon: float
) -> None:
    assert await every_port.get_schedule(home.identity, str(uuid4()), soon) is None


@pytest.mark.parametrize("name", ["update", "delete"])
async def test_changing_an_unknown_schedule_is_not_found(
    every_port: AlgaServer, home: Any, soon: float, name: str
) -> None:
    error = await refusal(CALLS[name](every_port, home.identity, str(uuid4()), soon))

    assert (error.host_code, str(error)) == (HostCallCode.NOT_FOUND, "Schedule not found")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("cron", "* * * * *", "Cron too frequent (minimum interval is 5 minutes)"),
        ("cron", "0 * * *", "Invalid cron expression (expected 5 fields: m h dom mon dow)"),
        ("timezone", "Mars/Olympus", "Invalid timezone"),
        ("endpoint", "/nowhere", "Endpoint not found or not schedulable"),
        ("endpoint", "DELETE /thing/:id", "Endpoint not found or not schedulable"),
        ("name", "n" * 129, "Name too long"),
        ("payload", 5, "Payload must be a JSON object or array"),
        ("payload", {"x": "y" * 100_000}, "Payload too large"),
    ],
)
async def test_the_servers_field_errors_arrive_word_for_word(
    *, every_port: AlgaServer, home: Any, soon: float, field: str, value: object, message: str
) -> None:
    changed = HOURLY.model_copy(update={field: value})

    error = await refusal(every_port.create_schedule(home.identity, changed, soon))

    assert error.host_code is HostCallCode.VALIDATION_FAILED
    assert error.field_errors == {field: message}
    assert await every_port.list_schedules(home.identity, soon) == []


async def test_a_name_is_taken_once(every_port: AlgaServer, home: Any, soon: float) -> None:
    changed = HOURLY.model_copy(update={"name": "nightly"})
    await every_port.create_schedule(home.identity, changed, soon)

    error = await refusal(every_port.create_schedule(home.identity, changed, soon))

    assert error.field_errors == {"name": "Schedule name already in use for this extension"}


async def test_the_quota_has_its_own_code(every_port: AlgaServer, home: Any, soon: float) -> None:
    for _ in range(4):
        await every_port.create_schedule(home.identity, HOURLY, soon)

    error = await refusal(every_port.create_schedule(home.identity, HOURLY, soon))

    assert error.host_code is HostCallCode.QUOTA_EXCEEDED
    assert str(error).startswith("Too many schedules")


async def test_over_the_rate_the_refusal_says_how_long_to_wait(
    port: AlgaServer, installed: Any, soon: float
) -> None:
    schedule_id = await port.create_schedule(installed.identity, HOURLY, soon)
    change = UpdateScheduleInput(schedule_id=schedule_id, enabled=False)
    for _ in range(CHANGES_AT_ONCE - 1):
        await port.update_schedule(installed.identity, change, soon)

    error = await refusal(port.update_schedule(installed.identity, change, soon))

    assert error.host_code is HostCallCode.RATE_LIMITED
    assert str(error) == "Too many requests, please try again later"
    assert error.retry_after_ms == 6000


async def test_a_create_with_an_idempotency_key_happens_once(
    port: AlgaServer, installed: Any, soon: float
) -> None:
    first, again = [
        await port.create_schedule(installed.identity, HOURLY, soon, idempotency_key="request-1:1")
        for _ in range(2)
    ]

    assert first == again
    assert [schedule.id for schedule in await port.list_schedules(installed.identity, soon)] == [first]


async def test_an_idempotency_key_with_another_request_is_a_conflict(
    port: AlgaServer, installed: Any, soon: float
) -> None:
    other = CreateScheduleInput(endpoint="/sync", cron="5 * * * *")
    await port.create_schedule(installed.identity, HOURLY, soon, idempotency_key="request-1:1")

    error = await refusal(
        port.create_schedule(installed.identity, other, soon, idempotency_key="request-1:1")
    )

    assert error.host_code is HostCallCode.CONFLICT


async def test_a_create_with_a_guests_own_key_happens_once_in_every_execution(
    ports: dict[str, AlgaServer], installed: Any, soon: float
) -> None:
    port, schedule = ports["prd-http"], HOURLY.model_copy(update={"idempotency_key": "import-7"})

    ids = [
        await port.create_schedule(installed.identity, schedule, soon, idempotency_key=f"request-{number}:1")
        for number in range(2)
    ]

    assert ids[0] == ids[1]


async def test_a_guests_key_is_none_of_the_runners(
    ports: dict[str, AlgaServer], installed: Any, soon: float
) -> None:
    port, schedule = ports["prd-http"], HOURLY.model_copy(update={"idempotency_key": "request-1:1"})
    keys = ("request-1:1", "guest:request-1:1")
    by_runner = [
        await port.create_schedule(installed.identity, HOURLY, soon, idempotency_key=key) for key in keys
    ]

    assert await port.create_schedule(installed.identity, schedule, soon) not in by_runner


async def test_the_check_of_the_token_needs_no_install(port: AlgaServer, soon: float) -> None:
    port.token_refused = True

    await port.check_token(soon)

    assert not port.token_refused


async def test_the_check_of_a_wrong_token_says_so(base_url: str, soon: float, dialect: Dialect) -> None:
    port = HttpAlgaServer(base_url, SecretStr("wrong-token"), dialect=dialect)

    error = await refusal(port.check_token(soon))
    await port.aclose()

    assert error.fault is ServerFault.UNAUTHORIZED


@pytest.mark.parametrize("path", ["/nowhere", "/api/admin"])
async def test_another_route_of_the_server_is_not_a_schedule_that_is_not_found(
    *, base_url: str, installed: Any, soon: float, dialect: Dialect, path: str
) -> None:
    port = HttpAlgaServer(base_url + path, RUNNER_TOKEN, dialect=dialect)

    error = await refusal(port.list_schedules(installed.identity, soon))
    await port.aclose()

    assert (error.host_code, error.fault) == (HostCallCode.UNAVAILABLE, ServerFault.UNUSABLE_ANSWER)


@every_call
async def test_an_install_without_the_capability_is_denied(
    port: AlgaServer, installed: Any, soon: float, call: Call
) -> None:
    await installed.change(grants=[])

    error = await refusal(call(port, installed.identity, str(uuid4()), soon))

    assert error.host_code is HostCallCode.DENIED


@every_call
async def test_a_disabled_install_is_refused(
    port: AlgaServer, installed: Any, soon: float, call: Call
) -> None:
    await installed.change(enabled=False)

    error = await refusal(call(port, installed.identity, str(uuid4()), soon))

    assert error.host_code in {HostCallCode.NOT_FOUND, HostCallCode.DENIED}


@every_call
async def test_a_call_without_an_install_is_denied_before_it_is_sent(
    port: AlgaServer, installed: Any, soon: float, call: Call
) -> None:
    error = await refusal(call(port, installed.identity._replace(install_id=None), str(uuid4()), soon))

    assert (error.host_code, str(error)) == (HostCallCode.DENIED, "Install ID missing")


@every_call
@pytest.mark.parametrize("foreign", ["tenant_id", "install_id"])
async def test_an_identity_mixed_from_two_tenants_is_refused(
    *, port: AlgaServer, installed: Any, stranger: Any, soon: float, call: Call, foreign: str
) -> None:
    schedule_id = await port.create_schedule(stranger.identity, HOURLY, soon)
    mixed = installed.identity._replace(**{foreign: getattr(stranger.identity, foreign)})

    error = await refusal(call(port, mixed, schedule_id, soon))

    assert error.host_code in {HostCallCode.NOT_FOUND, HostCallCode.DENIED}
    (left,) = await port.list_schedules(stranger.identity, soon)
    assert (left.id, left.enabled) == (schedule_id, True)
    assert await port.list_schedules(installed.identity, soon) == []


@every_call
async def test_an_identity_with_another_extension_is_refused(
    port: AlgaServer, alga: Any, installed: Any, soon: float, call: Call
) -> None:
    other = await alga.publish("com.acme.other")
    mixed = installed.identity._replace(extension_id=other)

    error = await refusal(call(port, mixed, str(uuid4()), soon))

    assert error.host_code in {HostCallCode.NOT_FOUND, HostCallCode.DENIED}


@every_call
async def test_a_tenant_cannot_touch_or_see_another_tenants_schedule(
    port: AlgaServer, installed: Any, stranger: Any, soon: float, call: Call
) -> None:
    theirs = await port.create_schedule(stranger.identity, HOURLY, soon)
    before = await port.list_schedules(stranger.identity, soon)

    seen: object = None
    refused: HostCallCode | None = None
    try:
        seen = await call(port, installed.identity, theirs, soon)
    except HostCallError as error:
        refused = error.host_code

    assert refused in {None, HostCallCode.NOT_FOUND}
    assert theirs not in str(seen)
    assert await port.list_schedules(stranger.identity, soon) == before


@every_call
async def test_after_the_deadline_nothing_is_asked(
    port: AlgaServer, installed: Any, soon: float, call: Call
) -> None:
    error = await refusal(call(port, installed.identity, str(uuid4()), monotonic() - 1))

    assert error.host_code is HostCallCode.TIMEOUT
    assert await port.list_schedules(installed.identity, soon) == []


@every_call
async def test_a_wrong_token_is_the_operator_s_mistake_and_not_shown(
    base_url: str, installed: Any, soon: float, call: Call, dialect: Dialect
) -> None:
    port = HttpAlgaServer(base_url, SecretStr("wrong-token"), dialect=dialect)

    error = await refusal(call(port, installed.identity, str(uuid4()), soon))
    await port.aclose()

    assert (error.host_code, error.fault) == (HostCallCode.UNAVAILABLE, ServerFault.UNAUTHORIZED)
    assert "Invalid runner token" in str(error.detail)
    assert port.token_refused
    assert "wrong-token" not in repr(error) + repr(port)
