"""Creating with an idempotency key: asked again, the same answer, and one schedule."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import anyio
import pytest
from sqlalchemy import func, select

from alga_server import ServerSettings
from alga_server.storage.tables import schedule_creation
from tests.support.server import Alga, Install

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

HOURLY = {"endpoint": "/sync", "cron": "0 * * * *", "idempotencyKey": "request-1:2"}


@pytest.fixture
def settings(settings: ServerSettings, each_database_url: str) -> ServerSettings:
    # The reconciler, which forgets old keys, does not run in a day.
    changes = {"database_url": each_database_url, "reconcile_seconds": 172_800.0}
    return settings.model_copy(update=changes)


async def test_the_same_key_gives_the_first_result(install: Install) -> None:
    first = await install.call("create", **HOURLY)
    again = await install.call("create", **HOURLY)

    assert (again.status_code, again.json()) == (201, first.json())
    assert len(await install.list()) == 1


async def test_other_keys_and_no_key_create_another(install: Install) -> None:
    for key in ("request-1:2", "request-1:3", "request-2:2", None, None):
        await install.create(idempotencyKey=key)

    assert len(await install.list()) == 5


async def test_the_order_of_members_and_members_that_are_null_do_not_matter(install: Install) -> None:
    payload = {"a": 1, "b": {"c": 2, "d": 3}}
    first = await install.create(idempotencyKey="k", payload=payload, name=None)

    assert await install.create(payload={"b": {"d": 3, "c": 2}, "a": 1}, idempotencyKey="k") == first


@pytest.mark.parametrize(
    "other",
    [
        {"cron": "5 * * * *"},
        {"endpoint": "/report"},
        {"name": "New"},
        {"enabled": False},
        {"payload": []},
        {"payload": {"a": 1.0}},
        {"payload": {"a": "1"}},
        {"timezone": "Europe/Berlin"},
        {"cron": "nonsense"},
    ],
)
async def test_the_same_key_with_another_request_is_a_conflict(
    install: Install, other: dict[str, Any]
) -> None:
    await install.create(idempotencyKey="k", payload={"a": 1})

    members = {"endpoint": "/sync", "cron": "0 * * * *", "payload": {"a": 1}, "idempotencyKey": "k"}
    response = await install.call("create", **{**members, **other})

    assert response.status_code == 409
    assert response.json() == {
        "success": False,
        "error": "Idempotency key was used with another request",
        "code": "CONFLICT",
    }
    assert len(await install.list()) == 1


async def test_a_changed_schedule_does_not_change_the_first_result(install: Install) -> None:
    first = await install.create(idempotencyKey="k")
    await install.call("update", scheduleId=first, cron="5 * * * *", name="Changed")

    assert await install.create(idempotencyKey="k") == first
    assert [(schedule["id"], schedule["name"]) for schedule in await install.list()] == [(first, "Changed")]


async def test_a_deleted_schedule_does_not_come_back(install: Install) -> None:
    first = await install.create(idempotencyKey="k")
    await install.call("delete", scheduleId=first)

    assert await install.create(idempotencyKey="k") == first
    assert await install.list() == []


async def test_asking_again_needs_no_room_and_no_rate(install: Install) -> None:
    first = await install.create(idempotencyKey="k")
    for _ in range(49):
        await install.create()
    assert (await install.call("create", endpoint="/sync", cron="0 * * * *")).status_code == 400

    assert await install.create(idempotencyKey="k") == first


async def test_a_refused_create_leaves_its_key_free(install: Install) -> None:
    refused = await install.call("create", endpoint="/sync", cron="nonsense", idempotencyKey="k")

    assert refused.status_code == 400
    assert await install.create(idempotencyKey="k") == (await install.list())[0]["id"]


async def test_parallel_creates_with_one_key_make_one_schedule(install: Install) -> None:
    ids: list[str] = []

    async def one() -> None:
        ids.append(await install.create(idempotencyKey="k"))

    async with anyio.create_task_group() as group:
        for _ in range(30):
            group.start_soon(one)

    assert (len(ids), len(set(ids))) == (30, 1)
    assert len(await install.list()) == 1


async def test_the_key_of_one_install_means_nothing_to_another(install: Install, alga: Alga) -> None:
    other = await alga.install("tenant-b")

    assert await install.create(idempotencyKey="k") != await other.create(idempotencyKey="k")
    assert (len(await install.list()), len(await other.list())) == (1, 1)


async def test_a_key_holds_for_a_day(install: Install, alga: Alga) -> None:
    first = await install.create(idempotencyKey="k")
    alga.clock.advance(timedelta(hours=23, minutes=59))
    within = await install.create(idempotencyKey="k")
    alga.clock.advance(timedelta(minutes=1))

    assert within == first
    assert await install.create(idempotencyKey="k") != first


async def test_a_key_that_is_a_day_old_means_another_request_from_then_on(
    install: Install, alga: Alga
) -> None:
    await install.create(idempotencyKey="k")
    alga.clock.advance(timedelta(days=1))
    later = await install.create(idempotencyKey="k", cron="5 * * * *")

    assert await install.create(idempotencyKey="k", cron="5 * * * *") == later
    assert (await install.call("create", **HOURLY | {"idempotencyKey": "k"})).status_code == 409


async def test_a_refused_create_does_not_forget_its_old_key(install: Install, alga: Alga) -> None:
    await install.create(idempotencyKey="k")
    alga.clock.advance(timedelta(days=1))

    await install.call("create", endpoint="/sync", cron="nonsense", idempotencyKey="k")

    count = await alga.server._services.database.read(
        lambda connection: connection.execute(
            select(func.count()).select_from(schedule_creation)
        ).scalar_one()
    )
    assert count == 1


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (5, "Expected string"),
        ({}, "Expected string"),
        ("", "Invalid idempotencyKey"),
        ("k" * 257, "Invalid idempotencyKey"),
        ("a\0b", "Invalid idempotencyKey"),
        ("\ud800", "Invalid idempotencyKey"),
    ],
)
async def test_a_key_that_is_none_is_refused(install: Install, key: Any, message: str) -> None:
    response = await install.call("create", endpoint="/sync", cron="0 * * * *", idempotencyKey=key)

    assert response.status_code == 400
    assert message in json.dumps(response.json())
    assert await install.list() == []


async def test_a_payload_too_deep_for_json_is_a_validation_error_for_known_keys_too(install: Install) -> None:
    await install.create(idempotencyKey="k")
    body = '{"operation":"create","endpoint":"/sync","cron":"0 * * * *","idempotencyKey":"k","payload":'
    deep = body + "[" * 900 + "]" * 900 + "}"

    response = await install.alga.client.post(install.path, content=deep, headers=install.headers())

    assert response.status_code in {400, 409}


async def test_uninstalling_takes_the_keys_with_it(install: Install, alga: Alga) -> None:
    await install.create(idempotencyKey="k")

    assert (await alga.admin("DELETE", install.admin_path)).status_code == 204
