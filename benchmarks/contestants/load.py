"""Load for an HTTP server from one process: many connections that are kept, each with one request under way.

Plain sockets and epoll, so that a Python on one core asks faster than a Python on another answers.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Mapping
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from pydantic_core import to_json

from alga_runner.models import ExecuteResponse

from ..child import Contestant, Counts, Work, WrongAnswer
from .workload import works

CONNECTIONS = 32

Exchange = tuple[bytes, bytes]
"""A request as it is sent, and the body that must come back."""


class _Connection:
    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.expected = b""
        self.received = b""

    def ask(self, exchange: Exchange) -> None:
        request, self.expected = exchange
        self.received = b""
        self.socket.sendall(request)

    def complete(self) -> bool:
        """Read what is there: whether the answer is whole. Raises ``WrongAnswer``."""
        data = self.socket.recv(65536)
        self.received = received = self.received + data if self.received else data
        head, _, body = received.partition(b"\r\n\r\n")
        if len(body) < len(self.expected) and data:
            return False
        if body != self.expected or not head.startswith(b"HTTP/1.1 200 "):
            raise WrongAnswer(received[:2000])
        return True


class Load(Contestant):
    """An order names a ``url``, for how many ``seconds``, and ``echo``: whether the request's body comes back."""

    def __init__(self) -> None:
        self._open: dict[str, list[_Connection]] = {}

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """Connect, and lay out requests and answers."""
        url = urlsplit(order["url"])
        host, port = url.hostname or "", url.port or 80
        connections = self._open.get(order["url"])
        if connections is None:
            connections = self._open[order["url"]] = [_Connection(host, port) for _ in range(CONNECTIONS)]
        exchanges = _exchanges(order["content_hash"], echo=order["echo"])
        seconds: float = order["seconds"]

        async def run() -> Counts:
            return {"done": _drive(connections, exchanges, seconds)}

        return run


def _exchanges(content_hash: str, *, echo: bool) -> list[Exchange]:
    exchanges = []
    for work in works("/echo", content_hash):
        body = to_json(work.document)
        head = (
            "POST /v1/execute HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            f"x-request-id: {work.document['context']['request_id']}\r\n"
            f"x-alga-tenant: acme\r\nx-alga-extension: {work.document['context']['extension_id']}\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        exchanges.append((head.encode() + body, body if echo else to_json(_response(work.answer))))
    return exchanges


def _response(body: bytes) -> ExecuteResponse:
    import base64  # noqa: PLC0415

    headers = {"content-type": "application/octet-stream"}
    return ExecuteResponse(status=200, headers=headers, body_b64=base64.b64encode(body).decode())


def _drive(connections: list[_Connection], exchanges: list[Exchange], seconds: float) -> int:
    """Ask for ``seconds``, then wait for what is under way; how many answers came, each of them right."""
    poller = select.epoll()
    by_fd = {connection.socket.fileno(): connection for connection in connections}
    try:
        for fd in by_fd:
            poller.register(fd, select.EPOLLIN)
        for number, connection in enumerate(connections):
            connection.ask(exchanges[number % len(exchanges)])
        done, asked, variants = 0, len(connections), len(exchanges)
        until = perf_counter() + seconds
        while done < asked:
            going_on = perf_counter() < until
            for fd, _ in poller.poll():
                connection = by_fd[fd]
                if connection.complete():
                    done += 1
                    if going_on:
                        connection.ask(exchanges[asked % variants])
                        asked += 1
    finally:
        poller.close()
    return done
