"""Load for an HTTP server from one process: many connections that are kept, each with one request under way.

Plain sockets and epoll, so that a Python on one core asks faster than a Python on another answers.
"""

from __future__ import annotations

import base64
import select
import socket
from collections.abc import Mapping
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from pydantic_core import to_json

from alga_runner.models import ExecuteResponse

from ..child import Contestant, Counts, Work, WrongAnswer
from .workload import Work as Task
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
        """Read the received bytes: whether the answer is whole. Raises ``WrongAnswer``."""
        data = self.socket.recv(65536)
        self.received = received = self.received + data if self.received else data
        head, _, body = received.partition(b"\r\n\r\n")
        if len(body) < len(self.expected) and data:
            return False
        if body != self.expected or not head.startswith(b"HTTP/1.1 200 "):
            raise WrongAnswer(received[:2000])
        return True


class Load(Contestant):
    """An order names a ``url``, its ``seconds``, and the guest's ``path``.

    With ``echo``, the answer must be the request's body.
    """

    def __init__(self) -> None:
        self._open: dict[str, list[_Connection]] = {}

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """Connect, and lay out requests and answers."""
        url = urlsplit(order["url"])
        host, port = url.hostname or "", url.port or 80
        connections = self._open.get(order["url"])
        if connections is None:
            connections = self._open[order["url"]] = [_Connection(host, port) for _ in range(CONNECTIONS)]
        exchanges = _exchanges(order["content_hash"], order["path"], echo=order["echo"])
        seconds: float = order["seconds"]

        async def run() -> Counts:
            return {"done": _drive(connections, exchanges, seconds)}

        return run


def _exchanges(content_hash: str, path: str, *, echo: bool) -> list[Exchange]:
    exchanges = []
    for work in works(path, content_hash):
        body = to_json(work.document)
        head = "POST /v1/execute HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        head += "".join(f"{name.decode()}: {value.decode()}\r\n" for name, value in headers(work, body))
        exchanges.append((head.encode() + b"\r\n" + body, body if echo else to_json(response(work))))
    return exchanges


def headers(work: Task, body: bytes) -> list[tuple[bytes, bytes]]:
    """What an execute request carries."""
    context = work.document["context"]
    return [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", context["request_id"].encode()),
        (b"x-alga-tenant", context["tenant_id"].encode()),
        (b"x-alga-extension", context["extension_id"].encode()),
    ]


def response(work: Task) -> ExecuteResponse:
    """What the service must answer."""
    content_type = {"content-type": "application/octet-stream"}
    body = base64.b64encode(work.answer).decode()
    return ExecuteResponse(status=200, headers=content_type, body_b64=body)


def _drive(connections: list[_Connection], exchanges: list[Exchange], seconds: float) -> int:
    """Ask for ``seconds``, then wait for the requests under way; how many answers arrived, all of them right."""
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
