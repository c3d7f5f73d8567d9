"""The socket that the service listens on."""

from __future__ import annotations

import socket

import pytest

from alga_common.http.connection import Connection
from alga_runner import Settings
from alga_runner.service import Service
from alga_runner.service.server import config, listening


def test_an_answer_waits_for_no_acknowledgement() -> None:
    """Nagle's algorithm would hold back a body until its head is acknowledged, which clients delay by 40 ms."""
    with (
        listening("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()[:2]),
    ):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


@pytest.mark.anyio
async def test_connections_are_bounded_whatever_parser_is_installed(
    service: Service, settings: Settings
) -> None:
    """Left to itself, uvicorn takes httptools where that is there, which keeps every header it is sent."""
    protocol = config(service, settings.model_copy(update={"max_connections": 7})).http

    assert isinstance(protocol, type)
    assert issubclass(protocol, Connection)
    assert (protocol.max_connections, protocol.max_of_address) == (7, 4)
