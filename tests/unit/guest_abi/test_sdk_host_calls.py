"""The SDKs' typed host calls, on the real runner."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgpack
import pytest

from alga_runner import Observation
from alga_runner.errors import GuestAbort, GuestFailed, GuestTrap, HostCallCode, HostCallError
from alga_runner.models import CreateScheduleInput, ScheduleInfo, UpdateScheduleInput

pytestmark = pytest.mark.anyio

Call = Callable[..., Awaitable[Observation]]

CREATE = {"endpoint": "/sync", "cron": "0 * * * *", "name": "Hourly sync"}


NOT_COMMITTED = ("go", "rust_on_wasi")


@dataclass(frozen=True)
class Sdk:
    """The guest of one SDK: its bodies are MessagePack."""

    call: Call

    async def perform(self, operation: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
        observation = await self.call(f"/perform/{operation}", msgpack.packb(arguments or {}))
        assert observation.response is not None, observation.error
        answer: dict[str, Any] = msgpack.unpackb(observation.response.body())
        return answer


@pytest.fixture(
    scope="module",
    params=[
        *("assemblyscript", "rust", "c"),
        *(pytest.param(name, marks=pytest.mark.guests) for name in NOT_COMMITTED),
    ],
)
def sdk(request: pytest.FixtureRequest) -> Sdk:
    guest = "codec" if request.param == "assemblyscript" else request.param
    return Sdk(request.getfixturevalue(guest))


async def test_list_gives_every_member(sdk: Sdk) -> None:
    answer = await sdk.perform("scheduler.list")

    assert [{name: value for name, value in item.items() if value is not None} for item in answer["ok"]] == [
        {
            "id": "s-1",
            "endpointPath": "/sync",
            "endpointMethod": "POST",
            "name": "Hourly sync",
            "cron": "0 * * * *",
            "timezone": "UTC",
            "enabled": True,
            "payload": {"full": False},
            "createdAt": "2026-01-01T12:30:00Z",
        }
    ]


async def test_a_reply_that_does_not_fit_is_fetched(sdk: Sdk, alga: Any, schedule: ScheduleInfo) -> None:
    alga.schedules = [schedule.model_copy(update={"name": f"Sync {number}"}) for number in range(50)]

    answer = await sdk.perform("scheduler.list")

    assert [item["name"] for item in answer["ok"]] == [f"Sync {number}" for number in range(50)]


async def test_get_finds_a_schedule(sdk: Sdk) -> None:
    assert (await sdk.perform("scheduler.get", {"scheduleId": "s-1"}))["ok"]["name"] == "Hourly sync"


async def test_get_of_an_unknown_id_is_neither_value_nor_error(sdk: Sdk) -> None:
    assert await sdk.perform("scheduler.get", {"scheduleId": "s-2"}) == {"ok": None}


async def test_create_gives_the_new_id(sdk: Sdk, alga: Any) -> None:
    assert await sdk.perform("scheduler.create", CREATE) == {"ok": {"scheduleId": "created-1"}}
    assert alga.seen == CreateScheduleInput(**CREATE)


async def test_update_tells_leave_from_clear(sdk: Sdk, alga: Any) -> None:
    changes = {"cron": "30 2 * * *", "payload": None}

    assert await sdk.perform("scheduler.update", {"scheduleId": "s-1", **changes}) == {"ok": None}
    assert isinstance(alga.seen, UpdateScheduleInput)
    assert alga.seen.changes() == changes


async def test_delete_names_the_schedule(sdk: Sdk, alga: Any) -> None:
    assert await sdk.perform("scheduler.delete", {"scheduleId": "s-1"}) == {"ok": None}
    assert alga.seen == "s-1"


async def test_get_endpoints_gives_every_member(sdk: Sdk) -> None:
    assert (await sdk.perform("scheduler.get-endpoints"))["ok"] == [
        {"id": "e-1", "method": "POST", "path": "/sync", "handler": "dist/main", "schedulable": True}
    ]


async def test_context_is_read(sdk: Sdk) -> None:
    assert await sdk.perform("context.get") == {
        "ok": {
            "tenantId": "acme",
            "extensionId": "com.example.codec",
            "installId": "install-1",
            "config": {"intervalHours": "6"},
        }
    }


@pytest.mark.parametrize("operation", ["scheduler.create", "scheduler.update", "scheduler.delete"])
async def test_a_refused_change_is_a_value(operation: str, sdk: Sdk, alga: Any) -> None:
    alga.failure = HostCallError(
        HostCallCode.RATE_LIMITED, "Too many requests", field_errors={"cron": "Bad"}, retry_after_ms=60_000
    )

    assert await sdk.perform(operation, {"scheduleId": "s-1", **CREATE}) == {
        "err": {
            "code": "rate-limited",
            "message": "Too many requests",
            "fieldErrors": {"cron": "Bad"},
            "retryAfterMs": 60_000,
            "retryable": True,
        }
    }


async def test_an_empty_list_is_no_failure(sdk: Sdk, alga: Any) -> None:
    alga.schedules = []

    assert await sdk.perform("scheduler.list") == {"ok": []}


async def test_a_denied_list_that_nobody_caught_answers_as_json(sdk: Sdk) -> None:
    observation = await sdk.call("/perform/scheduler.list", msgpack.packb({}), providers=())

    assert observation.response is not None, observation.error
    assert observation.response.status == 403
    assert json.loads(observation.response.body())["error"]["code"] == "denied"


async def test_a_failure_that_nobody_caught_says_try_later(sdk: Sdk) -> None:
    observation = await sdk.call("/fail")

    assert observation.response is not None, observation.error
    assert observation.response.status == 503
    assert json.loads(observation.response.body()) == {
        "error": {"code": "unavailable", "message": "The server does not answer."}
    }


async def test_an_abort_names_its_message_and_place(codec: Call) -> None:
    observation = await codec("/abort")

    assert isinstance(observation.error, GuestAbort)
    assert "The guest gives up: 東京." in str(observation.error)
    assert "tests/codec.ts:" in str(observation.error)


@pytest.mark.parametrize("guest", ["rust", pytest.param("rust_on_wasi", marks=pytest.mark.guests)])
async def test_a_panic_in_rust_names_its_message_and_place(
    guest: str, request: pytest.FixtureRequest
) -> None:
    observation = await request.getfixturevalue(guest)("/panic")

    assert isinstance(observation.error, GuestFailed)
    assert re.search(
        r"panicked at examples/probe\.rs:\d+:\d+: The guest gives up: 東京\.", str(observation.error)
    )


async def test_a_guest_in_c_gives_up_with_its_own_message(c: Call) -> None:
    observation = await c("/panic")

    assert isinstance(observation.error, GuestFailed)
    assert "The guest gives up: 東京." in str(observation.error)


@pytest.mark.guests
@pytest.mark.parametrize(
    ("path", "text"),
    [("/panic", "The guest gives up: 東京."), ("/nil", "invalid memory address or nil pointer dereference")],
)
async def test_a_panic_in_go_names_its_message_and_place(path: str, text: str, go: Call) -> None:
    observation = await go(path)

    assert isinstance(observation.error, GuestFailed)
    assert re.search(rf"panicked at alga/tests/probe/main\.go:\d+: .*{text}", str(observation.error))


@pytest.mark.guests
async def test_an_error_in_go_is_logged_and_answered_with_500(go: Call) -> None:
    observation = await go("/error")

    assert observation.response is not None, observation.error
    assert observation.response.status == 500
    assert json.loads(observation.response.body())["error"]["code"] == "internal"
    assert [entry.message for entry in observation.log] == ["The guest gives up: 東京."]


@pytest.mark.guests
async def test_a_panic_in_a_goroutine_in_go_names_its_message_and_place(go: Call) -> None:
    observation = await go("/crash")

    assert isinstance(observation.error, GuestTrap)
    assert re.search(
        r"^The handler failed: panic: The guest gives up: 東京\.\n    .* at alga/tests/probe/main\.go:\d+\n",
        str(observation.error),
    )
