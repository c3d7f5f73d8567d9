"""``make test-matrix`` runs the tests on every Python it finds, and tells of each."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

DRIVER = Path(__file__).parents[3] / "scripts" / "matrix.py"
INTERPRETER = """#!/bin/sh
case "$2" in
  venv) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" && echo "made by $0" ;;
  pip) {pip} ;;
  pytest) shift 2; echo "on {version}: $*"; {pytest} ;;
  *) echo {version} ;;
esac
"""

Matrix = Callable[..., tuple[int, str, dict[str, str]]]


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., Path]:
    """Put an interpreter on the PATH, or into pyenv's folder: it knows its version and what the tests come to."""

    def make(
        version: str, *, pytest: str = "echo '5 passed in 0.01s'", pip: str = "true", pyenv: str = ""
    ) -> Path:
        place = (
            tmp_path / f"pyenv/versions/{pyenv}/bin/python" if pyenv else tmp_path / f"bin/python{version}"
        )
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(INTERPRETER.format(version=version, pytest=pytest, pip=pip))
        place.chmod(0o755)
        return place

    return make


@pytest.fixture
def matrix(tmp_path: Path) -> Matrix:
    """Run the driver; gives its status, its output, and the table's row for each version."""
    (tmp_path / "bin").mkdir()
    for tool in ("mkdir", "cp"):
        (tmp_path / "bin" / tool).symlink_to(f"/bin/{tool}")

    def run(*arguments: str) -> tuple[int, str, dict[str, str]]:
        done = subprocess.run(
            [sys.executable, DRIVER, "--venvs", str(tmp_path / "venvs"), *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": str(tmp_path / "bin"), "PYENV_ROOT": str(tmp_path / "pyenv")},
        )
        table = done.stdout.rstrip().split("\n\n")[-1].splitlines()[1:]
        return done.returncode, done.stdout, {row.split()[0]: " ".join(row.split()[1:]) for row in table}

    return run


def test_every_python_found_runs_the_tests_in_a_venv_of_its_own(matrix, python, tmp_path) -> None:
    python("3.12")
    python("3.13")

    status, output, table = matrix("--pythons", "3.12", "3.13", "--", "-k", "guest")

    assert status == 0
    assert "on 3.12: -k guest\n" in output
    assert "on 3.13: -k guest\n" in output
    assert all("ran" in row and row.endswith("5 passed in 0.01s") for row in table.values())
    assert {path.name for path in (tmp_path / "venvs").iterdir()} == {"py3.12", "py3.13"}


def test_a_venv_is_made_once(matrix, python) -> None:
    python("3.12")

    _, first, _ = matrix("--pythons", "3.12")
    _, second, _ = matrix("--pythons", "3.12")

    assert ("made by" in first, "made by" in second) == (True, False)


def test_a_failure_counts_and_its_end_is_shown_again(matrix, python) -> None:
    python("3.12", pytest="echo 'FAILED tests/test_x.py'; echo '1 failed, 4 passed in 2.50s'; exit 1")
    python("3.13")

    status, output, table = matrix("--pythons", "3.12", "3.13")

    assert status == 1
    assert table["3.12"].endswith("1 failed, 4 passed in 2.50s")
    assert output.count("FAILED tests/test_x.py") == 2
    assert "ran" in table["3.13"]


def test_a_python_that_is_not_here_is_told_and_no_failure(matrix, python) -> None:
    here, missing = ("3.13", "3.12") if sys.version_info[:2] == (3, 13) else ("3.12", "3.13")
    python(here)

    status, _, table = matrix("--pythons", here, missing)

    assert status == 0
    assert table[missing].startswith("not run")


def test_a_python_without_venv_is_none(matrix, python, tmp_path) -> None:
    broken = python("3.12")
    broken.write_text("#!/bin/sh\nexit 1\n")
    python("3.12", pyenv="3.12.9")
    python("3.12", pyenv="3.12.10")

    _, output, _ = matrix("--pythons", "3.12")

    assert f"=== Python 3.12: {tmp_path}/pyenv/versions/3.12.10/bin/python" in output


def test_the_version_of_a_venv_can_be_left_out(matrix, python) -> None:
    python("3.12")

    _, _, table = matrix("--pythons", "3.12", "3.13", "--without", str(python("3.13")))

    assert list(table) == ["3.12"]


def test_without_any_other_python_it_says_so_and_is_no_failure(matrix, python) -> None:
    status, output, _ = matrix("--pythons", "3.13", "--without", str(python("3.13")))

    assert (status, output) == (0, "not run: no Python is left\n")


def test_requirements_that_cannot_be_installed_are_a_failure_and_are_tried_again(matrix, python) -> None:
    python("3.12", pip="exit 1")
    status, _, table = matrix("--pythons", "3.12")
    python("3.12")

    assert (status, table["3.12"].endswith("requirements could not be installed")) == (1, True)
    assert matrix("--pythons", "3.12")[0] == 0


def test_another_lock_has_a_venv_of_its_own(matrix, python, tmp_path) -> None:
    python("3.12")
    lock = tmp_path / "oldest.txt"
    lock.write_text("fastapi==0.1\n")

    status, output, _ = matrix("--pythons", "3.12", "--lock", str(lock), "--", "-k", "guest")

    assert (status, "on 3.12: -k guest\n" in output) == (0, True)
    assert [path.name for path in (tmp_path / "venvs").iterdir()] == ["oldest-py3.12"]


def test_a_lock_with_the_usual_versions_is_not_run_again(matrix, python, tmp_path) -> None:
    python("3.12")
    lock = tmp_path / "newest.txt"
    lock.write_text(
        (DRIVER.parents[1] / "requirements/dev.txt").read_text() + "\nonly-needed-by-others==1.0\n"
    )

    status, output, _ = matrix("--pythons", "3.12", "--lock", str(lock))

    assert (status, (tmp_path / "venvs").exists()) == (0, False)
    assert output.startswith("not run: dev.txt has the direct dependencies of newest.txt")


def test_only_the_version_of_one_python_is_run(matrix, python, tmp_path) -> None:
    one = python("3.12")
    python("3.13")

    _, output, _ = matrix("--only", str(one))

    assert "on 3.12" in output
    assert "on 3.13" not in output
