"""What the host refuses, as the guest sees it: a value with a code, a message and the fields it is about."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from alga_common.wire import MAX_PAYLOAD_UNITS
from alga_runner.testing import Alga, Call, Extension

Install = Callable[..., Extension]
Attempt = Callable[..., dict[str, Any]]

GOOD = {"endpoint": "/sync", "cron": "0 * * * *"}
OPERATIONS = ["list", "get", "create", "update", "delete", "get-endpoints"]
MAX_SCHEDULES = 50


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        pytest.param(
            {"cron": "* * * * *"}, "Cron too frequent (minimum interval is 5 minutes)", id="every-minute"
        ),
        pytest.param({"cron": "61 * * * *"}, "Invalid cron expression (bad minute)", id="cron"),
        pytest.param({"timezone": "Mars/Olympus"}, "Invalid timezone", id="zone"),
        pytest.param({"endpoint": "/nowhere"}, "Endpoint not found or not schedulable", id="endpoint"),
        pytest.param({"endpoint": "GET /sync"}, "Endpoint not found or not schedulable", id="method"),
        pytest.param({"payload": {"text": "x" * 100_001}}, "Payload too large", id="payload"),
        pytest.param({"name": "n" * 129}, "Name too long", id="name"),
    ],
)
def test_a_field_against_a_rule_is_that_fields_error(
    demo: Extension, attempt: Attempt, wrong: dict[str, object], message: str
) -> None:
    (field,) = wrong

    seen = attempt(demo, "create", **{**GOOD, **wrong})

    assert seen == {
        "error": {"code": "validation-failed", "message": message, "fieldErrors": {field: message}}
    }
    assert demo.schedules() == []


def test_every_wrong_field_is_named_at_once(demo: Extension, attempt: Attempt) -> None:
    seen = attempt(demo, "create", endpoint="/nowhere", cron="* * * * *", timezone="Mars/Olympus")

    assert seen["error"]["fieldErrors"].keys() == {"endpoint", "cron", "timezone"}


def test_a_name_that_is_taken_is_refused(demo: Extension, attempt: Attempt) -> None:
    attempt(demo, "create", **GOOD, name="Report")

    seen = attempt(demo, "create", **GOOD, name="Report")

    assert seen["error"]["fieldErrors"] == {"name": "Schedule name already in use for this extension"}
    assert len(demo.schedules()) == 1


def test_a_name_is_taken_within_one_install_only(install: Install, attempt: Attempt) -> None:
    ours, theirs = install("acme"), install("globex")
    attempt(theirs, "create", **GOOD, name="Report")

    assert "ok" in attempt(ours, "create", **GOOD, name="Report")


def test_the_fifty_first_schedule_is_over_the_quota(demo: Extension, attempt: Attempt) -> None:
    demo.call_many([Call("POST", "/try", json={"operation": "create", **GOOD})] * MAX_SCHEDULES)

    seen = attempt(demo, "create", **GOOD)

    message = "Too many schedules (max 50 per extension install)"
    assert seen == {"error": {"code": "quota-exceeded", "message": message}}
    assert len(demo.schedules()) == MAX_SCHEDULES


def test_sixty_creates_at_once_do_not_get_past_the_quota(demo: Extension) -> None:
    responses = demo.call_many([Call("POST", "/try", json={"operation": "create", **GOOD})] * 60)

    codes = [response.json().get("error", {}).get("code", "ok") for response in responses]
    assert codes.count("ok") == MAX_SCHEDULES
    assert codes.count("quota-exceeded") == 10
    assert len(demo.schedules()) == MAX_SCHEDULES


def test_a_payload_has_one_limit_in_every_script(demo: Extension) -> None:
    units = MAX_PAYLOAD_UNITS - len('{"text":""}')
    seen = []
    for count in (units, units + 1):
        create = {"operation": "create", **GOOD, "payload": {"text": "字" * count}}
        body = json.dumps(create, ensure_ascii=False).encode()
        seen.append(demo.call("POST", "/try", body=body).json())

    assert "ok" in seen[0]
    assert seen[1]["error"]["code"] == "validation-failed"
    assert seen[1]["error"]["fieldErrors"] == {"payload": "Payload too large"}


def test_a_request_past_the_frame_is_too_large(demo: Extension, attempt: Attempt) -> None:
    seen = attempt(demo, "create", **GOOD, payload={"text": "x" * 400_000})

    assert seen["error"]["code"] == "too-large"
    assert demo.schedules() == []


@pytest.mark.parametrize("operation", OPERATIONS)
def test_without_the_capability_every_operation_is_denied(
    alga: Alga, install: Install, attempt: Attempt, operation: str
) -> None:
    demo = install(grant=())

    seen = attempt(demo, operation, **GOOD, scheduleId=str(uuid4()))

    assert seen["error"]["code"] == "denied"
    assert "cap:scheduler.manage not granted" in seen["error"]["message"]
    calls = [
        line
        for line in alga.server_metrics().splitlines()
        if line.startswith("extension_scheduler_api_calls_total{")
    ]
    assert [line for line in calls if not line.endswith(" 0.0")] == [], (
        "a denied call must not reach the server"
    )


def test_a_capability_that_was_revoked_is_denied_from_then_on(demo: Extension, attempt: Attempt) -> None:
    attempt(demo, "create", **GOOD)
    demo.revoke("cap:scheduler.manage")

    assert attempt(demo, "list")["error"]["code"] == "denied"


@pytest.mark.parametrize("operation", ["update", "delete"])
def test_an_unknown_id_is_not_found(demo: Extension, attempt: Attempt, operation: str) -> None:
    attempt(demo, "create", **GOOD)
    before = demo.schedules()

    seen = attempt(demo, operation, scheduleId="00000000-0000-4000-8000-000000000000")

    assert seen == {"error": {"code": "not-found", "message": "Schedule not found"}}
    assert demo.schedules() == before


@pytest.mark.parametrize("operation", ["get", "update", "delete"])
@pytest.mark.parametrize("schedule_id", ["nonsense", "../schedules", "' OR 1=1 --"])
def test_an_id_that_is_none_is_named(
    demo: Extension, attempt: Attempt, operation: str, schedule_id: str
) -> None:
    attempt(demo, "create", **GOOD)
    before = demo.schedules()

    error = attempt(demo, operation, scheduleId=schedule_id)["error"]

    assert error["code"] == "validation-failed"
    assert error["fieldErrors"] == {"scheduleId": "Invalid scheduleId"}
    assert demo.schedules() == before


def test_to_get_an_unknown_id_gives_nothing(demo: Extension, attempt: Attempt) -> None:
    assert attempt(demo, "get", scheduleId=str(uuid4())) == {"ok": None}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_server_that_is_down_is_unavailable_to_every_operation(
    alga: Alga, demo: Extension, attempt: Attempt, operation: str
) -> None:
    with alga.server.down():
        seen = attempt(demo, operation, **GOOD, scheduleId=str(uuid4()))

    assert seen["error"]["code"] == "unavailable"


def test_a_refusal_says_when_to_try_again(alga: Alga, demo: Extension, attempt: Attempt) -> None:
    alga.server.fail("scheduler.create", code="rate-limited", message="Slow down", retry_after_ms=1500)

    seen = attempt(demo, "create", **GOOD)

    assert seen["error"] == {
        "code": "rate-limited",
        "message": "Slow down",
        "retryAfterMs": 1500,
        "retryable": True,
    }


def test_too_many_changes_are_refused_until_the_time_that_the_guest_was_told(
    alga: Alga, demo: Extension, attempt: Attempt
) -> None:
    """By the server's own count: fifty immediately, then ten a minute."""
    for _ in range(25):
        created = attempt(demo, "create", **GOOD)
        attempt(demo, "delete", scheduleId=created["ok"]["scheduleId"])

    refused = attempt(demo, "create", **GOOD)["error"]
    wait_ms = refused["retryAfterMs"]
    assert refused == {
        "code": "rate-limited",
        "message": refused["message"],
        "retryAfterMs": wait_ms,
        "retryable": True,
    }
    assert 0 < wait_ms <= 6_000
    assert demo.schedules() == []

    alga.clock.advance(seconds=wait_ms / 1000)

    assert "ok" in attempt(demo, "create", **GOOD)
