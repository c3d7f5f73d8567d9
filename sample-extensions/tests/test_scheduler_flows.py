"""The primary flows (docs/scheduling.md) in every language: from an admin's install to the schedules that fire.

A caller asks the server's gateway, the server calls the runner's ``/v1/execute``, the runner asks the server: each over
a socket, on SQLite.
"""

from __future__ import annotations

import base64
import json
import logging
import queue
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import anyio
import pytest

from tests.support.deployment import SCHEDULER, Deployment, Install
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.anyio

NAMES = ["Hourly sync", "Nightly full sync"]
UNKNOWN = "00000000-0000-4000-8000-000000000000"


class GuestLines(logging.Handler):
    """What extensions logged, as the runner's log has it, which is written a moment later."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def emit(self, record: logging.LogRecord) -> None:
        if vars(record).get("action") == "guest_log":
            self._lines.put(record.getMessage().partition(" logged: ")[2])

    async def next(self, start: str = "") -> str:
        """The next line that starts like this; waits for it."""
        while not (
            line := await anyio.to_thread.run_sync(partial(self._lines.get, timeout=PATIENCE_S))
        ).startswith(start):
            pass
        return line


@pytest.fixture
def guest_log() -> Iterator[GuestLines]:
    logger, lines = logging.getLogger("alga_runner"), GuestLines()
    level = logger.level
    logger.addHandler(lines)
    logger.setLevel(logging.INFO)
    yield lines
    logger.setLevel(level)
    logger.removeHandler(lines)


# Set up schedules on extension install


async def test_setup_looks_first_and_creates_then(alga: Deployment, sample: Install) -> None:
    before = Counter(await alga.host_calls())

    response = await sample.call("POST", "/setup")

    assert response.status_code == 200, response.text
    assert Counter(await alga.host_calls()) - before == {
        ("getEndpoints", "success"): 1,
        ("list", "success"): 1,
        ("create", "success"): 2,
    }


async def test_after_setup_the_schedules_are_active(sample: Install) -> None:
    created = (await sample.call("POST", "/setup")).json()["created"]

    stored = await sample.schedules()
    assert created == [{"name": schedule["name"], "scheduleId": schedule["id"]} for schedule in stored]
    assert [
        (schedule["name"], schedule["cron"], schedule["timezone"], schedule["payload"]) for schedule in stored
    ] == [
        ("Hourly sync", "0 * * * *", "UTC", {"full": False}),
        ("Nightly full sync", "30 2 * * *", "Europe/Berlin", {"full": True}),
    ]
    assert {(row["endpointMethod"], row["endpointPath"], row["trigger"]) for row in stored} == {
        ("POST", "/sync", "host_api")
    }
    assert all(schedule["enabled"] and schedule["nextRunAt"] for schedule in stored)


async def test_setup_logs_the_schedules_that_it_created(sample: Install, guest_log: GuestLines) -> None:
    await sample.call("POST", "/setup")

    assert [await guest_log.next() for _ in NAMES] == [f"Created the schedule {name}." for name in NAMES]


async def test_a_second_setup_changes_nothing(sample: Install) -> None:
    await sample.call("POST", "/setup")
    before = await sample.schedules()

    again = (await sample.call("POST", "/setup")).json()

    assert again["created"] == []
    assert [schedule["name"] for schedule in again["existing"]] == NAMES
    assert await sample.schedules() == before


async def test_setup_creates_only_what_is_missing(sample: Install) -> None:
    await sample.call("POST", "/setup")
    await sample.attempt("delete", scheduleId=(await sample.schedules())[0]["id"])

    again = (await sample.call("POST", "/setup")).json()

    assert [schedule["name"] for schedule in again["created"]] == ["Hourly sync"]
    assert [schedule["name"] for schedule in again["existing"]] == ["Nightly full sync"]


async def test_twenty_concurrent_setups_leave_each_schedule_once(sample: Install) -> None:
    statuses = []

    async def setup() -> None:
        statuses.append((await sample.call("POST", "/setup")).status_code)

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(setup)

    assert statuses == [200] * 20
    assert sorted(schedule["name"] for schedule in await sample.schedules()) == NAMES


async def test_the_endpoints_are_those_of_the_manifest(sample: Install) -> None:
    endpoints = (await sample.attempt("get-endpoints"))["ok"]

    assert sorted(
        (endpoint["method"], endpoint["path"], endpoint["handler"], endpoint["schedulable"])
        for endpoint in endpoints
    ) == [
        ("GET", "/schedules", "dist/main", True),
        ("POST", "/cleanup", "dist/main", True),
        ("POST", "/configure", "dist/main", True),
        ("POST", "/setup", "dist/main", True),
        ("POST", "/sync", "dist/main", True),
        ("POST", "/try", "dist/main", True),
    ]


# Modify a schedule based on user configuration


async def test_configure_changes_the_interval_and_nothing_else(sample: Install) -> None:
    await sample.call("POST", "/setup")
    hourly, nightly = await sample.schedules()

    response = await sample.call("POST", "/configure", json={"intervalHours": 6})

    assert response.json() == {"scheduleId": hourly["id"], "intervalHours": 6, "cron": "0 */6 * * *"}
    changed, other = await sample.schedules()
    assert changed == {**hourly, "cron": "0 */6 * * *", "nextRunAt": changed["nextRunAt"]}
    assert int(changed["nextRunAt"][11:13]) % 6 == 0
    assert other == nightly


@pytest.mark.parametrize("hours", [0, 25, 1.5, "many", None])
async def test_configure_refuses_what_is_no_interval(sample: Install, hours: object) -> None:
    response = await sample.call("POST", "/configure", json={"intervalHours": hours})

    assert response.status_code == 400
    assert response.json()["error"]["fieldErrors"] == {
        "intervalHours": "Give a whole number of hours from 1 to 24."
    }


async def test_configure_before_setup_names_what_is_missing(sample: Install) -> None:
    response = await sample.call("POST", "/configure", json={"intervalHours": 6})

    assert response.status_code == 404
    assert "run /setup first" in response.json()["error"]["message"]


async def test_an_update_changes_what_was_given_and_nothing_else(sample: Install) -> None:
    await sample.call("POST", "/setup")
    before = (await sample.schedules())[0]

    seen = await sample.attempt("update", scheduleId=before["id"], enabled=False)

    assert "ok" in seen
    assert (await sample.schedules())[0] == {**before, "enabled": False, "nextRunAt": None}


async def test_every_member_of_a_schedule_can_be_updated(sample: Install) -> None:
    await sample.call("POST", "/setup")
    before = (await sample.schedules())[0]
    changes: dict[str, Any] = {
        "cron": "15 4 * * *",
        "timezone": "Asia/Tokyo",
        "name": "Café ☕",
        "payload": {"n": [1, None]},
    }

    await sample.attempt("update", scheduleId=before["id"], endpoint="GET /schedules", **changes)

    after = (await sample.schedules())[0]
    assert after | {"nextRunAt": None} == {
        **before,
        **changes,
        "endpointMethod": "GET",
        "endpointPath": "/schedules",
        "nextRunAt": None,
    }


async def test_null_clears_a_payload(sample: Install) -> None:
    await sample.call("POST", "/setup")

    await sample.attempt("update", scheduleId=(await sample.schedules())[0]["id"], payload=None)

    assert (await sample.schedules())[0]["payload"] is None


# List and get


async def test_a_list_shows_payloads_as_values(sample: Install) -> None:
    await sample.call("POST", "/setup")

    listed = (await sample.call("GET", "/schedules")).json()["schedules"]

    assert [(schedule["name"], schedule["payload"]) for schedule in listed] == [
        ("Hourly sync", {"full": False}),
        ("Nightly full sync", {"full": True}),
    ]


async def test_get_gives_the_schedule_that_list_has(sample: Install) -> None:
    await sample.call("POST", "/setup")
    listed = (await sample.attempt("list"))["ok"]

    assert [(await sample.attempt("get", scheduleId=schedule["id"]))["ok"] for schedule in listed] == listed


async def test_to_get_an_unknown_schedule_gives_null(sample: Install) -> None:
    assert await sample.attempt("get", scheduleId=UNKNOWN) == {"ok": None}


# Schedules fire


async def test_the_hourly_sync_fires_with_its_payload_and_knows_why(
    alga: Deployment, sample: Install, guest_log: GuestLines
) -> None:
    await alga.to_midnight()
    await sample.call("POST", "/setup")
    hourly = (await sample.schedules())[0]
    today = hourly["nextRunAt"][:10]

    (run,) = await alga.pass_time(hours=1)

    assert (run["scheduleId"], run["status"], run["httpStatus"], run["trigger"]) == (
        hourly["id"],
        "success",
        200,
        "schedule",
    )
    assert run["dueAt"] == f"{today}T01:00:00.000Z"
    when = f"schedule {hourly['id']}, nominal time {run['nominalTime']}"
    assert await guest_log.next("Sync") == f'Sync: trigger schedule, {when}, payload {{"full":false}}.'


async def test_a_nominal_time_is_that_of_the_schedules_zone_and_the_handler_gets_it_in_utc(
    alga: Deployment, sample: Install, guest_log: GuestLines
) -> None:
    await alga.to_midnight()
    await sample.call("POST", "/setup")
    await sample.call("POST", "/configure", json={"intervalHours": 24})

    (run,) = await alga.pass_time(hours=2)

    assert (run["nominalTime"][10:], run["dueAt"][10:]) == ("T02:30:00.000+01:00", "T01:30:00.000Z")
    assert (await guest_log.next("Sync")).endswith(f'nominal time {run["dueAt"]}, payload {{"full":true}}.')


async def test_the_extension_sees_how_its_last_run_went(alga: Deployment, sample: Install) -> None:
    await alga.to_midnight()
    await sample.call("POST", "/setup")
    (run,) = await alga.pass_time(hours=1)

    hourly = (await sample.call("GET", "/schedules")).json()["schedules"][0]

    assert (hourly["lastRunAt"], hourly["lastRunStatus"]) == (run["startedAt"], "success")


async def test_the_extension_sees_why_its_last_run_failed(alga: Deployment, sample: Install) -> None:
    await alga.to_midnight()
    await sample.attempt("create", endpoint="/configure", cron="0 * * * *", payload={"intervalHours": 99})

    (run,) = await alga.pass_time(hours=1)

    assert (run["status"], run["httpStatus"], run["errorCode"]) == ("error", 400, "handler_status")
    assert "Give a whole number of hours" in run["responseBody"]
    (listed,) = (await sample.attempt("list"))["ok"]
    assert (listed["lastRunStatus"], listed["lastError"]) == ("error", run["errorMessage"])


async def test_a_scheduled_handler_makes_host_calls(alga: Deployment, sample: Install) -> None:
    await alga.to_midnight()
    await sample.attempt("create", endpoint="/cleanup", cron="0 * * * *")

    (run,) = await alga.pass_time(hours=1)

    assert run["status"] == "success"
    assert await sample.schedules() == []


async def test_a_new_interval_changes_when_the_schedule_fires(alga: Deployment, sample: Install) -> None:
    await alga.to_midnight()
    await sample.call("POST", "/setup")
    await sample.call("POST", "/configure", json={"intervalHours": 6})

    runs = await alga.pass_time(hours=12)

    assert [run["dueAt"][11:16] for run in runs] == ["01:30", "06:00", "12:00"]


async def test_a_schedule_that_was_disabled_or_deleted_does_not_fire(
    alga: Deployment, sample: Install
) -> None:
    await alga.to_midnight()
    await sample.call("POST", "/setup")
    hourly, nightly = await sample.schedules()
    await sample.attempt("update", scheduleId=hourly["id"], enabled=False)
    await sample.attempt("delete", scheduleId=nightly["id"])

    assert await alga.pass_time(hours=3) == []


async def test_a_caller_cannot_pretend_to_be_a_schedule(sample: Install) -> None:
    forged = {"X-Alga-Trigger": "schedule", "x-alga-schedule-id": "s", "x-alga-nominal-time": "n"}

    answers = [
        (await sample.call("POST", "/sync", json={}, **forged)).json(),
        json.loads(base64.b64decode((await sample.execute("/sync", **forged))["body_b64"])),
    ]

    unforged = {"synced": "changes", "trigger": None, "scheduleId": None, "nominalTime": None}
    assert answers == [unforged, unforged]


# Clean up schedules on extension disable or uninstall


async def test_cleanup_deletes_every_schedule(sample: Install) -> None:
    await sample.call("POST", "/setup")

    response = await sample.call("POST", "/cleanup")

    assert response.json() == {"deleted": 2}
    assert await sample.schedules() == []


async def test_a_disabled_extension_is_not_called_and_keeps_its_schedules(
    alga: Deployment, sample: Install
) -> None:
    await alga.to_midnight()
    await sample.call("POST", "/setup")

    await sample.change(enabled=False)

    assert (await sample.call("POST", "/cleanup")).status_code == 404
    assert await alga.pass_time(hours=2) == []
    assert [schedule["name"] for schedule in await sample.schedules()] == NAMES


async def test_an_uninstall_takes_the_schedules_along(alga: Deployment, extension_id: str) -> None:
    await alga.to_midnight()
    first = await alga.install(extension_id, "mover")
    await first.call("POST", "/setup")
    await first.uninstall()

    assert await alga.pass_time(hours=2) == []
    second = await alga.install(extension_id, "mover")
    assert (await second.call("GET", "/schedules")).json() == {"schedules": []}
    await second.uninstall()


async def test_an_install_neither_sees_nor_changes_the_schedules_of_another(
    alga: Deployment, sample: Install, extension_id: str
) -> None:
    other = await alga.install(extension_id, "stranger", grants=(SCHEDULER,))
    await other.call("POST", "/setup")
    theirs = await other.schedules()

    assert await sample.attempt("get", scheduleId=theirs[0]["id"]) == {"ok": None}
    assert "error" in await sample.attempt("update", scheduleId=theirs[0]["id"], enabled=False)
    assert "error" in await sample.attempt("delete", scheduleId=theirs[0]["id"])
    assert (await sample.call("POST", "/cleanup")).json() == {"deleted": 0}
    assert await other.schedules() == theirs
    await other.uninstall()
