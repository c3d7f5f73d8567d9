"""Rows that an older version stored, and this one would refuse, are read with replacements, and every other as ever."""

from __future__ import annotations

import base64
import json
import logging
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, text, update

from alga_server.storage import tables
from tests.support.server import Alga, FakeRunner, Install

pytestmark = pytest.mark.anyio

HALF_A_PAIR = r'{"note":"a\ud800"}'


@pytest.fixture
def runner_transport(fake_runner: FakeRunner) -> httpx.AsyncBaseTransport:
    return httpx.MockTransport(fake_runner)


async def store_payload(install: Install, schedule_id: str, written: str) -> None:
    """Put this JSON text where a payload is stored."""
    statement = text("UPDATE tenant_extension_schedule SET payload = :payload WHERE id = :id")

    def write(connection: Connection) -> None:
        connection.execute(statement, {"payload": written, "id": schedule_id})

    await install.alga.server._services.database.write(write)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (HALF_A_PAIR, {"note": "a\ufffd"}),
        ("[9007199254740993]", [9007199254740992.0]),
        ("[NaN, 1e400]", [None, None]),
        ("[" * 40 + "]" * 40, json.loads("[" * 28 + "null" + "]" * 28)),
    ],
)
async def test_a_payload_that_would_be_refused_now_is_listed_with_replacements(
    install: Install, written: str, expected: Any
) -> None:
    old, new = await install.create(payload=[]), await install.create(payload=[1])
    await store_payload(install, old, written)

    by_admin = (await install.alga.admin("GET", f"{install.admin_path}/schedules")).json()["schedules"]
    of_tenant = (await install.alga.admin("GET", "/api/admin/tenants/tenant-a/schedules")).json()["schedules"]

    for schedules in (await install.list(), by_admin, of_tenant):
        assert {schedule["id"]: schedule["payload"] for schedule in schedules} == {old: expected, new: [1]}
    assert (await install.get(old) or {})["payload"] == expected


async def test_a_payload_that_another_program_stored_in_unicode_is_listed(install: Install) -> None:
    old, _ = await install.create(payload=[]), await install.create(payload=[1])
    await store_payload(install, old, '{"note": "Größe 😀"}')

    assert [schedule["payload"] for schedule in await install.list()] == [{"note": "Größe 😀"}, [1]]


async def test_the_log_names_the_schedule_and_the_reason_and_shows_nothing_of_the_payload(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    schedule_id = await install.create(payload=[])
    await store_payload(install, schedule_id, HALF_A_PAIR)
    with caplog.at_level(logging.WARNING, "alga_server"):
        await install.list()

    [line] = caplog.records
    assert (line.__dict__["action"], line.__dict__["schedule_id"]) == ("payload_replaced", schedule_id)
    assert line.getMessage().endswith("it holds half of a surrogate pair")


async def test_such_a_schedule_fires_with_the_payload_that_is_listed(
    install: Install, fake_runner: FakeRunner
) -> None:
    schedule_id = await install.create(payload=[])
    await store_payload(install, schedule_id, HALF_A_PAIR)
    await install.alga.pass_time(hours=1)

    [asked] = fake_runner.asked
    assert json.loads(base64.b64decode(asked["http"]["body_b64"])) == {"note": "a\ufffd"}


async def test_such_a_schedule_can_be_changed_and_given_a_new_payload(install: Install) -> None:
    schedule_id = await install.create(payload=[])
    await store_payload(install, schedule_id, HALF_A_PAIR)

    renamed = await install.call("update", scheduleId=schedule_id, name="Nightly")
    replaced = await install.call("update", scheduleId=schedule_id, payload={"note": "b"})

    assert (renamed.status_code, replaced.status_code) == (200, 200)
    assert (await install.get(schedule_id) or {})["payload"] == {"note": "b"}


@pytest.mark.parametrize(("column", "value"), [("timezone", "Mars/Olympus"), ("cron", "61 * * * *")])
async def test_a_rule_that_is_unknown_now_stops_its_schedule_alone_and_can_be_replaced(
    install: Install, fake_runner: FakeRunner, column: str, value: str
) -> None:
    old, new = await install.create(), await install.create()

    def write(connection: Connection) -> None:
        statement = update(tables.schedule).where(tables.schedule.c.id == old)
        connection.execute(statement.values({column: value}))

    await install.alga.server._services.database.write(write)
    for enabled in (False, True):
        changed = await install.alga.admin("PATCH", install.admin_path, json={"enabled": enabled})
        assert changed.status_code == 200
    await install.alga.pass_time(hours=1)
    assert [asked["context"]["schedule_id"] for asked in fake_runner.asked] == [new]

    other = {"timezone": {"cron": "5 * * * *"}, "cron": {"timezone": "Europe/Berlin"}}[column]
    refused = await install.call("update", scheduleId=old, **other)
    replaced = await install.call("update", scheduleId=old, timezone="UTC", cron="5 * * * *")

    assert (refused.status_code, list(refused.json()["fieldErrors"])) == (400, [column])
    assert replaced.status_code == 200
    assert await install.next_run_at(old) is not None


async def test_a_configuration_with_half_of_a_surrogate_pair_does_not_stop_the_install(
    alga: Alga, install: Install, fake_runner: FakeRunner
) -> None:
    def write(connection: Connection) -> None:
        connection.execute(update(tables.install).values(config={"key": "a\ud800"}))

    await alga.server._services.database.write(write)
    shown = await alga.admin("GET", "/api/admin/tenants/tenant-a/installs")
    answered = await install.ask("GET", "/report")

    assert [item["config"] for item in shown.json()["installs"]] == [{"key": "a\ufffd"}]
    assert answered.status_code == 200
    assert fake_runner.asked[0]["context"]["config"] == {"key": "a\ufffd"}


@pytest.mark.parametrize("status", [0, 99, 600, 10**30])
async def test_a_failure_of_no_http_status_is_the_runner_s_and_is_recorded(
    install: Install, fake_runner: FakeRunner, status: int
) -> None:
    document = {"status": status, "headers": {}, "body_b64": None, "error": "execute_failed: guest_trap: x"}
    fake_runner.answer = httpx.Response(200, json=document)
    await install.create()
    await install.alga.pass_time(hours=1)

    [run] = await install.runs()
    assert (run["status"], run["errorCode"], run["httpStatus"]) == ("error", "runner_garbled", None)
