"""The commands and examples of the README work."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_command_that_runs_an_extension():
    (line,) = re.findall(r"^\$ \.venv/bin/(alga-runner invoke .*)$", README, re.MULTILINE)
    program, *arguments = shlex.split(line)

    done = subprocess.run(
        [Path(sys.executable).with_name(program), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "200 OK" in done.stdout
    assert "scheduler.create" in done.stdout


class Shell:
    """A bash that is typed into, line by line, at the top of what looks like the repository."""

    def __init__(self, folder: Path, ports: dict[str, str]) -> None:
        (folder / "sample-extensions").symlink_to(ROOT / "sample-extensions")
        (folder / ".venv").symlink_to(sys.prefix)
        self._ports = ports
        foreign = ("ALGA_", "RUNNER_", "STORAGE_API_", "BUNDLE_STORE_", "PORT")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        self._process = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env=inherited
            | {
                "ALGA_SERVER_URL": f"http://127.0.0.1:{ports['8090']}",
                "ALGA_SERVER_RUNNER_URL": f"http://127.0.0.1:{ports['8080']}",
                "ALGA_RUNNER_PORT": ports["8080"],
            },
        )

    def type(self, line: str) -> str:
        """Type a line; what it prints. One that stays in the background prints until it listens."""
        for port, free in self._ports.items():
            line = line.replace(f"127.0.0.1:{port}", f"127.0.0.1:{free}")
        line = line.replace("alga-server serve", f"alga-server serve --port {self._ports['8090']}")
        assert self._process.stdin is not None
        background = line.endswith("&")
        self._process.stdin.write(line + "\n" + ("" if background else "echo; echo ended with $?\n"))
        self._process.stdin.flush()
        return self._until(" listening on " if background else "ended with ")

    def type_all(self, text: str) -> list[str]:
        """Type every line after a ``$``; what each printed."""
        return [self.type(line) for line in re.findall(r"^\$ ((?:.*\\\n)*.*)$", text, re.MULTILINE)]

    def wait_for_jobs(self) -> str:
        """Wait until no job runs in the background; return what the shell printed."""
        return self.type("wait")

    def close(self) -> None:
        """End all processes that still run."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def _until(self, text: str) -> str:
        assert self._process.stdout is not None
        said = ""
        for line in self._process.stdout:
            said += line
            if text in line:
                return said
        pytest.fail(f"the shell ended: {said}")


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with ExitStack() as held:
        ports = {}
        for port in ("8090", "8080"):
            # Bound but not listened on: the system gives it to no other process, and a server can still use it.
            holder = held.enter_context(socket.socket())
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind(("127.0.0.1", 0))
            ports[port] = str(holder.getsockname()[1])
        typing = Shell(tmp_path, ports)
        held.callback(typing.close)
        yield typing


@pytest.mark.skipif(shutil.which("curl") is None, reason="the README's commands need curl")
def test_serving_and_calling_with_curl(shell: Shell):
    section = README.partition("\n## Serve it\n")[2].partition("\n## ")[0]
    start, call, look = re.findall(r"^```console\n(.*?)^```", section, re.MULTILINE | re.DOTALL)

    *_, server, runner = shell.type_all(start)
    assert "alga-server listening on" in server
    assert "alga-runner listening on" in runner

    _, installed, answer = shell.type_all(call)
    assert "granted  cap:scheduler.manage" in installed
    (document,) = re.findall(r"\{.*\}", answer)
    assert len(json.loads(document)["created"]) == 2

    schedules, fired, runs, metric, _ = shell.type_all(look)
    assert re.search(r"^Hourly sync .* POST /sync ", schedules, re.MULTILINE)
    assert fired.count(" success ") >= 6
    assert runs.count(" success ") == fired.count(" success ")
    executions = 1 + runs.count(" success ")
    assert f'alga_runner_executions_total{{status="success"}} {executions}.0' in metric
    shell.wait_for_jobs()


def test_the_library_example():
    (program,) = [block for block in blocks("python") if "anyio.run(main)" in block]

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("200 ")


def test_the_test_example(tmp_path: Path):
    (example,) = [block for block in blocks("python") if "def test_" in block]
    (tmp_path / "test_example.py").write_text(
        example.replace("sample-extensions", f"{ROOT}/sample-extensions")
    )

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_example.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "1 passed" in done.stdout, done.stdout


@pytest.mark.parametrize("target", ["demo", "test"])
def test_the_first_screen_names_targets_that_exist(target: str):
    assert f"$ make {target} " in README
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_every_link_leads_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README)

    assert [link for link in links if not link.startswith("http") and not (ROOT / link).exists()] == []
