"""Firing a schedule: the call, its record, and everything that prevents it."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import anyio
import httpx
import pytest
from sqlalchemy import Connection, select, update

from alga_server import ServerSettings
from alga_server.storage import tables
from tests.support.firing import HOURLY, fire_during_runs, fire_next, settle
from tests.support.server import FakeRunner, Install

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


@pytest.fixture
def settings(settings: ServerSettings) -> ServerSettings:
    return settings.model_copy(update={"max_schedule_runs": 3, "shutdown_grace_seconds": 0})


# ---- The call


async def test_a_post_handler_gets_the_payload_as_its_json_body(
    install: Install, fake_runner: FakeRunner
) -> None:
    await fire_next(install, payload={"full": False, "name": "Jürgen"})

    [asked] = fake_runner.asked
    assert (asked["http"]["method"], asked["http"]["path"]) == ("POST", "/sync")
    assert json.loads(base64.b64decode(asked["http"]["body_b64"])) == {"full": False, "name": "Jürgen"}
    assert asked["http"]["headers"]["content-type"] == "application/json"
    assert asked["http"]["query"] == {}


async def test_a_get_handler_gets_the_payload_as_a_query_parameter(
    install: Install, fake_runner: FakeRunner
) -> None:
    await fire_next(install, endpoint="/report", payload=[1, {"a": None}])

    [asked] = fake_runner.asked
    assert asked["http"]["method"] == "GET"
    assert json.loads(asked["http"]["query"]["payload"]) == [1, {"a": None}]
    assert "body_b64" not in asked["http"]
    assert "content-type" not in asked["http"]["headers"]


@pytest.mark.parametrize("endpoint", ["/sync", "/report"])
async def test_no_payload_is_no_body_and_no_parameter(
    install: Install, fake_runner: FakeRunner, endpoint: str
) -> None:
    await fire_next(install, endpoint=endpoint)

    [asked] = fake_runner.asked
    assert "body_b64" not in asked["http"]
    assert asked["http"]["query"] == {}
    assert set(asked["http"]["headers"]) == {"x-alga-tenant", "x-alga-extension"}


async def test_the_handler_is_told_why_and_for_when_it_runs(
    install: Install, fake_runner: FakeRunner
) -> None:
    schedule_id = await fire_next(install, timezone="Asia/Kolkata", name="Hourly")

    context = fake_runner.asked[0]["context"]
    assert context["trigger"] == "schedule"
    assert context["schedule_id"] == schedule_id
    assert context["nominal_time"] == "2026-01-01T00:30:00.000Z"
    assert context["schedule_timezone"] == "Asia/Kolkata"
    assert (context["schedule_name"], context["attempt"]) == ("Hourly", 1)
    assert context["started_at"] == "2026-01-01T01:00:00.000Z"
    assert (context["tenant_id"], context["install_id"]) == (install.tenant, install.id)


async def test_a_run_has_a_fresh_request_id_and_an_idempotency_key_of_its_own(
    install: Install, fake_runner: FakeRunner
) -> None:
    schedule_id = await fire_next(install)
    await install.alga.pass_time(hours=1)

    ids = {request["context"]["request_id"] for request in fake_runner.asked}
    assert len({UUID(request_id) for request_id in ids}) == 2
    assert [headers["x-idempotency-key"] for headers in fake_runner.headers] == [
        f"{schedule_id}:schedule:2026-01-01T01:00:00.000Z",
        f"{schedule_id}:schedule:2026-01-01T02:00:00.000Z",
    ]


# ---- How it went


async def test_a_success_is_on_the_schedule_and_in_the_history(
    install: Install, fake_runner: FakeRunner
) -> None:
    fake_runner.status = 204
    schedule_id = await fire_next(install)

    schedule = await install.get(schedule_id)
    assert schedule["lastRunStatus"] == "success"
    assert schedule["lastRunAt"] == "2026-01-01T01:00:00.000Z"
    assert schedule["lastError"] is None
    assert await install.next_run_at(schedule_id) == "2026-01-01T02:00:00.000Z"
    [run] = await install.runs(schedule_id)
    assert (run["status"], run["httpStatus"], run["attempt"], run["missed"]) == ("success", 204, 1, 0)
    assert run["nominalTime"] == run["dueAt"] == run["startedAt"] == run["finishedAt"]
    assert run["requestId"] == fake_runner.asked[0]["context"]["request_id"]


Failure = tuple[int, httpx.Response | None, str, str]
FAILURES: dict[str, Failure] = {
    "a status": (503, None, "handler_status", "The handler POST /sync answered 503"),
    "the runner's words": (
        200,
        httpx.Response(
            200, json={"status": 500, "headers": {}, "body_b64": None, "error": "guest_trapped: unreachable"}
        ),
        "guest_trapped",
        "guest_trapped: unreachable",
    ),
    "garbage": (
        200,
        httpx.Response(200, content=b"<html>"),
        "runner_garbled",
        "The runner's answer is not an execute response",
    ),
    "no body": (
        200,
        httpx.Response(200),
        "runner_garbled",
        "The runner's answer is not an execute response",
    ),
    "a runner that is down": (
        200,
        httpx.Response(502),
        "runner_unavailable",
        "The runner cannot serve (HTTP 502)",
    ),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_a_failure_is_on_the_schedule_and_in_the_history(
    install: Install, fake_runner: FakeRunner, failure: Failure
) -> None:
    fake_runner.status, fake_runner.answer, code, message = failure
    schedule_id = await fire_next(install)

    schedule = await install.get(schedule_id)
    assert (schedule["lastRunStatus"], schedule["lastError"]) == ("error", message)
    [run] = await install.runs(schedule_id)
    assert (run["status"], run["errorCode"], run["errorMessage"]) == ("error", code, message)


async def test_a_success_clears_the_last_error(install: Install, fake_runner: FakeRunner) -> None:
    fake_runner.status = 500
    schedule_id = await fire_next(install)
    fake_runner.status = 200
    await install.alga.pass_time(hours=1)

    assert (await install.get(schedule_id))["lastError"] is None


async def test_the_runners_words_are_kept_to_a_bound(install: Install, fake_runner: FakeRunner) -> None:
    body = {"status": 500, "headers": {}, "body_b64": None, "error": "x" * 100_000}
    fake_runner.answer = httpx.Response(200, json=body)
    schedule_id = await fire_next(install)

    assert 100 < len((await install.get(schedule_id))["lastError"]) <= 4_000


async def test_a_failed_run_is_not_tried_again_before_its_time(
    install: Install, fake_runner: FakeRunner
) -> None:
    fake_runner.status = 500
    await fire_next(install)

    assert await install.alga.pass_time(minutes=59) == []
    assert len(fake_runner.asked) == 1


async def test_an_executor_that_breaks_is_an_error_of_the_run(
    install: Install, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(install.alga.server._services.executor, "execute", broken)
    schedule_id = await fire_next(install)

    assert (await install.get(schedule_id))["lastError"] == "Internal error"
    assert [run["errorCode"] for run in await install.runs()] == ["internal_error"]
    assert "dispatch_failure" in [getattr(record, "action", "") for record in caplog.records]


# ---- Order and time


async def test_schedules_fire_in_the_order_of_their_instants(
    install: Install, fake_runner: FakeRunner
) -> None:
    late = await install.create(cron="30 1 * * *")
    early = await install.create(cron="5 0 * * *")
    middle = await install.create(cron="0 6 * * *", timezone="Asia/Kolkata")

    await install.alga.pass_time(hours=2)

    assert [run["scheduleId"] for run in await install.runs()] == [early, middle, late]


async def test_what_is_not_due_does_not_fire(install: Install, fake_runner: FakeRunner) -> None:
    await install.create(cron=HOURLY)

    assert await install.alga.pass_time(minutes=59, seconds=59) == []
    assert fake_runner.asked == []


async def test_no_more_runs_than_allowed_are_under_way(
    install: Install, fake_runner: FakeRunner, settings: ServerSettings
) -> None:
    ids = [await install.create(cron=HOURLY) for _ in range(7)]
    fake_runner.hold()
    install.alga.clock.advance(timedelta(hours=1))
    async with anyio.create_task_group() as group:
        group.start_soon(install.alga.server.dispatcher.run_due)
        await fake_runner.was_asked(3)
        await settle(install.alga.server)
        at_once = len(fake_runner.asked)
        fake_runner.let_go()

    assert at_once == settings.max_schedule_runs == 3
    assert [run["scheduleId"] for run in await install.runs()] == ids


async def test_times_that_passed_unseen_are_counted_and_the_latest_fires(
    install: Install, fake_runner: FakeRunner
) -> None:
    schedule_id = await install.create(cron=HOURLY)

    await install.alga.pass_time(hours=5, minutes=10)

    assert fake_runner.nominal_times() == ["2026-01-01T05:00:00.000Z"]
    [run] = await install.runs()
    assert (run["status"], run["reason"], run["missed"]) == ("success", "missed", 4)
    assert await install.next_run_at(schedule_id) == "2026-01-01T06:00:00.000Z"
    assert "alga_server_schedule_missed_total 4.0" in await install.alga.metrics()


async def test_two_times_on_one_instant_run_one_after_the_other(
    install: Install, fake_runner: FakeRunner
) -> None:
    await install.alga.pass_time(days=87)  # 2026-03-29, the clocks of Berlin go forward at 01:00 UTC
    await install.create(cron="0,30 2,3 * * *", timezone="Europe/Berlin")

    await install.alga.pass_time(hours=1)

    assert fake_runner.nominal_times() == ["2026-03-29T01:00:00.000Z"] * 3
    assert fake_runner.most_running == 1
    runs = await install.runs()
    assert [(run["nominalTime"], run["status"]) for run in runs] == [
        ("2026-03-29T02:00:00.000+01:00", "success"),
        ("2026-03-29T02:30:00.000+01:00", "success"),
        ("2026-03-29T03:00:00.000+02:00", "success"),
    ]


# ---- Overlap


async def test_a_schedule_does_not_overlap_itself(install: Install, fake_runner: FakeRunner) -> None:
    fake_runner.hold()
    schedule_id = await install.create(cron=HOURLY)
    await fire_during_runs(install, fake_runner)

    first, second = await install.runs(schedule_id)
    assert (first["status"], first["nominalTime"]) == ("success", "2026-01-01T01:00:00.000Z")
    assert (second["status"], second["reason"]) == ("skipped", "overlap")
    assert second["nominalTime"] == "2026-01-01T02:00:00.000Z"
    assert len(fake_runner.asked) == 1
    assert (await install.get(schedule_id))["lastRunStatus"] == "success"
    assert 'alga_server_schedule_skipped_total{reason="overlap"} 1.0' in await install.alga.metrics()


async def test_overlap_is_recorded_even_when_there_is_no_room_for_more(
    install: Install, fake_runner: FakeRunner
) -> None:
    fake_runner.hold()
    for _ in range(3):
        await install.create(cron=HOURLY)
    await fire_during_runs(install, fake_runner, asked=3, runs=6)

    assert [run["status"] for run in await install.runs()] == ["success"] * 3 + ["skipped"] * 3


# ---- Enabled, disabled, gone


async def test_a_disabled_schedule_has_no_next_time_and_counts_from_when_it_is_enabled(
    install: Install, fake_runner: FakeRunner
) -> None:
    schedule_id = await install.create(cron=HOURLY)
    await install.call("update", scheduleId=schedule_id, enabled=False)
    assert await install.next_run_at(schedule_id) is None
    assert await install.alga.pass_time(hours=3, minutes=30) == []

    await install.call("update", scheduleId=schedule_id, enabled=True)

    assert await install.next_run_at(schedule_id) == "2026-01-01T04:00:00.000Z"
    assert await install.alga.pass_time(minutes=5) == []


async def test_a_disabled_install_fires_nothing_and_counts_from_when_it_is_enabled(
    install: Install, fake_runner: FakeRunner
) -> None:
    schedule_id = await install.create(cron=HOURLY)
    off = await install.create(cron=HOURLY, enabled=False)
    await install.alga.admin("PATCH", install.admin_path, json={"enabled": False})
    assert await install.next_run_at(schedule_id) is None
    assert await install.alga.pass_time(hours=3, minutes=30) == []

    await install.alga.admin("PATCH", install.admin_path, json={"enabled": True})

    assert await install.next_run_at(schedule_id) == "2026-01-01T04:00:00.000Z"
    assert await install.next_run_at(off) is None
    assert await install.runs() == []


async def test_enabling_what_is_enabled_loses_nothing_that_is_due(
    install: Install, fake_runner: FakeRunner
) -> None:
    schedule_id = await install.create(cron=HOURLY)
    install.alga.clock.advance(timedelta(hours=1))

    await install.alga.admin("PATCH", install.admin_path, json={"enabled": True})
    await install.call("update", scheduleId=schedule_id, enabled=True, name="Renamed", cron=HOURLY)

    assert [run.nominal_time for run in await install.alga.pass_time()] == ["2026-01-01T01:00:00.000Z"]


async def test_schedules_of_a_disabled_install_can_be_made_and_wait(
    install: Install, fake_runner: FakeRunner
) -> None:
    await install.alga.admin("PATCH", install.admin_path, json={"enabled": False})
    body = {"endpoint": "/sync", "cron": HOURLY}
    response = await install.alga.admin("POST", f"{install.admin_path}/schedules", json=body)

    assert response.json()["nextRunAt"] is None


async def test_a_new_cron_counts_from_when_it_was_set(install: Install) -> None:
    schedule_id = await install.create(cron=HOURLY)
    install.alga.clock.advance(timedelta(minutes=10))

    await install.call("update", scheduleId=schedule_id, cron="*/20 * * * *")

    assert await install.next_run_at(schedule_id) == "2026-01-01T00:20:00.000Z"


async def test_another_payload_leaves_the_next_time(install: Install, fake_runner: FakeRunner) -> None:
    schedule_id = await install.create(cron=HOURLY)
    install.alga.clock.advance(timedelta(hours=1))

    await install.call("update", scheduleId=schedule_id, payload={"a": 1})

    assert len(await install.alga.pass_time()) == 1
    assert json.loads(base64.b64decode(fake_runner.asked[0]["http"]["body_b64"])) == {"a": 1}


async def test_a_schedule_whose_endpoint_vanished_is_disabled_with_the_reason(
    install: Install, fake_runner: FakeRunner
) -> None:
    schedule_id = await install.create(cron=HOURLY)
    newer = await install.alga.publish(version="2.0.0", api={"endpoints": []})

    def install_it(connection: Connection) -> None:
        connection.execute(update(tables.install).values(version_id=newer["versionId"]))

    await install.alga.server._services.database.write(install_it)
    await install.alga.pass_time(hours=1)

    schedule = await install.get(schedule_id)
    assert schedule["enabled"] is False
    assert schedule["lastRunStatus"] == "error"
    assert schedule["lastError"] == "Schedule endpoint not found; disabling schedule"
    assert await install.next_run_at(schedule_id) is None
    [run] = await install.runs()
    assert (run["status"], run["errorCode"]) == ("error", "endpoint_not_found")
    assert await install.alga.pass_time(days=1) == []
    assert fake_runner.asked == []


async def while_running(install: Install, fake_runner: FakeRunner, change: Any) -> str:
    """Do ``change`` while the run of a new schedule is under way; the schedule's id."""
    fake_runner.hold()
    schedule_id: str = await install.create(cron=HOURLY)
    install.alga.clock.advance(timedelta(hours=1))
    async with anyio.create_task_group() as group:
        group.start_soon(install.alga.server.dispatcher.run_due)
        await fake_runner.was_asked(1)
        await change(schedule_id)
        fake_runner.let_go()
    return schedule_id


async def test_deleting_a_schedule_while_it_runs_keeps_its_history(
    install: Install, fake_runner: FakeRunner
) -> None:
    async def delete(schedule_id: str) -> None:
        assert (await install.call("delete", scheduleId=schedule_id)).status_code == 200

    schedule_id = await while_running(install, fake_runner, delete)

    assert [run["status"] for run in await install.runs(schedule_id)] == ["success"]
    assert await install.list() == []


async def test_disabling_a_schedule_while_it_runs_lets_it_end(
    install: Install, fake_runner: FakeRunner
) -> None:
    async def disable(schedule_id: str) -> None:
        await install.call("update", scheduleId=schedule_id, enabled=False)

    schedule_id = await while_running(install, fake_runner, disable)

    assert (await install.get(schedule_id))["lastRunStatus"] == "success"
    assert await install.next_run_at(schedule_id) is None


async def test_uninstalling_while_it_runs_leaves_nothing(install: Install, fake_runner: FakeRunner) -> None:
    async def uninstall(_schedule_id: str) -> None:
        assert (await install.alga.admin("DELETE", install.admin_path)).status_code == 204

    await while_running(install, fake_runner, uninstall)

    def left(connection: Connection) -> int:
        return len(connection.execute(select(tables.schedule_run.c.id)).all())

    assert await install.alga.server._services.database.read(left) == 0


async def test_no_transaction_is_open_while_a_handler_runs(install: Install, fake_runner: FakeRunner) -> None:
    # In memory there is one connection: a transaction left open would keep everybody else out.
    async def write(_schedule_id: str) -> None:
        await install.create(cron=HOURLY, name="Meanwhile")

    await while_running(install, fake_runner, write)

    assert [schedule["name"] for schedule in await install.list()] == [None, "Meanwhile"]
