"""Messages between the supervisor and one worker: MessagePack over a pair of sockets, a length before each."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Self

import anyio
import msgpack
from anyio.abc import SocketStream, UNIXSocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

Message = dict[str, Any]
"""``kind`` says which one; ``docs`` of ``Worker`` and ``Link`` list them."""

MAX_WAITING = 10_000
"""Messages that wait to be sent. Who does not read so many is not alive."""

_LENGTH_BYTES = 4


class ChannelClosed(Exception):
    """The other process is gone, or does not read."""


class ChannelBroken(Exception):
    """The other process sent what cannot be understood."""


class Channel:
    """One end. ``max_bytes`` bounds a message that is received."""

    def __init__(self, stream: SocketStream, *, max_bytes: int) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self._waiting: deque[tuple[Message, anyio.Event | None]] = deque()
        self._more = anyio.Event()
        self._closed = False

    @classmethod
    async def over(cls, connection: socket.socket, *, max_bytes: int) -> Self:
        """The end of ``connection``, which is the channel's from now on."""
        return cls(await UNIXSocketStream.from_socket(connection), max_bytes=max_bytes)

    def post(self, message: Message) -> None:
        """Send ``message`` when its turn comes. Raises ``ChannelClosed``."""
        self._put(message, None)

    async def deliver(self, message: Message) -> None:
        """Send ``message`` and return when the kernel has it: it arrives even if this process ends now.

        Raises ``ChannelClosed``.
        """
        sent = anyio.Event()
        self._put(message, sent)
        await sent.wait()
        if self._closed:
            raise ChannelClosed

    async def run(self, receive: Callable[[Message], None]) -> None:
        """Carry messages both ways, each that comes to ``receive``, until the other end closes.

        Raises ``ChannelBroken``, which ``receive`` may raise too. Afterwards the channel is closed.
        """
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._write)
                await self._read(receive)
                tasks.cancel_scope.cancel()
        except* ChannelBroken as group:
            raise group.exceptions[0] from None
        finally:
            self._close()
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()

    def _put(self, message: Message, sent: anyio.Event | None) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._close()
        if self._closed:
            raise ChannelClosed
        self._waiting.append((message, sent))
        self._more.set()

    def _close(self) -> None:
        self._closed = True
        while self._waiting:
            _, sent = self._waiting.popleft()
            if sent is not None:
                sent.set()

    async def _read(self, receive: Callable[[Message], None]) -> None:
        incoming = BufferedByteReceiveStream(self._stream)
        try:
            while True:
                length = int.from_bytes(await incoming.receive_exactly(_LENGTH_BYTES), "big")
                if length > self._max_bytes:
                    raise ChannelBroken(f"a message of {length} bytes")
                receive(_unpacked(await incoming.receive_exactly(length)))
        except (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError):
            return

    async def _write(self) -> None:
        while True:
            if not self._waiting:
                self._more = anyio.Event()
                await self._more.wait()
                continue
            message, sent = self._waiting.popleft()
            packed = msgpack.packb(message)
            try:
                await self._stream.send(len(packed).to_bytes(_LENGTH_BYTES, "big") + packed)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                self._close()  # what it had sent before can still be read
            finally:
                if sent is not None:
                    sent.set()


def _unpacked(packed: bytes) -> Message:
    try:
        message = msgpack.unpackb(packed)
    except (ValueError, RecursionError, msgpack.UnpackException) as error:
        raise ChannelBroken(f"what is not MessagePack: {error}") from None
    if not isinstance(message, dict):
        raise ChannelBroken("a message without a kind")
    return message
