"""The socket that the service listens on."""

from __future__ import annotations

import socket

import pytest

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
async def test_the_head_of_a_request_is_bounded_whatever_is_installed(service: Service) -> None:
    """Left to itself, uvicorn takes httptools where that is there, which keeps every header it is sent."""
    assert config(service).http == "h11"
