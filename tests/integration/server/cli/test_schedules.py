"""Changing schedules as an admin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.support.server_cli import NAME, TOKEN, Run, document, done, refused, unasked


@pytest.fixture
def hourly(app: Any, installed: dict[str, Any]) -> str:
    """The id of the schedule ``Hourly``."""

    async def create() -> str:
        path = f"/api/admin/tenants/acme/installs/{installed['installId']}/schedules"
        body = {"endpoint": "/sync", "cron": "0 * * * *", "name": "Hourly", "payload": {"a": 1}}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
            response = await client.post(path, json=body, headers={"authorization": f"Bearer {TOKEN}"})
        assert response.status_code == 201, response.text
        return str(response.json()["id"])

    return anyio.run(create)


def schedule(alga: Run) -> dict[str, Any]:
    [only] = document(alga("schedules", "--tenant", "acme", "--json"))["schedules"]
    shown: dict[str, Any] = only
    return shown


@pytest.mark.parametrize("command", [["schedules"], ["schedules", "list"]])
def test_schedules_are_listed_with_or_without_a_command(alga: Run, hourly: str, command: list[str]) -> None:
    lines = done(alga(*command, "--tenant", "acme", "--install", NAME)).splitlines()

    assert [line.split()[0] for line in lines] == ["NAME", "Hourly"]


def test_a_schedule_is_disabled_and_enabled_by_name_or_id(alga: Run, hourly: str) -> None:
    assert done(alga("schedules", "disable", "Hourly", "--tenant", "acme")) == (
        "Hourly of tenant acme is disabled.\n"
    )
    assert schedule(alga)["enabled"] is False

    said = done(alga("schedules", "enable", hourly, "--tenant", "acme"))

    assert said == "Hourly of tenant acme fires next at 2026-01-01T01:00:00.000Z.\n"
    assert schedule(alga)["enabled"] is True


def test_a_deleted_schedule_is_gone(alga: Run, hourly: str) -> None:
    said = done(alga("schedules", "delete", "Hourly", "--tenant", "acme", "--install", NAME))

    assert said == "Deleted Hourly of tenant acme.\n"
    assert done(alga("schedules", "--tenant", "acme")) == "Tenant acme has no schedules.\n"


def test_an_edit_changes_what_is_given_and_nothing_else(alga: Run, hourly: str) -> None:
    before = schedule(alga)

    done(
        alga(
            "schedules", "edit", "Hourly", "--tenant", "acme", "--cron", "0 */6 * * *", "--max-attempts", "3"
        )
    )

    after = schedule(alga)
    changed = {name for name, value in after.items() if value != before[name]}
    assert changed == {"cron", "maxAttempts", "nextRunAt"}


def test_a_payload_comes_from_the_line_or_a_file_and_null_clears_it(
    alga: Run, hourly: str, tmp_path: Path
) -> None:
    (tmp_path / "payload.json").write_text('{"b": [2]}')
    edit = ("schedules", "edit", "Hourly", "--tenant", "acme", "--payload")

    done(alga(*edit, f"@{tmp_path / 'payload.json'}"))
    assert schedule(alga)["payload"] == {"b": [2]}
    done(alga(*edit, '{"c": 3}'))
    assert schedule(alga)["payload"] == {"c": 3}
    done(alga(*edit, "null"))
    assert schedule(alga)["payload"] is None


def test_an_empty_name_clears_the_name(alga: Run, hourly: str) -> None:
    done(alga("schedules", "edit", "Hourly", "--tenant", "acme", "--name", ""))

    assert schedule(alga)["name"] is None


def test_a_cron_that_cannot_be_is_refused_in_a_sentence(alga: Run, hourly: str) -> None:
    said = refused(
        alga("schedules", "edit", "Hourly", "--tenant", "acme", "--cron", "* * * * *"), "validation_failed"
    )

    assert "Cron too frequent" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["schedules"],
        ["schedules", "--tenant", "acme", "disable", "Hourly"],
        ["schedules", "disable", "Hourly"],
        ["schedules", "edit", "Hourly", "--tenant", "acme"],
        ["schedules", "edit", "Hourly", "--tenant", "acme", "--payload", "{"],
        ["schedules", "edit", "Hourly", "--tenant", "acme", "--payload", "@/nowhere"],
    ],
)
def test_bad_usage_asks_nothing(alga: Run, arguments: list[str]) -> None:
    assert alga(*arguments, transport=unasked()).exit_code == 2


def test_a_schedule_that_is_not_there_names_those_that_are(alga: Run, hourly: str) -> None:
    said = refused(alga("schedules", "delete", "Daily", "--tenant", "acme"), "not_found")

    assert "hint: It has Hourly." in said
