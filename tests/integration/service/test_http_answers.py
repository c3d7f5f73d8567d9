"""Answers as they are sent: their framing, what may not be sent, and apps that fail."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from alga_common.http.asgi import RESPOND, Cycle, HeaderLines
from alga_common.http.connection import MAX_WAITING, Connection
from alga_common.http.request_head import read_head
from tests.support.http_sockets import CONTINUE, answers, served
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.anyio

ASKED = b"%b / HTTP/1.%b\r\nhost: x\r\nconnection: close\r\n\r\n"


def app(*pieces: bytes, status: int = 200, headers: Any = ()) -> Any:
    """An app that answers with ``pieces``."""

    async def call(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    return call


def app_at_once(body: bytes, *, status: int = 200, headers: Any = (), close: bool = False) -> Any:
    """An app that answers in one piece, if it may."""

    async def call(scope: Any, receive: Any, send: Any) -> None:
        lines = [b"%b: %b\r\n" % header for header in headers]
        if not scope[RESPOND](status, lines, body, close=close):
            await app(b"later", status=status)(scope, receive, send)

    return call


async def plain_app(scope: Any, receive: Any, send: Any) -> None:
    """An app of any framework, whose answer has one body."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
    await send({"type": "http.response.body", "body": b"abc"})


async def answer_of(app: Any, method: bytes = b"GET", minor: bytes = b"1") -> tuple[bytes, bytes]:
    """The head and the body that ``app`` answers."""
    async with served(app) as address:
        head, _, body = (await answers(address, ASKED % (method, minor))).partition(b"\r\n\r\n")
        return head, body


async def test_a_body_of_unknown_length_is_sent_in_chunks() -> None:
    head, body = await answer_of(app(b"a", b"", b"bc"))

    assert b"transfer-encoding: chunked" in head
    assert body == b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"


async def test_to_a_client_of_http_1_0_such_a_body_ends_with_the_connection() -> None:
    head, body = await answer_of(app(b"a", b"bc"), minor=b"0")

    assert b"transfer-encoding" not in head
    assert body == b"abc"


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"GET", 204), (b"GET", 304)])
async def test_an_answer_that_may_have_no_body_has_none(method: bytes, status: int) -> None:
    head, body = await answer_of(app(b"abc", status=status), method)

    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"transfer-encoding" not in head
    assert body == b""


async def test_the_length_of_what_head_asks_about_is_kept() -> None:
    head, body = await answer_of(app(b"abc", headers=[(b"content-length", b"3")]), b"HEAD")

    assert b"content-length: 3" in head
    assert body == b""


async def test_an_answer_in_one_piece_has_its_length_and_the_headers_of_the_server() -> None:
    head, body = await answer_of(app_at_once(b"abc", headers=[(b"x-a", b"b")]))

    assert head.startswith(b"HTTP/1.1 200 OK\r\ndate: ")
    assert b"\r\nx-a: b\r\ncontent-length: 3\r\nconnection: close" in head
    assert body == b"abc"


async def test_the_last_answer_in_one_piece_closes_a_connection_that_the_client_would_keep() -> None:
    async with served(app_at_once(b"abc", close=True)) as address:
        answer = await answers(address, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 2)

    assert answer.count(b"HTTP/1.1 200") == 1
    assert b"connection: close" in answer


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"GET", 204), (b"GET", 304)])
async def test_an_answer_that_may_have_no_body_is_not_sent_in_one_piece_with_one(
    method: bytes, status: int
) -> None:
    head, body = await answer_of(app_at_once(b"abc", status=status), method)

    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert body == b""


async def test_answers_that_wait_for_the_end_of_a_turn_keep_their_order() -> None:
    async def call(scope: Any, receive: Any, send: Any) -> None:
        path = scope["raw_path"]
        answering = app(path) if path == b"/2" else app_at_once(path, close=path == b"/4")
        await answering(scope, receive, send)

    async with served(call) as address:
        asked = [b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n" % number for number in range(1, 5)]
        answer = await answers(address, b"".join(asked))

    assert re.findall(rb"\n(/[0-9])", answer) == [b"/1", b"/2", b"/3", b"/4"]


SMALL = pytest.mark.parametrize("small", [app_at_once(b"abc"), plain_app], ids=["in one piece", "plain"])


async def test_a_request_does_not_see_the_context_of_the_one_before_it() -> None:
    marked: ContextVar[str] = ContextVar("marked", default="")
    seen: list[str] = []

    async def call(scope: Any, receive: Any, send: Any) -> None:
        seen.append(marked.get())
        marked.set("by another request")
        await plain_app(scope, receive, send)

    async with served(call) as address:
        await answers(address, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 3 + b" \r\n")

    assert seen == ["", "", ""]


@SMALL
async def test_an_answer_that_waits_is_sent_before_the_connection_closes(small: Any) -> None:
    async with served(small) as address:
        answer = await answers(address, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n \r\n")

    assert answer.endswith(b"abc")


@SMALL
async def test_more_answers_than_wait_together_all_arrive(small: Any) -> None:
    bodies: list[bytes] = []
    asked = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
    async with served(small) as address:
        clients = [await asyncio.open_connection(*address) for _ in range(MAX_WAITING + 3)]
        for _, writer in clients:
            writer.write(asked)
        with anyio.fail_after(PATIENCE_S):
            for reader, writer in clients:
                await reader.readuntil(b"\r\n\r\n")
                bodies.append(await reader.readexactly(3))
                writer.close()

    assert bodies == [b"abc"] * (MAX_WAITING + 3)


@SMALL
async def test_a_client_that_ends_its_sending_in_the_turn_of_its_answer_gets_it(small: Any) -> None:
    """A server's first request is answered in the turn after it was read, in which its client's end is read, too."""
    async with served(small) as address:
        with socket.create_connection(address) as client, anyio.fail_after(PATIENCE_S):
            client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            client.shutdown(socket.SHUT_WR)
            client.setblocking(False)
            answer = b""
            while part := await asyncio.get_running_loop().sock_recv(client, 65536):
                answer += part

    assert answer.endswith(b"abc")


class Unwritable:
    """A connection's transport that fails when it writes."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        raise RuntimeError("The handler is closed.")


@SMALL
async def test_a_connection_that_cannot_be_written_to_keeps_no_other_from_its_answer(
    small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_soon, broken = Connection.write_soon, list[Connection]()

    def breaks_one(self: Connection, data: bytes) -> None:
        if not broken:
            broken.append(self)
            monkeypatch.setattr(self, "transport", Unwritable(self.transport))
        write_soon(self, data)

    monkeypatch.setattr(Connection, "write_soon", breaks_one)
    async with served(small) as address:
        clients = [await asyncio.open_connection(*address) for _ in range(2)]
        for _, writer in clients:
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        with anyio.fail_after(PATIENCE_S):
            bodies = [await last_bytes(reader) for reader, _ in clients]
        for _, writer in clients:
            writer.close()

    assert sorted(bodies) == [b"", b"abc"]


async def last_bytes(reader: asyncio.StreamReader) -> bytes:
    """The end of what arrives next; nothing if the connection is closed or reset."""
    try:
        return (await reader.read(65536))[-3:]
    except ConnectionError:
        return b""


async def test_an_answer_that_is_too_large_to_copy_is_not_sent_in_one_piece() -> None:
    _, body = await answer_of(app_at_once(b"a" * 100_000))

    assert b"later" in body


@pytest.mark.parametrize(
    "header",
    [
        (b"x", b"a\r\nset-cookie: b"),
        (b"x", b"a\nb"),
        (b"x", b"a\0"),
        (b"x y", b"a"),
        (b"x:y\r\nz", b""),
        (b"", b""),
    ],
)
@pytest.mark.parametrize("answering", [app, app_at_once])
async def test_a_header_that_would_become_two_is_not_sent(
    header: tuple[bytes, bytes], answering: Callable[..., Any]
) -> None:
    head, body = await answer_of(answering(b"abc", headers=[header]))

    assert head.startswith(b"HTTP/1.1 500 ")
    assert b"set-cookie" not in head
    assert body == b"Internal Server Error"


@pytest.mark.parametrize("length", [b"2", b"4"])
async def test_a_body_of_another_length_than_declared_ends_the_connection(length: bytes) -> None:
    _, body = await answer_of(app(b"abc", headers=[(b"content-length", length)]))

    assert body in {b"", b"abc"[: int(length) + 1]}
    assert len(body) != int(length)


async def test_an_app_that_fails_is_answered_for() -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError

    async def is_silent(scope: Any, receive: Any, send: Any) -> None:
        pass

    for faulty in (fails, is_silent):
        head, _ = await answer_of(faulty)
        assert head.startswith(b"HTTP/1.1 500 ")
        assert b"connection: close" in head


@SMALL
async def test_a_small_answer_is_sent_when_the_turn_is_over(
    small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[bytes] = []
    write_soon = Connection.write_soon

    def kept(self: Connection, data: bytes) -> None:
        waited.append(data)
        write_soon(self, data)

    monkeypatch.setattr(Connection, "write_soon", kept)
    async with served(small) as address:
        answer = await answers(address, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n \r\n")

    assert answer.endswith(b"abc")
    assert [data[-3:] for data in waited] == [b"abc"]


async def test_an_answer_is_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two would be two packets, and two calls of the system."""
    written: list[bytes] = []
    write = Connection.write

    def kept(self: Connection, data: bytes) -> None:
        written.append(data)
        write(self, data)

    monkeypatch.setattr(Connection, "write", kept)
    await answer_of(app(headers=[(b"content-length", b"0")]))
    assert len(written) == 1

    written.clear()
    large = b"a" * 1_000_000
    _, body = await answer_of(app(large, headers=[(b"content-length", b"1000000")]))
    assert body == large
    assert len(written) == 2  # a large body is not copied behind its head


# ---- Shortcuts of an app that knows the server


def test_lines_that_are_more_than_one_header_are_not_kept_for_answers() -> None:
    with pytest.raises(RuntimeError, match="cannot be sent"):
        HeaderLines.of([b"x-a: 1\r\nx-b: 2\r\n"])


async def test_lines_that_were_checked_before_are_sent_as_they_are() -> None:
    async def call(scope: Any, receive: Any, send: Any) -> None:
        assert scope[RESPOND](200, HeaderLines.of([b"x-a: 1\r\n", b"x-b: 2\r\n"]), b"abc", close=False)

    head, body = await answer_of(call)

    assert b"\r\nx-a: 1\r\nx-b: 2\r\n" in head
    assert body == b"abc"


class Wire:
    """A connection that keeps all that is sent."""

    default_lines = b""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    write_soon = write

    def writable(self) -> None:
        return None

    def close(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def end(self, cycle: Cycle) -> None: ...


def asked(headers: bytes = b"content-length: 4\r\n") -> Cycle:
    return Cycle(Wire(), read_head(b"POST / HTTP/1.1\r\nhost: x\r\n%b\r\n" % headers))


def test_a_body_that_has_arrived_is_taken_once() -> None:
    cycle = asked()
    cycle.feed(b"abcd", complete=True)

    assert (cycle.take_body(), cycle.take_body()) == (b"abcd", None)


def test_a_request_without_a_body_has_an_empty_one_to_take() -> None:
    assert asked(headers=b"").take_body() == b""


async def test_a_body_of_which_a_part_is_missing_or_was_read_is_not_taken() -> None:
    cycle = asked()
    cycle.feed(b"ab", complete=False)
    assert cycle.take_body() is None

    assert (await cycle.receive())["body"] == b"ab"
    cycle.feed(b"cd", complete=True)

    assert cycle.take_body() is None
    assert await cycle.receive() == {"type": "http.request", "body": b"cd", "more_body": False}


def test_of_a_client_that_is_gone_no_body_is_taken() -> None:
    cycle = asked()
    cycle.feed(b"abcd", complete=True)
    cycle.lose()

    assert cycle.take_body() is None


async def test_a_client_that_waits_for_leave_to_send_gets_it_all_the_same() -> None:
    wire = Wire()
    cycle = Cycle(wire, read_head(b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n\r\n"))

    assert cycle.take_body() is None
    await cycle.receive()
    assert wire.sent == [CONTINUE]
