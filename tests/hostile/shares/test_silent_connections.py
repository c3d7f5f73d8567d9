"""Clients that are silent keep no worker from being replaced: neither without a request, nor with an unread answer."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import cast

import anyio
import pytest

from alga_common.http import connection
from alga_runner import Runner, Settings
from alga_runner.bundles import MemoryBundles
from alga_runner.service import create_service
from alga_runner.settings import MIB
from alga_runner.workers import worker
from alga_runner.workers.acceptor import ConnectionCounts
from alga_runner.workers.worker import WorkerServer
from tests.support.bundles import make_bundle
from tests.support.guests import guest_wat
from tests.support.patience import PATIENCE_S
from tests.support.requests import execute_document
from tests.support.sockets import listener

pytestmark = pytest.mark.anyio

BODY = 6 * MIB
HEAD = b"\x82\xa6status\xcc\xc8\xa4body\xc6" + BODY.to_bytes(4, "big")
LONGEST_S = 1e6
"""The longest request: what a silent client must not make a worker wait for."""

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[tuple[str, int], bytes], Awaitable[list[Connection]]]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads and unread answers have a short time, and idle connections would have a long one."""
    monkeypatch.setattr(connection, "HEAD_WITHIN_S", 0.05)
    monkeypatch.setattr(worker, "UNREAD_S", 0.05)
    monkeypatch.setattr(worker, "KEEP_ALIVE_S", LONGEST_S)


async def retire_a_worker(connect: Connect, *, unread: int = 0) -> None:
    """Serve on a socket; once ``connect`` has opened its connections, the worker retires and has to end by itself.

    ``connect`` is given the address and an execute request whose answer is larger than what sockets hold; ``unread`` is
    of how many connections an answer is waited for.
    """
    bundles = MemoryBundles()
    settings = Settings(max_guests=4, allow_unauthenticated_execute=True, max_memory_mb=16)
    on, started = listener(), anyio.Event()
    content_hash = bundles.add(
        make_bundle(
            guest_wat(
                f"(call $respond (i32.const 1024) (i32.const {len(HEAD) + BODY}))", data=HEAD, pages=100
            )
        )
    )
    document = json.dumps(execute_document(content_hash)).encode()
    async with Runner(settings, bundles=bundles) as runner:
        service = create_service(runner, settings, require_token=False)
        with on, ConnectionCounts.create(1) as counts:
            server = WorkerServer(service, settings, started.set, on, counts=counts, index=0)
            with anyio.fail_after(PATIENCE_S):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(server.serve, [])
                    await started.wait()
                    address: tuple[str, int] = on.getsockname()
                    kept = await connect(address, document)
                    while server.connections < len(kept) or len(with_unread_answers(server)) < unread:
                        await anyio.lowlevel.checkpoint()
                    await server.retire(LONGEST_S)
                    for _, writer in kept:
                        writer.close()


def with_unread_answers(server: WorkerServer) -> list[object]:
    transports = [cast("asyncio.Transport", kept.transport) for kept in server.server_state.connections]
    return [of for of in transports if of.get_write_buffer_size()]


async def opened(address: tuple[str, int], *sent: bytes) -> list[Connection]:
    """A connection for each of ``sent``, over which nothing else is sent or read."""
    connections = []
    for data in sent:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, address)
        reader, writer = await asyncio.open_connection(sock=client, limit=1)
        writer.write(data)
        connections.append((reader, writer))
    return connections


async def test_a_worker_with_connections_that_say_nothing_or_half_a_head_ends_when_it_retires() -> None:
    async def connect(address: tuple[str, int], _document: bytes) -> list[Connection]:
        return await opened(address, b"", b"POST /v1/execute HTTP/1.1\r\nhost: x\r\n")

    await retire_a_worker(connect)


async def test_a_worker_whose_client_reads_no_answer_ends_when_it_retires() -> None:
    async def connect(address: tuple[str, int], document: bytes) -> list[Connection]:
        names = b"x-alga-tenant: acme\r\nx-alga-extension: ext\r\ncontent-type: application/json\r\n"
        head = b"POST /v1/execute HTTP/1.1\r\nhost: x\r\n" + names + b"content-length: %d\r\n\r\n"
        return await opened(address, head % len(document) + document)

    await retire_a_worker(connect, unread=1)
