"""``make ci`` runs every target, even after failures, and its exit status tells the truth."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.patience import PATIENCE_S

DRIVER = Path(__file__).parents[3] / "scripts" / "ci.py"
TARGETS = [
    "setup-dev",
    "check",
    "test",
    "test-processes",
    "test-routes",
    "test-components",
    "test-uvloop",
    "test-native",
    "test-others",
    "test-oldest",
    "test-newest",
    "test-postgres",
    "test-redis",
    "alerts-check",
    "conformance",
    "test-bench",
    "demo",
    "components",
    "guest-rust-check",
    "samples-check",
    "guests-check",
    "guest-go",
    "deploy-check",
    "test-s3",
]


@pytest.fixture
def ci(tmp_path: Path) -> object:
    """Run the driver with a make whose targets do what the test asks."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("node", "npm"):
        (tools / name).write_text("#!/bin/sh\n")
        (tools / name).chmod(0o755)

    def run(*, path: str | None = None, **scripts: str) -> tuple[int, str, dict[str, list[str]]]:
        make = tmp_path / "make"
        cases = "".join(f"{name.replace('_', '-')}) {body} ;;\n" for name, body in scripts.items())
        make.write_text(f"#!/bin/sh\ncase $1 in\n{cases}*) echo ok ;;\nesac\n")
        make.chmod(0o755)
        done = subprocess.run(
            [sys.executable, DRIVER, str(make)],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": path if path is not None else f"{tools}:/usr/bin:/bin"},
        )
        table = done.stdout.rstrip().split("\n\n")[-1].splitlines()[1:]
        return done.returncode, done.stdout, {row.split()[0]: row.split()[1:] for row in table}

    return run


def test_the_summary_of_the_tests_stands_in_the_table(ci) -> None:
    _, _, table = ci(test="echo '==== 12 passed, 1 skipped in 3.21s ===='; echo bye")

    assert " ".join(table["test"][2:]) == "12 passed, 1 skipped in 3.21s"


def test_the_end_of_a_failed_target_is_shown_again_before_the_table(ci) -> None:
    _, output, _ = ci(test="echo 'FAILED tests/test_x.py'; echo '1 failed in 0.10s'; exit 1")

    assert output.count("FAILED tests/test_x.py") == 2
    assert output.index("--- the end of test") > output.index("=== make guests-check")


def test_two_builds_run_at_the_same_time_and_each_prints_in_one_piece(ci, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # who opens one end waits for the other

    status, output, _ = ci(
        components=f"echo 'components begin'; timeout {PATIENCE_S} cat '{pipe}' || exit 1; echo 'components end'",
        guest_go=f"echo 'guests meet them' | timeout {PATIENCE_S} dd status=none of='{pipe}'",
    )

    assert status == 0
    assert "\n=== make components\ncomponents begin\nguests meet them\ncomponents end\n" in output


def test_all_well_is_zero(ci) -> None:
    status, _, table = ci()

    assert status == 0
    assert {target: row[0] for target, row in table.items()} == dict.fromkeys(TARGETS, "ran")


def test_a_failure_does_not_stop_the_others_and_says_why(ci) -> None:
    status, _, table = ci(check="echo 'Found 3 errors'; echo 'make: *** [check] Error 1'; exit 2")

    assert status == 1
    assert (table["check"][0], table["check"][2:]) == ("failed", ["Found", "3", "errors"])
    assert [table[target][0] for target in TARGETS[2:]] == ["ran"] * len(TARGETS[2:])


def test_what_a_target_prints_is_passed_through(ci) -> None:
    _, output, _ = ci(test="echo '5 passed in 0.01s'; echo 'to stderr' >&2")

    assert "5 passed in 0.01s\n" in output
    assert "to stderr\n" in output


def test_a_target_can_say_that_it_was_not_run(ci) -> None:
    status, _, table = ci(samples_check="echo 'not run: no network'")

    assert (status, table["samples-check"][:2]) == (0, ["not", "run"])


def test_a_failure_counts_even_if_something_was_not_run(ci) -> None:
    status, _, table = ci(samples_check="echo 'not run: rust is missing'; exit 1")

    assert (status, table["samples-check"][0]) == (1, "failed")


def test_without_setup_nothing_is_run_and_that_is_a_failure(ci) -> None:
    status, _, table = ci(setup_dev="exit 2")

    assert status == 1
    assert [table[target][:2] for target in TARGETS[1:]] == [["not", "run"]] * len(TARGETS[1:])


def test_without_node_and_without_a_package_manager_samples_are_not_run(ci, tmp_path: Path) -> None:
    status, _, table = ci(path=str(tmp_path / "nothing"))

    assert status == 0
    for target in ("samples-check", "components"):
        assert " ".join(table[target]).startswith("not run 0.0 node and npm not installed: no package")
