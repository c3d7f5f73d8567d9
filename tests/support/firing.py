"""Schedules that come due, and time that passes while their runs are under way."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel

from alga_server.app import Server

from .server import FakeRunner, Install

HOURLY = "0 * * * *"
HOUR = timedelta(hours=1)


async def fire_next(install: Install, **members: Any) -> str:
    """Create an hourly schedule and let its first hour come."""
    schedule_id: str = await install.create(cron=HOURLY, **members)
    await install.alga.pass_time(hours=1)
    return schedule_id


async def fire_during_runs(
    install: Install,
    fake_runner: FakeRunner,
    *,
    first: timedelta = HOUR,
    asked: int = 1,
    then: timedelta = HOUR,
    runs: int = 2,
) -> None:
    """Fire after ``first``, and again after ``then`` while that has the runner ``asked``, until there are ``runs``.

    The test holds the runner; this lets it go.
    """
    alga = install.alga
    alga.clock.advance(first)
    async with anyio.create_task_group() as group:
        group.start_soon(alga.server.dispatcher.run_due)
        await fake_runner.was_asked(asked)
        alga.clock.advance(then)
        group.start_soon(alga.server.dispatcher.run_due)
        while len(await install.runs()) < runs:
            await anyio.lowlevel.checkpoint()
        fake_runner.let_go()


async def settle(*servers: Server) -> None:
    """Let everything run that can run without time passing, the servers' transactions among it."""
    databases = [server._services.database for server in servers]
    turns = [turn for database in databases for turn in (database._read_turn, database._write_turn)]
    quiet = 0
    while quiet < 50:
        await anyio.lowlevel.checkpoint()
        quiet = 0 if any(turn.borrowed_tokens for turn in turns) else quiet + 1
