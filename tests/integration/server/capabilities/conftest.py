"""One server for all tests of a file; each test has a tenant of its own, and a clock that goes on from the last one."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import httpx
import pytest

from alga_server import ManualClock, Server, ServerSettings
from tests.support.server import ADMIN_TOKEN, RUNNER_TOKEN, Alga
from tests.support.storage import Storage

TENANTS = (f"tenant-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def alga(anyio_backend: str, lasting_database_url: str) -> AsyncIterator[Alga]:
    settings = ServerSettings(
        database_url=lasting_database_url,
        runner_token=RUNNER_TOKEN,
        admin_token=ADMIN_TOKEN,
        require_execution_token=False,
        dispatch_schedules=False,
    )
    clock = ManualClock()
    async with Server(settings, clock=clock) as server:
        transport = httpx.ASGITransport(server.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            yield Alga(server, client, clock)


@pytest.fixture
async def storage(alga: Alga) -> Storage:
    return Storage(await alga.install(next(TENANTS), grants=("cap:storage.kv",)))


@pytest.fixture
async def another(alga: Alga) -> Storage:
    return Storage(await alga.install(next(TENANTS), grants=("cap:storage.kv",)))
