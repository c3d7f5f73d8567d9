"""A short storm of executions that end in every way: none has another's outcome, and every slot is free again.

``make soak`` runs a long one, and checks that memory stays flat.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("environment", "executions"),
    [
        pytest.param({}, 2000, id="as it is"),
        pytest.param({"PYTHONDEVMODE": "1", "PYTHONMALLOC": "debug"}, 500, id="in development mode"),
    ],
)
def test_no_execution_of_a_storm_goes_wrong(environment: dict[str, str], executions: int):
    seed = secrets.randbits(32)
    command = [sys.executable, "-m", "tests.stress", "--here", "--quiet", "--kind", "mixed"]
    done = subprocess.run(
        [*command, "--executions", str(executions), "--seed", str(seed)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    again = f"to try again: {environment} --kind mixed --executions {executions} --seed {seed}"

    assert (done.returncode, done.stderr) == (0, ""), again
    outcome = json.loads(done.stdout)
    assert outcome["wrong"] == 0, f"{outcome['faults']}; {again}"
    assert outcome["slots_lost"] == 0, again
    assert outcome["executions"] == executions, again
    assert outcome["moved"] > 0, again
    assert {"ok", "cancelled", "guest_trap", "out_of_bounds", "deadline_exceeded", "cpu_limit"} <= set(
        outcome["endings"]
    ), again
