"""``alga-server serve`` in a process of its own, administered over real sockets."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import httpx
import pytest

from alga_runner.bundles import FolderBundles
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.processes

SAMPLE = Path(__file__).parents[3] / "sample-extensions" / "scheduler-demo"
NAME = "com.alga.sample.scheduler-demo"
LISTENING = "alga-server listening on "
COMMAND = [sys.executable, "-c", "from alga_server.cli import main; main(prog_name='alga-server')"]
TOKEN = "admin-token-of-the-test"

Ended = subprocess.CompletedProcess[str]


class Serving:
    """A server that answers at ``url``; ``lines`` is what it printed until then."""

    def __init__(self, folder: Path, *options: str, **environment: str) -> None:
        self.folder = folder
        self.log = folder / "log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "serve", *(options or self.durable()), "--port", "0"],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                # What a killed server leaves in its temporary folder goes with the test's.
                env=clean(
                    {
                        "TMPDIR": str(folder),
                        "XDG_STATE_HOME": str(folder),
                        **(environment or {"ALGA_SERVER_ADMIN_TOKEN": TOKEN}),
                    }
                ),
            )
        self.lines: list[str] = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if line.startswith(LISTENING):
                self.url = line.removeprefix(LISTENING).strip()
                return
        raise AssertionError(f"it did not start: {self.log.read_text()}")

    def durable(self) -> list[str]:
        return ["--database", str(self.folder / "alga.db"), "--bundle-store", str(self.store)]

    @property
    def store(self) -> Path:
        return self.folder / "bundles"

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(timeout=PATIENCE_S)

    def alga(self, *arguments: str, token: str = TOKEN) -> Ended:
        """``alga-server`` as an admin types it."""
        return alga(*arguments, ALGA_SERVER_URL=self.url, ALGA_SERVER_ADMIN_TOKEN=token)

    def json(self, *arguments: str) -> Any:
        ended = self.alga(*arguments, "--json")
        assert (ended.returncode, ended.stderr) == (0, "")
        return json.loads(ended.stdout)

    def admin(self) -> httpx.Client:
        headers = {"authorization": f"Bearer {TOKEN}"}
        return httpx.Client(
            base_url=f"{self.url}/api/admin", headers=headers, timeout=PATIENCE_S, trust_env=False
        )

    def has_bundle(self, install: dict[str, Any]) -> bool:
        identity = (install["tenantId"], install["extensionId"], install["contentHash"])
        return (self.store / FolderBundles.key(*identity)).is_file()


def clean(environment: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ALGA_")}
    return {**kept, "PYTHONWARNINGS": "error", **environment}


def alga(*arguments: str, **environment: str) -> Ended:
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        env=clean(environment),
    )


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Serving]]:
    """Start a server in the test's folder; one that still runs at the end is killed, and no log has a traceback."""
    begun: list[Serving] = []

    def call(*options: str, **environment: str) -> Serving:
        serving = Serving(tmp_path, *options, **environment)
        begun.append(serving)
        return serving

    yield call
    for serving in begun:
        with suppress(ProcessLookupError):
            serving.process.kill()
        serving.process.wait()
        stdout: IO[str] | None = serving.process.stdout
        if stdout is not None:
            stdout.close()
        assert "Traceback" not in serving.log.read_text()


@pytest.fixture
def server(start: Callable[..., Serving]) -> Serving:
    return start()


def said(ended: Ended, code: str) -> str:
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"error[{code}]: ")
    assert "Traceback" not in ended.stderr
    return ended.stderr


def test_from_publishing_to_uninstalling(server: Serving) -> None:
    published = server.alga("publish", str(SAMPLE))
    assert published.stdout.startswith(f"Published {NAME} 1.0.0.")

    installed = server.json("install", NAME, "--tenant", "acme", "--config", "region=eu")
    assert installed["grants"] == []
    assert server.has_bundle(installed)

    granted = server.json("grant", NAME, "--tenant", "acme", "--grant", "scheduler.manage")
    assert granted["grants"] == ["cap:scheduler.manage"]

    with server.admin() as admin:
        path = f"/tenants/acme/installs/{installed['installId']}/schedules"
        schedule = {"name": "Hourly", "endpoint": "POST /sync", "cron": "0 * * * *"}
        assert admin.post(path, json=schedule).status_code == 201
    shown = server.alga("schedules", "--tenant", "acme")
    assert [line.split("  ")[0] for line in shown.stdout.splitlines()] == ["NAME", "Hourly"]

    removed = server.alga("uninstall", NAME, "--tenant", "acme")
    assert removed.stdout == f"Uninstalled {NAME} 1.0.0 from tenant acme, and 1 schedule with it.\n"
    assert not server.has_bundle(installed)
    assert server.alga("schedules", "--tenant", "acme").stdout == "Tenant acme has no schedules.\n"


def test_a_restart_keeps_everything(start: Callable[..., Serving]) -> None:
    first = start()
    first.json("publish", str(SAMPLE))
    installed = first.json("install", NAME, "--tenant", "acme", "--grant", "scheduler.manage")
    with first.admin() as admin:
        path = f"/tenants/acme/installs/{installed['installId']}/schedules"
        admin.post(path, json={"endpoint": "POST /sync", "cron": "0 * * * *"})
    first.json("disable", NAME, "--tenant", "acme")
    before = {
        command: first.json(*command.split())
        for command in ("extensions", "installs --tenant acme", "schedules --tenant acme")
    }
    assert first.stop() == 0

    second = start()

    after = {command: second.json(*command.split()) for command in before}
    for schedule in [
        *before["schedules --tenant acme"]["schedules"],
        *after["schedules --tenant acme"]["schedules"],
    ]:
        schedule.pop("nextRunAt")
    assert after == before
    assert second.has_bundle(installed)


@pytest.mark.parametrize("acknowledged", [1, 7, 20])
def test_killed_among_installs_it_has_the_bundle_of_every_acknowledged_one(
    start: Callable[..., Serving], acknowledged: int
) -> None:
    server = start()
    extension = server.json("publish", str(SAMPLE))["extensionId"]
    answers: list[dict[str, Any]] = []
    enough = threading.Event()

    def install(number: int) -> None:
        with server.admin() as admin, suppress(httpx.TransportError):
            answer = admin.post(f"/tenants/tenant-{number}/installs", json={"extensionId": extension})
            if answer.status_code == 201:
                answers.append(answer.json())
            if len(answers) >= acknowledged:
                enough.set()

    with ThreadPoolExecutor(8) as pool:
        for number in range(60):
            pool.submit(install, number)
        assert enough.wait(timeout=PATIENCE_S)
        server.stop(signal.SIGKILL)
    made = list(answers)
    assert all(server.has_bundle(install) for install in made)

    again = start()
    with again.admin() as admin:
        installs = [
            install
            for number in range(60)
            for install in admin.get(f"/tenants/tenant-{number}/installs").json()["installs"]
        ]
    assert {install["installId"] for install in made} <= {install["installId"] for install in installs}
    assert all(again.has_bundle(install) for install in installs)


def test_dev_prints_what_other_terminals_need(start: Callable[..., Serving]) -> None:
    server = start("--dev", PATH=os.environ["PATH"])
    exports = dict(line.removeprefix("export ").split("=", 1) for line in server.lines[:-1])

    ended = alga("extensions", **exports)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "Nothing is published.\n", "")
    folder = Path(exports["BUNDLE_STORE_BASE"])
    assert folder.is_dir()
    assert server.stop() == 0
    assert not folder.exists()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_ordered_to_stop_it_ends_with_0(server: Serving, how: signal.Signals) -> None:
    assert server.stop(how) == 0


def test_a_call_under_way_is_answered_before_it_ends(server: Serving) -> None:
    """The head of a request was read when the server is ordered to stop, its body follows."""
    address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
    with socket.create_connection(address) as caller:
        head = f"POST /api/admin/extensions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n"
        caller.sendall(f"{head}expect: 100-continue\r\ncontent-length: 12\r\n\r\nnot ".encode())
        assert caller.recv(100).startswith(b"HTTP/1.1 100 ")

        server.process.send_signal(signal.SIGTERM)
        refuses_connections(address)
        caller.sendall(b"a bundle")
        answer = b"".join(iter(lambda: caller.recv(65536), b""))

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"bundle_invalid"' in answer
    assert server.process.wait(timeout=PATIENCE_S) == 0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_told_twice_it_cuts_off_what_is_under_way(server: Serving, how: signal.Signals) -> None:
    address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
    with socket.create_connection(address) as caller:
        head = f"POST /api/admin/extensions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n"
        caller.sendall(f"{head}expect: 100-continue\r\ncontent-length: 9\r\n\r\n".encode())
        assert caller.recv(100).startswith(b"HTTP/1.1 100 ")

        server.process.send_signal(how)
        refuses_connections(address)
        assert server.stop(how) == 128 + how


def refuses_connections(address: tuple[str, int]) -> None:
    """Return once nothing listens there: the server heard its signal."""
    while True:
        try:
            socket.create_connection(address).close()
        except ConnectionError:
            return


def test_ctrl_c_ends_a_command_that_waits_for_an_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        command = subprocess.Popen(
            [*COMMAND, "extensions"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean({"ALGA_SERVER_URL": url, "ALGA_SERVER_ADMIN_TOKEN": TOKEN}),
        )
        caller, _ = silent.accept()
        with caller:
            caller.recv(1)
            command.send_signal(signal.SIGINT)
            assert command.communicate(timeout=PATIENCE_S) == ("", "")

    assert command.returncode == 130


def test_a_port_in_use_is_a_sentence(server: Serving) -> None:
    port = server.url.rpartition(":")[2]

    ended = alga("serve", "--dev", "--port", port)

    assert said(ended, "port_in_use") == (
        f"error[port_in_use]: Something else listens on 127.0.0.1, port {port}.\n"
        "hint: Choose another with --port; 0 takes a free one.\n"
    )
    assert "export" not in ended.stdout


def test_a_database_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "alga.db").write_text("this is no database, however long one looks at it" * 40)

    ended = alga("serve", "--database", str(tmp_path / "alga.db"), "--port", "0")

    assert "database_url (ALGA_SERVER_DATABASE_URL) names is not usable" in said(ended, "settings_invalid")
    assert ended.stdout == ""


def test_a_store_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    options = ("--bundle-store", str(tmp_path / "file" / "below"), "--port", "0")
    ended = alga("serve", "--dev", *options, XDG_STATE_HOME=str(tmp_path))

    assert "bundle_store (ALGA_SERVER_BUNDLE_STORE) names cannot be used: Not a directory" in said(
        ended, "settings_invalid"
    )


def test_a_wrong_token_is_refused(server: Serving) -> None:
    ended = server.alga("installs", "--tenant", "acme", token="wrong-token")

    assert "hint: ALGA_SERVER_ADMIN_TOKEN must be" in said(ended, "unauthorized")
    assert "wrong-token" not in ended.stderr + server.log.read_text()


def test_a_well_known_token_guards_nothing(start: Callable[..., Serving], tmp_path: Path) -> None:
    server = start("--database", str(tmp_path / "alga.db"), ALGA_SERVER_ADMIN_TOKEN="changeme")

    said(server.alga("extensions", token="changeme"), "unauthorized")


def test_a_server_that_is_gone_is_a_sentence_with_its_url(server: Serving) -> None:
    server.stop()

    assert f"No server answers at {server.url}." in said(server.alga("extensions"), "server_unreachable")


def test_an_unknown_tenant_has_nothing(server: Serving) -> None:
    assert server.json("installs", "--tenant", "unknown") == {"installs": []}
    said(server.alga("uninstall", NAME, "--tenant", "unknown"), "not_found")


def test_the_log_of_a_server_is_json_and_holds_no_token(server: Serving) -> None:
    server.json("publish", str(SAMPLE))
    server.json("install", NAME, "--tenant", "acme")
    server.stop()

    lines = [json.loads(line) for line in server.log.read_text().splitlines()]

    assert "bundle_stored" in [line.get("action") for line in lines]
    assert TOKEN not in server.log.read_text()


def test_a_reader_of_a_pipe_that_is_gone_is_no_news(server: Serving) -> None:
    server.json("publish", str(SAMPLE))
    reader, writer = os.pipe()
    os.close(reader)

    ended = subprocess.run(
        [*COMMAND, "extensions", "--json"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env=clean({"ALGA_SERVER_URL": server.url, "ALGA_SERVER_ADMIN_TOKEN": TOKEN}),
    )
    os.close(writer)

    assert ended.stderr == ""


@pytest.fixture
def pair(start: Callable[..., Serving], tmp_path: Path) -> Iterator[Serving]:
    """A development server and a runner, started with the lines that the server printed."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = start("--dev", "--runner-url", f"http://127.0.0.1:{port}", ALGA_SERVER_ADMIN_TOKEN=TOKEN)
    exports = dict(line.removeprefix("export ").split("=", 1) for line in server.lines[:-1])
    program = "from alga_runner.cli import main; main(prog_name='alga-runner')"
    with (tmp_path / "runner.log").open("wb") as log:
        runner = subprocess.Popen(
            [sys.executable, "-c", program, "serve", "--port", str(port)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=clean(exports),
        )
    assert runner.stdout is not None
    with runner.stdout:
        try:
            assert runner.stdout.readline() == f"alga-runner listening on http://127.0.0.1:{port}\n"
            yield server
            runner.terminate()
            assert runner.wait(timeout=PATIENCE_S) == 0
        finally:
            runner.kill()
            runner.wait()


def schedule(server: Serving, install: dict[str, Any], **members: Any) -> None:
    with server.admin() as admin:
        path = f"/tenants/{install['tenantId']}/installs/{install['installId']}/schedules"
        made = admin.post(path, json={"endpoint": "POST /sync", "cron": "0 * * * *", **members})
    assert made.status_code == 201, made.text


def test_schedules_fire_by_hand_and_by_the_clock(pair: Serving) -> None:
    pair.json("publish", str(SAMPLE))
    install = pair.json("install", NAME, "--tenant", "acme", "--grant", "scheduler.manage")
    schedule(pair, install, name="Hourly")

    by_hand = pair.alga("run-now", "Hourly", "--tenant", "acme")
    assert (by_hand.returncode, by_hand.stderr) == (0, "")
    assert by_hand.stdout.startswith("Hourly ended with success (HTTP 200) after ")

    moved = pair.json("clock", "--advance", "2h")
    assert [(run["trigger"], run["status"]) for run in moved["fired"]] == [("schedule", "success")] * 2

    runs = pair.json("runs", "--tenant", "acme", "--schedule", "Hourly")["runs"]
    assert [run["trigger"] for run in runs] == ["schedule", "schedule", "run_now"]
    assert {run["scheduleName"] for run in runs} == {"Hourly"}
    [shown] = pair.json("schedules", "--tenant", "acme")["schedules"]
    assert shown["lastRunStatus"] == "success"


def test_a_disabled_install_is_skipped_and_says_so(pair: Serving) -> None:
    pair.json("publish", str(SAMPLE))
    schedule(pair, pair.json("install", NAME, "--tenant", "acme"), name="Hourly")
    pair.json("disable", NAME, "--tenant", "acme")

    ended = pair.alga("run-now", "Hourly", "--tenant", "acme")

    assert (ended.returncode, ended.stdout) == (1, "Hourly was skipped: install_disabled.\n")


def test_without_its_runner_a_run_ends_with_an_error(start: Callable[..., Serving]) -> None:
    server = start("--dev", "--runner-url", "http://127.0.0.1:9", ALGA_SERVER_ADMIN_TOKEN=TOKEN)
    server.json("publish", str(SAMPLE))
    schedule(server, server.json("install", NAME, "--tenant", "acme"), name="Hourly")

    ended = server.alga("run-now", "Hourly", "--tenant", "acme")

    assert ended.returncode == 1
    assert "Hourly ended with error" in ended.stdout
    assert "runner_unavailable" in ended.stdout


def test_the_clock_of_a_server_that_is_not_for_development_stands_with_the_machine(server: Serving) -> None:
    said(server.alga("clock", "--advance", "1h"), "clock_fixed")
