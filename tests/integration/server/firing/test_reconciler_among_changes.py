"""The reconciler over many schedules, during live changes, and next to other reconcilers."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from sqlalchemy import select, update

from alga_server import Server, ServerSettings
from alga_server.firing.reconcile import reconciler
from alga_server.firing.reconcile.checks import Calendar
from alga_server.schedules.occurrences import after, following
from alga_server.storage import tables
from tests.support.firing import HOURLY
from tests.support.patience import PATIENCE_S
from tests.support.reconciler import (
    by_hand,
    everything,
    reconcile,
    spoil,
)
from tests.support.server import FakeRunner, Install

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


@pytest.fixture
def settings(settings: ServerSettings, database_url: str) -> ServerSettings:
    return settings.model_copy(update={"database_url": database_url})


async def test_more_schedules_than_a_page_are_all_looked_at(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler, "PAGE", 3)
    ids = [await install.create(cron=HOURLY) for _ in range(7)]
    by_hand(install, update(tables.schedule).values(next_run_at=None))

    response = await install.alga.admin("POST", "/api/admin/reconciliation")

    assert response.json()["examined"] == 7
    assert sorted(discrepancy["scheduleId"] for discrepancy in response.json()["discrepancies"]) == sorted(
        ids
    )


async def a_change(install: Install, schedule_id: str, change: str) -> None:
    path = f"{install.admin_path}/schedules/{schedule_id}"
    if change == "delete":
        await install.call("delete", scheduleId=schedule_id)
    elif change == "disable":
        await install.alga.admin("PATCH", path, json={"enabled": False})
    elif change == "disable install":
        await install.alga.admin("PATCH", install.admin_path, json={"enabled": False})
    elif change == "uninstall":
        await install.alga.admin("DELETE", install.admin_path)
    else:
        await install.alga.admin("PATCH", path, json={"cron": "0 7 * * *"})


@pytest.mark.parametrize("change", ["delete", "disable", "disable install", "uninstall", "cron"])
async def test_what_changed_since_it_looked_wrong_is_left_as_it_is(install: Install, change: str) -> None:
    database = install.alga.server._services.database
    schedule_id = await install.create(cron=HOURLY)
    spoil(install, schedule_id, next_run_at=None, next_nominal_time=None)
    calendar = Calendar(install.alga.clock.now())
    page = await database.read(lambda c: reconciler.check_page(c, "", calendar))
    await a_change(install, schedule_id, change)
    before = await everything(install)

    repaired = await database.write(lambda c: reconciler.repair(c, page.suspects, calendar))

    assert [suspect.kind for suspect in page.suspects] == ["not_scheduled"]
    assert repaired == []
    assert await everything(install) == before


async def test_beside_live_changes_it_finds_nothing(
    install: Install, fake_runner: FakeRunner, caplog: pytest.LogCaptureFixture
) -> None:
    reconciler = install.alga.server._services.reconciler
    looks = 0

    async def change(number: int) -> None:
        schedule_id = await install.create(cron=HOURLY, name=f"Number {number}")
        for members in ({"cron": "*/5 * * * *"}, {"enabled": False}, {"enabled": True}):
            await a_call(install, schedule_id, **members)
        await install.run_now(schedule_id)
        await install.alga.pass_time(hours=1)
        await install.alga.admin("PATCH", install.admin_path, json={"enabled": False})
        await install.alga.admin("PATCH", install.admin_path, json={"enabled": True})
        await install.alga.admin("DELETE", f"{install.admin_path}/schedules/{schedule_id}")

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group:

            async def reconcile_on() -> None:
                nonlocal looks
                while True:
                    assert (await reconciler.reconcile()).discrepancies == []
                    looks += 1

            group.start_soon(reconcile_on)
            async with anyio.create_task_group() as changes:
                for number in range(8):
                    changes.start_soon(change, number)
            group.cancel_scope.cancel()

    assert looks > 0
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def a_call(install: Install, schedule_id: str, **members: Any) -> None:
    path = f"{install.admin_path}/schedules/{schedule_id}"
    response = await install.alga.admin("PATCH", path, json=members)
    assert response.status_code == 200, response.text


async def test_of_several_reconcilers_one_repairs_and_tells(
    install: Install, settings: ServerSettings, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        await install.create(cron=HOURLY)
    async with Server(settings, clock=install.alga.clock) as other:
        by_hand(install, update(tables.schedule).values(next_run_at=None))
        async with anyio.create_task_group() as group:
            for server in (install.alga.server, other, install.alga.server, other):
                group.start_soon(server._services.reconciler.reconcile)

    lines = [record for record in caplog.records if getattr(record, "action", "") == "schedule_reconciled"]
    assert len(lines) == 5


async def test_old_idempotency_keys_of_idle_installs_are_forgotten(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alga_server.schedules.idempotency._BATCH", 3)
    for number in range(7):
        await install.create(idempotencyKey=f"old-{number}")
    install.alga.clock.advance(timedelta(hours=23, minutes=59))
    await install.create(idempotencyKey="new")

    await reconcile(install)
    kept = await keys(install)
    install.alga.clock.advance(timedelta(minutes=1))
    await reconcile(install)

    assert len(kept) == 8
    assert await keys(install) == ["new"]


async def keys(install: Install) -> list[str]:
    query = select(tables.schedule_creation.c.idempotency_key)
    database = install.alga.server._services.database
    stored: list[str] = await database.read(lambda c: list(c.execute(query).scalars()))
    return stored


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_only_admins_reconcile(install: Install, method: str) -> None:
    response = await install.alga.client.request(method, "/api/admin/reconciliation")

    assert (response.status_code, response.json()["code"]) == (401, "unauthorized")


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca"]
)
@pytest.mark.parametrize("cron", ["*/30 2 * * *", "0,30 2 * * *", "30 * * * *", "0 0 * * *", "59 23 * * *"])
@pytest.mark.parametrize(
    "day", ["2026-03-27", "2026-04-03", "2026-10-02", "2026-10-23", "2011-12-28", "2026-02-13"]
)
def test_no_time_of_a_chain_over_a_clock_change_is_wrong_or_distant(zone: str, cron: str, day: str) -> None:
    """What a dispatcher goes through, one after the other, is what a reconciler believes."""
    this = next(after(cron, zone, datetime.fromisoformat(day).replace(tzinfo=UTC)))
    for _ in range(60):
        calendar = Calendar(this.due_at)
        then = next(following(cron, zone, this))
        assert calendar.names(cron, zone, this.due_at, this.nominal_time)
        assert not calendar.distant(cron, zone, then.due_at)
        this = then
