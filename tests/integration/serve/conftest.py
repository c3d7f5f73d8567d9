"""``alga-runner serve`` in a process of its own, a folder of bundles, and an Alga server that a test makes answer."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from alga_runner.bundles import FolderBundles
from alga_runner.models import content_hash
from tests.support.bundles import make_archive
from tests.support.guests import LIST_IMPORT
from tests.support.patience import PATIENCE_S
from tests.support.requests import execute_document

TOKEN = "the-service-token"


WAITING: dict[str, Any] = {
    "handler": """
      (drop (call $list (i32.const 1024) (i32.const 1) (i32.const 2048) (i32.const 1024)))
      (call $respond (i32.const 0) (global.get $ok))""",
    "imports": LIST_IMPORT,
    "data": b"\xc0",
}
"""A guest that asks the Alga server for its schedules, and responds after any answer."""


class Lines:
    """The lines of a stream, as they come."""

    def __init__(self, stream: Any) -> None:
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.seen: list[str] = []
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream: Any) -> None:
        with stream:
            for line in stream:
                self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def next(self) -> str | None:
        """The next line, ``None`` at the end."""
        line = self._lines.get(timeout=PATIENCE_S)
        if line is not None:
            self.seen.append(line)
        return line

    def rest(self) -> list[str]:
        """Read to the end of the stream; all its lines."""
        while self.next() is not None:
            pass
        return self.seen


class Server:
    """A running ``alga-runner serve``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.stdout = Lines(process.stdout)
        self.stderr = Lines(process.stderr)
        announced = self.stdout.next()
        if announced is None:
            pytest.fail(f"it did not start: {self.stderr.rest()}")
        self.announced = announced
        self.url = announced.rpartition(" ")[2]
        self.client = httpx.Client(base_url=self.url, timeout=PATIENCE_S, trust_env=False)

    @property
    def address(self) -> tuple[str, int]:
        url = httpx.URL(self.url)
        return url.host, url.port or 0

    def log_line(self, action: str, **fields: str) -> dict[str, Any]:
        """The next log line with this action and these fields; waits for it."""
        while (text := self.stderr.next()) is not None:
            line: dict[str, Any] = json.loads(text)
            if {"action": action, **fields}.items() <= line.items():
                return line
        pytest.fail(f"it ended without a line {action} {fields}")

    def metric(self, sample: str) -> float:
        """A sample's value, 0 if it does not exist yet."""
        for line in self.client.get("/metrics").text.splitlines():
            name, _, value = line.rpartition(" ")
            if name == sample:
                return float(value)
        return 0.0

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """Its exit status."""
        return self.process.wait(timeout=PATIENCE_S)


Launch = Callable[..., AbstractContextManager[Server]]
Serve = Callable[..., Server]


def _command(*arguments: str) -> list[str]:
    program = "from alga_runner.cli import main; main(prog_name='alga-runner')"
    return [sys.executable, "-c", program, "serve", *arguments]


def _environment(**variables: str) -> dict[str, str]:
    names = ("ALGA_RUNNER_", "RUNNER_", "STORAGE_API_", "REGISTRY_", "BUNDLE_STORE_", "PORT")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    return inherited | {"ALGA_RUNNER_MAX_GUESTS": "8", "ALGA_RUNNER_MAX_MEMORY_MB": "4"} | variables


@pytest.fixture(scope="session")
def command() -> Callable[..., list[str]]:
    """The command line of ``alga-runner serve`` with these arguments."""
    return _command


@pytest.fixture(scope="session")
def environment() -> Callable[..., dict[str, str]]:
    """These variables and the inherited ones, except for settings of other runners."""
    return _environment


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "bundles"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def launch() -> Launch:
    """Start ``alga-runner serve`` on a folder of bundles, with these arguments and environment variables."""

    @contextmanager
    def start(store: Path, *arguments: str, **variables: str) -> Iterator[Server]:
        process = subprocess.Popen(
            _command("--port", "0", "--bundle-store", str(store), *arguments),
            env=_environment(**{"RUNNER_SERVICE_TOKEN": TOKEN} | variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            server = Server(process)
            with server.client:
                yield server
        finally:
            process.kill()
            process.wait()

    return start


@pytest.fixture
def serve(store: Path, launch: Launch) -> Iterator[Serve]:
    """``launch`` with the test's store; the servers end with the test."""
    with ExitStack() as stack:
        yield lambda *arguments, **variables: stack.enter_context(launch(store, *arguments, **variables))


@pytest.fixture
def attempt() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``alga-runner serve`` where it is expected to end by itself."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            _command(*arguments),
            env=_environment(**variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )

    return run


@pytest.fixture
def place(store: Path) -> Callable[..., str]:
    """Put an archive into the store, under its own hash or another; the hash."""

    def put(archive: bytes, *, tenant: str = "acme", extension: str = "ext", under: str | None = None) -> str:
        name = under or content_hash(archive)
        path = store / FolderBundles.key(tenant, extension, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(archive)
        return name

    return put


@pytest.fixture
def publish(place: Callable[..., str], guest_wat: Callable[..., str]) -> Callable[..., str]:
    """Publish a guest (the handler's WAT, as ``guest_wat`` takes it); its content hash."""

    def carry_out(handler: str | None = None, *, tenant: str = "acme", **guest: Any) -> str:
        if handler is not None:
            guest["handler"] = handler
        return place(make_archive(guest_wat(**guest)), tenant=tenant)

    return carry_out


@pytest.fixture
def request_for() -> Callable[..., dict[str, Any]]:
    """The JSON of an execute request; members are merged in."""

    def build(content_hash: str, **members: Any) -> dict[str, Any]:
        return execute_document(content_hash, **{"providers": ["cap:scheduler.manage"], **members})

    return build


@pytest.fixture
def headers() -> dict[str, str]:
    return {"x-runner-service-token": TOKEN, "x-alga-tenant": "acme", "x-alga-extension": "ext"}


class FakeAlga:
    """A listening socket where the Alga server should be. It answers a host call when a test tells it to."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE_S)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._connections: list[socket.socket] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.forget()
        self._listener.close()

    def forget(self) -> None:
        """Close the connections of all host calls."""
        for connection in self._connections:
            connection.close()
        self._connections.clear()

    def asked(self) -> socket.socket:
        """The connection of the next host call, once the whole request has arrived. Readiness checks are answered."""
        while True:
            connection, head, body = self._accept()
            if not head.startswith(b"GET "):
                break
            with suppress(OSError), connection:  # a check that was not accepted for a while has given up
                self.answer(connection)
        length = int(
            next(line for line in head.split(b"\r\n") if b"content-length" in line.lower()).split(b":")[1]
        )
        while len(body) < length:
            body += connection.recv(65536)
        self._connections.append(connection)
        return connection

    def _accept(self) -> tuple[socket.socket, bytes, bytes]:
        """The next connection, the head of its request, and the part of the body that arrived with it."""
        connection, _ = self._listener.accept()
        connection.settimeout(PATIENCE_S)
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
        head, _, body = received.partition(b"\r\n\r\n")
        return connection, head, body

    def answer(self, connection: socket.socket) -> None:
        """No schedules."""
        body = b'{"schedules": []}'
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        connection.sendall(head + body)


@pytest.fixture(scope="session")
def make_alga() -> type[FakeAlga]:
    return FakeAlga


@pytest.fixture
def fake_alga() -> Iterator[FakeAlga]:
    with FakeAlga() as alga:
        yield alga


@pytest.fixture
def waiting(publish: Callable[..., str], request_for: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """A request whose guest waits for the Alga server."""
    return request_for(publish(**WAITING))
