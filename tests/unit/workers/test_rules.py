"""Small rules: how many cores, when to replace a worker, when to give up, valid messages, imports."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgpack
import pytest

from alga_runner import errors
from alga_runner.telemetry.exposition import render
from alga_runner.telemetry.metrics import FAMILIES, Metrics
from alga_runner.workers import usable_cores
from alga_runner.workers.channel import ChannelBroken
from alga_runner.workers.messages import failure_of, snapshot_of
from alga_runner.workers.resources import MemoryWatch, resident_bytes
from alga_runner.workers.worker_pool import Crashes


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """The cores of a machine with four, within a container's ``quota``."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1, 2, 3})

    def count(quota: str | None) -> int:
        file = tmp_path / "cpu.max"
        if quota is not None:
            file.write_text(quota)
        return usable_cores(file)

    return count


@pytest.mark.parametrize(
    ("quota", "usable"),
    [
        (None, 4),
        ("max 100000\n", 4),
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("10000 100000\n", 1),
        ("800000 100000\n", 4),
        ("garbage", 4),
        ("1 0", 4),
    ],
)
def test_cores_are_those_it_may_run_on_within_the_quota(cores, quota: str | None, usable: int) -> None:
    assert cores(quota) == usable


def test_a_worker_that_dies_is_replaced_immediately_then_later_and_later_then_no_more() -> None:
    crashes = Crashes()

    assert [crashes.pause_s(1.0) for _ in range(5)] == [0.0, 0.5, 1.0, 2.0, None]


def test_a_long_life_begins_a_new_row() -> None:
    crashes = Crashes()
    for _ in range(4):
        crashes.pause_s(1.0)

    assert crashes.pause_s(60.0) == 0.0
    assert crashes.pause_s(59.9) == 0.5


def test_resident_memory_is_that_of_this_process() -> None:
    status = Path("/proc/self/status").read_text()
    shown = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) * 1024

    assert resident_bytes() == pytest.approx(shown, rel=0.2)


def test_a_short_peak_is_not_reported() -> None:
    watch = MemoryWatch(100)

    assert [watch.exceeded(reading) for reading in (101, 101, 100, 101, 101)] == [False] * 5


def test_memory_that_stays_above_the_bound_is_reported_again_and_again() -> None:
    watch = MemoryWatch(100)

    assert [watch.exceeded(101) for _ in range(6)] == [False, False, True, False, False, True]


def test_without_a_bound_no_memory_is_too_much() -> None:
    assert not any(MemoryWatch(0).exceeded(10**12) for _ in range(9))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("settings_invalid", errors.SettingsError),
        ("engine_unavailable", errors.EngineUnavailable),
        ("guest_trap", errors.WorkerFailed),
        ("never_heard_of", errors.WorkerFailed),
        (None, errors.WorkerFailed),
    ],
)
def test_a_start_failure_becomes_an_error_of_the_same_code(code: object, kind: type) -> None:
    error = failure_of(code, "It cannot.", "Let it.")

    assert type(error) is kind
    assert (str(error), error.hint) == ("It cannot.", "Let it.")


EXECUTIONS = "alga_runner_executions_total"


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {EXECUTIONS: 1},
        {EXECUTIONS: [1]},
        {EXECUTIONS: [[["success"]]]},
        {EXECUTIONS: [[["success"], ["x"]]]},
        {EXECUTIONS: [[["success"], [1, 2]]]},
        {EXECUTIONS: [[["success", "and more"], [1]]]},
        {"alga_runner_execution_seconds": [[[], [1]]]},
        {"made_up_total": [[[], [1]]]},
    ],
    ids=repr,
)
def test_a_snapshot_that_cannot_be_added_is_refused(value: object) -> None:
    with pytest.raises(ChannelBroken):
        snapshot_of(value)


def test_a_snapshot_survives_messagepack() -> None:
    counted = Metrics()
    counted.host_call("scheduler.list", "ok", 0.1)
    counted.http_request("/metrics", 200)

    sent = msgpack.unpackb(msgpack.packb(counted.snapshot()))

    assert render(FAMILIES, [snapshot_of(sent)]) == counted.render()


@pytest.mark.parametrize("module", ["alga_runner.workers", "alga_runner.workers.supervisor"])
def test_the_supervisor_does_not_load_the_engine(module: str) -> None:
    script = f"import sys, {module}; print(*sys.modules)"

    completed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    loaded = completed.stdout.split()
    assert module in loaded
    assert [name for name in loaded if name.startswith(("wasmtime", "alga_runner.engine"))] == []
