"""Every accepted payload is returned unchanged, to the character, by host calls and by the admin API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from alga_server import ServerSettings
from tests.support.server import Install

pytestmark = pytest.mark.anyio

TEXT = st.text(max_size=20)  # with NUL and noncharacters
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
PAYLOADS = st.lists(VALUES, max_size=4) | st.dictionaries(TEXT, VALUES, max_size=4)


@pytest.fixture
def settings(settings: ServerSettings) -> ServerSettings:
    return settings.model_copy(update={"schedule_changes_burst": 1_000_000})


@example(payload=[])
@example(payload={})
@example(payload=[-0.0, 1e308, 5e-324, 0.1, 1.0, 1])
@example(payload={"": {"\0": "\ufffe"}})
@given(payload=PAYLOADS)
@hypothesis_settings(
    max_examples=60,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_a_payload_survives_create_and_update_exactly(install: Install, payload: Any) -> None:
    created = await install.create(payload=payload)
    updated = await install.create(payload={"before": 1})
    await install.call("update", scheduleId=updated, payload=payload)

    shown = {schedule["id"]: json.dumps(schedule["payload"]) for schedule in await install.list()}
    by_admin = await install.alga.admin("GET", f"{install.admin_path}/schedules")
    for schedule_id in (created, updated):
        await install.call("delete", scheduleId=schedule_id)

    assert shown == {created: json.dumps(payload), updated: json.dumps(payload)}
    assert [json.dumps(schedule["payload"]) for schedule in by_admin.json()["schedules"]] == [
        json.dumps(payload)
    ] * 2
