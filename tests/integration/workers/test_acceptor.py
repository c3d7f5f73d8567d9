"""Connections to a port that several workers share: none is far ahead, and none that hangs delays the others."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import anyio
import pytest

from alga_runner.workers.acceptor import Acceptor, ConnectionCounts
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.anyio


class Held(asyncio.Protocol):
    """A connection that stays open."""

    def __init__(self, open_ones: set[Held], changed: Callable[[], None]) -> None:
        self._open, self._changed = open_ones, changed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._open.add(self)
        self._changed()

    def connection_lost(self, _error: Exception | None) -> None:
        self._open.discard(self)
        self._changed()


class Worker:
    """An acceptor, and the connections it took."""

    def __init__(self, listener: socket.socket, counts: ConnectionCounts, index: int) -> None:
        self.open: set[Held] = set()
        self.acceptor = Acceptor(
            listener,
            counts,
            index,
            connect=lambda: Held(self.open, self.acceptor.update_count),
            open_connections=lambda: len(self.open),
        )

    async def stop(self) -> None:
        await self.acceptor.close()
        for connection in list(self.open):
            connection.transport.abort()
        while self.open:
            await anyio.lowlevel.checkpoint()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=300) as listener:
        yield listener


@pytest.fixture
def counts() -> Iterator[ConnectionCounts]:
    with ConnectionCounts.create(3) as counts:
        yield counts


@pytest.fixture
async def workers(listener, counts) -> AsyncIterator[list[Worker]]:
    """Two workers in this process, which take turns on its event loop."""
    with listener.dup() as one, listener.dup() as other:
        both = [Worker(one, counts, 0), Worker(other, counts, 1)]
        for worker in both:
            worker.acceptor.open()
        yield both
        for worker in both:
            await worker.stop()


@pytest.fixture
def connect(listener) -> Iterator[Callable[[int], None]]:
    """Connect so many clients."""
    clients: list[socket.socket] = []

    def carry_out(count: int) -> None:
        clients.extend(socket.create_connection(listener.getsockname()) for _ in range(count))

    yield carry_out
    for client in clients:
        client.close()


async def accepted(workers: list[Worker], count: int) -> list[int]:
    """How many connections each worker has, once ``count`` are accepted."""
    with anyio.fail_after(PATIENCE_S):
        while sum(len(worker.open) for worker in workers) < count:
            await anyio.lowlevel.checkpoint()
    return [len(worker.open) for worker in workers]


async def test_a_burst_is_shared(workers, connect) -> None:
    connect(100)

    counts = await accepted(workers, 100)

    assert max(counts) - min(counts) <= 4


async def test_connections_that_arrive_one_by_one_are_shared(workers, connect) -> None:
    for number in range(1, 21):
        connect(1)
        await accepted(workers, number)

    counts = [len(worker.open) for worker in workers]
    assert max(counts) - min(counts) <= 2


async def test_a_worker_with_the_fewest_that_accepts_none_delays_no_connection(
    workers, connect, counts
) -> None:
    await workers[1].acceptor.close()
    counts.set(1, 0)  # the count of a worker that hangs

    connect(20)

    assert await accepted(workers, 20) == [20, 0]


async def test_a_worker_that_closes_delays_and_loses_no_connection(workers, connect, counts) -> None:
    connect(10)
    await accepted(workers, 10)
    await workers[0].acceptor.close()

    connect(10)

    assert sum(await accepted(workers, 20)) == 20
    while workers[1].acceptor._opening:
        await anyio.lowlevel.checkpoint()
    assert counts.fewest() == len(workers[1].open)


async def test_closing_waits_for_connections_that_are_being_opened(workers, connect) -> None:
    connect(2)
    while not any(worker.acceptor._opening for worker in workers):
        await anyio.lowlevel.checkpoint()

    for worker in workers:
        await worker.acceptor.close()

    assert not any(worker.acceptor._opening for worker in workers)


async def test_a_system_without_descriptors_is_logged_and_waited_for(
    counts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, listener, connect
) -> None:
    monkeypatch.setattr("alga_runner.workers.acceptor.EXHAUSTED_S", 0.001)

    class Full:
        """A listener whose process has no descriptor left, twice."""

        times = 2

        def __getattr__(self, name: str) -> object:
            return getattr(listener, name)

        def accept(self) -> tuple[socket.socket, object]:
            if self.times:
                self.times -= 1
                raise OSError(errno.EMFILE, "Too many open files")
            return listener.accept()

    worker = Worker(Full(), counts, 2)  # type: ignore[arg-type]
    worker.acceptor.open()
    connect(1)

    assert await accepted([worker], 1) == [1]
    assert [record.message for record in caplog.records] == [
        "Accepting a connection failed: Too many open files"
    ] * 2
    await worker.stop()


def test_in_new_counts_every_worker_is_absent(counts) -> None:
    assert counts.fewest() == 0


def test_the_fewest_are_of_workers_that_are_present(counts) -> None:
    counts.set(0, 5)
    counts.set(1, 3)
    assert counts.fewest() == 3

    counts.leave(1)
    assert counts.fewest() == 5


def test_two_processes_share_the_counts(counts) -> None:
    counts.set(0, 7)
    with ConnectionCounts(os.dup(counts.descriptor)) as same:
        assert same.fewest() == 7
