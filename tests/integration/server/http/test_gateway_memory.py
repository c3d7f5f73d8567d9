"""Bodies of the gateway's calls: a tenant that sends many leaves room for others, and all of it is free afterwards."""

from __future__ import annotations

import anyio
import httpx
import pytest

from alga_server import ServerSettings
from tests.support.patience import PATIENCE_S
from tests.support.server import Alga, FakeRunner, Install

pytestmark = pytest.mark.anyio

LARGEST = 1_000
BODY = b"a" * LARGEST


@pytest.fixture
def settings(settings: ServerSettings) -> ServerSettings:
    return settings.model_copy(update={"max_gateway_body_bytes": LARGEST, "max_gateway_bytes": 8 * LARGEST})


@pytest.fixture
def runner_transport(fake_runner: FakeRunner) -> httpx.AsyncBaseTransport:
    return httpx.MockTransport(fake_runner)


async def test_a_tenant_with_its_share_of_bytes_is_refused_and_others_are_not(
    alga: Alga, install: Install, fake_runner: FakeRunner
) -> None:
    other = await alga.install("tenant-b")
    fake_runner.hold()
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(post, install)
            await fake_runner.was_asked(2)

            refused = await post(install)
            tasks.start_soon(post, other)
            await fake_runner.was_asked(3)
            fake_runner.let_go()

    assert (refused.status_code, refused.json()["error"]) == (429, "rate_limited")
    assert refused.headers["retry-after"] == "1"


async def test_the_bytes_of_calls_that_ended_are_free_again_however_they_ended(
    install: Install, fake_runner: FakeRunner
) -> None:
    for status in (200, 500, 429, 200):
        fake_runner.answer = None if status == 200 else httpx.Response(status)
        await post(install)
        await post(install)

    memory = install.alga.server._services.gateway_memory
    assert memory.fits(install.tenant, 2 * LARGEST)


async def test_one_body_of_the_largest_size_always_fits(install: Install) -> None:
    install.alga.server._services.gateway_memory.tenant_limit = LARGEST

    assert (await post(install)).status_code == 200


async def post(install: Install) -> httpx.Response:
    response: httpx.Response = await install.ask("POST", "/sync", content=BODY)
    return response
