"""Servers and runners as processes, on one database file and one folder of bundles, spoken to over sockets alone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from alga_runner.bundles import FolderBundles
from alga_runner.models import pack
from tests.support.bundles import make_archive, manifest_api
from tests.support.patience import PATIENCE_S

SAMPLE = Path(__file__).parents[3] / "sample-extensions" / "scheduler-demo"
MODULES = {"alga-server": "alga_server.cli", "alga-runner": "alga_runner.cli"}
TOKENS = {
    "ALGA_SERVER_ADMIN_TOKEN": "the-admin-token",
    "ALGA_SERVER_GATEWAY_TOKEN": "the-gateway-token",
    "ALGA_SERVER_RUNNER_TOKEN": "the-runner-token",
    "ALGA_SERVER_RUNNER_SERVICE_TOKEN": "the-service-token",
    "RUNNER_STORAGE_API_TOKEN": "the-runner-token",
    "RUNNER_SERVICE_TOKEN": "the-service-token",
}

Document = dict[str, Any]
P = TypeVar("P", bound="Program")


class Program:
    """``name serve`` on a port that stays its own; it can be stopped and started again."""

    def __init__(self, name: str, port: int, log: Path, *arguments: str, **environment: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.log = log
        self._name = name
        self._arguments = ["serve", "--port", str(port), *arguments]
        foreign = ("ALGA_", "RUNNER_", "STORAGE_API_", "REGISTRY_", "BUNDLE_STORE_")
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
        self._environment = {**inherited, **TOKENS, **environment, "PYTHONWARNINGS": "error"}
        self._process: subprocess.Popen[str] | None = None

    def launch(self) -> None:
        """Start it, without waiting for it."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", MODULES[self._name], *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self._environment,
            )

    def await_answer(self) -> None:
        """Return once it listens."""
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if " listening on " in line:
                return
        pytest.fail(f"{self._name} did not start: {self.log.read_text()}")

    def start(self) -> None:
        self.launch()
        self.await_answer()

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Signal it, wait until it has exited, and return its exit status."""
        assert self._process is not None
        self._process.send_signal(how)
        status = self._process.wait(timeout=PATIENCE_S)
        self.close()
        return status

    def close(self) -> None:
        """Kill it, if it runs."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None

    def metric(self, name: str, **labels: str) -> float:
        """A sample's value, 0 if it does not exist yet."""
        text = httpx.get(f"{self.url}/metrics", timeout=PATIENCE_S, trust_env=False).text
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        return 0.0

    def log_lines(self, action: str) -> list[Document]:
        """The whole lines of its log so far that have this action."""
        lines = self.log.read_text().splitlines(keepends=True)
        whole = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]
        return [line for line in whole if line.get("action") == action]


class Server(Program):
    """``alga-server serve``, with the requests of admins and of callers of the gateway."""

    def admin(self, method: str, path: str, *, status: int = 200, **given: Any) -> Document:
        """The document that a request below ``/api/admin`` is answered with."""
        headers = {"authorization": f"Bearer {TOKENS['ALGA_SERVER_ADMIN_TOKEN']}"}
        response = httpx.request(
            method,
            f"{self.url}/api/admin/{path}",
            headers=headers,
            timeout=PATIENCE_S,
            trust_env=False,
            **given,
        )
        assert response.status_code == status, response.text
        document: Document = response.json()
        return document

    def publish(self, archive: bytes) -> Document:
        return self.admin("POST", "extensions", status=201, content=archive)

    def install(self, extension_id: str, tenant: str = "acme", *, grant: bool = True) -> Document:
        grants = ["cap:scheduler.manage"] if grant else []
        body = {"extensionId": extension_id, "grants": grants}
        return self.admin("POST", f"tenants/{tenant}/installs", status=201, json=body)

    def of(self, install: Document, what: str) -> list[Document]:
        """The ``schedules`` or ``runs`` of an install."""
        path = f"tenants/{install['tenantId']}/installs/{install['installId']}/{what}?limit=200"
        documents: list[Document] = self.admin("GET", path)[what]
        return documents

    def ask(self, extension_id: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """``POST path`` of an extension through the gateway, for acme unless the headers say otherwise."""
        given = {"x-alga-tenant": "acme", "authorization": "Bearer the-gateway-token"}
        return httpx.post(
            f"{self.url}/api/ext/{extension_id}{path}",
            json=body,
            headers={**given, **{name.replace("_", "-"): value for name, value in headers.items()}},
            timeout=PATIENCE_S,
            trust_env=False,
        )


class Town:
    """One database, one bundle store, and any number of servers and runners."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.store = folder / "bundles"
        self.store.mkdir()
        self._folder = folder
        self._stack = stack

    def port(self) -> int:
        """A port that the system gives to no other program: it is bound, but not listened on, so ours can have it."""
        holder = self._stack.enter_context(socket.socket())
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
        return port

    def server(self, runner_url: str, *arguments: str, port: int | None = None, **environment: str) -> Server:
        """Not started yet."""
        port = port or self.port()
        return self._closed_at_the_end(
            Server(
                "alga-server",
                port,
                self._folder / f"server-{port}.log",
                *("--database", str(self._folder / "alga.db"), "--bundle-store", str(self.store)),
                *("--runner-url", runner_url, *arguments),
                **environment,
            )
        )

    def runner(self, server_url: str, *, port: int | None = None, **environment: str) -> Program:
        """Not started yet."""
        port = port or self.port()
        return self._closed_at_the_end(
            Program(
                "alga-runner",
                port,
                self._folder / f"runner-{port}.log",
                *("--server-url", server_url, "--bundle-store", str(self.store)),
                **{"ALGA_RUNNER_LOG_GUEST_LINES": "1"} | environment,
            )
        )

    def pair(self, *arguments: str, **environment: str) -> tuple[Server, Program]:
        """A server and its runner, started."""
        port = self.port()
        server = self.server(f"http://127.0.0.1:{port}", *arguments, **environment)
        runner = self.runner(server.url, port=port)
        for program in (server, runner):
            program.launch()
        for program in (server, runner):
            program.await_answer()
        return server, runner

    def archive_of(self, install: Document) -> Path:
        """Where the runner finds the install's bundle."""
        identity = (install["tenantId"], install["extensionId"], install["contentHash"])
        return self.store / FolderBundles.key(*identity)

    def _closed_at_the_end(self, program: P) -> P:
        self._stack.callback(program.close)
        return program


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("town")
        yield Town(folder, stack)
    assert [log.name for log in folder.glob("*.log") if "Traceback" in log.read_text()] == []


@pytest.fixture(scope="session")
def demo_archive() -> bytes:
    """The scheduler demo, packed."""
    return pack({name: (SAMPLE / name).read_bytes() for name in ("manifest.json", "dist/main.wasm")})


@pytest.fixture(scope="session")
def guest_archive(guest_wat: Callable[..., str]) -> Callable[..., bytes]:
    """An extension named ``name`` whose ``POST /go`` is this handler, as ``guest_wat`` takes it, packed."""

    def build(name: str, handler: str, **guest: Any) -> bytes:
        return make_archive(
            guest_wat(handler, **guest),
            name=f"com.example.{name}",
            capabilities=["cap:scheduler.manage"],
            api=manifest_api("POST /go"),
        )

    return build
