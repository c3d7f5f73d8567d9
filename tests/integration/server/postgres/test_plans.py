"""What a claim and the end of its run read, in a database that has far more than that, and no statistics of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, text

from alga_server import ManualClock
from alga_server.firing import claims, recording
from alga_server.firing.claims import Claim
from alga_server.firing.due import DueSchedule, survey
from alga_server.firing.places import Places
from alga_server.firing.recording import Ending, Worker
from tests.support.server import Install

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
WORKER = Worker("worker-1", timedelta(seconds=60))
OTHERS = 1_000
"""Other installs; each has ten runs that have ended."""

_INSTALLS = """
    INSERT INTO tenant_extension_install
        (id, tenant_id, extension_id, version_id, enabled, config, created_at, updated_at)
    SELECT 'install-' || at, 'other-' || at, extension_id, version_id, enabled, config, created_at, updated_at
    FROM tenant_extension_install, generate_series(1, :others) AS at
"""
_RUNS = """
    INSERT INTO tenant_extension_schedule_run
        (id, tenant_id, install_id, schedule_id, trigger, nominal_time, due_at, attempt, status, missed,
         request_id, worker_id, started_at)
    SELECT 'run-' || at || '-' || attempt, 'other-' || at, 'install-' || at, 'gone-' || at, 'schedule', '',
        'epoch', attempt, 'success', 0, '', '', 'epoch'
    FROM generate_series(1, :others) AS at, generate_series(1, 10) AS attempt
"""
_OWN_RUNS = """
    INSERT INTO tenant_extension_schedule_run
        (id, tenant_id, install_id, schedule_id, trigger, nominal_time, due_at, attempt, status, missed,
         request_id, worker_id, started_at)
    SELECT 'own-' || ordinal || '-' || attempt, tenant_id, install_id, id, 'schedule', '', 'epoch', attempt, 'success',
        0, '', '', 'epoch'
    FROM tenant_extension_schedule, generate_series(1, 200) AS attempt
"""
_READ = text("SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables")


@pytest.mark.parametrize("plans", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("wait", [True, False])
async def test_firing_reads_its_own_rows_among_many_installs_and_a_long_history(
    install: Install, wait: bool, plans: str
) -> None:
    """With plans for the parameters of one execution, and with plans for any, which PostgreSQL makes after ten."""
    ids = [await install.create(cron="0 12 * * *") for _ in range(5)]
    due = [DueSchedule(install.tenant, install.id, schedule_id, running=False) for schedule_id in ids]
    clock = ManualClock(NOON)

    def fill(connection: Connection) -> None:
        for table in (_INSTALLS, _RUNS):
            connection.execute(text(table), {"others": OTHERS})
        connection.execute(text(_OWN_RUNS))

    def look(connection: Connection) -> int:
        connection.execute(text(f"SET LOCAL plan_cache_mode = {plans}"))
        before: int = connection.execute(_READ).scalar_one()
        assert len(survey(connection, NOON, limit=100).due) == 5
        read: int = connection.execute(_READ).scalar_one() - before
        return read

    def claim(connection: Connection) -> tuple[list[Claim], int]:
        connection.execute(text(f"SET LOCAL plan_cache_mode = {plans}"))
        before: int = connection.execute(_READ).scalar_one()
        claimed = claims.claim_some(
            connection, due, Places(50).pick, WORKER, clock, together=5, room=5, wait=wait
        )
        read = connection.execute(_READ).scalar_one() - before
        return [outcome for _, outcome in claimed.outcomes if isinstance(outcome, Claim)], read

    def end(connection: Connection) -> int:
        connection.execute(text(f"SET LOCAL plan_cache_mode = {plans}"))
        before: int = connection.execute(_READ).scalar_one()
        recording.finish_all(
            connection, [recording._ended(one.run, Ending("success"), duration_ms=1) for one in claimed]
        )
        read: int = connection.execute(_READ).scalar_one() - before
        return read

    database = install.alga.server._services.database
    await database.write(fill)
    read_to_look = await database.read(look)
    claimed, read_to_claim = await database.write(claim)
    read_to_end = await database.write(end)

    assert len(claimed) == 5
    assert read_to_look < OTHERS / 2
    assert read_to_claim < OTHERS / 2
    assert read_to_end < OTHERS / 2
