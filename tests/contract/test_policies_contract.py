"""Extensions set what a schedule does about missed times and failed runs, over the dialect that has it, on each way."""

from __future__ import annotations

from typing import Any

import pytest

from alga_runner.alga import AlgaServer
from alga_runner.errors import HostCallCode, HostCallError
from alga_runner.models import CreateScheduleInput, UpdateScheduleInput

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["prd-in-process", "prd-http"])
def port(request: pytest.FixtureRequest, ports: dict[str, AlgaServer]) -> AlgaServer:
    return ports[request.param]


ALL = {
    "missedRuns": "all",
    "missedWindowSeconds": 86_400,
    "maxAttempts": 3,
    "retryDelaySeconds": 300,
    "retryFactor": 1,
}
DEFAULTS = {
    "missedRuns": "latest",
    "missedWindowSeconds": None,
    "maxAttempts": 1,
    "retryDelaySeconds": 60,
    "retryFactor": 2,
}


async def create(port: AlgaServer, installed: Any, soon: float, **policies: Any) -> str:
    members = CreateScheduleInput.model_validate({"endpoint": "/sync", "cron": "0 * * * *", **policies})
    return await port.create_schedule(installed.identity, members, soon)


async def update(port: AlgaServer, installed: Any, soon: float, schedule_id: str, **changes: Any) -> None:
    members = UpdateScheduleInput.model_validate({"scheduleId": schedule_id, **changes})
    await port.update_schedule(installed.identity, members, soon)


async def policies_of(installed: Any, schedule_id: str) -> dict[str, Any]:
    """As an admin sees them."""
    identity = installed.identity
    path = f"/api/admin/tenants/{identity.tenant_id}/installs/{identity.install_id}/schedules"
    schedules = (await installed.admin.get(path)).json()["schedules"]
    [schedule] = [row for row in schedules if row["id"] == schedule_id]
    return {name: schedule[name] for name in ALL}


async def test_a_create_without_policies_has_the_defaults(
    port: AlgaServer, installed: Any, soon: float
) -> None:
    assert await policies_of(installed, await create(port, installed, soon)) == DEFAULTS


async def test_a_create_sets_every_policy(port: AlgaServer, installed: Any, soon: float) -> None:
    assert await policies_of(installed, await create(port, installed, soon, **ALL)) == ALL


@pytest.mark.parametrize("name", ALL)
async def test_an_update_sets_one_and_leaves_the_others(
    port: AlgaServer, installed: Any, soon: float, name: str
) -> None:
    schedule_id = await create(port, installed, soon)

    await update(port, installed, soon, schedule_id, **{name: ALL[name]})

    assert await policies_of(installed, schedule_id) == {**DEFAULTS, name: ALL[name]}


async def test_an_update_of_something_else_leaves_all_of_them(
    port: AlgaServer, installed: Any, soon: float
) -> None:
    schedule_id = await create(port, installed, soon, **ALL)

    await update(port, installed, soon, schedule_id, cron="30 * * * *")

    assert await policies_of(installed, schedule_id) == ALL


async def test_nil_clears_the_window_and_reads_as_absent_elsewhere(
    port: AlgaServer, installed: Any, soon: float
) -> None:
    schedule_id = await create(port, installed, soon, **ALL)

    await update(port, installed, soon, schedule_id, **dict.fromkeys(ALL))

    assert await policies_of(installed, schedule_id) == {**ALL, "missedWindowSeconds": None}


async def test_every_policy_that_is_wrong_is_named(port: AlgaServer, installed: Any, soon: float) -> None:
    wrong = {**dict.fromkeys(ALL, 0), "missedRuns": "sometimes"}

    with pytest.raises(HostCallError) as caught:
        await create(port, installed, soon, **wrong)

    assert caught.value.host_code is HostCallCode.VALIDATION_FAILED
    assert set(caught.value.field_errors) == set(ALL)
