"""How many of one tenant's lists the database reads together, before it is known how long they take."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from threading import Event
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from alga_server import ManualClock, Server, ServerSettings
from alga_server.capabilities import records
from alga_server.http.turns import LARGE_BYTES
from alga_server.schedules import pages
from tests.support.patience import PATIENCE_S
from tests.support.server import Alga, Install

pytestmark = pytest.mark.anyio

MANY = 4
LISTS = {"scheduler": (pages.Page, "read"), "storage": (records.Page, "read")}
"""By API, what reads the items of its list."""


@pytest.fixture
async def install(settings: ServerSettings, database_url: str) -> AsyncIterator[Install]:
    """An install on a database with more than one connection."""
    clock, on_file = ManualClock(), settings.model_copy(update={"database_url": database_url})
    async with Server(on_file, clock=clock) as server:
        transport = httpx.ASGITransport(server.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            capabilities = ("cap:scheduler.manage", "cap:storage.kv")
            yield await Alga(server, client, clock).install(grants=capabilities, capabilities=[*capabilities])


async def fill(install: Install, characters: int) -> None:
    """Store two schedules and two records with so many characters in all of either."""
    for number in range(2):
        content = {"x": "a" * (characters // 2)}
        await install.create(payload=content)
        put = await install.host_call("storage", "put", namespace="n", key=f"k{number}", value=content)
        assert put.status_code == 200, put.text
    install.alga.server._services.turns._large_work.known.clear()  # as if the writes were long ago


class Reading:
    """Counts the reads of items that are under way; none ends before ``end``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> None:
        self.under_way, self._end = 0, Event()
        read: Callable[..., Any] = getattr(owner, name)

        def held(*arguments: Any) -> Any:
            self.under_way += 1
            self._end.wait(PATIENCE_S)
            return read(*arguments)

        monkeypatch.setattr(owner, name, held)

    async def of_lists(self, install: Install, api: str, until: Callable[[], bool]) -> int:
        """Ask for ``MANY`` lists; return how many are being read once ``until`` is true."""
        statuses: list[int] = []

        async def ask() -> None:
            answer = await install.host_call(api, "list", namespace="n", includeValues=True)
            statuses.append(answer.status_code)

        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as lists:
                for _ in range(MANY):
                    lists.start_soon(ask)
                try:
                    while not until():
                        await anyio.lowlevel.checkpoint()
                    together = self.under_way
                finally:
                    self._end.set()
        assert statuses == [200] * MANY
        return together


@pytest.mark.parametrize("api", LISTS)
async def test_a_tenant_s_first_large_lists_are_read_one_at_a_time(
    install: Install, monkeypatch: pytest.MonkeyPatch, api: str
) -> None:
    await fill(install, LARGE_BYTES)
    reading, known = Reading(monkeypatch, *LISTS[api]), install.alga.server._services.turns._large_work.known

    def all_are_there() -> bool:
        waiting = known[install.tenant].users if install.tenant in known else 0
        return reading.under_way > 1 or (reading.under_way == 1 and waiting == MANY)

    assert await reading.of_lists(install, api, all_are_there) == 1


@pytest.mark.parametrize("api", LISTS)
async def test_a_tenant_s_small_lists_are_read_together(
    install: Install, monkeypatch: pytest.MonkeyPatch, api: str
) -> None:
    await fill(install, LARGE_BYTES // 2)
    reading = Reading(monkeypatch, *LISTS[api])

    assert await reading.of_lists(install, api, lambda: reading.under_way > 1) > 1
