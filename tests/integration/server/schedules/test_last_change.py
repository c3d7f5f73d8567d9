"""An install was changed last when one of its schedules was, by its extension or by an admin."""

from __future__ import annotations

from datetime import timedelta

import pytest

from alga_server import ServerSettings
from tests.support.server import Alga, Install

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

BEFORE, AFTER = "2026-01-01T00:00:00.000Z", "2026-01-01T00:01:00.000Z"
SCHEDULE = {"endpoint": "/sync", "cron": "0 * * * *"}


@pytest.fixture
def settings(settings: ServerSettings, each_database_url: str) -> ServerSettings:
    return settings.model_copy(update={"database_url": each_database_url})


async def last_change(install: Install) -> str:
    shown = (await install.alga.admin("GET", install.admin_path)).json()
    return str(shown["updatedAt"])


@pytest.mark.parametrize("operation", ["create", "update", "delete"])
async def test_a_host_call_that_changes_a_schedule_changes_its_install(
    alga: Alga, install: Install, operation: str
) -> None:
    schedule_id = await install.create()
    alga.clock.advance(timedelta(minutes=1))

    response = await install.call(operation, scheduleId=schedule_id, **SCHEDULE)

    assert response.status_code in {200, 201}
    assert await last_change(install) == AFTER


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
async def test_an_admin_who_changes_a_schedule_changes_its_install(
    alga: Alga, install: Install, method: str
) -> None:
    schedules = f"{install.admin_path}/schedules"
    schedule_id = await install.create()
    alga.clock.advance(timedelta(minutes=1))

    path = schedules if method == "POST" else f"{schedules}/{schedule_id}"
    response = await alga.admin(method, path, json=SCHEDULE)

    assert response.is_success
    assert await last_change(install) == AFTER


async def test_a_change_that_is_refused_leaves_the_time_of_the_last(alga: Alga, install: Install) -> None:
    await install.create()
    alga.clock.advance(timedelta(minutes=1))

    response = await install.call("create", endpoint="/nowhere", cron="0 * * * *")

    assert response.status_code == 400
    assert await last_change(install) == BEFORE
