"""Replaces an Alga server to measure a forwarded call: answers immediately, as cheaply as Python can.

``POST`` anything with a body gets the answer to ``create``; ``GET`` gets the number of POSTs so far.
"""

from __future__ import annotations

import asyncio
import sys

from ..contestants.workload import SCHEDULE_ID

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


def _answer(body: bytes) -> bytes:
    return _HEAD % len(body) + body


_CREATED = _answer(b'{"success":true,"scheduleId":"%s"}' % SCHEDULE_ID.encode())


class Backend(asyncio.Protocol):
    """One connection. Requests have a content-length; what else they say is not looked at."""

    answered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport of a new connection."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - it is TCP
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].lower()
            _, _, length = head.partition(b"content-length:")
            whole = end + 4 + int(length.partition(b"\r\n")[0] or 0)
            if len(self._received) < whole:
                return
            self._received = self._received[whole:]
            if head.startswith(b"get "):
                self._transport.write(_answer(b"%d" % Backend.answered))
            else:
                Backend.answered += 1
                self._transport.write(_CREATED)


async def main() -> None:
    """Serve until stdin ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Backend, "127.0.0.1", 0, backlog=512)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
