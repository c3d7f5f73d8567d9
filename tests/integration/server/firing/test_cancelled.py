"""A server whose task is cancelled gives up its runs, as one that is stopped does."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import httpx
import pytest

from alga_server import Server, ServerSettings

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(settings: ServerSettings, database_url: str) -> ServerSettings:
    return settings.model_copy(update={"database_url": database_url, "shutdown_grace_seconds": 0})


async def serve(mine: Any, settings: ServerSettings, played: Any, schedule_id: str) -> None:
    """A server with a run under way, until it is cancelled."""
    transport = httpx.MockTransport(played)
    async with Server(settings, clock=mine.house.clock, runner_transport=transport) as server:
        await server.dispatcher.run_now(mine.tenant, mine.id, schedule_id, wait=False)
        await anyio.sleep_forever()


async def statuses(mine: Any) -> list[tuple[str, str]]:
    return [(run["status"], run["reason"]) for run in await mine.runs()]


async def test_cancelling_the_scope_of_a_server_gives_up_its_runs(
    mine: Any, settings: ServerSettings, played: Any
) -> None:
    schedule_id = await mine.create()
    played.hold()
    async with anyio.create_task_group() as group:
        group.start_soon(serve, mine, settings, played, schedule_id)
        await played.was_asked(1)
        group.cancel_scope.cancel()

    assert await statuses(mine) == [("lost", "shutdown")]


async def test_cancelling_the_task_of_a_server_gives_up_its_runs(
    mine: Any, settings: ServerSettings, played: Any
) -> None:
    """As asyncio does on Ctrl-C, whatever scopes there are."""
    schedule_id = await mine.create()
    played.hold()
    task = asyncio.get_running_loop().create_task(serve(mine, settings, played, schedule_id))
    await played.was_asked(1)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await statuses(mine) == [("lost", "shutdown")]


async def test_a_second_cancellation_during_the_grace_still_gives_up_its_runs(
    mine: Any, settings: ServerSettings, played: Any
) -> None:
    schedule_id = await mine.create()
    played.hold()
    patient = settings.model_copy(update={"shutdown_grace_seconds": 3600})
    task = asyncio.get_running_loop().create_task(serve(mine, patient, played, schedule_id))
    await played.was_asked(1)

    task.cancel()
    for _ in range(20):
        await anyio.lowlevel.checkpoint()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await statuses(mine) == [("lost", "shutdown")]
