"""An object store on a real socket that answers as a test wants. It verifies no signature."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress


class ObjectStore:
    """Serves ``objects``, path to content, and keeps what it was asked for."""

    def __init__(self, objects: Mapping[str, bytes] | None = None) -> None:
        self.objects = dict(objects or {})
        self.asked: list[str] = []
        """Method and path of each request, with its query."""
        self.statuses: list[int] = []
        """Answers to the next requests, before objects are looked for."""
        self.headers: dict[str, str] = {}
        """Headers of every answer; ``content-length`` may lie, and the connection is closed then."""
        self.body = b""
        """The body of answers that are no object."""
        self.silent = False
        """Whether requests are never answered."""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve on a free port; the URL."""
        connections: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            connections.add(task)
            try:
                while await self._exchange(reader, writer):
                    pass
            except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
                pass
            finally:
                writer.close()
                with suppress(ConnectionError):
                    await writer.wait_closed()
                connections.discard(task)

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for task in list(connections):
                task.cancel()
            await asyncio.gather(*connections)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; whether another may follow."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
        method, target, _ = head.split(" ", 2)
        assert "\r\nhost: 127.0.0.1:" in head
        self.asked.append(f"{method} {target}")
        if self.silent:
            await asyncio.Event().wait()
        content = self.objects.get(target.partition("?")[0])
        status = self.statuses.pop(0) if self.statuses else 404 if content is None else 200
        body = content if content is not None and status == 200 else self.body
        headers = {"content-length": str(len(body)), **self.headers}
        lines = [f"HTTP/1.1 {status} said", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        writer.write("\r\n".join(lines).encode("ascii") + (b"" if method == "HEAD" else body))
        await writer.drain()
        return "content-length" not in self.headers
