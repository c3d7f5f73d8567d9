"""A server as both services have it, and bytes as a client without manners sends them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import uvicorn

from alga_common.http.connection import bounded_connections

from .patience import PATIENCE_S
from .sockets import listener

Address = tuple[str, int]

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the request's body, and with its target in ``x-of``."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    headers = [(b"content-length", b"%d" % len(body)), (b"x-of", scope["raw_path"][:100])]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def served(
    app: Any = echo, most: int = 1000, most_of_address: int | None = 1000
) -> AsyncIterator[Address]:
    """The address of a socket on which ``app`` is served, with these bounds of connections."""
    protocol = bounded_connections(most, most_of_address)
    config = uvicorn.Config(app, http=protocol, lifespan="off", log_config=None, ws="none")
    server, on = uvicorn.Server(config), listener()
    with on:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server._serve, [on])
            yield on.getsockname()
            server.should_exit = True


def bytewise(sent: bytes) -> list[bytes]:
    """Each byte of ``sent`` alone."""
    return [sent[at : at + 1] for at in range(len(sent))]


async def answers(address: Address, *pieces: bytes) -> bytes:
    """All that is answered to ``pieces``, sent one after the other, until the server closes the connection."""
    return await answers_to(address, pieces)


async def answers_to(address: Address, pieces: Iterable[bytes]) -> bytes:
    """The same for pieces that are made while they are sent."""
    reader, writer = await asyncio.open_connection(*address)
    answer = b""
    try:
        with anyio.fail_after(PATIENCE_S):
            try:
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
            except ConnectionError:
                pass
            while part := await reader.read(65536):
                answer += part
    except ConnectionError:
        pass  # reset, because the server had bytes to read when it closed
    finally:
        writer.close()
    return answer
