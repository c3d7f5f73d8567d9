"""Closed and full standard streams: each command does its work or gives the reason, and nothing else is written to."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.integration.processes.conftest import MODULES, PATIENCE_S, SAMPLE

pytestmark = pytest.mark.processes

CLOSED = "error[output_unwritable]: The result cannot be written to standard output: it is closed.\nhint: "
FULL = CLOSED.replace("it is closed", "No space left on device")
NOTHING = "error[bundle_not_found]: "
INSPECT = ["alga-runner", "inspect", str(SAMPLE)]
INVOKE = ["alga-runner", "invoke", str(SAMPLE), "POST", "/setup"]


def command(program: str, redirections: str, *arguments: str) -> list[str]:
    python = [sys.executable, "-P", "-m", MODULES[program], *arguments]
    return ["sh", "-c", f'exec "$@" {redirections}', "sh", *python]


def environment(**more: str) -> dict[str, str]:
    foreign = ("ALGA_", "RUNNER_", "STORAGE_API_", "REGISTRY_", "BUNDLE_STORE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | more


def ended(*arguments: str, redirections: str, **more: str) -> tuple[int, str]:
    program, *rest = arguments
    done = subprocess.run(
        command(program, redirections, *rest),
        capture_output=True,
        text=True,
        check=False,
        env=environment(**more),
        timeout=PATIENCE_S,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("arguments", "redirections", "status", "said"),
    [
        (INSPECT, ">&-", 1, CLOSED),
        (INSPECT, ">/dev/full", 1, FULL),
        ([*INSPECT, "--json"], ">/dev/full", 1, FULL),
        (INSPECT, "<&-", 0, ""),
        (INSPECT, "2>&-", 0, ""),
        (INSPECT, "2>/dev/full", 0, ""),
        (INVOKE, ">/dev/full", 1, FULL),
        (
            [*INVOKE, "--body", "@-"],
            "<&-",
            1,
            "The body cannot be read from standard input: it is closed.",
        ),
        (["alga-runner", "inspect", "nothing"], "2>&-", 1, ""),
        (["alga-runner", "inspect", "nothing"], "2>/dev/full", 1, ""),
        (["alga-runner", "inspect", "nothing", "--json"], ">/dev/full", 1, NOTHING),
        (["alga-runner", "--help"], ">/dev/full", 1, FULL),
        (["alga-runner", "no-such-command"], "2>/dev/full", 2, ""),
        (["alga-server", "environment"], ">/dev/full", 1, FULL),
        (["alga-server", "environment"], ">&- 2>&-", 1, ""),
        (["alga-server", "migrate", "--database", "sqlite://"], ">&-", 1, CLOSED),
        (["alga-server", "extensions"], ">&-", 1, "error[token_missing]: "),
    ],
)
def test_a_command_gives_the_reason_with_its_exit_status(
    arguments: list[str], redirections: str, status: int, said: str
) -> None:
    returned, stderr = ended(*arguments, redirections=redirections)

    assert returned == status
    assert said in stderr
    assert "internal" not in stderr
    assert "Traceback" not in stderr
    assert "Exception ignored" not in stderr
    assert bool(stderr) == bool(said)


def test_an_unbuffered_stdout_that_is_full_is_the_same() -> None:
    status, stderr = ended("alga-server", "environment", redirections=">/dev/full", PYTHONUNBUFFERED="1")

    assert (status, stderr.startswith(FULL)) == (1, True)


def await_answer(process: subprocess.Popen[str], port: int) -> None:
    """Return once it listens: it may have no stream to say so."""
    while True:
        with suppress(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=PATIENCE_S, trust_env=False)
            return
        with suppress(subprocess.TimeoutExpired):
            pytest.fail(f"It ended with {process.wait(timeout=0.05)}.")


@pytest.mark.parametrize(
    ("program", "arguments", "redirections", "said"),
    [
        ("alga-server", ["--database", "alga.db"], "<&- >&- 2>&-", ""),
        (
            "alga-server",
            ["--dev"],
            ">/dev/full",
            "Standard output cannot be written: No space left on device. ",
        ),
        ("alga-server", ["--dev"], "2>/dev/full", ""),
        ("alga-runner", ["--dev", "--bundle-store", "."], "<&- >&- 2>&-", ""),
        (
            "alga-runner",
            ["--dev", "--bundle-store", ".", "--workers", "2"],
            ">&-",
            "output cannot be written: it is closed. ",
        ),
        ("alga-runner", ["--dev", "--bundle-store", "."], ">/dev/full 2>/dev/full", ""),
    ],
)
def test_a_server_goes_on_without_its_streams(
    program: str, arguments: list[str], redirections: str, said: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        command(program, redirections, "serve", "--port", str(port), *arguments),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment(),
    )
    try:
        await_answer(process, port)
        assert process.stderr is not None
        logged = next((line for line in process.stderr if said in line), "") if said else ""
        # No other file got the number of a standard stream.
        for descriptor in range(3):
            target = str(Path(f"/proc/{process.pid}/fd/{descriptor}").readlink())
            assert target.startswith(("/dev/", "pipe:")), target
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait()

    assert process.returncode == 0
    assert said in logged
    assert "Exception ignored" not in stderr
    for database in tmp_path.glob("*.db*"):
        assert b"Started" not in database.read_bytes()
        assert b'"logger"' not in database.read_bytes()
