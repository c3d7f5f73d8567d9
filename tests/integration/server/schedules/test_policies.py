"""Policies of a schedule, for missed times and for failed runs, that cannot be, and members that do not exist."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.server import Install

pytestmark = pytest.mark.anyio

WHOLE = "Expected a whole number"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("missedRuns", "some", "Expected skip, latest or all"),
        ("missedRuns", 1, "Expected string"),
        ("missedWindowSeconds", 0, "Expected a number from 1 to 31622400"),
        ("missedWindowSeconds", "60", WHOLE),
        ("missedWindowSeconds", True, WHOLE),
        ("missedWindowSeconds", 1.5, WHOLE),
        ("missedWindowSeconds", 1e99, "Expected a number from 1 to 31622400"),
        ("maxAttempts", 0, "Expected a number from 1 to 10"),
        ("maxAttempts", 11, "Expected a number from 1 to 10"),
        ("maxAttempts", "3", WHOLE),
        ("retryDelaySeconds", 0, "Expected a number from 1 to 86400"),
        ("retryFactor", 1.5, WHOLE),
        ("retryFactor", 11, "Expected a number from 1 to 10"),
    ],
)
async def test_a_policy_that_cannot_be_is_refused(
    install: Install, field: str, value: Any, message: str
) -> None:
    body = {"endpoint": "/sync", "cron": "0 * * * *", field: value}

    response = await install.alga.admin("POST", f"{install.admin_path}/schedules", json=body)

    assert (response.status_code, response.json()["fieldErrors"]) == (400, {field: message})


@pytest.mark.parametrize("name", ["maxAttempt", "missed_runs", "crn", "x" * 100])
async def test_an_admin_s_unknown_member_is_refused_by_name_and_changes_nothing(
    install: Install, name: str
) -> None:
    schedule_id = await install.create()
    before = await install.list()

    for method, path, body in (
        ("POST", "", {"endpoint": "/sync", "cron": "0 * * * *", name: 3}),
        ("PATCH", f"/{schedule_id}", {"cron": "5 * * * *", name: 3}),
    ):
        response = await install.alga.admin(method, f"{install.admin_path}/schedules{path}", json=body)
        assert response.status_code == 400
        [refused] = response.json()["fieldErrors"]
        assert refused[:63] == name[:63]
        assert len(refused) <= 64

    assert await install.list() == before
