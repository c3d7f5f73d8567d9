"""Dispatchers in processes of their own on one database file: the database decides who fires, not the process."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from alga_server import ServerSettings
from tests.support.patience import PATIENCE_S
from tests.support.server import Install

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

START = datetime(2026, 1, 1, tzinfo=UTC)
PROGRAM = Path(__file__).with_name("dispatching_process.py")


class Dispatching:
    """The other process, spoken to in lines."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin = process.stdin
        self._stdout = TextReceiveStream(process.stdout)
        self._said = ""

    async def line(self) -> str:
        while "\n" not in self._said:
            self._said += await self._stdout.receive()
        line, _, self._said = self._said.partition("\n")
        return line

    async def fire(self, now: datetime, into: list[str]) -> None:
        """Let it fire the due schedules at ``now``; add the keys of its runs to ``into``."""
        await self._stdin.send(f"{now.isoformat()}\n".encode())
        into += json.loads(await self.line())


@asynccontextmanager
async def dispatching(url: str) -> AsyncIterator[Dispatching]:
    async with await anyio.open_process([sys.executable, str(PROGRAM), url], stderr=None) as process:
        try:
            yield Dispatching(process)
        finally:
            process.kill()


@pytest.fixture
def settings(settings: ServerSettings, database_url: str) -> ServerSettings:
    return settings.model_copy(update={"database_url": database_url})


async def test_two_processes_fire_each_time_of_fifty_schedules_once(
    install: Install, settings: ServerSettings
) -> None:
    ids = [await install.create(cron="0 * * * *") for _ in range(50)]
    hours = 3
    ran: list[str] = []
    url = settings.database_url
    with anyio.fail_after(PATIENCE_S):
        async with dispatching(url) as one, dispatching(url) as other:
            for process in (one, other):
                assert await process.line() == "ready"
            for hour in range(1, hours + 1):
                async with anyio.create_task_group() as group:
                    for process in (one, other):
                        group.start_soon(process.fire, START + timedelta(hours=hour), ran)

    assert len(ran) == len(set(ran)) == 50 * hours
    runs = await install.runs()
    assert {run["status"] for run in runs} == {"success"}
    assert Counter(run["scheduleId"] for run in runs) == dict.fromkeys(ids, hours)
    assert len({(run["scheduleId"], run["nominalTime"]) for run in runs}) == 50 * hours
