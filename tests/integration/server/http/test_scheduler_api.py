"""The six operations of the internal scheduler API: their answers and their refusals."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.support.server import Alga, Install

pytestmark = pytest.mark.anyio

UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


async def test_create_answers_201_with_the_id(install: Install) -> None:
    response = await install.call("create", endpoint="/sync", cron="0 * * * *")

    assert response.status_code == 201
    answer = response.json()
    assert answer == {"success": True, "scheduleId": answer["scheduleId"]}


async def test_a_schedule_comes_back_as_it_was_created(install: Install, alga: Alga) -> None:
    payload = {"full": False, "z": 1, "a": [1, 2.5, None, "ä\N{ROCKET}"]}
    schedule_id = await install.create(
        endpoint="POST /sync",
        cron=" */15 9-17 * * MON-FRI ",
        timezone="Europe/Berlin",
        name=" Hourly ",
        payload=payload,
        enabled=False,
    )

    assert await install.get(schedule_id) == {
        "id": schedule_id,
        "endpointPath": "/sync",
        "endpointMethod": "POST",
        "name": "Hourly",
        "cron": "*/15 9-17 * * MON-FRI",
        "timezone": "Europe/Berlin",
        "enabled": False,
        "payload": payload,
        "lastRunAt": None,
        "lastRunStatus": None,
        "lastError": None,
        "createdAt": "2026-01-01T00:00:00.000Z",
    }


async def test_absent_and_null_members_of_create_take_defaults(install: Install) -> None:
    for members in ({}, {"timezone": None, "enabled": None, "name": None, "payload": None}):
        schedule = await install.get(await install.create(**members))

        assert schedule["timezone"] == "UTC"
        assert schedule["enabled"] is True
        assert schedule["name"] is None
        assert schedule["payload"] is None


@pytest.mark.parametrize(
    "payload", [[], {}, [[]], [{}], [None], {"": ""}, [1, "1", 1.5, True], {"b": 1, "a": 2}, ["\ufffe", "\0"]]
)
async def test_a_payload_survives_exactly(install: Install, payload: Any) -> None:
    schedule = await install.get(await install.create(payload=payload))

    assert json.dumps(schedule["payload"]) == json.dumps(payload)


async def test_list_is_oldest_first(install: Install, alga: Alga) -> None:
    ids = []
    for _ in range(3):
        ids += [await install.create(), await install.create()]
        alga.clock.advance(timedelta(seconds=1))

    assert [schedule["id"] for schedule in await install.list()] == ids


async def test_a_list_of_nothing_is_empty(install: Install) -> None:
    assert (await install.call("list")).json() == {"schedules": []}


async def test_get_of_an_unknown_id_is_null(install: Install) -> None:
    response = await install.call("get", scheduleId=UNKNOWN_ID)

    assert response.status_code == 200
    assert response.json() == {"schedule": None}


@pytest.mark.parametrize("operation", ["update", "delete"])
async def test_update_and_delete_of_an_unknown_id_are_not_found(install: Install, operation: str) -> None:
    response = await install.call(operation, scheduleId=UNKNOWN_ID, cron="nonsense")

    assert response.status_code == 404
    assert response.json() == {"success": False, "error": "Schedule not found", "code": "NOT_FOUND"}


@pytest.mark.parametrize("operation", ["get", "update", "delete"])
@pytest.mark.parametrize("schedule_id", ["nonsense", "%", "\ud800", "\0", "' OR 1=1 --", "x" * 10_000])
async def test_a_malformed_id_is_a_validation_error(
    install: Install, operation: str, schedule_id: str
) -> None:
    response = await install.call(operation, scheduleId=schedule_id)

    assert response.status_code == 400
    answer = response.json()
    assert answer["details"] == {"formErrors": [], "fieldErrors": {"scheduleId": ["Invalid scheduleId"]}}


@pytest.mark.parametrize("operation", ["get", "update", "delete"])
@pytest.mark.parametrize("members", [{}, {"scheduleId": None}, {"scheduleId": 5}, {"scheduleId": " "}])
async def test_a_missing_id_is_a_validation_error(
    install: Install, operation: str, members: dict[str, Any]
) -> None:
    response = await install.call(operation, **members)

    assert response.status_code == 400
    answer = response.json()
    assert answer["error"] == "Validation error"
    assert answer["details"] == {"formErrors": [], "fieldErrors": {"scheduleId": ["Missing scheduleId"]}}


async def test_update_leaves_what_is_absent(install: Install) -> None:
    schedule_id = await install.create(name="Kept", payload=[1], timezone="Europe/Berlin")
    before = await install.get(schedule_id)

    response = await install.call("update", scheduleId=schedule_id, enabled=False)

    assert response.status_code == 200
    assert response.json() == {"success": True}
    assert await install.get(schedule_id) == {**before, "enabled": False}


async def test_update_clears_name_and_payload_with_null(install: Install) -> None:
    schedule_id = await install.create(name="Gone", payload=[1])

    await install.call("update", scheduleId=schedule_id, name=None, payload=None)

    schedule = await install.get(schedule_id)
    assert (schedule["name"], schedule["payload"]) == (None, None)


async def test_update_changes_everything(install: Install) -> None:
    schedule_id = await install.create(name="Old", payload={"a": 1})
    changes = {"cron": "5 4 * * *", "timezone": "Asia/Tokyo", "enabled": False, "name": "New", "payload": []}

    response = await install.call("update", scheduleId=schedule_id.upper(), endpoint="/report", **changes)

    assert response.status_code == 200
    schedule = await install.get(schedule_id)
    assert {key: schedule[key] for key in changes} == changes
    assert (schedule["endpointMethod"], schedule["endpointPath"]) == ("GET", "/report")


async def test_a_refused_update_changes_nothing(install: Install) -> None:
    schedule_id = await install.create(name="Same")
    before = await install.get(schedule_id)

    response = await install.call("update", scheduleId=schedule_id, name="Other", cron="* * * * *")

    assert response.status_code == 400
    assert await install.get(schedule_id) == before


@pytest.mark.parametrize("field", ["cron", "endpoint", "enabled"])
async def test_update_cannot_clear_what_a_schedule_needs(install: Install, field: str) -> None:
    schedule_id = await install.create()

    response = await install.call("update", scheduleId=schedule_id, **{field: None})

    assert response.status_code == 400
    assert response.json()["fieldErrors"] == {
        field: "Expected boolean" if field == "enabled" else "Expected string"
    }


async def test_a_schedule_may_keep_its_own_name(install: Install) -> None:
    schedule_id = await install.create(name="Mine")

    assert (await install.call("update", scheduleId=schedule_id, name="Mine")).status_code == 200


async def test_delete_removes_the_schedule(install: Install) -> None:
    schedule_id = await install.create()

    response = await install.call("delete", scheduleId=schedule_id)

    assert (response.status_code, response.json()) == (200, {"success": True})
    assert await install.get(schedule_id) is None
    assert (await install.call("delete", scheduleId=schedule_id)).status_code == 404


async def test_endpoints_are_ordered_by_path_and_show_which_are_schedulable(install: Install) -> None:
    endpoints = (await install.call("getEndpoints")).json()["endpoints"]

    members = ("method", "path", "handler", "schedulable")
    assert [tuple(endpoint[name] for name in members) for endpoint in endpoints] == [
        ("GET", "/both", "both_get", True),
        ("POST", "/both", "both_post", True),
        ("DELETE", "/gone", "gone", False),
        ("GET", "/items/:id", "item", False),
        ("PUT", "/put", "put", False),
        ("GET", "/report", "report", True),
        ("POST", "/sync", "sync", True),
        ("GET", "/things/{id}", "thing", False),
    ]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("cron", "* * * * *", "Cron too frequent (minimum interval is 5 minutes)"),
        ("cron", "0 0 31 2 *", "Cron never fires (no month has such a day)"),
        ("cron", "0 * * * *" + " " * 200 + "\0", "Cron expression too long"),
        ("timezone", "Europe/Atlantis", "Invalid timezone"),
        ("timezone", "Z" * 65, "Timezone too long"),
        ("payload", "text", "Payload must be a JSON object or array"),
        ("payload", ["a" * 100_000], "Payload too large"),
        ("payload", [2**60], "Payload must be JSON-serializable; it holds an integer beyond 2^53"),
        ("payload", ["\ud800"], "Payload must be JSON-serializable; it holds half of a surrogate pair"),
        ("name", "n" * 129, "Name too long"),
        ("endpoint", "/unknown", "Endpoint not found or not schedulable"),
        ("endpoint", "DELETE /gone", "Endpoint not found or not schedulable"),
        ("endpoint", "/put", "Endpoint not found or not schedulable"),
        ("endpoint", "/items/:id", "Endpoint not found or not schedulable"),
    ],
)
@pytest.mark.parametrize("operation", ["create", "update"])
async def test_a_field_that_breaks_a_rule(
    install: Install, operation: str, field: str, value: Any, message: str
) -> None:
    members = {"endpoint": "/sync", "cron": "0 * * * *", field: value}
    if operation == "update":
        members = {"scheduleId": await install.create(), field: value}

    response = await install.call(operation, **members)

    assert response.status_code == 400
    assert response.json() == {
        "success": False,
        "error": message,
        "code": "VALIDATION_FAILED",
        "fieldErrors": {field: message},
    }


async def test_one_answer_has_every_field_error(install: Install) -> None:
    await install.create(name="Taken")

    response = await install.call(
        "create", endpoint="/both", cron="* * * * *", timezone="../x", name="Taken", payload=1
    )

    assert response.status_code == 400
    answer = response.json()
    assert answer["error"] == answer["fieldErrors"]["cron"]
    assert list(answer["fieldErrors"]) == ["cron", "timezone", "payload", "name", "endpoint"]
    assert "details" not in answer


async def test_one_answer_has_errors_of_type_and_of_rule(install: Install) -> None:
    response = await install.call("create", cron=5, timezone="Nowhere", enabled="yes")

    assert response.status_code == 400
    fields = {
        "cron": "Expected string",
        "timezone": "Invalid timezone",
        "endpoint": "Required",
        "enabled": "Expected boolean",
    }
    assert response.json() == {
        "success": False,
        "error": "Validation error",
        "code": "VALIDATION_FAILED",
        "fieldErrors": fields,
        "details": {"formErrors": [], "fieldErrors": {name: [text] for name, text in fields.items()}},
    }


async def test_a_name_is_unique_within_its_install(install: Install, alga: Alga) -> None:
    other = await alga.install("tenant-b")
    await install.create(name="Nightly")
    await other.create(name="Nightly")

    response = await install.call("create", endpoint="/sync", cron="0 * * * *", name=" Nightly ")

    message = "Schedule name already in use for this extension"
    assert response.status_code == 400
    assert response.json()["fieldErrors"] == {"name": message}


async def test_the_unique_index_refuses_a_name_that_the_check_missed(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    await install.create(name="Nightly")
    monkeypatch.setattr("alga_server.schedules.schedules._name_taken", lambda *_: False)

    response = await install.call("create", endpoint="/sync", cron="0 * * * *", name="Nightly")

    assert response.status_code == 400
    assert response.json()["fieldErrors"] == {"name": "Schedule name already in use for this extension"}


async def test_the_fifty_first_schedule_is_over_quota_and_disabled_ones_count(install: Install) -> None:
    for number in range(50):
        await install.create(enabled=number % 2 == 0)

    response = await install.call("create", endpoint="/sync", cron="0 * * * *")

    assert response.status_code == 400
    assert response.json() == {
        "success": False,
        "error": "Too many schedules (max 50 per extension install)",
        "code": "QUOTA_EXCEEDED",
    }


async def test_deleting_makes_room_again(install: Install, alga: Alga) -> None:
    ids = [await install.create() for _ in range(50)]
    alga.clock.advance(timedelta(minutes=1))

    await install.call("delete", scheduleId=ids[0])

    assert await install.create() not in ids


async def test_a_schedule_names_endpoints_of_the_installed_version(install: Install, alga: Alga) -> None:
    newer = {"endpoints": [{"method": "GET", "path": "/only-in-two", "handler": "two"}]}
    await alga.publish(version="2.0.0", api=newer)

    response = await install.call("create", endpoint="/only-in-two", cron="0 * * * *")

    assert response.json()["fieldErrors"] == {"endpoint": "Endpoint not found or not schedulable"}
