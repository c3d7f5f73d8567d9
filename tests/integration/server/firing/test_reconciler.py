"""The reconciler: what it finds, what it makes of it, and what it leaves alone."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import anyio
import httpx
import pytest
from sqlalchemy import delete, update

from alga_server import Server, ServerSettings
from alga_server.firing import claims, recording
from alga_server.firing.reconcile import reconciler
from alga_server.storage import tables
from tests.support.firing import HOURLY
from tests.support.patience import PATIENCE_S
from tests.support.reconciler import (
    DISTANT,
    NEVER,
    NO_RETRY,
    ONE,
    RETRY,
    START,
    by_hand,
    everything,
    reconcile,
    row_of,
    spoil,
)
from tests.support.server import FakeRunner, Install

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


@pytest.fixture
def settings(settings: ServerSettings, database_url: str) -> ServerSettings:
    return settings.model_copy(update={"database_url": database_url})


async def test_what_is_right_is_left_as_it_is(install: Install, fake_runner: FakeRunner) -> None:
    fake_runner.status = 500
    alga = install.alga
    retried = await install.create(cron="0 0 * * *")
    await alga.admin("PATCH", f"{install.admin_path}/schedules/{retried}", json={"maxAttempts": 3})
    await alga.pass_time(days=1)
    for cron in ("*/5 * * * *", "30 2 * * *", "0,30 2 * * *", "0 0 29 2 *"):
        for zone in ("UTC", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia"):
            await install.create(cron=cron, timezone=zone)
    await install.create(enabled=False)
    other = await alga.install("tenant-b")
    await other.create()
    await alga.admin("PATCH", other.admin_path, json={"enabled": False})
    running = await install.create()
    alga.clock.advance(timedelta(days=3))  # all of them are overdue now, and the attempt that waits
    fake_runner.hold()
    await install.run_now(running, wait="false")
    await fake_runner.was_asked(2)
    before = await everything(install)

    assert (await row_of(install, retried)).retry_attempt == 2
    assert await reconcile(install) == []
    assert await everything(install) == before
    fake_runner.let_go()


@pytest.mark.parametrize(
    ("values", "kind", "then"),
    [
        ({"next_run_at": None, "next_nominal_time": None}, "not_scheduled", ONE),
        ({"next_nominal_time": None}, "wrong_next_time", ONE),
        ({"next_run_at": None}, "wrong_next_time", ONE),
        ({"next_nominal_time": "one o'clock"}, "wrong_next_time", ONE),
        ({"next_nominal_time": "2026-01-01T02:00:00.000Z"}, "wrong_next_time", ONE),
        ({"next_run_at": START + timedelta(minutes=90)}, "wrong_next_time", ONE),
        ({"cron": "0 3 * * *"}, "wrong_next_time", (START.replace(hour=3), "2026-01-01T03:00:00.000Z")),
        (
            {"timezone": "Asia/Kolkata"},
            "wrong_next_time",
            (START + timedelta(minutes=30), "2026-01-01T06:00:00.000+05:30"),
        ),
        (
            {
                "next_run_at": datetime(2036, 1, 1, tzinfo=UTC),
                "next_nominal_time": "2036-01-01T00:00:00.000Z",
            },
            "distant_next_time",
            ONE,
        ),
    ],
)
async def test_a_next_time_that_is_not_the_next_is_computed_anew(
    install: Install, values: dict[str, Any], kind: str, then: tuple[datetime, str]
) -> None:
    schedule_id = await install.create(cron=HOURLY)
    spoil(install, schedule_id, **values)

    assert await reconcile(install) == [(kind, True)]

    row = await row_of(install, schedule_id)
    assert (row.next_run_at, row.next_nominal_time) == then
    assert await reconcile(install) == []


@pytest.mark.parametrize("column", ["last_run_at", "updated_at"])
async def test_a_next_time_is_left_to_a_server_whose_clock_is_ahead(install: Install, column: str) -> None:
    schedule_id = await install.create(cron=HOURLY)
    later = {"next_run_at": START.replace(hour=6), "next_nominal_time": "2026-01-01T06:00:00.000Z"}
    spoil(install, schedule_id, **later, **{column: START.replace(hour=5)})

    assert await reconcile(install) == []

    row = await row_of(install, schedule_id)
    assert (row.next_run_at, row.next_nominal_time) == tuple(later.values())


@pytest.mark.parametrize(
    "values", [{"next_run_at": START + timedelta(hours=1, minutes=1)}, {"next_nominal_time": "torn"}]
)
async def test_a_wrong_time_that_is_over_does_not_lose_what_was_missed(
    install: Install, values: dict[str, Any]
) -> None:
    schedule_id = await install.create(cron="1 * * * *")
    spoil(install, schedule_id, **values)
    install.alga.clock.advance(timedelta(hours=5))

    await reconcile(install)
    [run] = await install.alga.server.dispatcher.run_due()

    assert run.nominal_time == "2026-01-01T04:01:00.000Z"
    assert run.missed >= 3


@pytest.mark.parametrize(
    "values",
    [
        RETRY | {"retry_at": None},
        RETRY | {"retry_attempt": None},
        RETRY | {"retry_nominal_time": None},
        RETRY | {"retry_due_at": None},
        RETRY | {"retry_attempt": 1},
        RETRY | {"retry_at": START + timedelta(days=2)},
    ],
)
async def test_an_attempt_that_can_never_be_does_not_wait(install: Install, values: dict[str, Any]) -> None:
    schedule_id = await install.create(cron=HOURLY)
    spoil(install, schedule_id, **values)

    assert await reconcile(install) == [("wrong_retry", True)]

    row = await row_of(install, schedule_id)
    assert {name: getattr(row, name) for name in RETRY} == NO_RETRY
    assert (row.next_run_at, row.next_nominal_time) == ONE


@pytest.mark.parametrize("values", [{"next_run_at": START}, {"next_nominal_time": ONE[1]}, RETRY])
@pytest.mark.parametrize("whose", ["schedule", "install"])
async def test_what_is_disabled_does_not_fire(
    install: Install, fake_runner: FakeRunner, values: dict[str, Any], whose: str
) -> None:
    schedule_id = await install.create(cron=HOURLY)
    path = install.admin_path if whose == "install" else f"{install.admin_path}/schedules/{schedule_id}"
    await install.alga.admin("PATCH", path, json={"enabled": False})
    spoil(install, schedule_id, **values)

    assert await reconcile(install) == [("still_scheduled", True)]

    row = await row_of(install, schedule_id)
    assert (row.next_run_at, row.next_nominal_time) == NEVER
    assert {name: getattr(row, name) for name in RETRY} == NO_RETRY
    await install.alga.pass_time(days=1)
    assert fake_runner.asked == []


@pytest.mark.parametrize(
    "values", [{"cron": "nonsense"}, {"cron": "0 0 31 2 *"}, {"timezone": "Mars/Olympus"}]
)
async def test_an_expression_that_nobody_can_read_is_told_and_left(
    install: Install, values: dict[str, Any]
) -> None:
    """What it should say, no server can know."""
    schedule_id = await install.create(cron=HOURLY)
    spoil(install, schedule_id, **values)
    before = await everything(install)

    for _ in range(2):
        assert await reconcile(install) == [("unusable_expression", False)]
    assert await everything(install) == before


async def test_a_schedule_without_an_endpoint_is_disabled_and_can_be_mended(
    install: Install, fake_runner: FakeRunner
) -> None:
    schedule_id = await install.create(endpoint="/report", name="Report")
    by_hand(install, delete(tables.endpoint).where(tables.endpoint.c.path == "/report"))

    assert await reconcile(install) == [("endpoint_gone", True)]
    [shown] = await install.list()
    mended = await install.call("update", scheduleId=schedule_id, endpoint="/sync", enabled=True)
    await install.alga.pass_time(hours=1)

    assert (shown["id"], shown["enabled"], shown["endpointPath"]) == (schedule_id, False, "")
    assert shown["lastError"] == "Schedule endpoint not found; disabling schedule"
    assert mended.status_code == 200
    assert [asked["http"]["path"] for asked in fake_runner.asked] == ["/sync"]
    assert await reconcile(install) == []


async def test_a_schedule_without_an_install_goes(install: Install) -> None:
    gone = await install.alga.install("tenant-b")
    schedule_id, left = await gone.create(), await install.create()
    by_hand(install, delete(tables.install).where(tables.install.c.id == gone.id))

    assert await reconcile(install) == [("install_gone", True)]

    assert await row_of(install, schedule_id) is None
    assert await row_of(install, left) is not None


async def test_a_dead_workers_run_that_would_block_its_schedule_for_ever_is_lost(
    install: Install, fake_runner: FakeRunner
) -> None:
    schedule_id = await install.create(cron=HOURLY)
    await dead_run(install, schedule_id)
    by_hand(install, update(tables.schedule_run).values(lease_expires_at=DISTANT))

    assert await reconcile(install) == [("distant_lease", True)]
    assert await reconcile(install) == []
    await install.alga.pass_time(hours=1)

    assert [(run["status"], run["trigger"]) for run in await install.runs()] == [
        ("lost", "run_now"),
        ("success", "schedule"),
    ]


async def dead_run(install: Install, schedule_id: str) -> None:
    """A run that a server held which is no more."""
    worker = recording.Worker(id="gone", lease=timedelta(minutes=1))
    claim = partial(claims.claim_now, worker=worker, clock=install.alga.clock)
    database = install.alga.server._services.database
    await database.write(lambda c: claim(c, install.tenant, install.id, schedule_id))


async def test_a_live_workers_run_with_a_distant_lease_goes_on(
    install: Install, fake_runner: FakeRunner
) -> None:
    fake_runner.hold()
    schedule_id = await install.create(cron=HOURLY)
    await install.run_now(schedule_id, wait="false")
    await fake_runner.was_asked(1)
    by_hand(install, update(tables.schedule_run).values(lease_expires_at=DISTANT))

    assert await reconcile(install) == [("distant_lease", True)]
    install.alga.clock.advance(timedelta(seconds=59))
    await install.alga.server.dispatcher._look(install.alga.clock.now(), may_fire=True)
    install.alga.clock.advance(timedelta(seconds=59))
    await install.alga.server.dispatcher._look(install.alga.clock.now(), may_fire=True)
    fake_runner.let_go()
    with anyio.fail_after(PATIENCE_S):
        while install.alga.server.dispatcher._runs._live:
            await anyio.lowlevel.checkpoint()

    assert [run["status"] for run in await install.runs()] == ["success"]


async def test_several_things_wrong_with_one_schedule_are_told_one_by_one(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    schedule_id = await install.create(cron=HOURLY)
    spoil(install, schedule_id, next_run_at=None, retry_attempt=3)

    assert await reconcile(install) == [("wrong_next_time", True), ("wrong_retry", True)]

    lines = [record for record in caplog.records if getattr(record, "action", "") == "schedule_reconciled"]
    assert [
        (line.levelno, line.discrepancy, line.repaired, line.tenant_id, line.install_id, line.schedule_id)  # type: ignore[attr-defined]
        for line in lines
    ] == [
        (logging.WARNING, kind, True, install.tenant, install.id, schedule_id)
        for kind in ("wrong_next_time", "wrong_retry")
    ]
    metrics = await install.alga.metrics()
    assert (
        'alga_server_schedule_discrepancies_total{discrepancy="wrong_retry",outcome="repaired"} 1.0'
        in metrics
    )


def discrepancies_counted(metrics: str) -> float:
    """How many there were, of any kind."""
    lines = [line for line in metrics.splitlines() if "schedule_discrepancies_total{" in line]
    assert lines, "kinds are there from zero on"
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def test_a_look_changes_and_counts_nothing(install: Install) -> None:
    spoil(install, await install.create(cron=HOURLY), next_run_at=None)
    before = await everything(install)

    assert await reconcile(install, "GET") == [("wrong_next_time", False)]

    assert await everything(install) == before
    assert discrepancies_counted(await install.alga.metrics()) == 0


async def test_a_server_repairs_when_it_starts(install: Install, settings: ServerSettings) -> None:
    schedule_id = await install.create(cron=HOURLY)
    spoil(install, schedule_id, next_run_at=None)

    async with Server(settings, clock=install.alga.clock):
        assert (await row_of(install, schedule_id)).next_run_at == ONE[0]


async def test_a_server_repairs_from_time_to_time(install: Install) -> None:
    schedule_id = await install.create(cron="0 0 * * *")
    for _ in range(3):
        spoil(install, schedule_id, next_run_at=None)
        install.alga.clock.advance(timedelta(seconds=300))
        with anyio.fail_after(PATIENCE_S):
            while (await row_of(install, schedule_id)).next_run_at is None:
                await anyio.lowlevel.checkpoint()


async def test_what_the_reconciler_repairs_fires_without_waiting_for_the_next_look(
    install: Install, settings: ServerSettings, fake_runner: FakeRunner
) -> None:
    schedule_id = await install.create(cron=HOURLY)
    firing = settings.model_copy(update={"dispatch_schedules": True})
    clock, transport = install.alga.clock, httpx.MockTransport(fake_runner)
    async with Server(firing, clock=clock, runner_transport=transport) as server:
        spoil(install, schedule_id, next_run_at=START - timedelta(hours=9), next_nominal_time=None)
        await server._services.reconciler.reconcile()
        with anyio.fail_after(PATIENCE_S):
            await fake_runner.was_asked(1)


async def test_a_reconciler_that_fails_does_not_keep_the_server_from_serving(
    install: Install,
    settings: ServerSettings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the index is torn")

    monkeypatch.setattr(reconciler, "check_page", fail)
    async with Server(settings, clock=install.alga.clock) as server:
        await server.dispatcher.run_due()

    assert [
        record.getMessage()
        for record in caplog.records
        if getattr(record, "action", "") == "reconcile_failure"
    ] == ["Reconciling failed"]
