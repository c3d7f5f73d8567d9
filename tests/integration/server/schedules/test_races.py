"""Rules that hold under concurrent calls, in memory and in a file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx
import pytest

from alga_server import Server, ServerSettings
from tests.support.server import Alga, Install

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


@pytest.fixture
def settings(settings: ServerSettings, each_database_url: str) -> ServerSettings:
    return settings.model_copy(update={"database_url": each_database_url})


async def at_once(count: int, call: Callable[[int], Awaitable[Any]]) -> list[Any]:
    answers: list[Any] = []

    async def one(number: int) -> None:
        answers.append(await call(number))

    async with anyio.create_task_group() as group:
        for number in range(count):
            group.start_soon(one, number)
    return answers


async def test_a_hundred_parallel_creates_leave_fifty(install: Install) -> None:
    answers = await at_once(
        100, lambda n: install.call("create", endpoint="/sync", cron="0 * * * *", name=f"{n}")
    )

    codes = sorted((answer.status_code, answer.json().get("code", "")) for answer in answers)
    assert codes == [(201, "")] * 50 + [(400, "QUOTA_EXCEEDED")] * 50
    assert len(await install.list()) == 50


async def test_twenty_parallel_creates_of_one_name_leave_one(install: Install) -> None:
    answers = await at_once(
        20, lambda _: install.call("create", endpoint="/sync", cron="0 * * * *", name="One")
    )

    refused = [answer.json() for answer in answers if answer.status_code != 201]
    message = "Schedule name already in use for this extension"
    assert len(refused) == 19
    assert all(answer["fieldErrors"] == {"name": message} for answer in refused)
    assert len(await install.list()) == 1


async def test_parallel_renames_to_one_name_leave_one_winner(install: Install) -> None:
    ids = [await install.create() for _ in range(10)]

    answers = await at_once(10, lambda n: install.call("update", scheduleId=ids[n], name="One"))

    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 9
    assert [schedule["name"] for schedule in await install.list()].count("One") == 1


async def test_a_schedule_is_deleted_once(install: Install) -> None:
    schedule_id = await install.create()

    answers = await at_once(10, lambda _: install.call("delete", scheduleId=schedule_id))

    assert sorted(answer.status_code for answer in answers) == [200] + [404] * 9


async def test_an_extension_is_installed_once_per_tenant(alga: Alga) -> None:
    extension = (await alga.publish())["extensionId"]
    path = "/api/admin/tenants/tenant-a/installs"

    answers = await at_once(10, lambda _: alga.admin("POST", path, json={"extensionId": extension}))

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9


async def test_a_version_is_published_once(alga: Alga) -> None:
    answers = await at_once(10, lambda _: alga.publish())

    assert len({answer["versionId"] for answer in answers}) == 1


async def test_creates_during_an_uninstall_leave_nothing_behind(alga: Alga, install: Install) -> None:
    async def call(number: int) -> int:
        if number == 10:
            return int((await alga.admin("DELETE", install.admin_path)).status_code)
        return int((await install.call("create", endpoint="/sync", cron="0 * * * *")).status_code)

    statuses = await at_once(20, call)

    assert set(statuses) <= {201, 204, 404}
    assert statuses.count(204) == 1
    assert (await alga.admin("GET", f"{install.admin_path}/schedules")).status_code == 404


async def test_two_servers_on_one_file_keep_one_quota_and_one_name(
    alga: Alga, install: Install, settings: ServerSettings
) -> None:
    if settings.database_url == "sqlite://":
        return  # a database in memory has one server
    async with Server(settings, clock=alga.clock) as second:
        transport = httpx.ASGITransport(second.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://second") as other:

            async def call(number: int) -> int:
                client = other if number % 2 else alga.client
                name = "One" if number < 20 else None
                body = {"operation": "create", "endpoint": "/sync", "cron": "0 * * * *", "name": name}
                return int(
                    (await client.post(install.path, json=body, headers=install.headers())).status_code
                )

            statuses = await at_once(80, call)

    assert sorted(statuses) == [201] * 50 + [400] * 30
    assert [schedule["name"] for schedule in await install.list()].count("One") == 1
