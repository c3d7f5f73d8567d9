"""The scheduler demo, tested the way an extension's author tests: every part is real, nothing leaves the process.

`sample-extensions/tests` has the flows that it shares with the samples in other languages.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from alga_runner.testing import Alga, Extension

FOLDER = Path(__file__).parents[1]
NAMES = ["Hourly sync", "Nightly full sync"]


@pytest.fixture
def demo(alga: Alga) -> Extension:
    """The demo, installed for a tenant whose admin granted what it asks for."""
    return alga.install(FOLDER, grant=["cap:scheduler.manage"])


# Setup


def test_setup_creates_the_schedules(alga: Alga, demo: Extension) -> None:
    response = demo.call("POST", "/setup")

    created = response.json()["created"]
    assert response.status == 200
    assert created == [{"name": schedule.name, "scheduleId": schedule.id} for schedule in alga.schedules()]
    assert [schedule.name for schedule in alga.schedules()] == NAMES


def test_setup_looks_first_and_creates_then(alga: Alga, demo: Extension) -> None:
    demo.call("POST", "/setup")

    assert [call.operation for call in alga.host_calls] == [
        "scheduler.get-endpoints",
        "scheduler.list",
        "scheduler.create",
        "scheduler.create",
    ]
    assert alga.host_calls[3].arguments == {
        "endpoint": "POST /sync",
        "cron": "30 2 * * *",
        "timezone": "Europe/Berlin",
        "name": "Nightly full sync",
        "payload": {"full": True},
    }


def test_the_schedules_belong_to_the_extension_and_have_a_next_run(demo: Extension) -> None:
    demo.call("POST", "/setup")

    assert {schedule.trigger for schedule in demo.schedules()} == {"host_api"}
    assert all(schedule.next_run_at for schedule in demo.schedules())


def test_a_setup_whose_answer_was_lost_finds_its_schedule(alga: Alga, demo: Extension) -> None:
    alga.server.fail("scheduler.create", code="unavailable", acted=True)

    response = demo.call("POST", "/setup").json()

    assert [schedule["name"] for schedule in response["existing"]] == ["Hourly sync"]
    assert [schedule["name"] for schedule in response["created"]] == ["Nightly full sync"]
    assert [schedule.name for schedule in demo.schedules()] == NAMES


def test_setup_while_the_server_is_down_says_so(alga: Alga, demo: Extension) -> None:
    with alga.server.down():
        response = demo.call("POST", "/setup")

    assert response.status == 503
    assert response.json()["error"]["code"] == "unavailable"
    assert alga.schedules() == []


def test_setup_can_be_repeated_once_the_server_is_back(alga: Alga, demo: Extension) -> None:
    with alga.server.down():
        demo.call("POST", "/setup")

    assert demo.call("POST", "/setup").status == 200
    assert [schedule.name for schedule in alga.schedules()] == NAMES


# Configure


def test_configure_takes_the_interval_from_the_configuration(alga: Alga) -> None:
    demo = alga.install(FOLDER, grant=["cap:scheduler.manage"], config={"intervalHours": "24"})
    demo.call("POST", "/setup")

    assert demo.call("POST", "/configure").status == 200
    assert demo.schedules()[0].cron == "0 0 * * *"


def test_configure_sees_a_configuration_that_changed(demo: Extension) -> None:
    demo.call("POST", "/setup")
    demo.configure({"intervalHours": "2"})

    demo.call("POST", "/configure")

    assert demo.schedules()[0].cron == "0 */2 * * *"


def test_configure_refuses_a_body_that_is_no_json(demo: Extension) -> None:
    assert demo.call("POST", "/configure", body=b"{intervalHours").status == 400


# Cleanup


def test_two_cleanups_at_once_delete_every_schedule_once(demo: Extension) -> None:
    demo.call("POST", "/setup")

    responses = demo.call_many([("POST", "/cleanup")] * 2)

    assert sum(response.json()["deleted"] for response in responses) == 2
    assert demo.schedules() == []


# The scheduled job


def test_the_hourly_sync_fires_after_an_hour(alga: Alga, demo: Extension) -> None:
    demo.call("POST", "/setup")
    hourly = demo.schedules()[0]

    (run,) = alga.clock.advance(hours=1)

    assert (run.name, run.status, run.started_at) == ("Hourly sync", "success", "2026-01-01T01:00:00.000Z")
    assert run.response is not None
    assert run.response.json() == {
        "synced": "changes",
        "trigger": "schedule",
        "scheduleId": hourly.id,
        "nominalTime": "2026-01-01T01:00:00.000Z",
    }


def test_a_minute_before_its_time_nothing_fires(alga: Alga, demo: Extension) -> None:
    demo.call("POST", "/setup")

    assert alga.clock.advance(minutes=59) == []
    assert len(alga.clock.advance(minutes=1)) == 1


def test_a_day_has_24_hourly_runs_and_a_nightly_one_in_order(alga: Alga, demo: Extension) -> None:
    demo.call("POST", "/setup")

    runs = alga.clock.advance(hours=24)

    assert [run.name for run in runs] == ["Hourly sync", "Nightly full sync", *["Hourly sync"] * 23]
    assert [run.started_at for run in runs] == sorted(run.due_at for run in runs)
    assert not runs.failed
    assert alga.runs() == runs


@pytest.mark.parametrize(
    ("day", "instants"),
    [
        pytest.param(
            "2026-03-28",
            ["2026-03-28T01:30:00.000Z", "2026-03-29T01:00:00.000Z", "2026-03-30T00:30:00.000Z"],
            id="02:30 does not exist on the 29th and is made up for at 03:00",
        ),
        pytest.param(
            "2026-10-24",
            ["2026-10-24T00:30:00.000Z", "2026-10-25T00:30:00.000Z", "2026-10-26T01:30:00.000Z"],
            id="02:30 happens twice on the 25th and the first counts",
        ),
    ],
)
def test_the_nightly_sync_runs_once_in_nights_when_the_clocks_change(
    alga: Alga, demo: Extension, day: str, instants: list[str]
) -> None:
    alga.clock.travel_to(f"{day}T00:00:00+01:00")
    demo.call("POST", "/setup")
    demo.call("POST", "/try", json={"operation": "delete", "scheduleId": demo.schedules()[0].id})

    runs = alga.clock.advance(days=3)

    assert [run.started_at for run in runs] == instants
    assert {run.nominal_time[10:16] for run in runs} == {"T02:30"}


def test_a_scheduled_setup_fails_while_the_server_is_down(alga: Alga, demo: Extension) -> None:
    job = {"endpoint": "/setup", "cron": "0 * * * *"}
    demo.call("POST", "/try", json={"operation": "create", **job})

    with alga.server.down():
        (failed,) = alga.clock.advance(hours=1).failed
    (retried,) = alga.clock.advance(hours=1)

    assert (failed.http_status, failed.host_calls[-1].status) == (503, "unavailable")
    assert retried.status == "success"


def test_a_schedule_runs_now_when_an_admin_wants_it(alga: Alga, demo: Extension) -> None:
    demo.call("POST", "/setup")

    run = demo.run_now(demo.schedules()[1])

    assert (run.name, run.trigger, run.status) == ("Nightly full sync", "run_now", "success")
    assert run.response is not None
    assert run.response.json()["synced"] == "everything"
    assert demo.runs() == [run]
