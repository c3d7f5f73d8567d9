"""Connections of an ``httpx`` client, cheap when many requests are in flight."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from typing import cast

import anyio
import httpx

MAX_CONNECTIONS = 100
"""Requests in flight at once; more wait, within their own deadlines."""

KEEP_ALIVE_S = 4.0
"""An idle connection is left after this: sooner than servers do (uvicorn and Node close after 5 s), so that a write
seldom meets a connection that is just being closed."""


class Connections(httpx.AsyncBaseTransport):
    """One single-connection transport per request in flight, the last used first.

    httpx's own pool searches all its connections for each request, which costs milliseconds of CPU with dozens in
    flight; here a free connection is popped from a list. A connection on which anything went wrong is closed.
    """

    def __init__(self, max_connections: int = MAX_CONNECTIONS) -> None:
        self._tls: ssl.SSLContext | None = None
        self._idle: list[httpx.AsyncHTTPTransport] = []
        self._free = anyio.Semaphore(max_connections)
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send ``request`` on a free connection; it is free again once the response is closed."""
        await self._free.acquire()
        connection: httpx.AsyncHTTPTransport | None = None
        try:
            connection = self._idle.pop() if self._idle else self._open()
            response = await connection.handle_async_request(request)
        except BaseException:
            self._free.release()
            if connection is not None:
                await _close(connection)
            raise
        response.stream = _Lease(cast("httpx.AsyncByteStream", response.stream), self, connection)
        return response

    async def give_back(self, connection: httpx.AsyncHTTPTransport, *, usable: bool) -> None:
        """Take a connection back from a response that was closed."""
        self._free.release()
        if usable and not self._closed:
            self._idle.append(connection)
        else:
            await _close(connection)

    async def aclose(self) -> None:
        """Close the idle connections; those in use follow when their responses are closed."""
        self._closed = True
        while self._idle:
            await _close(self._idle.pop())

    def _open(self) -> httpx.AsyncHTTPTransport:
        if self._tls is None:
            self._tls = httpx.create_ssl_context(trust_env=False)
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEP_ALIVE_S)
        return httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False, limits=limits)


class _Lease(httpx.AsyncByteStream):
    """A response's body, which gives its connection back when it is closed."""

    def __init__(
        self, body: httpx.AsyncByteStream, owner: Connections, connection: httpx.AsyncHTTPTransport
    ) -> None:
        self._body = body
        self._owner = owner
        self._connection: httpx.AsyncHTTPTransport | None = connection
        self._whole = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._body:
            yield part
        self._whole = True

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            await self._body.aclose()
        finally:
            await self._owner.give_back(connection, usable=self._whole)


async def _close(connection: httpx.AsyncHTTPTransport) -> None:
    with anyio.CancelScope(shield=True):
        await connection.aclose()
