"""A runner with two workers, and connections that are known by the worker that has them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import count
from time import monotonic, sleep
from typing import Any

import httpx
import pytest

from tests.support.patience import PATIENCE_S
from tests.support.processes import is_alive


class Workers:
    """The runner, and who is connected to it."""

    _numbers = count(1)

    def __init__(self, server, headers: dict[str, str], ok: dict[str, Any]) -> None:
        self.server = server
        self.headers = headers
        self._ok = ok
        self._clients: list[httpx.Client] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Close all connections."""
        for client in self._clients:
            client.close()

    def client(self) -> httpx.Client:
        """One that makes connections of its own."""
        limits = httpx.Limits(
            keepalive_expiry=PATIENCE_S
        )  # on a slow machine more than 5 s pass between requests
        client = httpx.Client(base_url=self.server.url, timeout=PATIENCE_S, trust_env=False, limits=limits)
        self._clients.append(client)
        return client

    def whose(self, client: httpx.Client) -> tuple[int, int]:
        """Number and process of the worker that has the client's connection."""
        body, name = self._ok, f"probe-{next(self._numbers)}"
        body = {**body, "context": {**body["context"], "request_id": name}}
        client.post("/v1/execute", json=body, headers=self.headers)
        line = self.server.log_line("execution", request_id=name)
        return line["worker"], line["pid"]

    def connect(self) -> tuple[dict[int, httpx.Client], dict[int, int]]:
        """A connection to each worker, and their processes. Connections are shared evenly, so few attempts do."""
        connections: dict[int, httpx.Client] = {}
        pids: dict[int, int] = {}
        spare: list[httpx.Client] = []
        while len(connections) < 2:
            client = self.client()
            number, pid = self.whose(client)
            if number in connections:
                spare.append(client)
            else:
                connections[number], pids[number] = client, pid
        for client in spare:
            client.close()
        return connections, pids

    def executed(self) -> float:
        """All executions, as /metrics has them."""
        with httpx.Client(base_url=self.server.url, timeout=PATIENCE_S, trust_env=False) as client:
            return executed(client)

    def settle(self) -> None:
        """Return when both workers answer."""
        with httpx.Client(base_url=self.server.url, timeout=PATIENCE_S, trust_env=False) as client:
            eventually(lambda: client.get("/readyz?checks=own").json()["workers"] == {"ready": 2, "of": 2})

    def metric(self, sample: str) -> float:
        """A sample's value, 0 if it does not exist yet."""
        with httpx.Client(base_url=self.server.url, timeout=PATIENCE_S, trust_env=False) as client:
            lines = client.get("/metrics").text.splitlines()
        return next(
            (float(value) for name, _, value in (line.rpartition(" ") for line in lines) if name == sample),
            0.0,
        )


def executed(client: httpx.Client) -> float:
    """All executions, as /metrics has them."""
    lines = client.get("/metrics").text.splitlines()
    return sum(
        float(line.rpartition(" ")[2]) for line in lines if line.startswith("alga_runner_executions_total{")
    )


class Asked(threading.Thread):
    """A request under way in a thread of its own."""

    def __init__(self, client: httpx.Client, body: dict[str, Any], headers: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self._arguments = client, body, headers
        self.response: httpx.Response | None = None
        self.start()

    def run(self) -> None:
        client, body, headers = self._arguments
        with suppress(httpx.TransportError):
            self.response = client.post("/v1/execute", json=body, headers=headers)

    def answer(self) -> httpx.Response:
        self.join()
        assert self.response is not None, "it was lost"
        return self.response


def eventually(condition: Callable[[], bool]) -> None:
    """Return once ``condition`` holds."""
    deadline = monotonic() + PATIENCE_S
    while not condition():
        assert monotonic() < deadline, "it did not come about"
        sleep(0.01)


@pytest.fixture
def ask() -> Callable[..., Asked]:
    """Send a request and go on: the client, the body, the headers."""
    return Asked


@pytest.fixture
def gone() -> Callable[[int], None]:
    """Return once there is no such process."""
    return lambda pid: eventually(lambda: not is_alive(pid))


@pytest.fixture(name="eventually")
def _eventually() -> Callable[[Callable[[], bool]], None]:
    """Return once a condition holds."""
    return eventually


@pytest.fixture
def ok(publish, request_for) -> dict[str, Any]:
    """A request that is answered immediately."""
    body: dict[str, Any] = request_for(publish())
    return body


@pytest.fixture(scope="session")
def workers_of() -> type[Workers]:
    return Workers


@pytest.fixture
def start(serve, headers, ok) -> Iterator[Callable[..., Workers]]:
    """Start a runner with two workers."""
    with ExitStack() as stack:

        def carry_out(*arguments: str, **variables: str) -> Workers:
            return stack.enter_context(Workers(serve("--workers", "2", *arguments, **variables), headers, ok))

        yield carry_out
