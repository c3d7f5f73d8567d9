"""Messages between the supervisor and one worker: MessagePack over a pair of sockets, a length before each.

Every request with an idempotency key takes four of them, so they are sent and received on the socket directly, without
a task or a stream in between: through anyio's streams, each took a hundred microseconds more.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

import msgpack

Message = dict[str, Any]
"""Has a ``kind``; ``messages.py`` lists them."""

MAX_WAITING = 10_000
"""How many messages may wait to be sent. A process that leaves so many unread hangs."""

_LENGTH_BYTES = 4
_READ_BYTES = 256 * 1024


class ChannelClosed(Exception):
    """The other process ended, or does not read."""


class ChannelBroken(Exception):
    """The other process sent an invalid message; the text names it."""


class Channel:
    """One end, which owns its ``connection``. ``max_bytes`` bounds a message that is received."""

    def __init__(self, connection: socket.socket, *, max_bytes: int) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._max_bytes = max_bytes
        self._loop = asyncio.get_running_loop()
        self._receive: Callable[[Message], None] = lambda _message: None
        self._incoming = bytearray()
        self._rest = memoryview(b"")
        """The unsent rest of the first waiting message."""
        self._waiting: deque[tuple[Message, asyncio.Future[None] | None]] = deque()
        self._closed = False
        self._ended: asyncio.Future[None] = self._loop.create_future()

    def post(self, message: Message) -> None:
        """Send ``message`` after those that wait. Raises ``ChannelClosed``."""
        self._put(message, None)

    async def deliver(self, message: Message) -> None:
        """Send ``message`` and return when the kernel has it: the other process gets it even if this one ends now.

        Raises ``ChannelClosed``.
        """
        sent = self._loop.create_future()
        self._put(message, sent)
        await sent
        if self._closed:
            raise ChannelClosed

    async def run(self, receive: Callable[[Message], None]) -> None:
        """Pass each message to ``receive`` until the other end closes; then close this end, too.

        Raises ``ChannelBroken``, and what ``receive`` raises.
        """
        self._receive = receive
        self._loop.add_reader(self._socket, self._readable)
        try:
            await self._ended
        finally:
            self.close()

    def close(self) -> None:
        """Close this end. May be called again."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
        self._hang_up()

    # ---- Out

    def _put(self, message: Message, sent: asyncio.Future[None] | None) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._hang_up()
        if self._closed:
            raise ChannelClosed
        self._waiting.append((message, sent))
        if len(self._waiting) == 1:
            self._send_waiting()
            if self._waiting:
                self._loop.add_writer(self._socket, self._writable)

    def _writable(self) -> None:
        self._send_waiting()
        if not self._waiting:
            self._loop.remove_writer(self._socket)

    def _send_waiting(self) -> None:
        """Send what the socket takes."""
        try:
            while self._waiting:
                message, sent = self._waiting[0]
                self._rest = self._rest or _framed(message)
                self._rest = self._rest[self._socket.send(self._rest) :]
                if self._rest:
                    return
                self._waiting.popleft()
                _resolve(sent)
        except BlockingIOError:
            return
        except OSError:
            self._hang_up()  # messages that the other end sent before can still be read

    def _hang_up(self) -> None:
        self._closed = True
        self._rest = memoryview(b"")
        while self._waiting:
            _resolve(self._waiting.popleft()[1])

    # ---- In

    def _readable(self) -> None:
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end()
            return
        self._incoming += data
        try:
            self._take()
        except Exception as error:  # noqa: BLE001 - raised where the channel runs
            self._end(error)

    def _take(self) -> None:
        """Pass every complete message on."""
        at, size = 0, len(self._incoming)
        while size - at >= _LENGTH_BYTES:
            begin = at + _LENGTH_BYTES
            end = begin + int.from_bytes(self._incoming[at:begin], "big")
            if end - begin > self._max_bytes:
                raise ChannelBroken(f"a message of {end - begin} bytes")
            if end > size:
                break
            at = end
            self._receive(_unpacked(self._incoming[begin:end]))
        del self._incoming[:at]

    def _end(self, error: Exception | None = None) -> None:
        self._loop.remove_reader(self._socket)
        if self._ended.done():
            return
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)


def _framed(message: Message) -> memoryview:
    packed: bytes = msgpack.packb(message)
    return memoryview(len(packed).to_bytes(_LENGTH_BYTES, "big") + packed)


def _unpacked(packed: bytearray) -> Message:
    try:
        message = msgpack.unpackb(packed)
    except (ValueError, RecursionError, msgpack.UnpackException) as error:
        raise ChannelBroken(f"a message that is not MessagePack: {error}") from None
    if not isinstance(message, dict):
        raise ChannelBroken("a message without a kind")
    return message


def _resolve(sent: asyncio.Future[None] | None) -> None:
    if sent is not None and not sent.done():
        sent.set_result(None)
