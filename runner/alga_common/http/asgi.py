"""One request and its answer as ASGI 3 has them (``asgi.readthedocs.io``, "HTTP"), on a connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from http import HTTPStatus
from typing import Any, Protocol

import anyio

from .grammar import HEADER_LINES
from .request_head import RequestHead
from .semantics import may_have_body

Message = MutableMapping[str, Any]
App = Callable[[Any, Any, Any], Awaitable[None]]

MAX_WAITING_BYTES = 64 * 1024
"""Of a body that was received and that the app has not read; then reading pauses. One read more may be added."""

_MAX_JOINED_BYTES = 64 * 1024
"""An answer's body of up to that many bytes is copied behind its head, so that both are one write."""

WHEN_GONE = "alga.when_gone"
"""The key of a scope under which an app finds ``Cycle.when_gone``."""

OPEN_SCOPE = "alga.open_scope"
"""The key of a scope under which an app finds a cancel scope that is open around it, so that it need not open one.

An app that cancels it leaves it (``__exit__``), too, and goes on.
"""

TAKE_BODY = "alga.take_body"
"""The key of a scope under which an app finds ``Cycle.take_body``."""

RESPOND = "alga.respond"
"""The key of a scope under which an app finds ``Cycle.respond``."""

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE = b"connection: close\r\n"
_FAILED = b"Internal Server Error"
_STATUS_LINES = {status: b"HTTP/1.1 %d \r\n" % status for status in range(200, 600)} | {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus
}

logger = logging.getLogger("uvicorn.error")


class Wire(Protocol):
    """The connection, as a cycle uses it."""

    @property
    def default_lines(self) -> bytes:
        """The headers that each answer has, each with CRLF."""

    def write(self, data: bytes) -> None:
        """Send ``data``."""

    def write_soon(self, data: bytes) -> None:
        """Send ``data`` at the end of this turn of the loop."""

    def close(self) -> None:
        """Close the connection once all was sent."""

    def writable(self) -> asyncio.Event | None:
        """The event of the client having read enough; ``None`` if it has."""

    def pause_reading(self) -> None:
        """Read no more from the socket for now."""

    def resume_reading(self) -> None:
        """Read on."""

    def end(self, cycle: Cycle) -> None:
        """Take the next request: this one is answered."""


class Cycle:
    """A request that an app answers."""

    __slots__ = (
        "_asks_leave", "_body", "_chunked", "_complete", "_has_body", "_left", "_news", "_on_gone", "_request",
        "_start", "_taken", "_wire", "answered", "gone", "keep_alive", "started",
    )  # fmt: skip

    def __init__(self, wire: Wire, head: RequestHead) -> None:
        self.keep_alive = head.keep_alive
        self.started = False
        """The answer has begun."""
        self.answered = False
        self.gone = False
        """The connection is lost."""
        self._on_gone: Callable[[], None] | None = None
        self._wire = wire
        self._request = head
        self._asks_leave = head.asks_leave
        self._complete = head.body is None
        self._body: bytes | bytearray = b""
        """The part of the body that has arrived and that the app has not read."""
        self._taken = False
        """The app has read of it."""
        self._news: asyncio.Event | bool = self._complete
        """Whether the app has something to read; while it waits for that, an event."""
        self._start = b""
        """The head of the answer, until the first piece of its body."""
        self._has_body = True
        self._chunked = False
        self._left: int | None = None
        """Bytes that the answer's declared length lacks."""

    def feed(self, piece: bytes, *, complete: bool) -> None:
        """Take a piece of the body."""
        if self.answered:
            return
        if not self._body:
            self._body = piece
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += piece
        if len(self._body) > MAX_WAITING_BYTES:
            self._wire.pause_reading()
        self._complete = complete
        if complete:
            self._asks_leave = False  # a client that sent a part may wait for leave to send the rest
        if piece or complete:
            self._wake()

    def lose(self) -> None:
        """Have the app know that the connection is lost."""
        self.gone = True
        self._wake()
        if self._on_gone is not None:
            self._on_gone()

    def when_gone(self, tell: Callable[[], None] | None) -> None:
        """Have ``tell`` called when the connection is lost, or now if it is: no task need wait for that.

        ``None`` takes it back.
        """
        self._on_gone = tell
        if tell is not None and self.gone:
            tell()

    async def run(self, app: App, scope: Message, open_scope: anyio.CancelScope) -> None:
        """Have ``app`` answer the request; where it does not, answer 500 or break the answer off."""
        try:
            scope[WHEN_GONE] = self.when_gone
            scope[OPEN_SCOPE] = open_scope
            scope[RESPOND] = self.respond
            scope[TAKE_BODY] = self.take_body
            await app(scope, self.receive, self.send)
        except Exception:
            logger.exception("Exception in ASGI application")
        finally:
            if not (self.answered or self.gone):
                self.keep_alive = False
                if not self.started:
                    length = (b"content-length", b"%d" % len(_FAILED))
                    self._begin(500, [(b"content-type", b"text/plain; charset=utf-8"), length])
                    self._continue(_FAILED, more=False)
                self._wire.close()

    async def receive(self) -> Message:
        """The next piece of the body, or that the client is gone."""
        if self._asks_leave and not (self.gone or self.started):
            self._asks_leave = False
            self._wire.write(_CONTINUE)
        while not (self._news is True or self.gone or self.answered):
            if self._news is False:
                self._news = asyncio.Event()
            await self._news.wait()
        if self.gone or self.answered:
            return {"type": "http.disconnect"}
        self._news, self._taken = False, True
        body, self._body = bytes(self._body), b""
        self._wire.resume_reading()
        return {"type": "http.request", "body": body, "more_body": not self._complete}

    def take_body(self) -> bytes | None:
        """Take the whole body, if it has arrived, nothing was read of it, and the client is there; else ``None``."""
        if not self._complete or self._taken or self._asks_leave or self.gone or self.answered:
            return None
        self._taken, self._news = True, False
        body, self._body = bytes(self._body), b""
        self._wire.resume_reading()
        return body

    async def send(self, message: Message) -> None:
        """Send the answer's head, or a piece of its body."""
        while not self.gone and (writable := self._wire.writable()) is not None:
            await writable.wait()
        if self.gone:
            return
        kind = message["type"]
        if kind == "http.response.start" and not self.started:
            self._begin(message["status"], message.get("headers", ()))
        elif kind == "http.response.body" and self.started and not self.answered:
            self._continue(message.get("body", b""), more=message.get("more_body", False))
        else:
            raise RuntimeError(f"The app sent {kind} out of its turn.")

    def respond(self, status: int, lines: Sequence[bytes] | HeaderLines, body: bytes, *, close: bool) -> bool:
        """Send a whole answer in one piece, if that is possible without waiting; returns whether it was.

        ``lines`` are its headers, each with CRLF, without those of the connection and the body's length. With
        ``close``, the client learns that it is the last answer.
        """
        request = self._request
        if self.gone or self.started or len(body) > _MAX_JOINED_BYTES:
            return False
        if not may_have_body(request.method, status) or self._wire.writable() is not None:
            return False
        fields = lines if isinstance(lines, HeaderLines) else _fields(lines)
        if close or self._asks_leave:
            self.keep_alive = False
        end = b"content-length: %d\r\n%b\r\n" % (len(body), b"" if self.keep_alive else _CLOSE)
        self.started = True
        write = self._wire.write_soon if self.keep_alive else self._wire.write
        write(b"".join((_STATUS_LINES[status], self._wire.default_lines, fields, end, body)))
        self._end()
        return True

    def _begin(self, status: int, headers: Any) -> None:
        self._has_body = may_have_body(self._request.method, status)
        lines = []
        close = False
        for name, value in headers:
            lowered = name.lower()
            if lowered == b"transfer-encoding":
                continue  # the server's
            if lowered == b"content-length":
                self._left = int(value)
            elif lowered == b"connection" and b"close" in value.lower():
                close = True
            lines.append(b"%b: %b\r\n" % (name, value))
        fields = _fields(lines)
        end = b""
        if self._left is None and self._has_body:
            self._chunked = self._request.version == "1.1"
            if self._chunked:
                end = b"transfer-encoding: chunked\r\n"
            else:
                self.keep_alive = False
        if close or self._asks_leave:
            self.keep_alive = False  # asked for leave and did not get it: the body may follow or not
        if not self.keep_alive and not close:
            end += _CLOSE
        self._start = b"".join((_STATUS_LINES[status], self._wire.default_lines, fields, end, b"\r\n"))
        self.started = True

    def _continue(self, body: bytes, *, more: bool) -> None:
        if not self._has_body:
            body = b""
        elif self._left is not None:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("The app's answer has another length than it declared.")
        elif self._chunked:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more:
                body += b"0\r\n\r\n"
        start, self._start = self._start, b""
        if len(body) > _MAX_JOINED_BYTES:
            if start:
                self._wire.write(start)
            self._wire.write(body)
        elif start or body:
            whole = start and not more and self.keep_alive
            (self._wire.write_soon if whole else self._wire.write)(start + body)
        if not more:
            self._end()

    def _end(self) -> None:
        self.answered = True
        self._wake()
        self._wire.end(self)

    def _wake(self) -> None:
        waiting, self._news = self._news, True
        if isinstance(waiting, asyncio.Event):
            waiting.set()


class HeaderLines(bytes):
    """Headers that many answers have, checked once: ``HeaderLines.of([b"content-type: text/plain\\r\\n"])``."""

    @classmethod
    def of(cls, lines: Sequence[bytes]) -> HeaderLines:
        """Raises ``RuntimeError`` unless each of ``lines`` is one header with its CRLF."""
        return cls(_fields(lines))


def _fields(lines: Sequence[bytes]) -> bytes:
    """The headers ``lines`` together. Raises ``RuntimeError`` unless each is one header."""
    fields = b"".join(lines)
    if fields.count(b"\n") != len(lines) or not HEADER_LINES.fullmatch(fields):
        raise RuntimeError("The app's answer has a header that cannot be sent.")
    return fields
