"""Connections to an Alga server: an ``httpx`` transport that is cheap with many requests in flight, and strict.

httpx's own pool searches all its connections for each request, which costs milliseconds of CPU with dozens in flight,
and reuses a connection that holds bytes beyond an answer. Here a free connection is popped from a queue, answers are
read whole (``response``), and a connection about which anything is doubtful is closed.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections import deque
from contextlib import suppress

import anyio
import httpx

from alga_common.fair_limiter import FOREVER, FairLimiter

from .response import HttpProtocolError, ResponseReader

MAX_CONNECTIONS = 200
MAX_CONNECTIONS_OF_ONE = 50
"""Requests in flight at once, in all and of one holder; more wait, within their own deadlines."""

HOLDER = "alga_runner_holder"
"""The extension of a request that says whose it is."""

MAX_ANSWER_BYTES = 32 * 1024 * 1024
"""Bytes of one answer: fifty schedules, each with a payload of 100,000 characters in escaped JSON, just fit."""

KEEP_ALIVE_S = 4.0
"""An idle connection is left after this: sooner than servers do (uvicorn and Node close after 5 s), so that a write
seldom meets a connection that is just being closed."""


class Connections(httpx.AsyncBaseTransport):
    """Connections to one server, the last used first; holders share them fairly.

    ``httpx.ConnectError``: none could be made. ``httpx.ReadError``: lost before a byte of the answer.
    ``HttpProtocolError``: the answer cannot be used.
    """

    def __init__(
        self, max_connections: int = MAX_CONNECTIONS, max_of_one: int = MAX_CONNECTIONS_OF_ONE
    ) -> None:
        self._tls: ssl.SSLContext | None = None
        self._idle: deque[_Connection] = deque()
        self._slots = FairLimiter(max_connections, min(max_connections, max_of_one), max_waiting=sys.maxsize)
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send ``request`` and return its whole response."""
        message = _serialised(request, await request.aread())
        holder = request.extensions.get(HOLDER, "")
        if not self._slots.try_acquire(holder):
            await self._slots.acquire(holder, FOREVER)
        try:
            connection = self._reusable() or await self._open(request.url)
            reader = await connection.exchange(message)
            if reader.reusable and not self._closed and connection.rest():
                self._idle.append(connection)
            else:
                connection.abort()
        finally:
            self._slots.release(holder)
        body = httpx.ByteStream(bytes(reader.body))
        return httpx.Response(reader.status, headers=reader.headers, stream=body)

    async def aclose(self) -> None:
        """Close the idle connections; those in use end with their exchange."""
        self._closed = True
        idle, self._idle = self._idle, deque()
        for connection in idle:
            connection.abort()
        with anyio.CancelScope(shield=True):
            for connection in idle:
                await connection.ended

    def _reusable(self) -> _Connection | None:
        oldest = asyncio.get_running_loop().time() - KEEP_ALIVE_S
        while self._idle and self._idle[0].idle_since < oldest:
            self._idle.popleft().abort()
        while self._idle:
            connection = self._idle.pop()
            if connection.stands:
                return connection
        return None

    async def _open(self, url: httpx.URL) -> _Connection:
        tls = None
        if url.scheme == "https":
            tls = self._tls = self._tls or httpx.create_ssl_context(trust_env=False)
        port = url.port or (443 if tls else 80)
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                _Connection, url.host, port, ssl=tls
            )
        except (OSError, UnicodeError):
            raise httpx.ConnectError("no connection") from None
        return connection


class _Connection(asyncio.Protocol):
    """One connection: idle, or in one exchange. ``ended`` is done once it is gone."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.idle_since = 0.0
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._reader: ResponseReader | None = None
        self._answered: asyncio.Future[None] | None = None

    @property
    def stands(self) -> bool:
        """Whether the other side can still be reached, as far as is known here."""
        return self._transport is not None and not self._transport.is_closing() and not self.ended.done()

    async def exchange(self, message: bytes) -> ResponseReader:
        """Write ``message`` and wait for the answer; on any failure the connection is gone."""
        reader = self._reader = ResponseReader(MAX_ANSWER_BYTES)
        answered = self._answered = self._loop.create_future()
        try:
            if self._transport is None or not self.stands:
                self._finish(_lost())
            else:
                self._transport.write(message)
            await answered
        except BaseException:
            self.abort()
            raise
        finally:
            self._reader = self._answered = None
        return reader

    def rest(self) -> bool:
        """Whether the connection can wait for the next exchange: it stands, and the request was sent to its end."""
        self.idle_since = self._loop.time()
        return self.stands and self._transport is not None and not self._transport.get_write_buffer_size()

    def abort(self) -> None:
        """Leave at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # a stream's transport is an asyncio.Transport

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        if reader is None or reader.complete:
            self.abort()  # nobody asked
            return
        try:
            whole = reader.feed(data)
        except HttpProtocolError as error:
            self._finish(error)
        else:
            if whole:
                self._finish(None)

    def connection_lost(self, exc: Exception | None) -> None:
        with suppress(asyncio.InvalidStateError):
            self.ended.set_result(None)
        reader = self._reader
        if reader is None or reader.complete:
            return
        if not reader.begun:
            self._finish(_lost())
            return
        try:
            reader.end()
        except HttpProtocolError as error:
            self._finish(error)
        else:
            self._finish(HttpProtocolError("breaks off in the middle") if exc else None)

    def _finish(self, error: Exception | None) -> None:
        if self._answered is None or self._answered.done():
            return
        if error is None:
            self._answered.set_result(None)
        else:
            self._answered.set_exception(error)


def _lost() -> httpx.ReadError:
    return httpx.ReadError("lost before an answer")


def _serialised(request: httpx.Request, content: bytes) -> bytes:
    head = [b"%s %s HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    head += [b"%s: %s" % header for header in request.headers.raw]
    if any(b"\r" in line or b"\n" in line for line in head):
        raise httpx.LocalProtocolError("a line break in the request's head")
    return b"\r\n".join([*head, b"", content])
