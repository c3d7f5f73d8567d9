"""The dispatcher's loop and its life in a server, and the log lines and metrics of a run."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import anyio
import pytest
from sqlalchemy import Connection, text

from alga_server import Server, ServerSettings
from alga_server.errors import DispatcherUnavailable
from alga_server.storage import tables
from tests.support.firing import HOURLY, fire_next, settle
from tests.support.server import FakeRunner, Install

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


# ---- The loop


def _count_reads(install: Install, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A list that grows with each transaction of the server that reads."""
    database = install.alga.server._services.database
    read, reads = database.read, list[Any]()

    async def counted(fn: Any) -> Any:
        reads.append(fn)
        return await read(fn)

    monkeypatch.setattr(database, "read", counted)
    return reads


@pytest.fixture
def settings(settings: ServerSettings) -> ServerSettings:
    return settings.model_copy(update={"max_schedule_runs": 3, "shutdown_grace_seconds": 0})


class TestOnItsOwn:
    """The server watches its clock; no test asks it to fire."""

    @pytest.fixture
    def settings(self, settings: ServerSettings) -> ServerSettings:
        return settings.model_copy(update={"dispatch_schedules": True})

    async def test_moving_the_clock_fires_what_comes_due(
        self, install: Install, fake_runner: FakeRunner
    ) -> None:
        await install.create(cron=HOURLY)
        install.alga.clock.advance(timedelta(hours=1))

        await fake_runner.was_asked(1)

    async def test_a_new_schedule_is_noticed_at_once(self, install: Install, fake_runner: FakeRunner) -> None:
        await install.create(cron="0 5 * * *")
        install.alga.clock.advance(timedelta(seconds=1))
        await install.create(cron="0 1 * * *")
        install.alga.clock.advance(timedelta(hours=1))

        await fake_runner.was_asked(1)
        assert fake_runner.nominal_times() == ["2026-01-01T01:00:00.000Z"]

    async def test_it_looks_again_only_when_there_is_a_reason(
        self, install: Install, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await install.create(cron=HOURLY)
        await settle(install.alga.server)
        reads = _count_reads(install, monkeypatch)
        install.alga.clock.advance(timedelta(seconds=14))
        await settle(install.alga.server)
        before_the_poll = len(reads)
        install.alga.clock.advance(timedelta(seconds=1))
        await settle(install.alga.server)

        assert (before_the_poll, len(reads)) == (0, 1)

    async def test_a_new_schedule_that_is_due_after_the_next_look_is_no_reason(
        self, install: Install, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await install.create(cron=HOURLY)
        await settle(install.alga.server)
        reads = _count_reads(install, monkeypatch)
        await install.create(cron=HOURLY)
        await settle(install.alga.server)

        assert reads == []

    async def test_a_new_schedule_that_is_due_before_the_next_look_is_one(
        self, install: Install, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        install.alga.clock.advance(timedelta(minutes=59, seconds=50))
        await settle(install.alga.server)
        reads = _count_reads(install, monkeypatch)
        await install.create(cron=HOURLY)
        await settle(install.alga.server)

        assert len(reads) == 1

    async def test_a_look_that_fails_is_logged_and_tried_again(
        self,
        install: Install,
        fake_runner: FakeRunner,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        database = install.alga.server._services.database
        await install.create(cron=HOURLY)
        await settle(install.alga.server)

        async def broken(_fn: Any) -> None:
            raise OSError("disk")

        with monkeypatch.context() as patch:
            patch.setattr(database, "read", broken)
            install.alga.clock.advance(timedelta(hours=1))
            while "dispatch_failure" not in [getattr(record, "action", "") for record in caplog.records]:
                await anyio.lowlevel.checkpoint()
        install.alga.clock.advance(timedelta(seconds=15))

        await fake_runner.was_asked(1)


# ---- Its life


async def test_outside_of_a_server_that_is_entered_nothing_runs(settings: ServerSettings) -> None:
    server = Server(settings)

    with pytest.raises(DispatcherUnavailable):
        await server.dispatcher.run_due()
    await server.aclose()


async def test_the_error_of_the_body_comes_out_as_it_was(settings: ServerSettings) -> None:
    with pytest.raises(LookupError, match="mine"):
        async with Server(settings):
            raise LookupError("mine")


async def test_a_server_can_be_cancelled(settings: ServerSettings) -> None:
    with anyio.CancelScope() as scope:
        async with Server(settings):
            scope.cancel()
            await anyio.sleep_forever()

    assert scope.cancelled_caught


async def test_a_server_that_is_cancelled_closes_its_database(settings: ServerSettings) -> None:
    server = Server(settings)
    pool = server._services.database._backend.writer.pool
    with anyio.CancelScope() as scope:
        async with server:
            scope.cancel()
            await anyio.sleep_forever()

    assert server._services.database._backend.writer.pool is not pool, "it was disposed of"


async def test_a_server_can_be_entered_again(settings: ServerSettings) -> None:
    server = Server(settings)
    for _ in range(2):
        async with server:
            assert await server.dispatcher.run_due() == []


# ---- What operators see


async def test_a_run_is_one_log_line_without_payload(
    install: Install, fake_runner: FakeRunner, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "alga_server")
    schedule_id = await fire_next(install, payload={"secret": "hunter2"})

    [line] = [record for record in caplog.records if getattr(record, "action", "") == "schedule_run"]
    shown = {
        name: getattr(line, name) for name in ("tenant_id", "install_id", "schedule_id", "status", "trigger")
    }
    assert shown == {
        "tenant_id": install.tenant,
        "install_id": install.id,
        "schedule_id": schedule_id,
        "status": "success",
        "trigger": "schedule",
    }
    assert "hunter2" not in str(vars(line))


async def test_a_run_is_counted_with_its_lag(install: Install, fake_runner: FakeRunner) -> None:
    await install.create(cron=HOURLY)
    await install.alga.pass_time(hours=1, seconds=3)

    metrics = await install.alga.metrics()
    assert 'alga_server_schedule_runs_total{code="none",status="success",trigger="schedule"} 1.0' in metrics
    assert "alga_server_schedule_lag_seconds_sum 3.0" in metrics


async def test_a_runs_row_cannot_be_there_twice(install: Install, fake_runner: FakeRunner) -> None:
    """What the once-only rule rests on, asked of the database itself."""
    await fire_next(install)

    def copy(connection: Connection) -> None:
        columns = ", ".join(
            column.name for column in tables.schedule_run.columns if column.name not in {"ordinal", "id"}
        )
        name = tables.schedule_run.name
        connection.execute(text(f"INSERT INTO {name} (id, {columns}) SELECT 'copy', {columns} FROM {name}"))

    with pytest.raises(Exception, match=r"(?i)unique constraint"):
        await install.alga.server._services.database.write(copy)
