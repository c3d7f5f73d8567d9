"""A server whose task is cancelled gives up its runs, as one that is stopped does."""

from __future__ import annotations

import asyncio

import anyio
import httpx
import pytest

from alga_server import Server, ServerSettings
from tests.support.server import FakeRunner, Install

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(settings: ServerSettings, database_url: str) -> ServerSettings:
    return settings.model_copy(update={"database_url": database_url, "shutdown_grace_seconds": 0})


async def serve(
    install: Install, settings: ServerSettings, fake_runner: FakeRunner, schedule_id: str
) -> None:
    """A server with a run under way, until it is cancelled."""
    transport = httpx.MockTransport(fake_runner)
    async with Server(settings, clock=install.alga.clock, runner_transport=transport) as server:
        await server.dispatcher.run_now(install.tenant, install.id, schedule_id, wait=False)
        await anyio.sleep_forever()


async def statuses(install: Install) -> list[tuple[str, str]]:
    return [(run["status"], run["reason"]) for run in await install.runs()]


async def test_cancelling_the_scope_of_a_server_gives_up_its_runs(
    install: Install, settings: ServerSettings, fake_runner: FakeRunner
) -> None:
    schedule_id = await install.create()
    fake_runner.hold()
    async with anyio.create_task_group() as group:
        group.start_soon(serve, install, settings, fake_runner, schedule_id)
        await fake_runner.was_asked(1)
        group.cancel_scope.cancel()

    assert await statuses(install) == [("lost", "shutdown")]


async def test_cancelling_the_task_of_a_server_gives_up_its_runs(
    install: Install, settings: ServerSettings, fake_runner: FakeRunner
) -> None:
    """Cancel as asyncio does on Ctrl-C, inside any scopes."""
    schedule_id = await install.create()
    fake_runner.hold()
    task = asyncio.get_running_loop().create_task(serve(install, settings, fake_runner, schedule_id))
    await fake_runner.was_asked(1)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await statuses(install) == [("lost", "shutdown")]


async def test_a_second_cancellation_during_the_grace_still_gives_up_its_runs(
    install: Install, settings: ServerSettings, fake_runner: FakeRunner
) -> None:
    schedule_id = await install.create()
    fake_runner.hold()
    patient = settings.model_copy(update={"shutdown_grace_seconds": 3600})
    task = asyncio.get_running_loop().create_task(serve(install, patient, fake_runner, schedule_id))
    await fake_runner.was_asked(1)

    task.cancel()
    for _ in range(20):
        await anyio.lowlevel.checkpoint()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await statuses(install) == [("lost", "shutdown")]
