"""Components in six threads that end, and are cancelled, in every way: none has another's outcome."""

from __future__ import annotations

import secrets
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENDINGS = {
    "its own",
    "cancelled",
    "guest_trap",
    "canonical_abi_breach",
    "host_function_missing",
    "deadline_exceeded",
    "cpu_limit",
    "500",
}


@pytest.mark.processes
def test_no_execution_of_a_component_in_any_thread_goes_wrong() -> None:
    seed = str(secrets.randbits(32))
    # A leak of 10 KB an execution would be found; the allocator's own arenas, one a thread, are a few megabytes.
    storm = ["tests.stress.components", "--executions", "0", "--in-threads", "2400", "--max-kb", "2048"]
    command = [sys.executable, "-m", *storm]
    done = subprocess.run(
        [*command, "--seed", seed], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )

    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "2,400 executions, 0 wrong" in done.stdout
    assert all(ending in done.stdout for ending in ENDINGS), done.stdout
