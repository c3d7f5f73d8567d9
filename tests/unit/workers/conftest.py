"""Channels between two ends in one process."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from alga_runner.workers.channel import Channel, Message

Both = Callable[..., object]


@asynccontextmanager
async def _joined(
    receive: Callable[[Message], None], **bounds: int
) -> AsyncIterator[tuple[Channel, socket.socket]]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    channel = await Channel.over(ours, **{"max_bytes": 1000} | bounds)
    with theirs:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(channel.run, receive)
            yield channel, theirs
            tasks.cancel_scope.cancel()


@pytest.fixture
def joined():
    """A channel that is running, given what receives, and the raw socket at its other end."""
    return _joined
