"""Run the tests on each Python of the matrix that is found here, in a venv of its own, and end with a table.

``make test-matrix`` and ``make test-others`` call this. Pythons are looked for on the PATH and in pyenv's folder. The
venvs are kept, and made again when the requirements change. ``make test-oldest`` and ``make test-newest`` give a lock
with other versions of the libraries (``--lock``), for one Python. Everything after ``--`` goes to pytest. Needs nothing
but the standard library.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

from outcomes import Outcome, close, follow, say

MATRIX = ("3.11", "3.12", "3.13")
ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements/dev.txt"
STAMP = ".requirements"
PROBE = "import ensurepip, sys, venv; print('{}.{}'.format(*sys.version_info[:2]))"


def main(arguments: list[str]) -> int:
    """Run the tests on the requested versions; the exit status."""
    options, pytest = _options(arguments)
    if options.lock is not None and direct_versions(options.lock) == direct_versions(LOCK):
        say(
            f"not run: {LOCK.name} has the direct dependencies of {options.lock.name}, and `make test` runs on it"
        )
        return 0
    left_out = _version(options.without) if options.without else None
    only = options.pythons or ([_version(options.only)] if options.only else MATRIX)
    asked = [version for version in only if version and version != left_out]
    interpreters = {version: interpreter for version in asked if (interpreter := find(version))}
    if not interpreters:
        say(f"not run: no Python {' or '.join(asked)} here" if asked else "not run: no Python is left")
        return 0
    lock = options.lock or LOCK
    name = "py" if options.lock is None else f"{lock.stem}-py"
    ran = [
        _run(version, interpreters.get(version), options.venvs / f"{name}{version}", lock, pytest)
        for version in asked
    ]
    return close(ran, "python")


def _options(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    own, _, pytest = "\0".join(arguments).partition("--\0")
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pythons", nargs="*", choices=MATRIX, help="only these versions")
    parser.add_argument("--only", type=Path, metavar="PYTHON", help="only the version of this one")
    parser.add_argument("--lock", type=Path, help="install this lock")
    parser.add_argument("--without", type=Path, metavar="PYTHON", help="leave out the version of this one")
    parser.add_argument("--venvs", type=Path, default=ROOT / ".make", help="the venvs' folder")
    return parser.parse_args([text for text in own.split("\0") if text and text != "--"]), [
        text for text in pytest.split("\0") if text
    ]


def direct_versions(lock: Path) -> dict[str, str]:
    """The versions that ``lock`` has of the dependencies that ``pyproject.toml`` names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[^A-Za-z0-9._-]", item, maxsplit=1)[0].lower() for item in project["dependencies"]}
    pinned = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", lock.read_text(), re.MULTILINE)
    return {name: version for name, version in pinned if name in names}


def find(version: str) -> str | None:
    """An interpreter of ``version`` that can make a venv; of several in pyenv's folder, the newest."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    installed = sorted(pyenv.glob(f"{version}.*/bin/python"), key=_numbers, reverse=True)
    candidates = [shutil.which(f"python{version}"), *map(str, installed), sys.executable]
    return next((path for path in candidates if path and _version(Path(path)) == version), None)


def _numbers(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", path.parts[-3])]


def _version(python: Path) -> str | None:
    """The version of an interpreter, if it starts and has what a venv needs."""
    try:
        probe = subprocess.run([python, "-c", PROBE], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return probe.stdout.strip() if probe.returncode == 0 else None


def _run(version: str, interpreter: str | None, venv: Path, lock: Path, pytest: list[str]) -> Outcome:
    if interpreter is None:
        return Outcome(version, "not run", "not found on the PATH or in pyenv's folder", excused=True)
    started = time.monotonic()
    say(f"\n=== Python {version}: {interpreter}")
    if (prepared := prepare(venv, interpreter, lock)) is not None:
        return Outcome(version, "failed", prepared, time.monotonic() - started)
    command = [str(venv / "bin/python"), "-m", "pytest", *pytest]
    return follow(version, command)


def prepare(venv: Path, interpreter: str, lock: Path = LOCK) -> str | None:
    """Make ``venv`` with the locked requirements, unless it has them; the text of a failure."""
    digest = hashlib.sha256(lock.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    stamp = venv / STAMP
    if stamp.exists() and stamp.read_text() == digest:
        return None
    say(f"Making {venv} ...")
    pip = [str(venv / "bin/python"), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    for what, command in (
        ("venv", [interpreter, "-m", "venv", "--clear", str(venv)]),
        ("requirements", [*pip, "--require-hashes", "-r", str(lock)]),
        ("alga-runner itself", [*pip, "--no-deps", "--no-build-isolation", "-e", str(ROOT)]),
    ):
        if subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode:
            return f"{what} could not be installed"
    stamp.write_text(digest)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
