"""How often an extension may change its schedules: fifty in a burst, then ten a minute."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio
import httpx
import pytest

from alga_server import Server, ServerSettings
from tests.support.server import Alga, Install

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


@pytest.fixture
def settings(settings: ServerSettings, each_database_url: str) -> ServerSettings:
    changes = {"schedule_changes_burst": 5, "schedule_changes_per_minute": 10}
    return settings.model_copy(update={**changes, "database_url": each_database_url})


async def spend(install: Install) -> str:
    """Use up the burst with one create and four updates; the schedule's id."""
    schedule_id: str = await install.create()
    for _ in range(4):
        assert (await rename(install, schedule_id)).status_code == 200
    return schedule_id


async def rename(install: Install, schedule_id: str, **headers: str) -> httpx.Response:
    body = {"operation": "update", "scheduleId": schedule_id, "name": "Renamed"}
    response: httpx.Response = await install.alga.client.post(
        install.path, json=body, headers=install.headers(**headers)
    )
    return response


@pytest.mark.parametrize("operation", ["create", "update", "delete"])
async def test_one_change_more_than_the_burst_is_refused_and_changes_nothing(
    install: Install, operation: str
) -> None:
    schedule_id = await spend(install)
    before = await install.list()

    members = {"endpoint": "/sync", "cron": "0 * * * *"} if operation == "create" else {}
    response = await install.call(operation, scheduleId=schedule_id, **members)

    assert response.status_code == 429
    assert response.json() == {
        "success": False,
        "error": "Too many requests, please try again later",
        "code": "RATE_LIMITED",
    }
    assert response.headers["retry-after"] == "6"
    assert await install.list() == before


async def test_the_answer_has_the_wait_until_the_next_change_to_the_second(
    install: Install, alga: Alga
) -> None:
    schedule_id = await spend(install)
    alga.clock.advance(timedelta(seconds=2, milliseconds=500))

    refused = await rename(install, schedule_id)
    alga.clock.advance(timedelta(seconds=int(refused.headers["retry-after"])))

    assert refused.headers["retry-after"] == "4"
    assert (await rename(install, schedule_id)).status_code == 200
    assert (await rename(install, schedule_id)).status_code == 429


async def test_ten_a_minute_are_never_refused(install: Install, alga: Alga) -> None:
    schedule_id = await spend(install)
    statuses = []

    for _ in range(3 * 60):
        alga.clock.advance(timedelta(seconds=1))
        statuses.append((await rename(install, schedule_id)).status_code)

    assert statuses.count(200) == 30
    assert set(statuses) == {200, 429}


async def test_the_burst_is_whole_again_after_a_rest_and_no_more_than_whole(
    install: Install, alga: Alga
) -> None:
    schedule_id = await spend(install)
    alga.clock.advance(timedelta(days=3))

    statuses = [(await rename(install, schedule_id)).status_code for _ in range(6)]

    assert statuses == [200] * 5 + [429]


@pytest.mark.parametrize(
    ("operation", "members"),
    [
        ("create", {"endpoint": "/sync", "cron": "* * * * *"}),
        ("create", {"endpoint": "/nowhere", "cron": "0 * * * *"}),
        ("update", {"scheduleId": "unknown", "name": "New"}),
        ("update", {"name": "New"}),
        ("delete", {"scheduleId": "unknown"}),
        ("made-up", {}),
        ("list", {}),
        ("getEndpoints", {}),
    ],
)
async def test_what_is_refused_and_what_only_reads_costs_nothing(
    install: Install, operation: str, members: dict[str, Any]
) -> None:
    for _ in range(10):
        await install.call(operation, **members)

    await spend(install)


async def test_a_refusal_for_the_rate_costs_nothing_either(install: Install, alga: Alga) -> None:
    schedule_id = await spend(install)
    for _ in range(20):
        await rename(install, schedule_id)
    alga.clock.advance(timedelta(seconds=6))

    assert (await rename(install, schedule_id)).status_code == 200


async def test_over_the_rate_a_wrong_request_still_learns_what_is_wrong(install: Install) -> None:
    await spend(install)

    response = await install.call("create", endpoint="/sync", cron="* * * * *")

    assert response.status_code == 400
    assert list(response.json()["fieldErrors"]) == ["cron"]


async def test_installs_have_each_their_own_rate(install: Install, alga: Alga) -> None:
    other = await alga.install("tenant-b")
    await spend(install)

    await spend(other)


async def test_calls_that_only_name_an_install_do_not_spend_its_rate(install: Install, alga: Alga) -> None:
    other = await alga.install("tenant-b")
    theirs = await install.create()
    for changes in (
        {"x_alga_tenant": other.tenant},
        {"x_ext_install_id": other.id},
        {"x_runner_auth": "wrong"},
    ):
        for _ in range(5):
            assert (await rename(install, theirs, **changes)).status_code in {401, 404}

    for _ in range(4):
        assert (await rename(install, theirs)).status_code == 200


async def test_a_call_without_the_capability_does_not_spend_the_rate(install: Install, alga: Alga) -> None:
    schedule_id = await install.create()
    await alga.admin("PATCH", install.admin_path, json={"grants": []})
    for _ in range(5):
        assert (await rename(install, schedule_id)).status_code == 403
    await alga.admin("PATCH", install.admin_path, json={"grants": ["cap:scheduler.manage"]})

    for _ in range(4):
        assert (await rename(install, schedule_id)).status_code == 200


async def test_parallel_changes_are_counted_each(install: Install) -> None:
    schedule_id = await install.create()
    statuses: list[int] = []

    async def one() -> None:
        statuses.append((await rename(install, schedule_id)).status_code)

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(one)

    assert sorted(statuses) == [200] * 4 + [429] * 16


async def test_servers_on_one_database_share_the_rate(
    install: Install, alga: Alga, settings: ServerSettings
) -> None:
    if settings.database_url == "sqlite://":
        return  # a database in memory has one server
    schedule_id = await spend(install)

    async with Server(settings, clock=alga.clock) as second:
        transport = httpx.ASGITransport(second.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://second") as client:
            body = {"operation": "delete", "scheduleId": schedule_id}
            response = await client.post(install.path, json=body, headers=install.headers())

    assert response.status_code == 429


async def test_a_clock_that_was_set_back_bars_an_install_for_one_change(install: Install, alga: Alga) -> None:
    alga.clock.advance(timedelta(days=1))
    schedule_id = await spend(install)
    alga.clock._now -= timedelta(days=1)  # what no clock of the server does by itself, but a machine's may

    refused = await rename(install, schedule_id)

    assert refused.headers["retry-after"] == "6"


async def test_an_admin_is_not_limited(install: Install, alga: Alga) -> None:
    schedule_id = await spend(install)

    for _ in range(10):
        path = f"{install.admin_path}/schedules/{schedule_id}"
        assert (await alga.admin("PATCH", path, json={"name": "Renamed"})).status_code == 200


async def test_a_refusal_is_counted_as_such(install: Install, alga: Alga) -> None:
    schedule_id = await spend(install)
    await rename(install, schedule_id)

    counted = 'extension_scheduler_api_calls_total{operation="update",status="rate_limited"} 1.0'
    assert counted in await alga.metrics()


async def test_uninstalling_takes_the_rate_with_it(install: Install, alga: Alga) -> None:
    await spend(install)

    assert (await alga.admin("DELETE", install.admin_path)).status_code == 204
