"""A worker of the queue that dies by SIGKILL while the handler runs, and another process that finds what it left.

The queue goes by the database's clock, leases by the server's. Neither is waited for: the second server's clock is
ahead by more than a lease, and the dead worker's last sign of life is put back.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.streams.text import TextReceiveStream
from sqlalchemy import text, update

from alga_server import ServerSettings
from alga_server.storage import tables
from tests.support.patience import PATIENCE_S
from tests.support.server import Alga, Install

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

PROGRAM = Path(__file__).with_name("queue_worker_process.py")
LEASE_S = 60
HOUR = timedelta(hours=1)


class Worker:
    """One process."""

    def __init__(self, process: Any) -> None:
        self._process = process
        self._stdout = TextReceiveStream(process.stdout)
        self._said = ""

    async def asks(self) -> dict[str, Any]:
        """What it asks of its runner next."""
        with anyio.fail_after(PATIENCE_S):
            while "\n" not in self._said:
                self._said += await self._stdout.receive()
        line, _, self._said = self._said.partition("\n")
        asked: dict[str, Any] = json.loads(line)
        return asked

    async def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def working(
    settings: ServerSettings, *, ahead_s: float = 0, silent: bool = False
) -> AsyncIterator[Worker]:
    theirs = {
        "database_url": settings.database_url,
        "job_engine": "procrastinate",
        "run_lease_seconds": LEASE_S,
        "dispatch_poll_seconds": 1,
    }
    given = json.dumps({"settings": theirs, "ahead_s": ahead_s, "silent": silent})
    async with await anyio.open_process([sys.executable, str(PROGRAM), given], stderr=None) as process:
        try:
            yield Worker(process)
        finally:
            if process.returncode is None:
                process.kill()


@pytest.fixture
def settings(settings: ServerSettings) -> ServerSettings:
    return settings.model_copy(update={"job_engine": "procrastinate"})


@pytest.fixture
async def install(alga: Alga) -> Any:
    alga.clock.move_to(datetime.now(UTC))  # where the queue's is
    return await alga.install("tenant-a")


async def by_hand(install: Install, statement: str) -> list[Any]:
    def work(connection: Any) -> list[Any]:
        result = connection.execute(text(statement))
        return [tuple(row) for row in result] if result.returns_rows else []

    rows: list[Any] = await install.alga.server._services.database.write(work)
    return rows


async def make_due(install: Install, schedule_id: str) -> list[str]:
    """The schedule is due since two hours; the nominal times from then on."""
    first = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 2 * HOUR
    times = [f"{first + at * HOUR:%Y-%m-%dT%H:%M:%S.000Z}" for at in range(3)]
    due = {"next_run_at": first, "next_nominal_time": times[0]}
    change = update(tables.schedule).where(tables.schedule.c.id == schedule_id).values(due)
    await install.alga.server._services.database.write(lambda c: c.execute(change))
    return times


async def killed_meanwhile(settings: ServerSettings) -> dict[str, Any]:
    """What a worker had asked of its runner when it was killed."""
    async with working(settings, silent=True) as worker:
        asked = await worker.asks()
        await worker.kill()
    return asked


async def silent_for_long(install: Install) -> None:
    """Of all workers there were so far."""
    await by_hand(
        install, "UPDATE procrastinate_workers SET last_heartbeat = last_heartbeat - interval '1 minute'"
    )


async def ended(
    install: Install, count: int, schedule_id: str | None = None
) -> list[tuple[str, str, str | None]]:
    """The first runs once so many are over: nominal time, status, reason."""
    with anyio.fail_after(PATIENCE_S):
        while True:
            runs = (await install.runs(schedule_id))[:count]
            if len(runs) == count and all(run["status"] != "running" for run in runs):
                return [(run["nominalTime"], run["status"], run["reason"]) for run in runs]
            await anyio.lowlevel.checkpoint()


async def reconciled(install: Install, method: str) -> list[str]:
    answer = await install.alga.admin(method, "/api/admin/reconciliation")
    return [one["discrepancy"] for one in answer.json()["discrepancies"]]


async def test_when_its_lease_is_over_its_run_is_lost_and_the_schedule_goes_on(
    install: Install, settings: ServerSettings
) -> None:
    times = await make_due(install, await install.create(missedRuns="all"))
    first = await killed_meanwhile(settings)
    await silent_for_long(install)

    async with working(settings, ahead_s=2 * LEASE_S) as other:
        then = [await other.asks(), await other.asks()]
        runs = await ended(install, 3)

    assert [asked["nominal_time"] for asked in (first, *then)] == times
    assert [run[:2] for run in runs] == list(zip(times, ["lost", "success", "success"], strict=True))
    assert runs[0][2] == "lease_expired"


async def test_its_jobs_are_replaced_by_one_when_it_is_silent_for_long(
    install: Install, settings: ServerSettings
) -> None:
    schedule_id = await install.create(missedRuns="all")
    await make_due(install, schedule_id)
    await killed_meanwhile(settings)
    before = await reconciled(install, "GET")

    await silent_for_long(install)

    assert before == []
    # It may have taken the next time's job, too, which waited for the run's end.
    assert set(await reconciled(install, "POST")) == {"job_stalled"}
    jobs = await by_hand(install, "SELECT queueing_lock, status::text FROM procrastinate_jobs")
    assert jobs == [(schedule_id, "todo")]


async def test_while_its_lease_lasts_nobody_fires_the_schedule_though_its_job_is_replaced(
    install: Install, settings: ServerSettings
) -> None:
    schedule_id, other_id = await install.create(missedRuns="all"), await install.create(missedRuns="all")
    times = await make_due(install, schedule_id)
    await killed_meanwhile(settings)
    await silent_for_long(install)

    await reconciled(install, "POST")
    await make_due(install, other_id)  # so that its job is after the other's
    async with working(settings) as other:
        asked = [(await other.asks())["schedule_id"] for _ in range(3)]

    assert asked == [other_id] * 3
    runs = await install.runs(schedule_id)
    assert [(run["nominalTime"], run["status"]) for run in runs] == [(times[0], "running")]


async def test_with_a_retry_policy_the_next_attempt_has_the_same_key(
    install: Install, settings: ServerSettings
) -> None:
    schedule_id = await install.create(missedRuns="all", maxAttempts=2, retryDelaySeconds=86_400)
    times = await make_due(install, schedule_id)
    await killed_meanwhile(settings)
    await silent_for_long(install)

    async with working(settings, ahead_s=2 * LEASE_S) as other:
        await ended(install, 1)
        await by_hand(install, "UPDATE tenant_extension_schedule SET retry_at = now() AT TIME ZONE 'UTC'")
        again = await other.asks()
        runs = await ended(install, 2)

    assert (again["nominal_time"], again["attempt"]) == (times[0], 2)
    assert [run[:2] for run in runs] == [(times[0], "lost"), (times[0], "success")]
