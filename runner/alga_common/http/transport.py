"""An ``httpx`` transport over sockets that is cheap with many requests in flight, and strict.

httpx's own pool searches all its connections for each request, which costs milliseconds of CPU with dozens in flight,
and reuses a connection that holds bytes beyond an answer. Here a free connection is popped from a queue, answers are
read whole (``response``), and a connection about which anything is doubtful is closed.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any, TypeAlias

import anyio
import httpx

from ..environment import EnvironmentFault
from ..fair_limiter import FOREVER, FairLimiter, Outcome
from .response import HttpProtocolError, IncompleteResponse, ResponseReader
from .tls import tls_context

MAX_ANSWER_BYTES = "alga_max_answer_bytes"
"""A request's extension: the most bytes of its answer, if it may have fewer than others."""

WATCH = "alga_watch"
"""The extension of a request that is called with the reader of its answer, before a byte of that arrives."""

Header: TypeAlias = tuple[bytes, bytes]

OWNER = "alga_owner"
"""The request extension that names the tenant for whom it is sent; tenants share the connections fairly."""

Resolve: TypeAlias = Callable[[httpx.Request], Awaitable[Sequence[str]]]
"""Gives the addresses of a request's server, those to try first first. What it raises, the request raises."""

_MAX_ADDRESSES = 4
"""Of one server that are tried: each gets an equal part of the time that is left."""

KEEP_ALIVE_S = 4.0
"""An idle connection is closed after this: sooner than servers do (uvicorn and Node close after 5 s), so that a write
seldom meets a connection that the server is closing."""


class Head:
    """The beginning of a request, which many requests share: the method, the URL, and the first headers.

    Its ``lines`` are written once. Raises ``httpx.LocalProtocolError`` for a line break in them.
    """

    __slots__ = ("headers", "lines", "method", "url")

    def __init__(self, method: str, url: httpx.URL, headers: Iterable[Header]) -> None:
        self.method = method
        self.url = url
        self.headers = tuple(headers)
        target = b"%b %b HTTP/1.1" % (method.encode("ascii"), url.raw_path)
        if b"\r" in target or b"\n" in target:
            raise httpx.LocalProtocolError("a line break in the request's target")
        self.lines = target + b"\r\n" + _lines(self.headers)


class SocketTransport(httpx.AsyncBaseTransport):
    """Connections to one server, the last used first; with ``resolve`` to any server, each for one exchange.

    ``max_connections`` requests are in flight at a time, ``max_per_owner`` of one owner; more wait for as long as the
    request's ``pool`` timeout allows. Raises ``httpx.PoolTimeout``; ``httpx.ConnectError`` when no connection could be
    made; ``httpx.ReadError`` for one lost before a byte of the answer; ``HttpProtocolError`` for an answer that cannot
    be used. ``tls`` verifies the server of an https URL; without it the first connection makes a ``tls_context``.
    Proxies of the environment are not used. ``resolve`` is called instead of the system's name resolution, and the
    connection is made to an address that it returned; the certificate is still that of the URL's name.
    """

    def __init__(
        self,
        max_connections: int,
        max_per_owner: int,
        *,
        max_answer_bytes: int,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        self._tls = tls
        self._resolve = resolve
        self._idle: deque[_Connection] = deque()
        self._slots = FairLimiter(
            max_connections, min(max_connections, max_per_owner), max_waiting=sys.maxsize
        )
        self._max_answer_bytes = max_answer_bytes
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send ``request`` and return its whole response."""
        head = Head(request.method, request.url, request.headers.raw)
        message = b"%b\r\n%b" % (head.lines, await request.aread())
        most = min(self._max_answer_bytes, request.extensions.get(MAX_ANSWER_BYTES, self._max_answer_bytes))
        reader = ResponseReader(most, bodiless=request.method == "HEAD")
        if (watch := request.extensions.get(WATCH)) is not None:
            watch(reader)
        pool_timeout_s = request.extensions.get("timeout", {}).get("pool")
        connect = partial(self._connect_to, request)
        owner = request.extensions.get(OWNER, "")
        await self._exchange(message, reader, connect, owner=owner, pool_timeout_s=pool_timeout_s)
        body = httpx.ByteStream(bytes(reader.body))
        return httpx.Response(reader.status, headers=reader.headers, stream=body)

    def post(
        self,
        head: Head,
        headers: Sequence[Header],
        content: bytes,
        *,
        owner: str,
        max_answer_bytes: int,
        pool_timeout_s: float | None = None,
        until: float = FOREVER,
    ) -> Coroutine[Any, Any, ResponseReader]:
        """Send ``head``, ``headers`` and ``content``, and return the reader that holds the whole response.

        The same exchange as ``handle_async_request`` without httpx's objects, which cost more than all the rest, and
        with a deadline of its own: raises ``TimeoutError`` at ``until``, a reading of ``time.monotonic()``. Not for a
        transport with ``resolve``.
        """
        message = b"%b%b\r\n%b" % (head.lines, _lines(headers), content)
        reader = ResponseReader(min(max_answer_bytes, self._max_answer_bytes))
        connect = partial(self._connect_until, until, head.url)
        return self._exchange(
            message, reader, connect, owner=owner, pool_timeout_s=pool_timeout_s, until=until
        )

    async def _exchange(
        self,
        message: bytes,
        reader: ResponseReader,
        connect: Callable[[], Awaitable[_Connection]],
        *,
        owner: str,
        pool_timeout_s: float | None,
        until: float = FOREVER,
    ) -> ResponseReader:
        """Have ``reader`` read the answer to ``message``; any failure closes the connection."""
        if not self._slots.try_acquire(owner):
            await self._wait_for_slot(owner, pool_timeout_s, until)
        try:
            connection = self._reusable() or await connect()
            try:
                await connection.begin(message, reader, until)
            except BaseException:
                connection.abort()
                raise
            finally:
                connection.end()
            if self._resolve is None and reader.reusable and not self._closed and connection.rest():
                self._idle.append(connection)
            else:
                connection.abort()
        finally:
            self._slots.release(owner)
        return reader

    async def _wait_for_slot(self, owner: str, pool_timeout_s: float | None, until: float) -> None:
        patience_s, left_s = FOREVER if pool_timeout_s is None else pool_timeout_s, until - monotonic()
        if await self._slots.acquire(owner, min(patience_s, left_s)) is not Outcome.ACQUIRED:
            if left_s < patience_s:
                raise TimeoutError
            raise httpx.PoolTimeout("all connections are in use")

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
            if connection.is_open:
                return connection
        return None

    async def _connect_to(self, request: httpx.Request) -> _Connection:
        url = request.url
        if self._resolve is None:
            return await self._connect(url, url.host)
        addresses = (await self._resolve(request))[:_MAX_ADDRESSES]
        until = anyio.current_effective_deadline()
        for left in range(len(addresses), 1, -1):
            with suppress(httpx.ConnectError), anyio.move_on_after((until - anyio.current_time()) / left):
                return await self._connect(url, addresses[-left])
        return await self._connect(url, addresses[-1])

    async def _connect_until(self, until: float, url: httpx.URL) -> _Connection:
        with anyio.fail_after(until - monotonic()):
            return await self._connect(url, url.host)

    async def _connect(self, url: httpx.URL, address: str) -> _Connection:
        tls = None
        if url.scheme == "https":
            tls = self._tls = self._tls or _tls_context()
        port = url.port or (443 if tls else 80)
        name = url.raw_host.decode("ascii").rstrip(".") if tls else None
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                _Connection, address, port, ssl=tls, server_hostname=name
            )
        except ssl.SSLCertVerificationError:
            raise CertificateRefused("the certificate is not the server's") from None
        except (OSError, UnicodeError):
            raise httpx.ConnectError("no connection") from None
        return connection


class CertificateRefused(httpx.ConnectError):
    """The server's certificate is not of its name, or of no authority that is known here."""


class _Connection(asyncio.Protocol):
    """One connection: idle, or in one exchange. ``ended`` is done once it is closed."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.idle_since = 0.0
        self._loop = loop
        self._is_lost = False
        self._transport: asyncio.Transport | None = None
        self._reader: ResponseReader | None = None
        self._answered: asyncio.Future[None] | None = None
        self._until = FOREVER
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = FOREVER

    @property
    def is_open(self) -> bool:
        """Whether neither side has closed it, as far as this side knows."""
        return not (self._is_lost or self._transport is None or self._transport.is_closing())

    def begin(self, message: bytes, reader: ResponseReader, until: float) -> asyncio.Future[None]:
        """Write ``message``; the future is done when ``reader`` has the answer. ``end`` follows in any case.

        It raises ``TimeoutError`` at ``until``.
        """
        self._reader, self._until = reader, until
        answered = self._answered = self._loop.create_future()
        if until < self._timer_at:
            self._look_at(until)
        transport = self._transport
        if self._is_lost or transport is None or transport.is_closing():
            answered.set_exception(_lost())
        else:
            transport.write(message)
        return answered

    def end(self) -> None:
        """End the exchange: what arrives from now on is no part of it."""
        self._reader = self._answered = None

    def rest(self) -> bool:
        """Whether the connection can wait for the next exchange: it is open, and the request was sent to its end."""
        self.idle_since = self._loop.time()
        transport = self._transport
        if self._is_lost or transport is None or transport.is_closing():
            return False
        return not transport.get_write_buffer_size()

    def _look_at(self, until: float) -> None:
        """Have one timer for many exchanges: each ends later than the one before, nearly always in time."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = until
        self._timer = self._loop.call_later(max(0.0, until - monotonic()), self._look)

    def _look(self) -> None:
        self._timer, self._timer_at = None, FOREVER
        if self._until <= monotonic():
            self._finish(TimeoutError())
        elif self._answered is not None and self._until < FOREVER:
            self._look_at(self._until)

    def abort(self) -> None:
        """Close the connection immediately."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # a stream's transport is an asyncio.Transport

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        if reader is None or reader.complete:
            self.abort()  # no request is open that these bytes could answer
            return
        try:
            whole = reader.feed(data)
        except HttpProtocolError as error:
            self._finish(error)
        else:
            if whole:
                self._finish(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        with suppress(asyncio.InvalidStateError):
            self.ended.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
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
            self._finish(IncompleteResponse() if exc else None)

    def _finish(self, error: Exception | None) -> None:
        if self._answered is None or self._answered.done():
            return
        if error is None:
            self._answered.set_result(None)
        else:
            self._answered.set_exception(error)


def _tls_context() -> ssl.SSLContext:
    try:
        return tls_context()
    except EnvironmentFault as fault:
        raise httpx.ConnectError(str(fault)) from None


def _lost() -> httpx.ReadError:
    return httpx.ReadError("lost before an answer")


def _lines(headers: Sequence[Header]) -> bytes:
    """``headers`` as they are sent. Raises ``httpx.LocalProtocolError``."""
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    if lines.count(b"\r") + lines.count(b"\n") != 2 * len(headers):
        raise httpx.LocalProtocolError("a line break in the request's head")
    return lines
