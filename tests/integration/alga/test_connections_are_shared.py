"""A tenant whose calls of the Alga server hang leaves connections for the others."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from time import monotonic

import anyio
import anyio.lowlevel
import pytest
from pydantic import SecretStr

from alga_common.http.transport import SocketTransport
from alga_runner import Settings
from alga_runner.alga import HttpAlgaServer, Identity, connect
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.anyio

ANSWER = b'{"success":true,"schedules":[]}'


class Server:
    """Answers tenants in ``answered``; keeps the others waiting. ``asked`` counts requests by tenant."""

    def __init__(self, *answered: str) -> None:
        self.answered = set(answered)
        self.asked: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
                await reader.readexactly(int(fields[b"content-length"]))
                tenant = fields[b"x-alga-tenant"].decode()
                self.asked[tenant] += 1
                if tenant in self.answered:
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(ANSWER) + ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
def server() -> Server:
    return Server("quiet")


@pytest.fixture
async def alga(server: Server) -> AsyncIterator[HttpAlgaServer]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    transport = SocketTransport(3, 2, max_answer_bytes=1_000)
    alga = HttpAlgaServer(f"http://127.0.0.1:{port}", SecretStr("token"), transport=transport)
    yield alga
    await alga.aclose()
    listening.close()


async def ask(alga: HttpAlgaServer, tenant: str) -> object:
    return await alga.list_schedules(Identity(tenant, "ext", "install", None), monotonic() + 30)


async def test_calls_that_hang_leave_connections_for_other_tenants(alga: HttpAlgaServer, server: Server):
    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(ask, alga, "flood")
        while server.asked["flood"] < 2:
            await anyio.lowlevel.checkpoint()

        with anyio.fail_after(PATIENCE_S):
            answers = [await ask(alga, "quiet") for _ in range(5)]
        tasks.cancel_scope.cancel()

    assert answers == [[]] * 5
    assert server.asked == {"flood": 2, "quiet": 5}


async def test_calls_that_are_given_up_give_their_connection_back(alga: HttpAlgaServer, server: Server):
    for number in range(6):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, alga, "flood")
            while server.asked["flood"] <= number:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()

    assert alga._transport._slots.used == 0
    assert await ask(alga, "quiet") == []


@pytest.mark.parametrize(
    ("given", "bounds"),
    [
        ({}, (200, 50)),
        ({"max_server_connections": 10}, (10, 3)),
        ({"max_server_connections": 10, "max_server_connections_per_tenant": 99}, (10, 10)),
    ],
)
async def test_the_settings_say_how_many_there_are(given: dict[str, int], bounds: tuple[int, int]):
    settings = Settings(server_url="http://127.0.0.1:1", server_token=SecretStr("token"), **given)

    alga = connect(settings)

    assert isinstance(alga, HttpAlgaServer)
    assert alga._transport._slots.used == 0
