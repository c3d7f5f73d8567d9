"""What the host refuses, as a guest in every language sees it, over the sockets of ``test_scheduler_flows``."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.deployment import BURST, MAX_SCHEDULES, SCHEDULER, Deployment, Install
from tests.support.patience import past_its_deadline

pytestmark = pytest.mark.anyio

GOOD = {"endpoint": "/sync", "cron": "0 * * * *"}
UNKNOWN = "00000000-0000-4000-8000-000000000000"


# Validation


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        pytest.param({"cron": "* * * * *"}, "Cron too frequent (minimum interval is 5 minutes)", id="often"),
        pytest.param({"cron": "61 * * * *"}, "Invalid cron expression (bad minute)", id="cron"),
        pytest.param({"timezone": "Mars/Olympus"}, "Invalid timezone", id="zone"),
        pytest.param({"endpoint": "/nowhere"}, "Endpoint not found or not schedulable", id="endpoint"),
        pytest.param({"payload": {"text": "x" * 100_001}}, "Payload too large", id="payload"),
        pytest.param({"name": "n" * 129}, "Name too long", id="name"),
    ],
)
async def test_a_field_against_a_rule_is_that_fields_error(
    sample: Install, wrong: dict[str, object], message: str
) -> None:
    (field,) = wrong

    error = (await sample.attempt("create", **{**GOOD, **wrong}))["error"]

    assert (error["message"], error["fieldErrors"]) == (message, {field: message})
    assert await sample.schedules() == []


async def test_every_wrong_field_is_named(sample: Install) -> None:
    wrong = {"endpoint": "/nowhere", "cron": "* * * * *", "timezone": "Mars/Olympus"}

    error = (await sample.attempt("create", **wrong))["error"]

    assert error["fieldErrors"].keys() == wrong.keys()


async def test_a_name_that_is_taken_is_refused(sample: Install) -> None:
    await sample.attempt("create", **GOOD, name="Report")

    error = (await sample.attempt("create", **GOOD, name="Report"))["error"]

    assert error["fieldErrors"] == {"name": "Schedule name already in use for this extension"}


async def test_a_refused_update_leaves_the_schedule_as_it_was(sample: Install) -> None:
    await sample.attempt("create", **GOOD)
    before = await sample.schedules()

    error = (await sample.attempt("update", scheduleId=before[0]["id"], cron="* * * * *", enabled=False))[
        "error"
    ]

    assert error["fieldErrors"].keys() == {"cron"}
    assert await sample.schedules() == before


@pytest.mark.parametrize("operation", ["update", "delete"])
async def test_a_change_of_an_unknown_schedule_is_refused(sample: Install, operation: str) -> None:
    error = (await sample.attempt(operation, scheduleId=UNKNOWN))["error"]

    assert error["message"] == "Schedule not found"


@pytest.mark.parametrize("operation", ["update", "delete"])
async def test_an_id_that_is_none_is_named(sample: Install, operation: str) -> None:
    """In the message, where the world's record for the result has no place for field errors."""
    error = (await sample.attempt(operation, scheduleId="../schedules"))["error"]

    assert "Invalid scheduleId" in error.get("fieldErrors", {}).get("scheduleId", error["message"])


# Grants


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/setup"), ("GET", "/schedules"), ("POST", "/cleanup")]
)
async def test_without_the_grant_nothing_reaches_the_server(
    alga: Deployment, ungranted: Install, method: str, path: str
) -> None:
    before = await alga.host_calls()

    response = await ungranted.call(method, path)

    assert (response.status_code, response.json()["error"]["code"]) == (403, "denied")
    assert await alga.host_calls() == before


@pytest.mark.parametrize("operation", ["create", "update", "delete"])
async def test_without_the_grant_a_change_is_an_answer_that_names_the_capability(
    ungranted: Install, operation: str
) -> None:
    members: dict[str, Any] = GOOD if operation == "create" else {"scheduleId": UNKNOWN}

    error = (await ungranted.attempt(operation, **members))["error"]

    assert "cap:scheduler.manage not granted" in error["message"]


async def test_a_grant_counts_from_the_next_call(ungranted: Install) -> None:
    await ungranted.change(grants=[SCHEDULER])

    assert (await ungranted.call("POST", "/setup")).status_code == 200


async def test_a_grant_that_was_revoked_is_denied_to_schedules_that_fire(
    alga: Deployment, sample: Install
) -> None:
    await alga.to_midnight()
    await sample.attempt("create", endpoint="/setup", cron="0 * * * *")

    await sample.change(grants=[])
    (run,) = await alga.pass_time(hours=1)

    assert (run["status"], run["httpStatus"]) == ("error", 403)
    assert '"denied"' in run["responseBody"]


# Quotas


async def test_one_schedule_too_many_is_refused_with_the_quota(sample: Install) -> None:
    for _ in range(MAX_SCHEDULES):
        assert "ok" in await sample.attempt("create", **GOOD)

    error = (await sample.attempt("create", **GOOD))["error"]

    assert error["message"] == f"Too many schedules (max {MAX_SCHEDULES} per extension install)"
    assert len(await sample.schedules()) == MAX_SCHEDULES


async def test_too_many_changes_are_refused_until_time_has_passed(alga: Deployment, sample: Install) -> None:
    for _ in range(BURST // 2):
        created = await sample.attempt("create", **GOOD)
        await sample.attempt("delete", scheduleId=created["ok"]["scheduleId"])

    error = (await sample.attempt("create", **GOOD))["error"]
    await alga.pass_time(minutes=1)

    assert "Too many" in error["message"]
    assert "ok" in await sample.attempt("create", **GOOD)


# Outages and deadlines


async def test_while_the_server_is_down_the_extension_answers_with_an_error(
    alga: Deployment, sample: Install
) -> None:
    with alga.outages.down():
        response = await sample.call("POST", "/setup")
        written = await sample.attempt("create", **GOOD)

    assert response.status_code in {502, 503}
    assert response.json()["error"]["message"]
    assert written["error"]["message"]
    assert (await sample.call("POST", "/setup")).status_code == 200


async def test_a_host_call_that_is_not_answered_ends_with_the_deadline(
    alga: Deployment, sample: Install
) -> None:
    with alga.outages.held():
        setup = sample.call("POST", "/setup")
        response = await past_its_deadline(alga.runner, setup, lambda _: alga.outages.waiting == 1)

    assert (response.status_code, response.json()["code"]) == (504, "deadline_exceeded")
    assert (await sample.call("POST", "/setup")).status_code == 200


async def test_an_endpoint_that_the_manifest_lacks_is_not_called(sample: Install) -> None:
    assert (await sample.call("POST", "/nowhere")).status_code == 404
