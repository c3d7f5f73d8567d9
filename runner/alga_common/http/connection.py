"""A server's connection: requests in, answers out, one after the other, and bounds on all that a client can hold.

A connection whose next request has no complete head after ``HEAD_WITHIN_S`` is closed, from its first second on. There
are bounds on all connections and on those of one address. A head that two parsers could read differently is refused,
and so is a large one (``request_head``).
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections import Counter
from contextvars import copy_context
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from .asgi import Cycle, Message
from .carriers import Carriers
from .request_body import BadBody, Body
from .request_head import END_OF_HEAD, MAX_HEAD_BYTES, BadHead, RequestHead, may_become_head, read_head

if TYPE_CHECKING:
    import uvicorn
    from uvicorn.server import ServerState

HEAD_WITHIN_S = 10.0
"""How long a client may take to send the head of a request, or the rest of one that is already answered."""

MAX_WAITING = 16
"""Answers that wait to be sent together, at most."""

_REFUSAL = b"Invalid HTTP request received."
_REFUSED = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (len(_REFUSAL), _REFUSAL)
)

logger = logging.getLogger("uvicorn.error")


def most_connections() -> int:
    """The connections that a process may have where no setting bounds them: half of the files that it may open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, files // 2)


def bounded_connections(most: int | None, most_of_address: int | None) -> type[Connection]:
    """The protocol of a server that has at most as many connections, in all and with one address.

    Unset, half of the process's open files may be connections, and half of those one address's: that of a proxy.
    """
    in_all = most or most_connections()
    of_one = min(in_all, most_of_address or -(-in_all // 2))
    members: dict[str, object] = {"max_connections": in_all, "max_of_address": of_one}
    members |= {"of_address": Counter[str](), "carriers": Carriers(), "outbox": Outbox()}
    return type("BoundedConnection", (Connection,), members)


class Outbox:
    """Sends the small answers of a turn of the event loop together.

    An answer that is sent alone wakes its client, who then sends its next request alone, too. Together they take less
    of the system's time, and the requests that follow arrive together.
    """

    def __init__(self) -> None:
        self._connections: list[Connection] = []

    def add(self, connection: Connection) -> None:
        """Have it send what it has: after this turn, or now if ``MAX_WAITING`` wait."""
        if not self._connections:
            asyncio.get_running_loop().call_soon(self._send)
        self._connections.append(connection)
        if len(self._connections) >= MAX_WAITING:
            self._send()

    def _send(self) -> None:
        connections, self._connections = self._connections, []
        for connection in connections:
            try:
                connection.send_waiting()
            except Exception:
                logger.exception("Closing a connection that cannot be written to")
                connection.transport.abort()


class Connection(asyncio.Protocol):
    """One connection of a ``uvicorn.Server``; its class is made by ``bounded_connections``."""

    max_connections: int
    max_of_address: int
    of_address: Counter[str]
    carriers: Carriers
    outbox: Outbox
    defaults: tuple[list[tuple[bytes, bytes]], bytes] = ([], b"")
    """uvicorn's headers of each answer, as pairs and as lines."""
    transport: asyncio.Transport

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        self._app: Any = config.loaded_app
        self._loop = _loop or asyncio.get_running_loop()
        self._context = copy_context()
        self._state = server_state
        self._connections: set[Any] = server_state.connections
        self._app_state = app_state
        self.carriers.under_way = server_state.tasks
        self._idle_s = config.timeout_keep_alive
        self._address: str | None = None
        self._client: tuple[str, int] | None = None
        self._server: tuple[str, int] | None = None
        self._head = bytearray()
        """The next request's head, as far as it has arrived."""
        self._cycle: Cycle | None = None
        """The request that is being answered."""
        self._body: Body | None = None
        """The rest of the body that is arriving: the cycle's; without one it is passed over."""
        self._ahead = bytearray()
        """What arrived behind a request that is not answered yet. Then reading is paused."""
        self._is_paused = False
        self._waiting = b""
        """Answers that the outbox has sent when this turn of the loop is over."""
        self._writable: asyncio.Event | None = None
        self._deadline = inf
        """When the connection is closed, unless it has something to do by then. Moved without moving the timer."""
        self._timer: asyncio.TimerHandle | None = None

    # What asyncio calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Close the connection if there are too many; else wait for a head."""
        self.transport = transport
        self._client = _address(transport.get_extra_info("peername"))
        self._server = _address(transport.get_extra_info("sockname"))
        self._connections.add(self)
        self._address = self._client[0] if self._client else ""
        self.of_address[self._address] += 1
        if (
            len(self._connections) > self.max_connections
            or self.of_address[self._address] > self.max_of_address
        ):
            transport.abort()
            return
        self._close_within(HEAD_WITHIN_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it no more, and have an app that answers know."""
        self._connections.discard(self)
        if not self._connections:
            self.carriers.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._cycle is not None:
            self._cycle.lose()
        self.resume_writing()
        if self._address is not None:
            self.of_address[self._address] -= 1
            if not self.of_address[self._address]:
                del self.of_address[self._address]
            self._address = None

    def data_received(self, data: bytes) -> None:
        """Read the rest of a body, then a head; bytes behind a request wait for the answer to it."""
        if self._body is not None:
            data = self._read_body(data)
            if not data:
                return
        if self._cycle is None:
            self._read_head(data)
        else:
            self._ahead += data
            self.pause_reading()

    def eof_received(self) -> None:
        """Send what waits, and let the connection close: a client that sends no more has left."""
        self.send_waiting()

    def pause_writing(self) -> None:
        """Have apps wait: the client is slow to read."""
        if self._writable is None:
            self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        """Have apps go on."""
        writable, self._writable = self._writable, None
        if writable is not None:
            writable.set()

    # What uvicorn calls

    def shutdown(self) -> None:
        """Close the connection, after the answer to a request that is under way."""
        if self._cycle is None:
            self.close()
        else:
            self._cycle.keep_alive = False

    # What a cycle calls

    @property
    def default_lines(self) -> bytes:
        """The headers that each answer has, each with CRLF."""
        headers, lines = self.defaults
        if headers is not self._state.default_headers:  # uvicorn makes them anew each second, for the date
            headers = self._state.default_headers
            lines = b"".join([b"%b: %b\r\n" % header for header in headers])
            type(self).defaults = headers, lines
        return lines

    def write(self, data: bytes) -> None:
        """Send ``data``."""
        self.send_waiting()
        if not self.transport.is_closing():
            self.transport.write(data)

    def write_soon(self, data: bytes) -> None:
        """Send ``data`` at the end of this turn of the loop."""
        is_first = not self._waiting
        self._waiting += data
        if is_first:
            self.outbox.add(self)

    def send_waiting(self) -> None:
        """Send what waits for the end of this turn."""
        if self._waiting:
            data, self._waiting = self._waiting, b""
            if not self.transport.is_closing():
                self.transport.write(data)

    def close(self) -> None:
        """Close the connection once all was sent."""
        self.send_waiting()
        self.transport.close()

    def writable(self) -> asyncio.Event | None:
        """The event of the client having read enough; ``None`` if it has."""
        return self._writable

    def pause_reading(self) -> None:
        """Read no more from the socket for now."""
        if not self._is_paused and not self.transport.is_closing():
            self._is_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on, unless requests wait for their turn."""
        if self._is_paused and not self._ahead and not self.transport.is_closing():
            self._is_paused = False
            self.transport.resume_reading()

    def end(self, cycle: Cycle) -> None:
        """Take the next request, or wait for one: this one is answered."""
        self._state.total_requests += 1
        self._cycle = None
        if not cycle.keep_alive:
            self.close()
        elif self._body is not None:
            self._close_within(HEAD_WITHIN_S)
            self.resume_reading()
        elif self._ahead:
            data = bytes(self._ahead)
            self._ahead.clear()
            self.resume_reading()
            self._close_within(HEAD_WITHIN_S)
            self._read_head(data, is_behind=True)
        else:
            self._close_within(self._idle_s)

    # Requests

    def _read_head(self, data: bytes | bytearray, *, is_behind: bool = False) -> None:
        """Read a head, as far as it has arrived, and begin to answer. One ``is_behind`` another is refused silently."""
        head, before = self._head, len(self._head)
        if before:
            head += data
            data = head
        end = data.find(END_OF_HEAD, max(0, before - len(END_OF_HEAD) + 1))
        if (len(data) if end < 0 else end) > MAX_HEAD_BYTES:
            self._refuse(silently=is_behind)
        elif end >= 0:
            end += len(END_OF_HEAD)
            try:
                request = read_head(bytes(data[:end]))
            except BadHead:
                self._refuse(silently=is_behind)
                return
            rest = bytes(data[end:])
            head.clear()
            self._begin(request, rest)
        elif not may_become_head(bytes(data[:1]), bytes(data[max(0, before - 2) :])):
            self._refuse(silently=is_behind)
        elif not before:
            head += data
            self._close_within(min(HEAD_WITHIN_S, self._deadline - self._loop.time()))

    def _begin(self, request: RequestHead, rest: bytes) -> None:
        """Have the app answer ``request``, behind whose head there is ``rest``."""
        self._deadline = inf
        self._body = request.body
        cycle = self._cycle = Cycle(self, request)
        if rest and self._body is not None:
            rest = self._read_body(rest)
            if cycle.gone:
                return
        if rest:
            self._ahead += rest
            self.pause_reading()
        # Of the connection, not of the request that has just ended.
        context = self._context.copy()
        self.carriers.start(partial(cycle.run, self._app, self._scope(request)), context)

    def _scope(self, request: RequestHead) -> Message:
        raw_path, _, query = request.target.partition(b"?")
        path = raw_path.decode("ascii")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": request.version,
            "server": self._server,
            "client": self._client,
            "scheme": "http",
            "method": request.method,
            "root_path": "",
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": request.headers,
            "state": self._app_state.copy(),
        }

    def _read_body(self, data: bytes) -> bytes:
        """Read more of the body; returns the bytes behind its end."""
        body = self._body
        assert body is not None  # noqa: S101 - it is arriving
        try:
            piece, rest = body.feed(data)
        except BadBody:
            self._refuse()
            return b""
        if body.complete:
            self._body = None
        if self._cycle is not None:
            self._cycle.feed(piece, complete=body.complete)
        elif body.complete:
            self._close_within(self._idle_s)
        return rest

    def _refuse(self, *, silently: bool = False) -> None:
        """Answer 400, unless an answer has begun, and close."""
        cycle = self._cycle
        self._body = None
        if cycle is not None:
            cycle.lose()
        if not silently and (cycle is None or not cycle.started):
            self.write(_REFUSED)
        self.close()

    # Time

    def _close_within(self, seconds: float) -> None:
        self._deadline = self._loop.time() + seconds
        if self._timer is not None and self._timer.when() > self._deadline:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(self._deadline, self._look)

    def _look(self) -> None:
        """Close the connection if its deadline has passed."""
        self._timer = None
        if self._deadline <= self._loop.time():
            if self.transport.get_write_buffer_size():
                self.close()  # a slow client has its answer
            else:
                self.transport.abort()
        elif self._deadline < inf:
            self._timer = self._loop.call_at(self._deadline, self._look)


def _address(name: Any) -> tuple[str, int] | None:
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else None
