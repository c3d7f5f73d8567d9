"""A server that answers each connection with bytes that a test chooses."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

GREETING = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"


class RawServer:
    """Answers each connection with ``answer``, or, without one, keeps silent; ``heads`` are the requests it got."""

    def __init__(self, answer: bytes | None = GREETING) -> None:
        self.port = 0
        self.start_again(answer)

    def start_again(self, answer: bytes | None = GREETING) -> None:
        """Forget requests, and answer so."""
        self.answer = answer
        self.repeated = b""
        self.drip = False
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.asked = asyncio.Event()
        """Is set once it got a request."""
        self.left = asyncio.Event()
        """Is set once a client has closed its connection."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            self.asked.set()
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
            self.bodies.append(await reader.readexactly(int(fields.get(b"content-length", b"0"))))
            if self.answer is None:
                await reader.read()
                self.left.set()
            elif self.drip:
                for byte in self.answer:
                    writer.write(bytes([byte]))
                    await writer.drain()
                await reader.read()
            else:
                writer.write(self.answer)
            while self.repeated:
                writer.write(self.repeated)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def listening(
    server: RawServer, *, at: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawServer]:
    listener = await asyncio.start_server(server.serve, at, port, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
