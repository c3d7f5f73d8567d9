"""A server and a runner with two workers on this machine, each the other's, on ports that were free."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any

from alga_common.cli.failures import Failure

from .processes import Child, Signals

_LOG_S = 10.0
_HOST = "127.0.0.1"


@dataclass(slots=True)
class Tokens:
    """What the parties show one another."""

    admin: str
    gateway: str
    runner: str
    service: str

    @classmethod
    def random(cls) -> Tokens:
        """New ones."""
        return cls(*(secrets.token_urlsafe(24) for _ in range(4)))


@dataclass(slots=True)
class Pair:
    """The two, and where they answer. Their folder holds the database, the bundle store and the logs."""

    server: Child
    runner: Child
    server_url: str
    runner_url: str
    tokens: Tokens

    def wait_until_they_answer(self) -> None:
        """Raises ``Failure`` with the last words of the one that does not."""
        for child in (self.server, self.runner):
            child.wait_until_it_answers()

    def why_silent(self, url: str, reason: str) -> Failure:
        """Why ``url`` did not answer."""
        child = self.server if url.startswith(self.server_url) else self.runner
        return child.failure("ended" if child.ended else f"did not answer: {reason}")

    def stop(self) -> tuple[int, int]:
        """End both, as SIGTERM does; the exit statuses of server and runner."""
        self.server.terminate()
        self.runner.terminate()
        return self.server.end(), self.runner.end()

    def guest_line(self, request_id: str) -> str:
        """What the guest of that execution logged, from the runner's log. Raises ``Failure`` if it logged nothing."""
        deadline = monotonic() + _LOG_S
        while monotonic() < deadline:
            for line in self._runner_lines():
                if line.get("action") == "guest_log" and line.get("request_id") == request_id:
                    return str(line.get("detail"))
            sleep(0.01)  # lines reach the file a moment after their execution
        raise self.runner.failure(f"logged nothing of the execution {request_id}")

    def _runner_lines(self) -> Iterator[dict[str, Any]]:
        for text in self.runner.log.read_text().splitlines(keepends=True):
            if text.startswith("{") and text.endswith("\n"):
                yield json.loads(text)


@contextmanager
def started(signals: Signals) -> Iterator[Pair]:
    """Start both. At the end, normal or not, no process, port or folder is left."""
    stack = ExitStack()
    try:
        try:
            with signals.held():
                folder = Path(stack.enter_context(TemporaryDirectory(prefix="alga-demo-")))
                pair = _start(folder, stack)
            yield pair
        finally:
            signals.hold()
    finally:
        # No signal cuts this short: either they wait by now, or the first one came, and others are ignored.
        stack.close()


def _start(folder: Path, stack: ExitStack) -> Pair:
    store = folder / "bundles"
    store.mkdir()
    ports = [stack.enter_context(_reserved_port()) for _ in range(2)]
    server_url, runner_url = (f"http://{_HOST}:{port}" for port in ports)
    tokens = Tokens.random()
    server = _child(
        stack,
        "alga-server",
        *("serve", "--dev", "--port", str(ports[0]), "--runner-url", runner_url),
        *("--database", str(folder / "alga.db"), "--bundle-store", str(store)),
        log=folder / "server.log",
        ALGA_SERVER_ADMIN_TOKEN=tokens.admin,
        ALGA_SERVER_GATEWAY_TOKEN=tokens.gateway,
        ALGA_SERVER_RUNNER_TOKEN=tokens.runner,
        ALGA_SERVER_RUNNER_SERVICE_TOKEN=tokens.service,
    )
    runner = _child(
        stack,
        "alga-runner",
        *("serve", "--workers", "2", "--port", str(ports[1])),
        *("--server-url", server_url, "--bundle-store", str(store)),
        log=folder / "runner.log",
        ALGA_RUNNER_SERVER_DIALECT="prd",
        RUNNER_STORAGE_API_TOKEN=tokens.runner,
        RUNNER_SERVICE_TOKEN=tokens.service,
        ALGA_RUNNER_LOG_GUEST_LINES="1",
        ALGA_RUNNER_CODE_CACHE=str(folder / "code"),
    )
    return Pair(server, runner, server_url, runner_url, tokens)


def _child(stack: ExitStack, name: str, *arguments: str, log: Path, **environment: str) -> Child:
    child = Child(name, arguments, environment, log)
    stack.callback(child.end)
    stack.callback(child.terminate)
    return child


@contextmanager
def _reserved_port() -> Iterator[int]:
    """A port that the system gives to no other process. Bound but not listened on, it can be bound again by number."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((_HOST, 0))
        yield holder.getsockname()[1]
