"""The reconciler: what it finds, what it makes of it, and what it leaves alone."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import anyio
import httpx
import pytest
from sqlalchemy import Connection, create_engine, delete, select, update

from alga_server import Server, ServerSettings
from alga_server.firing import claims, recording
from alga_server.firing.reconcile import reconciler
from alga_server.firing.reconcile.checks import Calendar
from alga_server.schedules.occurrences import after, following
from alga_server.storage import tables
from tests.support.server import FakeRunner, Install

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

START = datetime(2026, 1, 1, tzinfo=UTC)
HOURLY = "0 * * * *"
ONE = (START + timedelta(hours=1), "2026-01-01T01:00:00.000Z")
NEVER = (None, None)
DISTANT = START + timedelta(days=400)
RETRY = {
    "retry_at": START + timedelta(minutes=5),
    "retry_attempt": 2,
    "retry_nominal_time": "2026-01-01T00:00:00.000Z",
    "retry_due_at": START,
}
NO_RETRY = dict.fromkeys(RETRY)


@pytest.fixture
def settings(settings: ServerSettings, database_url: str) -> ServerSettings:
    return settings.model_copy(update={"database_url": database_url})


@pytest.fixture
def runner_transport(fake_runner: FakeRunner) -> httpx.AsyncBaseTransport:
    return httpx.MockTransport(fake_runner)


def by_hand(install: Install, *statements: Any) -> None:
    """Leave in the database what no request could have put there, and what its keys forbid."""
    engine = create_engine(install.alga.server._services.settings.database_url)
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET session_replication_role = replica")
        for statement in statements:
            connection.execute(statement)
    engine.dispose()


def spoil(install: Install, schedule_id: str, **values: Any) -> None:
    by_hand(install, update(tables.schedule).where(tables.schedule.c.id == schedule_id).values(**values))


async def row_of(install: Install, schedule_id: str) -> Any:
    query = select(tables.schedule).where(tables.schedule.c.id == schedule_id)
    return await install.alga.server._services.database.read(lambda c: c.execute(query).one_or_none())


async def everything(install: Install) -> list[list[tuple[Any, ...]]]:
    def rows(connection: Connection) -> list[list[tuple[Any, ...]]]:
        return [[tuple(row) for row in connection.execute(select(t))] for t in tables.metadata.sorted_tables]

    state: list[list[tuple[Any, ...]]] = await install.alga.server._services.database.read(rows)
    return state


async def reconcile(install: Install, method: str = "POST") -> list[tuple[str, bool]]:
    """What was wrong, by an admin's call, and whether it was repaired."""
    response = await install.alga.admin(method, "/api/admin/reconciliation")
    assert response.status_code == 200, response.text
    return [
        (discrepancy["discrepancy"], discrepancy["repaired"])
        for discrepancy in response.json()["discrepancies"]
    ]


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
    worker = recording.Worker(id="gone", lease=timedelta(minutes=1), history=1000)
    claim = partial(claims.claim_now, worker=worker, now=install.alga.clock.now())
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
    with anyio.fail_after(30):
        while install.alga.server.dispatcher._live:
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


async def test_a_look_changes_and_counts_nothing(install: Install) -> None:
    spoil(install, await install.create(cron=HOURLY), next_run_at=None)
    before = await everything(install)

    assert await reconcile(install, "GET") == [("wrong_next_time", False)]

    assert await everything(install) == before
    assert "alga_server_schedule_discrepancies_total{" not in await install.alga.metrics()


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
        with anyio.fail_after(30):
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
        with anyio.fail_after(30):
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

    with anyio.fail_after(60):
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
