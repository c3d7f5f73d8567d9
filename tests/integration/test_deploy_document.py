"""docs/deploy.md: its commands set up a server and a runner that are ready; units are sound, figures measured."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "deploy.md").read_text()
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
MOST_EXPOSED = 15
"""What ``systemd-analyze security`` may find, in tenths: 1.5 of 10."""

ELSEWHERE = ("/opt/alga", "/srv/alga", "/etc/alga", "/etc/systemd/system")

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")


def test_the_table_of_sizes_has_the_measured_figures() -> None:
    measured = (ROOT / "docs" / "performance.md").read_text()
    rows = re.findall(r"^\| .* \| ([\d,.]+) \| `(.*)` \|$", DOCUMENT, re.MULTILINE)

    assert len(rows) == 6
    for figure, key in rows:
        (line,) = re.findall(rf"^\| `?{re.escape(key)}`? \|.*$", measured, re.MULTILINE)
        assert figure in [cell.strip() for cell in line.split("|")], key


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_sound_and_takes_away_what_its_program_does_not_need(unit: Path, tmp_path: Path) -> None:
    program = tmp_path / unit.stem
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/alga/bin", str(tmp_path)))

    for command in (["verify", "--man=no"], ["security", "--offline=true", f"--threshold={MOST_EXPOSED}"]):
        judged = subprocess.run(
            ["systemd-analyze", "--no-pager", *command, str(copy)],
            capture_output=True,
            text=True,
            check=False,
        )

        assert (judged.returncode, judged.stderr) == (0, ""), judged.stdout


def written(unit: str, name: str) -> str:
    """The value of a unit's last line with this name."""
    text = (ROOT / "deploy" / "systemd" / f"{unit}.service").read_text()
    return re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)[-1]


class Machine:
    """A machine on which the document's commands are typed: absolute paths lie in ``root``, ports are free ones.

    ``useradd`` and ``systemctl`` are only recorded, and folders get no owner. pip installs the checkout alone, next to
    the packages of this process.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._tools = root / "tools"
        self._tools.mkdir()
        packages = sysconfig.get_path("purelib")
        self._tool("useradd", f'echo "useradd $*" >> {root}/recorded')
        self._tool("systemctl", f'echo "systemctl $*" >> {root}/recorded')
        install = 'for a; do shift; case "$a" in alga-*|-o|-g) ;; *) set -- "$@" "$a" ;; esac; done'
        self._tool("install", f'{install}; exec {shutil.which("install")} "$@"')
        # The packages of this process stand in for an index.
        packages = shlex.quote(packages)
        pth = f'for place in "$3"/lib/*/site-packages; do echo {packages} > "$place/there.pth"; done'
        self._tool("python3", f'{shlex.quote(sys.executable)} "$@" && {pth}')
        (root / "etc/systemd/system").mkdir(parents=True)
        (root / "path/to").mkdir(parents=True)
        (root / "path/to/alga-runner").symlink_to(ROOT)
        foreign = ("ALGA_", "RUNNER_", "STORAGE_API_", "BUNDLE_STORE_", "PORT")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}

    def _tool(self, name: str, script: str) -> None:
        path = self._tools / name
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    def here(self, text: str) -> str:
        for place in ELSEWHERE:
            text = text.replace(place, f"{self.root}{place}")
        return text

    def type(self, line: str) -> None:
        offline = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}
        path = {"PATH": f"{self._tools}:{self.environment['PATH']}"}
        subprocess.run(
            ["bash", "-c", self.here(line)], cwd=self.root, env=self.environment | offline | path, check=True
        )

    def variables(self, unit: str) -> dict[str, str]:
        lines = Path(self.here(written(unit, "EnvironmentFile"))).read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    @contextmanager
    def started(self, unit: str, *options: str, **variables: str) -> Iterator[None]:
        """Run what the unit starts, until it has printed where it listens."""
        command = self.here(written(unit, "ExecStart")).replace("/var/lib/alga-server", str(self.root))
        with subprocess.Popen(
            [*shlex.split(command), *options],
            env=self.environment | self.variables(unit) | variables,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            try:
                assert "listening on" in process.stdout.readline()
                yield
            finally:
                process.terminate()


def free_ports(stack: ExitStack, count: int) -> Iterator[str]:
    for _ in range(count):
        # Bound but not listened on: the system gives it to no other process, and a server can still use it.
        holder = stack.enter_context(socket.socket())
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield str(holder.getsockname()[1])


@pytest.mark.processes
def test_the_commands_set_up_a_server_and_a_runner_that_are_ready(tmp_path: Path) -> None:
    section = DOCUMENT.partition("## One machine")[2].partition("\n## ")[0]
    lines = re.findall(r"^# (.*)$", section, re.MULTILINE)
    *setup, ask = [line for line in lines if line.startswith(tuple("abcdefghijklmnopqrstuvwxyz/"))]
    machine = Machine(tmp_path)

    for line in setup:
        machine.type(line if line != "umask 077" else ":")

    recorded = (tmp_path / "recorded").read_text()
    assert "systemctl enable --now alga-server alga-runner" in recorded
    for unit in UNITS:
        assert f" {written(unit.stem, 'User')}\n" in recorded
        assert (tmp_path / "etc/systemd/system" / unit.name).read_text() == unit.read_text()
    assert not any(name.startswith("ALGA_SERVER_") for name in machine.variables("alga-runner"))

    with ExitStack() as stack:
        server, runner = free_ports(stack, 2)
        urls = {
            "ALGA_SERVER_RUNNER_URL": f"http://127.0.0.1:{runner}",
            "ALGA_RUNNER_CODE_CACHE": str(tmp_path / "code"),
        }
        stack.enter_context(machine.started("alga-server", "--port", server, **urls))
        own = ("--port", runner, "--server-url", f"http://127.0.0.1:{server}", "--workers", "1")
        stack.enter_context(machine.started("alga-runner", *own, **urls))
        assert ask.startswith("curl ")
        assert "--retry" in ask
        url = shlex.split(ask)[-1].replace("8090", server)
        # As curl's --retry: the server keeps what it found for a moment, from before the runner listened.
        until = time.monotonic() + PATIENCE_S
        while (answer := httpx.get(url, timeout=PATIENCE_S, trust_env=False)).status_code == 503:
            assert time.monotonic() < until, answer.text

    assert (answer.status_code, set(answer.json()["checks"].values())) == (200, {"ok"})
