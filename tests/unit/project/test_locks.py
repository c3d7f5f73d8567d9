"""The locks have the versions that ``pyproject.toml`` allows, the oldest and the newest of each dependency."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LOCKS = ROOT / "requirements"


def bounds() -> dict[str, tuple[tuple[int, ...], tuple[int, ...] | None]]:
    """For each direct dependency its lower and, where it has one, its upper bound."""
    of_all = {}
    for item in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]:
        name, oldest, below = re.fullmatch(r"([\w-]+)>=([\d.]+)(?:,<([\d.]+))?", item).groups()
        of_all[name] = numbers(oldest), numbers(below) if below else None
    return of_all


def numbers(version: str) -> tuple[int, ...]:
    """``version`` for comparing: 1.10 and 1.10.0 are one."""
    parts = [int(part) for part in version.split(".")]
    return tuple(parts + [0] * (4 - len(parts)))


def pinned(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==(\d+(?:\.\d+)*)", (LOCKS / lock).read_text(), re.MULTILINE))


def test_the_oldest_versions_that_are_tested_are_those_that_are_allowed() -> None:
    tested = pinned("oldest.txt")

    assert {name: numbers(tested[name]) for name in bounds()} == {
        name: oldest for name, (oldest, _) in bounds().items()
    }, "run `make lock`, or raise the lower bound"


@pytest.mark.parametrize("lock", ["runtime.txt", "dev.txt", "newest.txt"])
def test_a_lock_keeps_to_the_bounds(lock: str) -> None:
    versions = {name: numbers(version) for name, version in pinned(lock).items()}

    outside = [
        name
        for name, (oldest, below) in bounds().items()
        if versions[name] < oldest or (below is not None and versions[name] >= below)
    ]

    assert outside == []


@pytest.mark.parametrize("lock", sorted(path.name for path in LOCKS.glob("*.txt")))
def test_a_lock_has_hashes_and_names_no_index(lock: str) -> None:
    text = (LOCKS / lock).read_text()

    assert "://" not in text
    assert len(re.findall(r"^[\w.-]+(?:\[[\w,-]+\])?==", text, re.MULTILINE)) <= text.count("--hash=sha256:")
