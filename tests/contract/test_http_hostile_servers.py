"""Alga servers that misbehave, on real sockets: a guest gets a value, the runner keeps its memory and its time."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic

import anyio
import pytest
from pydantic import SecretStr

from alga_runner.alga import HttpAlgaServer, Identity
from alga_runner.errors import HostCallCode, HostCallError, ServerFault
from alga_runner.models import CreateScheduleInput

pytestmark = pytest.mark.anyio

TOKEN = "hush-hush-token"
IDENTITY = Identity("tenant-1", "acme.sync", "install-1", "request-1")
HOURLY = CreateScheduleInput(endpoint="/sync", cron="0 * * * *")

EMPTY_LIST = b'{"schedules":[]}'
GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n" + EMPTY_LIST

Answer = Callable[["Hostile", asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Hostile:
    """A server that reads whole requests and answers each with the next of ``answers``, the last one for ever."""

    answers: list[Answer]
    port: HttpAlgaServer = field(init=False)
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        self.tasks.append(asyncio.create_task(self.serve(reader, writer)))

    async def aclose(self) -> None:
        for writer in self.writers:
            writer.transport.abort()
        await asyncio.gather(*self.tasks)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                await answer(self, writer)
        writer.close()

    async def list(self, *, within: float = 60.0) -> object:
        return await self.port.list_schedules(IDENTITY, monotonic() + within)

    async def create(self, *, within: float = 60.0) -> object:
        return await self.port.create_schedule(IDENTITY, HOURLY, monotonic() + within)


@asynccontextmanager
async def hostile(*answers: Answer) -> AsyncIterator[Hostile]:
    house = Hostile(list(answers))
    server = await asyncio.start_server(house.accept, "127.0.0.1", 0)
    number = server.sockets[0].getsockname()[1]
    house.port = HttpAlgaServer(f"http://127.0.0.1:{number}", SecretStr(TOKEN))
    try:
        yield house
    finally:
        await house.port.aclose()
        server.close()
        await house.aclose()
        await server.wait_closed()


def sends(data: bytes, *, then_close: bool = False) -> Answer:
    async def answer(_: Hostile, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if then_close:
            writer.close()

    return answer


def json_answer(document: object, status: str = "200 OK", headers: str = "") -> bytes:
    body = json.dumps(document).encode()
    return f"HTTP/1.1 {status}\r\n{headers}content-length: {len(body)}\r\n\r\n".encode() + body


async def closes(_: Hostile, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def resets(_: Hostile, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def never_answers(_: Hostile, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        await writer.wait_closed()


async def drips(_: Hostile, writer: asyncio.StreamWriter) -> None:
    """Sends a piece of a chunked answer at a time, for ever, as fast as it is read."""
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1\r\n \r\n")
        await writer.drain()
        await asyncio.sleep(0)


async def floods(_: Hostile, writer: asyncio.StreamWriter) -> None:
    """Sends a chunked answer without end in large pieces."""
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        await writer.drain()


async def refusal(answer: Awaitable[object]) -> HostCallError:
    with pytest.raises(HostCallError) as caught:
        await answer
    assert TOKEN not in repr(caught.value)
    return caught.value


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.getsockname()[1]
    port = HttpAlgaServer(f"http://127.0.0.1:{number}", SecretStr(TOKEN))

    error = await refusal(port.list_schedules(IDENTITY, monotonic() + 60))
    await port.aclose()

    assert error.host_code is HostCallCode.UNAVAILABLE


@pytest.mark.parametrize("answer", [closes, resets])
async def test_a_read_is_asked_once_more_when_the_connection_is_lost(answer: Answer) -> None:
    async with hostile(answer, sends(GOOD)) as server:
        assert await server.list() == []
        assert len(server.requests) == 2


@pytest.mark.parametrize("answer", [closes, resets])
async def test_a_read_is_asked_once_more_and_no_more(answer: Answer) -> None:
    async with hostile(answer) as server:
        error = await refusal(server.list())

        assert error.host_code is HostCallCode.UNAVAILABLE
        assert len(server.requests) == 2


@pytest.mark.parametrize("answer", [closes, resets])
async def test_a_write_is_never_sent_twice(answer: Answer) -> None:
    async with hostile(answer, sends(json_answer({"success": True, "scheduleId": "s-1"}))) as server:
        error = await refusal(server.create())

        assert error.host_code is HostCallCode.UNAVAILABLE
        assert len(server.requests) == 1


@pytest.mark.parametrize("half", [GOOD[:-1], GOOD[:-16], b"HTTP/1.1 200 OK\r\ncontent-le"])
async def test_half_an_answer_is_not_an_answer(half: bytes) -> None:
    async with hostile(sends(half, then_close=True)) as server:
        error = await refusal(server.create())

        assert error.host_code is HostCallCode.UNAVAILABLE
        assert len(server.requests) == 1


@pytest.mark.parametrize("answer", [never_answers, drips, sends(GOOD[:-1]), sends(b"HTTP/1.1 200")])
async def test_a_slow_server_is_a_timeout_at_the_deadline(answer: Answer) -> None:
    async with hostile(answer) as server:
        error = await refusal(server.list(within=0.05))

        assert error.host_code is HostCallCode.TIMEOUT


async def test_the_servers_own_time_limit_can_be_sooner_than_the_deadline() -> None:
    async with hostile(never_answers) as server:
        host = HttpAlgaServer(repr(server.port).split("'")[1], SecretStr(TOKEN), timeout_s=0.05)
        error = await refusal(host.list_schedules(IDENTITY, monotonic() + 3600))
        await host.aclose()

        assert error.host_code is HostCallCode.TIMEOUT


async def test_a_connection_is_usable_after_another_timed_out() -> None:
    async with hostile(never_answers) as server:
        await refusal(server.list(within=0.05))
        server.answers = [sends(GOOD)]  # also if the first request came no further than a connection

        assert await server.list() == []


async def test_cancellation_passes_through_and_leaves_the_client_usable() -> None:
    async def cancels(_: Hostile, writer: asyncio.StreamWriter) -> None:
        scope.cancel()
        await never_answers(_, writer)

    async with hostile(cancels, sends(GOOD)) as server:
        with anyio.CancelScope() as scope:
            await server.list()
        assert scope.cancelled_caught

        assert await server.list() == []


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(sends(b"HTTP/1.1 200 OK\r\ncontent-length: 2147483648\r\n\r\n{"), id="2 GB announced"),
        pytest.param(sends(b"HTTP/1.1 200 OK\r\ncontent-length: " + b"9" * 18 + b"\r\n\r\n{"), id="9*18"),
        pytest.param(floods, id="chunks without end"),
        pytest.param(sends(b"220 smtp.example ESMTP\r\n", then_close=True), id="not HTTP"),
        pytest.param(sends(json_answer([])), id="a list"),
        pytest.param(sends(json_answer({})), id="an empty object"),
        pytest.param(sends(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n<html"), id="HTML"),
        pytest.param(sends(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n\xff\xfe{}"), id="not UTF-8"),
        pytest.param(sends(b"HTTP/1.1 204 No Content\r\n\r\n"), id="no content"),
        pytest.param(
            sends(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n\x1f\x8b"),
            id="compressed",
        ),
        pytest.param(
            sends(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + b"[" * 100_000), id="deep nesting"
        ),
        pytest.param(
            sends(b"HTTP/1.1 500 Oops\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>"),
            id="500 with HTML",
        ),
        pytest.param(sends(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000), id="a header without end"),
    ],
)
async def test_an_answer_that_is_not_the_api_s_is_unavailable_and_for_the_operator_to_mend(
    answer: Answer,
) -> None:
    async with hostile(answer) as server:
        error = await refusal(server.list())

        assert (error.host_code, error.fault) == (HostCallCode.UNAVAILABLE, ServerFault.UNUSABLE_ANSWER)
        assert error.detail
        assert len(error.detail) < 300


@pytest.mark.parametrize("schedules", [None, [{"id": 5}]])
async def test_an_answer_of_the_api_with_a_wrong_shape_is_internal(schedules: object) -> None:
    async with hostile(sends(json_answer({"schedules": schedules}))) as server:
        error = await refusal(server.list())

        assert (error.host_code, error.fault) == (HostCallCode.INTERNAL, ServerFault.UNUSABLE_ANSWER)
        assert str(error).startswith("The Alga server's answer has a wrong shape at schedules")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_never_followed(status: int) -> None:
    async with hostile(sends(GOOD)) as elsewhere:
        away = f"HTTP/1.1 {status} Away\r\nlocation: {repr(elsewhere.port).split(chr(39))[1]}/\r\n"
        async with hostile(sends(f"{away}content-length: 0\r\n\r\n".encode())) as server:
            error = await refusal(server.list())

        assert error.host_code is HostCallCode.UNAVAILABLE
        assert f"HTTP {status}, no content type, location http://127.0.0.1:" in str(error.detail)
        assert elsewhere.requests == []


async def test_one_connection_serves_one_call_after_the_other() -> None:
    async with hostile(sends(GOOD)) as server:
        for _ in range(3):
            await server.list()

        assert (len(server.requests), server.connections) == (3, 1)


async def test_bytes_after_an_answer_do_not_become_the_next_one() -> None:
    forged = json_answer({"schedules": [], "note": "forged"})
    async with hostile(sends(GOOD + forged), sends(json_answer({"endpoints": []}))) as server:
        await server.list()
        endpoints = await server.port.get_endpoints(IDENTITY, monotonic() + 60)

        assert endpoints == []


async def test_cookies_do_not_stay() -> None:
    cookie = json_answer({"schedules": []}, headers="set-cookie: session=tenant-1\r\n")
    async with hostile(sends(cookie)) as server:
        await server.list()
        await server.list()

        assert b"tenant-1" in server.requests[0]
        assert all(b"cookie" not in request.lower() for request in server.requests)


async def test_many_calls_at_once_all_get_their_own_answer() -> None:
    async def echoes(server: Hostile, writer: asyncio.StreamWriter) -> None:
        schedule_id = json.loads(server.requests[-1].split(b"\r\n\r\n")[1])["scheduleId"]
        schedule = {
            "id": schedule_id,
            "endpointPath": "/sync",
            "endpointMethod": "POST",
            "cron": "0 * * * *",
            "timezone": "UTC",
            "enabled": True,
        }
        writer.write(json_answer({"schedule": schedule}))

    async with hostile(echoes) as server:

        async def get(number: int) -> None:
            schedule = await server.port.get_schedule(IDENTITY, f"s-{number}", monotonic() + 60)
            assert schedule is not None
            assert schedule.id == f"s-{number}"

        async with anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(get, number)

        assert server.connections <= 100


async def test_the_token_is_sent_and_appears_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with hostile(sends(GOOD), closes) as server:
        await server.list()
        await refusal(server.create())

        assert all(f"x-runner-auth: {TOKEN}".encode() in request for request in server.requests)
    assert TOKEN not in caplog.text


async def test_the_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with hostile(sends(GOOD)) as server:
        assert await server.list() == []


async def test_a_server_without_tls_is_not_asked_over_tls() -> None:
    async def hangs_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GOOD)
        writer.close()

    server = await asyncio.start_server(hangs_up, "127.0.0.1", 0)
    async with server:
        number = server.sockets[0].getsockname()[1]
        port = HttpAlgaServer(f"https://127.0.0.1:{number}", SecretStr(TOKEN))
        error = await refusal(port.create_schedule(IDENTITY, HOURLY, monotonic() + 60))
        await port.aclose()

    assert error.host_code is HostCallCode.UNAVAILABLE
