"""The Rust SDK's template, tested the way an extension's author tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from alga_runner.testing import Alga, Extension

TEMPLATE = Path(__file__).parents[2] / "guest-abi" / "rust" / "template"


@pytest.fixture
def rust(alga: Alga) -> Extension:
    return alga.install(TEMPLATE, grant=["cap:scheduler.manage"])


def test_hello_greets_the_world(rust: Extension) -> None:
    assert rust.call("GET", "/hello").text == "Hello, world!\n"


def test_setup_creates_a_schedule_that_runs_every_hour(alga: Alga, rust: Extension) -> None:
    response = rust.call("POST", "/setup")

    (schedule,) = alga.schedules()
    assert (response.status, response.json()) == (201, {"success": True, "scheduleId": schedule.id})
    assert (schedule.cron, schedule.payload) == ("0 * * * *", {"full": False})


def test_a_refused_setup_names_the_member_that_is_to_blame(rust: Extension) -> None:
    rust.call("POST", "/setup")

    again = rust.call("POST", "/setup")

    assert again.status == 409
    assert again.json()["fieldErrors"] == {"name": "Schedule name already in use for this extension"}


def test_a_sync_without_json_answers_400(rust: Extension) -> None:
    response = rust.call("POST", "/sync")

    assert response.status == 400
    assert response.json()["error"]["code"] == "bad-request"
