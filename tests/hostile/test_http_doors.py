"""Connections of both services: clients that send nothing, half of a request, too much, or come too often."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from alga_common.http import connection
from tests.support.http_cases import REFUSED
from tests.support.http_sockets import CONTINUE, Address, answers, served
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.anyio

HEAD = b"POST / HTTP/1.1\r\nhost: x\r\n"
NEXT = b"GET /next HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "name",
    ["both framings", "one line that ends in LF", "a header folded by a space"],
)
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


async def closed_first(address: Address) -> bool:
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
    await answered_once(reader)


async def reads_nothing(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def test_requests_sent_together_are_answered_in_their_order() -> None:
    """The first takes the longest."""

    async def late(scope: Any, receive: Any, send: Any) -> None:
        number = int(scope["path"][1:])
        for _ in range(9 * (2 - number)):
            await anyio.lowlevel.checkpoint()
        headers = [(b"content-length", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"%d" % number})

    sent = b"".join(b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n" % number for number in range(2))
    async with served(late) as address:
        answer = await answers(address, sent + b"GET /2 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")

    assert [part[:1] for part in answer.split(b"\r\n\r\n")[1:]] == [b"0", b"1", b"2"]


async def test_an_app_learns_that_its_client_closed_half_of_the_connection() -> None:
    heard = anyio.Event()

    async def waits(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        heard.set()

    async with served(waits) as address:
        _, writer = await asyncio.open_connection(*address)
        writer.write(HEAD + b"content-length: 1\r\n\r\na")
        writer.write_eof()
        with anyio.fail_after(PATIENCE_S):
            await heard.wait()
        writer.close()


@pytest.mark.parametrize("sent", [b"", b"a"], ids=["nothing", "a part"])
async def test_permission_to_send_the_rest_of_a_body_is_given_when_it_is_read(sent: bytes) -> None:
    async with served() as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(HEAD + b"expect: 100-Continue\r\ncontent-length: 2\r\n\r\n" + sent)
        with anyio.fail_after(PATIENCE_S):
            assert await reader.readuntil(b"\r\n\r\n") == CONTINUE
            writer.write(b"ab"[len(sent) :])
            assert (await reader.readuntil(b"\r\n\r\nab")).startswith(b"HTTP/1.1 200 ")
        writer.close()


async def test_an_answer_instead_of_a_permission_is_the_last_on_its_connection() -> None:
    """The client may send the body or not; the server cannot know where the next request begins."""

    async with served(reads_nothing) as address:
        answer = await answers(address, HEAD + b"expect: 100-continue\r\ncontent-length: 200\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answer
    assert answer.count(b"HTTP/1.1 ") == 1


async def test_a_body_that_the_app_did_not_read_is_passed_over() -> None:
    async with served(reads_nothing) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(HEAD + b"content-length: 300000\r\n\r\n")
        await answered_once(reader)
        writer.write(NEXT.ljust(300_000, b"a") + NEXT)
        with anyio.fail_after(PATIENCE_S):
            assert (await reader.read()).count(b"HTTP/1.1 200 ") == 1
        writer.close()


@pytest.mark.usefixtures("soon")
async def test_a_body_that_the_app_did_not_read_and_that_never_ends_ends_the_connection() -> None:
    async with served(reads_nothing) as address:
        answer = await answers(address, HEAD + b"content-length: 3\r\n\r\na")

    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_broken_body_ends_the_work_on_its_request() -> None:
    begun, heard = anyio.Event(), anyio.Event()

    async def waits(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        heard.set()

    async with served(waits) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        with anyio.fail_after(PATIENCE_S):
            await begun.wait()
            writer.write(b"x\r\n")
            await heard.wait()
            assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        writer.close()


async def test_a_body_is_read_from_the_socket_no_faster_than_by_the_app() -> None:
    """The rest waits in the kernel's buffers and the client's, not in this process."""
    read_on = anyio.Event()
    pieces: list[int] = []

    async def reads_late(scope: Any, receive: Any, send: Any) -> None:
        await read_on.wait()
        while True:
            message = await receive()
            pieces.append(len(message["body"]))
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    size = 32 * 1024 * 1024
    async with served(reads_late) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.transport.set_write_buffer_limits(0)
        writer.write(HEAD + b"content-length: %d\r\n\r\n" % size + bytes(size))
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        assert writer.transport.get_write_buffer_size() > size // 2
        read_on.set()
        await answered_once(reader)
        writer.close()

    assert sum(pieces) == size
    assert max(pieces) < 1024 * 1024


async def answered_once(reader: asyncio.StreamReader) -> None:
    """Read the head of an answer without a body."""
    with anyio.fail_after(PATIENCE_S):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
