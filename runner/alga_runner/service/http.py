"""HTTP as this service needs it, on bare ASGI: one request read once, one answer sent once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import anyio
from pydantic_core import to_json

from alga_common.http.asgi import HeaderLines

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Respond = Callable[..., bool]
"""``alga_common.http.asgi.Cycle.respond``."""

JSON = b"application/json"
NO_STORE = b"no-store"
_PLAIN = HeaderLines.of([b"content-type: %b\r\n" % JSON, b"cache-control: %b\r\n" % NO_STORE])
_NOT_MODIFIED = 304
_LAST = ((b"connection", b"close"),)

SENT_BYTES = 256 * 1024
"""The largest piece in which an answer is sent."""


class ClientGone(Exception):
    """The client closed the connection before it was answered."""


class Answer(NamedTuple):
    """One HTTP answer. ``outcome`` is a code for the log, where the status alone is not enough."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    outcome: str | None = None
    cache_control: bytes = NO_STORE

    async def send(
        self, send: Send, *, with_body: bool = True, close: bool = False, respond: Respond | None = None
    ) -> None:
        """Send it, ``with_body`` unless the request is HEAD. An answer may be cached only if it gives leave
        (alga-contract 7, fault 15): upstream's may be, for a year.

        With ``close``, the client learns that it is the last answer on its connection. ``respond`` sends it in one
        piece, where the server can do that, and the client is ready.
        """
        if respond is not None and respond(self.status, self._lines(), self.body, close=close):
            return
        content = [(b"content-type", self.content_type), (b"content-length", b"%d" % len(self.body))]
        headers = [
            *([] if self.status == _NOT_MODIFIED else content),
            (b"cache-control", self.cache_control),
            *self.headers,
            *(_LAST if close else ()),
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        body = self.body if with_body else b""
        # In pieces: after each, the connection waits while the client is slow to read.
        for start in range(0, len(body) - SENT_BYTES, SENT_BYTES):
            piece = body[start : start + SENT_BYTES]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": body[-(len(body) % SENT_BYTES or SENT_BYTES) :]})

    def _lines(self) -> Sequence[bytes] | HeaderLines:
        if self.content_type is JSON and not self.headers and self.cache_control is NO_STORE:
            return _PLAIN
        lines = [b"content-type: %b\r\n" % self.content_type, b"cache-control: %b\r\n" % self.cache_control]
        return [*lines, *[b"%b: %b\r\n" % header for header in self.headers]]


class Refused(Exception):
    """The request is refused before it is an execute request; the status is not 200. ``detail`` is for the log."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        fields: dict[str, str] | None = None,
        hint: str | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        detail: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.fields = fields
        self.hint = hint
        self.headers = headers
        self.detail = detail

    def answer(self) -> Answer:
        """``{"error": code, "message": sentence}``, and ``fields`` and ``hint`` where there are some."""
        body: dict[str, object] = {"error": self.code, "message": str(self)}
        if self.fields is not None:
            body["fields"] = self.fields
        if self.hint is not None:
            body["hint"] = self.hint
        return Answer(
            self.status,
            to_json(body),
            headers=self.headers,
            outcome=": ".join(filter(None, [self.code, self.detail])),
        )


@dataclass(slots=True)
class Exchange:
    """One request, with the fields of its log line."""

    method: str
    path: str
    headers: list[tuple[bytes, bytes]]
    receive: Receive
    query: bytes = b""
    when_gone: Callable[[Callable[[], None] | None], None] | None = None
    """Has a function called when the client closes the connection, or none any more, where the server can do that."""
    open_scope: anyio.CancelScope | None = None
    """A scope that the server has opened around the request, where it does that."""
    take_body: Callable[[], bytes | None] | None = None
    """Takes the whole body if it has arrived, where the server can do that: no coroutine need wait for it."""
    body_complete: bool = False
    tenant_id: str | None = None
    extension_id: str | None = None
    install_id: str | None = None
    version_id: str | None = None
    request_id: str | None = None
    id_from_header: bool = False
    """``request_id`` is the header's: the body, and so the line of the execution, has none."""
    executing: bool = False
    """The execution may have started, and have had effects."""
    repeats: bool = field(init=False)
    """Whether a header is there twice. If none is, ``by_name`` has the only value of each."""
    by_name: dict[bytes, bytes] = field(init=False, repr=False)
    """The values of each header, trimmed, joined by commas where there are several; names are in lower case."""

    def __post_init__(self) -> None:
        self.by_name = by_name = {name: value.strip() for name, value in self.headers}
        self.repeats = len(by_name) < len(self.headers)
        if self.repeats:  # in one pass: a head has room for ten thousand names, and has shown no token yet
            several: dict[bytes, list[bytes]] = {}
            for name, value in self.headers:
                several.setdefault(name, []).append(value.strip())
            self.by_name = {name: b", ".join(values) for name, values in several.items()}

    def values(self, name: bytes) -> Sequence[bytes]:
        """Every value of a header, trimmed; ``name`` is in lower case."""
        if self.repeats:
            return [value.strip() for given, value in self.headers if given == name]
        value = self.by_name.get(name)
        return () if value is None else (value,)

    def value(self, name: bytes) -> bytes:
        """A header's values, joined by commas; empty without the header."""
        return self.by_name.get(name, b"")

    async def read(self) -> bytes:
        """The next piece of the body. Raises ``ClientGone``."""
        if self.take_body is not None and (body := self.take_body()) is not None:
            self.body_complete = True
            return body
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        self.body_complete = not message.get("more_body", False)
        return bytes(message.get("body", b""))

    async def gone(self) -> None:
        """Return when the client closes the connection; the body was read before."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def discard(self, limit: int, timeout_s: float) -> None:
        """Read the rest of the body, up to ``limit`` bytes, and drop it.

        A connection that is closed with unread bytes is reset, and the client may never see its answer. A client that
        waits for permission to send (``expect: 100-continue``) has sent no body.
        """
        if self.value(b"expect").lower() == b"100-continue":
            return
        with anyio.move_on_after(timeout_s):
            while not self.body_complete and limit > 0:
                limit -= len(await self.read())
