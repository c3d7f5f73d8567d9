"""How a runner with workers starts and ends: signals, a killed supervisor, too much memory, starts that fail."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import socket
import subprocess
import termios
from pathlib import Path
from typing import Any

import pytest

from tests.support.guests import LIST_IMPORT
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.processes

DRAINING = "Shutting down: draining, 1 executions under way"


@pytest.fixture
def workers(start, fake_alga):
    return start("--server-url", fake_alga.url)


@pytest.fixture
def under_way(workers, waiting, fake_alga, ask):
    """A request whose guest waits for the Alga server, and its host call."""
    asked = ask(workers.client(), waiting, workers.headers)
    return asked, fake_alga.asked()


def test_it_says_once_where_it_listens_and_a_signal_ends_it_quietly(start) -> None:
    server = start().server

    server.signal(signal.SIGTERM)

    assert server.wait() == 0
    assert server.announced == f"alga-runner listening on {server.url}"
    assert server.stdout.rest() == [server.announced]
    assert "Traceback" not in "\n".join(server.stderr.rest())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(server.address)


def test_a_signal_lets_executions_under_way_finish(workers, waiting, under_way, fake_alga) -> None:
    asked, host_call = under_way

    workers.server.signal(signal.SIGTERM)
    workers.server.log_line("draining", message=DRAINING)
    refused = workers.client().post("/v1/execute", json=waiting, headers=workers.headers)
    fake_alga.answer(host_call)

    assert (refused.status_code, refused.json()["error"]) == (503, "draining")
    assert asked.answer().json()["status"] == 200
    assert workers.server.wait() == 0


def test_ctrl_c_in_a_terminal_means_the_same_though_it_reaches_all_of_them(
    workers, under_way, fake_alga
) -> None:
    asked, host_call = under_way
    _, pids = workers.connect()
    for pid in (*pids.values(), workers.server.process.pid):
        os.kill(pid, signal.SIGINT)
    workers.server.log_line("draining", message=DRAINING)
    for pid in pids.values():
        os.kill(pid, signal.SIGINT)
    fake_alga.answer(host_call)

    assert asked.answer().json()["status"] == 200
    assert workers.server.wait() == 0
    assert "Traceback" not in "\n".join(workers.server.stderr.rest())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_all_at_once(workers, under_way, number: signal.Signals) -> None:
    asked, host_call = under_way
    workers.server.signal(signal.SIGTERM)
    workers.server.log_line("draining", message=DRAINING)

    workers.server.signal(number)

    assert workers.server.wait() == 128 + number
    assert host_call.recv(1) == b""
    asked.join()
    assert "Traceback" not in "\n".join(workers.server.stderr.rest())


def test_when_the_supervisor_is_killed_nothing_is_left(workers, under_way, gone) -> None:
    asked, host_call = under_way
    _, pids = workers.connect()

    workers.server.signal(signal.SIGKILL)

    assert host_call.recv(1) == b""
    for pid in pids.values():
        gone(pid)
    asked.join()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(workers.server.address)


def test_a_terminal_that_goes_away_takes_the_runner_along(store: Path, command, environment) -> None:
    controller, terminal_end = os.openpty()
    with os.fdopen(controller, "rb", buffering=0) as terminal:
        process = subprocess.Popen(
            command("--workers", "2", "--port", "0", "--bundle-store", str(store)),
            env=environment(RUNNER_SERVICE_TOKEN="token"),
            stdin=terminal_end,
            stdout=terminal_end,
            stderr=terminal_end,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(terminal_end, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - one thread, one call
        )
        os.close(terminal_end)
        said = b""
        while b"listening on" not in said:
            said += terminal.read(1000)

    try:
        assert process.wait(timeout=PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()
    assert re.search(rb"info     Worker [12] \(process \d+\) started", said)


HUNGRY: dict[str, Any] = {
    "handler": """
      (memory.fill (i32.const 65536) (i32.const 1) (i32.const 100000000))
      (drop (call $list (i32.const 1024) (i32.const 1) (i32.const 2048) (i32.const 1024)))
      (call $respond (i32.const 0) (global.get $ok))""",
    "imports": LIST_IMPORT,
    "data": b"\xc0",
    "pages": 1600,
}
"""A guest that fills 100 MB and then waits for the Alga server."""


@pytest.fixture
def hungry(publish, request_for) -> dict[str, Any]:
    body: dict[str, Any] = request_for(publish(**HUNGRY))
    return body


def test_a_worker_with_too_much_memory_is_replaced_first_and_ends_after_its_execution(
    start, hungry, fake_alga, ask, gone
) -> None:
    bounds = {"ALGA_RUNNER_MAX_MEMORY_MB": "128", "ALGA_RUNNER_WORKER_MAX_RSS_MB": "140"}
    workers = start("--server-url", fake_alga.url, **bounds)
    asked = ask(workers.client(), hungry, workers.headers)
    host_call = fake_alga.asked()

    replaced = workers.server.log_line("worker_replaced", why="memory")
    workers.server.log_line("retiring", pid=replaced["pid"])
    workers.settle()
    fake_alga.answer(host_call)

    assert asked.answer().json()["status"] == 200
    gone(replaced["pid"])


def test_a_worker_that_cannot_start_is_told_in_a_sentence(attempt, tmp_path: Path) -> None:
    ended = attempt(
        *("--workers", "2", "--port", "0", "--bundle-store", str(tmp_path / "gone")),
        RUNNER_SERVICE_TOKEN="token",
    )

    assert (ended.returncode, ended.stdout) == (1, "")
    assert "\nerror[settings_invalid]: " in f"\n{ended.stderr}"
    assert "gone is not a folder that can be read" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_watermark_that_a_worker_passes_at_once_is_refused(attempt, store: Path) -> None:
    ended = attempt(
        *("--workers", "2", "--port", "0", "--bundle-store", str(store)),
        RUNNER_SERVICE_TOKEN="token",
        ALGA_RUNNER_WORKER_MAX_RSS_MB="10",
    )

    assert ended.returncode == 1
    assert "(ALGA_RUNNER_WORKER_MAX_RSS_MB) is 10, and an idle worker has" in ended.stderr
