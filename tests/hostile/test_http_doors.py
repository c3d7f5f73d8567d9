"""Connections of both services: heads that two parsers would read differently, clients that send nothing, too many."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import uvicorn

from alga_common.http import connection
from alga_common.http.connection import bounded_connections
from tests.support.patience import PATIENCE_S
from tests.support.sockets import listener

pytestmark = pytest.mark.anyio

HEAD = b"POST / HTTP/1.1\r\nhost: x\r\n"
NEXT = b"GET /next HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"

REFUSED = {
    "both framings": HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "both framings, in other cases": HEAD
    + b"Transfer-Encoding: chunked\r\nCONTENT-LENGTH: 5\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab",
    "a list of lengths": HEAD + b"content-length: 1, 2\r\n\r\nab",
    "a signed length": HEAD + b"content-length: +1\r\n\r\na",
    "a length in words": HEAD + b"content-length: one\r\n\r\na",
    "another coding": HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "lines that end in LF": b"POST / HTTP/1.1\nhost: x\n\n",
    "one line that ends in LF": b"POST / HTTP/1.1\r\nhost: x\nx-hidden: 1\r\n\r\n",
    "a head that ends in LF": HEAD + b"\n",
    "a header folded by a space": HEAD + b"x-folded: a\r\n b\r\n\r\n",
    "a header folded by a tab": HEAD + b"x-folded: a\r\n\tb\r\n\r\n",
    "a space before the colon": HEAD + b"content-length : 0\r\n\r\n",
    "a null in a value": HEAD + b"x-null: \0\r\n\r\n",
    "a carriage return in a value": HEAD + b"x-return: a\rb\r\n\r\n",
    "no host": b"POST / HTTP/1.1\r\n\r\n",
    "a huge head": HEAD + b"x-huge: " + b"a" * 70_000 + b"\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\0\x01\0\r\n\r\n",
}

ANSWERED = {
    "a length": (HEAD + b"content-length: 3\r\n\r\na\nb", b"a\nb"),
    "chunks": (HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\na\nb\r\n0\r\n\r\n", b"a\nb"),
    "no body": (HEAD + b"\r\n", b""),
    "a body that looks like a bad head": (
        HEAD + b"content-length: 9\r\n\r\nx\n y\n\tz\n\n",
        b"x\n y\n\tz\n\n",
    ),
    "absolute form": (b"GET http://x/ HTTP/1.1\r\nhost: x\r\n\r\n", b""),
}


async def echo(scope: Any, receive: Any, send: Any) -> None:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Quiet(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def served(most: int = 100, most_of_address: int | None = 100) -> AsyncIterator[tuple[str, int]]:
    """A server on a socket that has these bounds; its address."""
    config = uvicorn.Config(
        echo, http=bounded_connections(most, most_of_address), lifespan="off", log_config=None, ws="none"
    )
    server, on = Quiet(config), listener()
    with on:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [on])
            yield on.getsockname()
            server.should_exit = True


async def answers(address: tuple[str, int], *pieces: bytes) -> bytes:
    """All that is answered to ``pieces``, sent one after the other, until the server closes the connection."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        with anyio.fail_after(PATIENCE_S):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize("request_", REFUSED.values(), ids=REFUSED.keys())
async def test_a_head_that_could_be_read_in_two_ways_is_refused(request_: bytes) -> None:
    async with served() as address:
        answer = await answers(address, request_, NEXT)

    assert answer.count(b"HTTP/1.1") <= 1
    assert answer.startswith(b"HTTP/1.1 400 ") or answer == b""


@pytest.mark.parametrize(
    "name", ["lines that end in LF", "a header folded by a tab", "both framings", "a head that ends in LF"]
)
async def test_such_a_head_is_refused_byte_by_byte_too(name: str) -> None:
    request = REFUSED[name]
    async with served() as address:
        answer = await answers(address, *(request[at : at + 1] for at in range(len(request))))

    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(("request_", "body"), ANSWERED.values(), ids=ANSWERED.keys())
@pytest.mark.parametrize("pieces", ["whole", "bytes"])
async def test_a_sound_request_is_answered_and_so_is_the_next(
    request_: bytes, body: bytes, pieces: str
) -> None:
    sent = request_ + NEXT
    async with served() as address:
        answer = await answers(
            address, *([sent] if pieces == "whole" else (sent[at : at + 1] for at in range(len(sent))))
        )

    assert answer.count(b"HTTP/1.1 200 ") == 2
    assert answer.partition(b"\r\n\r\n")[2].startswith(body)


@pytest.mark.parametrize("name", ["both framings", "one line that ends in LF", "a header folded by a space"])
async def test_a_bad_head_behind_a_sound_request_ends_the_connection_after_its_answer(name: str) -> None:
    async with served() as address:
        answer = await answers(address, HEAD + b"content-length: 1\r\n\r\na" + REFUSED[name] + NEXT)

    assert answer.count(b"HTTP/1.1") == 1
    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_WITHIN_S", 0.05)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("sent", [b"", b"POST /", HEAD], ids=["nothing", "a word", "half a head"])
async def test_a_connection_without_a_whole_head_is_closed(sent: bytes) -> None:
    async with served() as address:
        assert await answers(address, sent) == b""


@pytest.mark.usefixtures("soon")
async def test_half_a_head_after_an_answer_is_closed_too() -> None:
    async with served() as address:
        answer = await answers(address, HEAD + b"content-length: 0\r\n\r\n", HEAD)

    assert answer.count(b"HTTP/1.1 200 ") == 1


@pytest.mark.usefixtures("soon")
async def test_a_request_whose_body_takes_longer_than_a_head_may_is_answered() -> None:
    async with served() as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(HEAD + b"content-length: 1\r\n\r\n")
        assert await closed_first(address)
        writer.write(b"a")
        with anyio.fail_after(PATIENCE_S):
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        writer.close()


async def closed_first(address: tuple[str, int]) -> bool:
    """Whether a silent connection that was opened now is closed: then a head's time is over."""
    return await answers(address) == b""


async def test_beyond_the_bound_a_connection_is_closed_and_there_is_room_again_later() -> None:
    async with served(most=2) as address:
        first = await asyncio.open_connection(*address)
        second = await asyncio.open_connection(*address)
        await answered(*first)
        await answered(*second)
        assert await answers(address, NEXT) == b""

        first[1].close()
        await first[1].wait_closed()
        with anyio.fail_after(PATIENCE_S):
            while not await answers(address, NEXT):
                await anyio.lowlevel.checkpoint()
        second[1].close()


async def test_one_address_has_a_part_of_the_connections() -> None:
    async with served(most=10, most_of_address=1) as address:
        first = await asyncio.open_connection(*address)
        await answered(*first)
        assert await answers(address, NEXT) == b""
        first[1].close()


async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Have one request answered, so that the connection is known to be counted."""
    writer.write(HEAD + b"content-length: 0\r\n\r\n")
    with anyio.fail_after(PATIENCE_S):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
