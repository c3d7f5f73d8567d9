"""The conformance command: what it prints, how it exits, and that it finds a host's faults."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

KIT = Path(__file__).parents[3] / "guest-abi" / "conformance"
NAIVE = shlex.join([sys.executable, str(KIT / "naive_host.py")])


def adapter(folder: Path, *lines: str) -> str:
    """The command of a host that is a Python script."""
    path = folder / "host.py"
    path.write_text("\n".join(["import json, sys", *lines]))
    return shlex.join([sys.executable, str(path)])


def test_a_run_shows_each_section_and_ends_with_the_count(run) -> None:
    result = run("conformance", "--only", "exports/a small guest")

    assert result.exit_code == 0
    heading, exports, *_, summary = result.stdout.splitlines()
    assert heading.split() == ["SECTION", "OF", "ABI.md", "PASSED", "FAILED"]
    assert exports.split() == ["Exports", "1", "0"]
    assert summary.startswith("1 case: 1 passed, 0 failed, in ")


def test_a_run_as_json_has_every_case(run) -> None:
    result = run("conformance", "--only", "reply/*", "--json")

    document = json.loads(result.stdout)
    assert (result.exit_code, document["failed"]) == (0, 0)
    assert document["passed"] == len(document["cases"]) > 5


def test_the_list_has_cases_with_their_rules_and_runs_none(run) -> None:
    result = run("conformance", "--list", "--only", "log/*", "--host", "/nowhere/host")

    assert result.exit_code == 0
    assert "log/level 3 is error" in result.stdout
    assert "any other counts as info" in result.stdout


def test_a_pattern_that_fits_no_case_is_bad_usage(run) -> None:
    result = run("conformance", "--only", "nothing like it")

    assert result.exit_code == 2
    assert "no case has a name like 'nothing like it'" in result.stderr


@pytest.mark.processes
def test_the_faults_of_a_naive_host_are_found(run) -> None:
    result = run("conformance", "--host", NAIVE, "--json")

    document = json.loads(result.stdout)
    failed = {case["name"] for case in document["cases"] if not case["passed"]}
    assert result.exit_code == 1
    assert failed >= {
        "exports/no marker",
        "exports/_initialize runs before the handler",
        "features/exceptions 1",
        "early/alga:scheduler list, in _initialize",
        "weak/alga:none-such? do-it: unsupported",
        "pointers/alga:abi request: wrapped around",
        "pointers/host call: the reply's range, though the reply would fit",
        "reply/gone with the next host call",
        "respond/then a host call",
        "respond/none",
        "fail/invalid bytes are replaced",
        "log/a long line is cut on a character",
        "headers/257 of a response",
    }
    assert "exports/a small guest" not in failed


@pytest.mark.processes
def test_a_failure_names_rule_guest_and_both_values(run) -> None:
    result = run("conformance", "--host", NAIVE, "--only", "reply/none yet")

    assert result.exit_code == 1
    assert "until the next host call; `-1` (`0xffffffff`) without one (ABI.md, Imports)" in result.stdout
    assert "expected  4294967295" in result.stdout
    assert "got       0" in result.stdout
    assert "probe-scheduler.wasm" in result.stdout
    assert "alga-runner conformance --only 'reply/none yet'" in result.stdout


@pytest.mark.processes
@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        (["sys.exit(3)"], "the host ended with status 3"),
        (["for line in sys.stdin: print('nonsense', flush=True)"], "a line that is no result"),
        (["for line in sys.stdin: print('{}', flush=True)"], "no outcome in {}"),
        (["for line in sys.stdin: print('[]', flush=True)"], "a line that is no result"),
    ],
)
def test_a_host_without_results_fails_each_case(run, tmp_path: Path, lines: list[str], shown: str) -> None:
    result = run("conformance", "--host", adapter(tmp_path, *lines), "--only", "exports/*marker*")

    assert result.exit_code == 1
    assert result.stdout.count(shown) == 5


@pytest.mark.processes
def test_a_host_that_ends_is_started_again(run, tmp_path: Path) -> None:
    line = "print(json.dumps({'refused': True, 'message': json.loads(input())['name']}), flush=True)"

    result = run("conformance", "--host", adapter(tmp_path, line), "--only", "exports/no *")

    assert "3 cases: 2 passed, 1 failed" in result.stdout


def test_a_host_that_cannot_be_started_is_an_error(run) -> None:
    result = run("conformance", "--host", "/nowhere/host --flag")

    assert result.exit_code == 1
    assert "error[host_not_started]: The host /nowhere/host --flag cannot be started" in result.stderr
