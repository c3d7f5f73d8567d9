"""The scheduler samples that are components, one in each language, tested the way an extension's author tests.

Every part is real. What differs from language to language is tested in the sample's own folder.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from alga_runner.testing import Alga, Extension
from tests.support.samples import sample_folder

NAMES = ["Hourly sync", "Nightly full sync"]


SAMPLES = [
    "scheduler-rust",
    pytest.param("scheduler-typescript", marks=pytest.mark.components),
    pytest.param("scheduler-python", marks=pytest.mark.components),
]


@pytest.fixture(scope="module", params=SAMPLES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_folder(request.param, tmp_path_factory)


@pytest.fixture
def sample(alga: Alga, folder: Path) -> Extension:
    """The sample, installed for a tenant whose admin granted what it asks for."""
    return alga.install(folder, grant=["cap:scheduler.manage"])


def test_setup_creates_the_schedules(alga: Alga, sample: Extension) -> None:
    response = sample.call("POST", "/setup")

    created = response.json()["created"]
    assert response.status == 200
    assert created == [{"name": schedule.name, "scheduleId": schedule.id} for schedule in alga.schedules()]
    assert [schedule.name for schedule in alga.schedules()] == NAMES


def test_setup_looks_first_and_creates_then(alga: Alga, sample: Extension) -> None:
    sample.call("POST", "/setup")

    assert [call.operation for call in alga.host_calls] == [
        "scheduler.get-endpoints",
        "scheduler.list",
        "scheduler.create",
        "scheduler.create",
    ]
    assert alga.host_calls[3].arguments == {
        "endpoint": "/sync",
        "cron": "30 2 * * *",
        "timezone": "Europe/Berlin",
        "name": "Nightly full sync",
        "payload": {"full": True},
    }


def test_setup_logs_the_schedules_that_it_created(alga: Alga, sample: Extension) -> None:
    sample.call("POST", "/setup")

    assert [line.message for line in alga.log] == [f"Created the schedule {name}." for name in NAMES]


def test_a_second_setup_changes_nothing(sample: Extension) -> None:
    sample.call("POST", "/setup")
    before = sample.schedules()

    again = sample.call("POST", "/setup").json()

    assert again["created"] == []
    assert [schedule["name"] for schedule in again["existing"]] == NAMES
    assert sample.schedules() == before


def test_twenty_setups_at_the_same_time_leave_each_schedule_once(sample: Extension) -> None:
    responses = sample.call_many([("POST", "/setup")] * 20)

    assert [response.status for response in responses] == [200] * 20
    assert sorted(str(schedule.name) for schedule in sample.schedules()) == NAMES


def test_setup_without_the_grant_is_denied(alga: Alga, folder: Path) -> None:
    sample = alga.install(folder)

    response = sample.call("POST", "/setup")

    assert (response.status, response.json()["error"]["code"]) == (403, "denied")
    assert alga.schedules() == []


def test_configure_changes_the_interval_and_nothing_else(sample: Extension) -> None:
    sample.call("POST", "/setup")
    before = sample.schedules()[0]

    response = sample.call("POST", "/configure", json={"intervalHours": 6})

    after = sample.schedules()[0]
    assert response.json()["cron"] == after.cron == "0 */6 * * *"
    assert (after.name, after.payload, after.enabled) == (before.name, before.payload, before.enabled)


@pytest.mark.parametrize("hours", [0, 25, 1.5, "many", None])
def test_configure_refuses_an_interval_that_is_none(sample: Extension, hours: object) -> None:
    response = sample.call("POST", "/configure", json={"intervalHours": hours})

    assert response.status == 400
    assert list(response.json()["error"]["fieldErrors"]) == ["intervalHours"]


def test_schedules_shows_payloads_as_values(sample: Extension) -> None:
    sample.call("POST", "/setup")

    listed = sample.call("GET", "/schedules").json()["schedules"]

    assert [(schedule["name"], schedule["payload"]) for schedule in listed] == [
        ("Hourly sync", {"full": False}),
        ("Nightly full sync", {"full": True}),
    ]


def test_cleanup_deletes_every_schedule(sample: Extension) -> None:
    sample.call("POST", "/setup")

    assert sample.call("POST", "/cleanup").json() == {"deleted": 2}
    assert sample.schedules() == []


def test_the_nightly_sync_fires_with_its_payload_and_knows_why(alga: Alga, sample: Extension) -> None:
    sample.call("POST", "/setup")
    nightly = sample.schedules()[1]

    run = alga.clock.travel_to("2026-01-01T01:30:00Z")[-1]

    assert run.response is not None
    assert run.response.json()["synced"] == "everything"
    assert alga.log[-1].message == (
        f"Sync: trigger schedule, schedule {nightly.id}, nominal time 2026-01-01T02:30:00.000+01:00, "
        'payload {"full":true}.'
    )


def test_a_caller_cannot_pretend_to_be_a_schedule(alga: Alga, sample: Extension) -> None:
    response = sample.call(
        "POST", "/sync", json={}, headers={"X-Alga-Trigger": "schedule", "x-alga-schedule-id": "s"}
    )

    assert (response.json()["trigger"], response.json()["scheduleId"]) == (None, None)


def test_field_errors_reach_the_handler_as_a_map(sample: Extension) -> None:
    response = sample.call("POST", "/try", json={"operation": "create", "endpoint": "/sync", "cron": "no"})

    assert list(response.json()["error"]["fieldErrors"]) == ["cron"]
    assert response.json()["error"]["message"]


def test_an_endpoint_that_is_not_in_the_manifest_is_refused(sample: Extension) -> None:
    response = sample.call(
        "POST", "/try", json={"operation": "create", "endpoint": "/nope", "cron": "0 * * * *"}
    )

    assert list(response.json()["error"]["fieldErrors"]) == ["endpoint"]


def test_null_clears_a_payload_and_an_absent_one_stays(sample: Extension) -> None:
    sample.call("POST", "/setup")
    hourly = sample.schedules()[0]

    sample.call("POST", "/try", json={"operation": "update", "scheduleId": hourly.id, "enabled": False})
    assert sample.schedules()[0].payload == {"full": False}

    sample.call("POST", "/try", json={"operation": "update", "scheduleId": hourly.id, "payload": None})
    assert sample.schedules()[0].payload is None


def test_an_unknown_schedule_is_null(sample: Extension) -> None:
    response = sample.call(
        "POST", "/try", json={"operation": "get", "scheduleId": "00000000-0000-4000-8000-000000000000"}
    )

    assert response.json() == {"ok": None}
