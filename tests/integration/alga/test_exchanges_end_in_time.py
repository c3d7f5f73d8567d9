"""Each exchange on a kept connection has its own deadline, though the connection has one timer for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import monotonic

import anyio
import httpx
import pytest

from alga_common.http.exchange import Answer, post
from alga_common.http.response import HttpProtocolError
from alga_common.http.transport import Head, SocketTransport
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.anyio

LATER_S = 10 * PATIENCE_S
SOON_S = 0.02


class Server:
    """Answers a request for ``/at-once`` immediately, any other once ``answers`` is set; counts ``connections``."""

    def __init__(self) -> None:
        self.url = httpx.URL()
        self.answers = asyncio.Event()
        self.asked = asyncio.Event()
        self.connections = 0
        self.header = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if b"/at-once" not in head:
                    self.asked.set()
                    await self.answers.wait()
                writer.write(b"HTTP/1.1 200 OK\r\n" + self.header + b"content-length: 2\r\n\r\nhi")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = httpx.URL(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
    yield server
    server.answers.set()
    listening.close()


@pytest.fixture
async def sockets() -> AsyncIterator[SocketTransport]:
    sockets = SocketTransport(1, 1, max_answer_bytes=1_000)
    yield sockets
    await sockets.aclose()


async def ask(
    sockets: SocketTransport, server: Server, path: str, within_s: float, header: bytes = b"x"
) -> Answer:
    head = Head("POST", server.url.copy_with(path=path), [(b"x", header)])
    return await post(sockets, head, b"", owner="", max_answer_bytes=100, until=monotonic() + within_s)


async def test_an_exchange_ends_sooner_than_the_one_before_might_have(
    server: Server, sockets: SocketTransport
):
    await ask(sockets, server, "/at-once", LATER_S)

    with anyio.move_on_after(PATIENCE_S) as patience, pytest.raises(TimeoutError):
        await ask(sockets, server, "/never", SOON_S)

    assert not patience.cancelled_caught
    assert server.connections == 1


async def test_the_end_of_an_exchange_is_not_that_of_the_next(server: Server, sockets: SocketTransport):
    await ask(sockets, server, "/at-once", LATER_S)
    (connection,) = sockets._idle

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, sockets, server, "/later", LATER_S)
        await server.asked.wait()
        connection._look()  # the timer of the first
        server.answers.set()

    assert list(sockets._idle) == [connection]


async def test_a_wait_for_a_connection_ends_in_time(server: Server, sockets: SocketTransport):
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, sockets, server, "/never", LATER_S)
        await server.asked.wait()

        with pytest.raises(TimeoutError):
            await ask(sockets, server, "/at-once", SOON_S)

        tasks.cancel_scope.cancel()


async def test_a_timer_does_not_outlast_its_connection(server: Server, sockets: SocketTransport):
    await ask(sockets, server, "/at-once", LATER_S)
    (connection,) = sockets._idle
    assert connection._timer is not None

    await sockets.aclose()

    assert connection._timer.cancelled()


async def test_an_answer_shows_what_it_holds(server: Server, sockets: SocketTransport):
    answer = await ask(sockets, server, "/at-once", LATER_S)

    assert repr(answer) == "Answer(status=200, headers=Headers({'content-length': '2'}), body=b'hi')"


@pytest.mark.parametrize("value", [b"a\r\nx: b", b"a\nb", b"a\r", b"\n\r"])
async def test_a_line_break_in_a_header_is_not_sent(server: Server, sockets: SocketTransport, value: bytes):
    with pytest.raises(httpx.LocalProtocolError):
        await ask(sockets, server, "/at-once", LATER_S, value)

    assert server.connections == 0


@pytest.mark.parametrize("header", [b"content-encoding: gzip\r\n", 2 * b"content-encoding: gzip\r\n"])
async def test_an_answer_with_a_coding_is_refused(server: Server, sockets: SocketTransport, header: bytes):
    server.header = header

    with pytest.raises(HttpProtocolError, match="compressed"):
        await ask(sockets, server, "/at-once", LATER_S)
