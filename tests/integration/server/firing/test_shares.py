"""One tenant's due schedules, however many and however slow, leave room and turns to those of others."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import anyio
import pytest
from sqlalchemy import Connection, Table, event, select, text

from alga_server import ServerSettings
from alga_server.firing import due as due_schedules
from alga_server.firing import others
from alga_server.firing.reconcile.checks import Calendar
from alga_server.firing.reconcile.reconciler import PAGE, check_page
from alga_server.storage import tables
from tests.support.databases import POSTGRES
from tests.support.firing import HOURLY, settle
from tests.support.patience import PATIENCE_S
from tests.support.server import Alga, FakeRunner, Install

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

PLACES = 8
A_MINUTE_LATER = "1 1 * * *"


@pytest.fixture
def settings(settings: ServerSettings, database_url: str) -> ServerSettings:
    changes = {"database_url": database_url, "max_schedule_runs": PLACES, "dispatch_schedules": True}
    return settings.model_copy(update=changes)


async def schedules(alga: Alga, tenant: str, count: int, cron: str = HOURLY) -> Install:
    install = await alga.install(tenant)
    for _ in range(count):
        await install.create(cron=cron)
    return install


async def test_runs_that_do_not_end_keep_no_place_from_another_tenant(
    alga: Alga, fake_runner: FakeRunner
) -> None:
    await schedules(alga, "greedy", 2 * PLACES)
    await schedules(alga, "modest", PLACES, cron=A_MINUTE_LATER)
    fake_runner.hold("greedy")
    with anyio.fail_after(PATIENCE_S):
        alga.clock.advance(timedelta(hours=1))
        await fake_runner.was_asked(6)
        await settle(alga.server)
        alone = fake_runner.tenants()
        alga.clock.advance(timedelta(minutes=1))
        await fake_runner.was_asked(6 + PLACES)
    fake_runner.let_go()

    assert alone == ["greedy"] * 6, "two of the eight places are kept for others"
    assert fake_runner.tenants()[6:] == ["modest"] * PLACES


class TestBehindThousands:
    """One tenant's due schedules fill every page that the server reads."""

    @pytest.fixture(autouse=True)
    def _small_pages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("alga_server.firing.dispatcher._BATCH", 4)
        monkeypatch.setattr("alga_server.firing.others._VISITED", 2)

    @pytest.mark.parametrize("fails", [False, True], ids=["times", "attempts"])
    async def test_another_tenants_schedules_come_soon(
        self, alga: Alga, fake_runner: FakeRunner, fails: bool
    ) -> None:
        install = await alga.install("greedy")
        for _ in range(20):
            await install.create(cron=HOURLY, maxAttempts=2, retryDelaySeconds=1)
        await schedules(alga, "modest", 3, cron=A_MINUTE_LATER)
        with anyio.fail_after(PATIENCE_S):
            if fails:
                fake_runner.status = 500
                alga.clock.advance(timedelta(hours=1))
                await fake_runner.was_asked(20)
                await settle(alga.server)
            earlier = len(fake_runner.asked)
            fake_runner.hold("greedy")
            alga.clock.advance(timedelta(hours=1, minutes=1) if not fails else timedelta(minutes=1))
            await fake_runner.was_asked(earlier + 9)
        fake_runner.let_go()

        assert fake_runner.tenants()[earlier:].count("modest") == 3

    async def test_the_look_goes_round_all_tenants(self, alga: Alga, fake_runner: FakeRunner) -> None:
        await schedules(alga, "greedy", 12)
        tenants = [f"tenant-{at}" for at in range(7)]
        for tenant in tenants:
            await schedules(alga, tenant, 1, cron=A_MINUTE_LATER)
        fake_runner.hold("greedy")
        with anyio.fail_after(PATIENCE_S):
            alga.clock.advance(timedelta(hours=1, minutes=1))
            while set(tenants) - set(fake_runner.tenants()):
                await settle(alga.server)
                alga.clock.advance(timedelta(seconds=1))
        fake_runner.let_go()

        assert fake_runner.tenants().count("greedy") == 6


# ---- What it costs

FLOOD = 10_000
TENANTS = 1_000


def flood(connection: Connection, schedule_id: str, count: int, tenants: int) -> None:
    """Copy a schedule, which is due: ``count`` times for its tenant, and once each for so many others."""
    schedule, install = tables.schedule, tables.install
    numbers = (
        "WITH RECURSIVE n(at) AS (SELECT 1 UNION ALL SELECT at + 1 FROM n WHERE at < :count) INSERT INTO"
    )

    def copy(table: Table, copied: str, count: int, changed: dict[str, str]) -> None:
        names = table.columns.keys()
        values = [changed.get(name, name) for name in names]
        into = f"{table.name} ({', '.join(names)})"
        sql = f"{numbers} {into} SELECT {', '.join(values)} FROM {table.name}, n WHERE id = :id"
        connection.execute(text(sql), {"id": copied, "count": count})

    copy(schedule, schedule_id, count, {"id": "'flood-' || at", "ordinal": "1000 + at", "name": "NULL"})
    query = select(schedule.c.install_id).where(schedule.c.id == schedule_id)
    install_id = connection.execute(query).scalar_one()
    of_other = {"tenant_id": "'other-' || at", "name": "NULL"}
    copy(install, install_id, tenants, {"id": "'install-' || at", **of_other})
    copy(
        schedule,
        schedule_id,
        tenants,
        {"id": "'other-' || at", "install_id": "'install-' || at", "ordinal": "20000", **of_other},
    )


@pytest.mark.parametrize(("count", "tenants"), [(1_000, 100), (FLOOD, 100), (FLOOD, TENANTS)], ids=str)
@pytest.mark.skipif(POSTGRES is not None, reason="SQLite counts what it does")
async def test_looking_costs_the_same_however_many_are_due(
    alga: Alga, settings: ServerSettings, count: int, tenants: int
) -> None:
    """As SQLite counts it: steps of its machine, each of which looks at a row at most."""
    schedule_id = await (await alga.install()).create(cron=HOURLY)
    now = alga.clock.now() + timedelta(hours=1)

    def look(connection: Connection) -> tuple[int, int, int]:
        flood(connection, schedule_id, count, tenants)
        steps = statements = 0

        def step() -> None:
            nonlocal steps
            steps += 10

        def statement(*_: object) -> None:
            nonlocal statements
            statements += 1

        event.listen(connection, "before_cursor_execute", statement)
        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(step, 10)
        survey = due_schedules.survey(connection, now, limit=500)
        hidden = others.others(connection, now, seen={"tenant-a"}, after="", room=12)
        driver.set_progress_handler(None, 0)
        connection.rollback()
        assert {one.tenant_id for one in survey.due} == {"tenant-a"}
        assert len({one.tenant_id for one in hidden.due}) == 12
        return steps, statements, len(survey.due)

    steps, statements, seen = await alga.server._services.database.write(look)

    assert seen == 500
    assert statements <= 20
    assert steps < 60_000


@pytest.mark.parametrize("count", [1_000, FLOOD])
@pytest.mark.skipif(POSTGRES is None, reason="PostgreSQL chooses how it looks")
async def test_a_page_reads_its_own_rows_before_there_are_statistics(alga: Alga, count: int) -> None:
    """Rows that PostgreSQL fetched: it could as well sort all that is due for each page."""
    schedule_id = await (await alga.install()).create(cron=HOURLY)
    now = alga.clock.now() + timedelta(hours=1)
    fetched = text("SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables")

    def look(connection: Connection) -> list[int]:
        flood(connection, schedule_id, count, tenants=1)
        read, after = [connection.execute(fetched).scalar_one()], None
        surveying = connection.begin_nested()
        for _ in range(2):
            survey = due_schedules.survey(connection, now, limit=100, after=after)
            assert len(survey.due) == 100
            after = survey.more
            read.append(connection.execute(fetched).scalar_one())
        surveying.rollback()  # and with it how it looked
        checking = connection.begin_nested()
        assert check_page(connection, "", Calendar(now)).examined == PAGE
        read.append(connection.execute(fetched).scalar_one())
        checking.rollback()
        still = due_schedules.still_due(connection, survey.due, now)
        assert still == survey.due
        read.append(connection.execute(fetched).scalar_one())
        connection.rollback()
        return [later - earlier for earlier, later in pairwise(read)]

    first, second, checked, again = await alga.server._services.database.write(look)

    assert max(first, second) < 400
    assert again <= 100
    assert checked <= 5 * PAGE
