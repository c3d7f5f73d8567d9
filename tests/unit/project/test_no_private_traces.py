"""Nothing in the repository reveals on whose machine, or from which package index, it was made."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).name

TRACES = {
    "a home folder": re.compile(r"(?<![\w.~-])/(?:home|Users)/[\w.-]+/|(?<![\w.~-])/root/|[A-Z]:\\Users\\"),
    "a package index": re.compile(
        r"--(?:extra-)?index-url|--find-links|pypi\.(?:org|python)|files\.pythonhosted|registry\.npmjs|"
        r'"resolved":\s*"https?:|registry\s*=\s*"?(?:sparse\+)?https?:|index-url\s*='
    ),
}


def tracked() -> list[Path]:
    """Every text file that git knows; without git, every one outside of hidden and built folders."""
    listing = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=False
    )
    if listing.returncode == 0:
        paths = [ROOT / name for name in listing.stdout.split("\0") if name]
    else:
        paths = [path for path in ROOT.rglob("*") if not {".venv", "node_modules"} & set(path.parts)]
    return [path for path in paths if path.is_file() and path.name != HERE]


def traces(text: str) -> list[str]:
    return [f"{what}: {match[0]}" for what, pattern in TRACES.items() for match in pattern.finditer(text)]


def test_no_tracked_file_carries_a_trace() -> None:
    traced = [
        f"{path.relative_to(ROOT)}: {trace}"
        for path in tracked()
        for trace in traces(path.read_bytes().decode("latin-1"))
    ]

    assert traced == []


def test_the_clone_of_this_very_run_is_not_named() -> None:
    place = str(ROOT)
    traced = [
        str(path.relative_to(ROOT))
        for path in tracked()
        if len(ROOT.parts) > 2 and place.encode() + b"/" in path.read_bytes()
    ]

    assert traced == []


@pytest.mark.parametrize(
    "text",
    [
        "see /home/jane/project/x.py",
        "/Users/jane/x",
        "at /root/.cache",
        "--index-url x",
        '"resolved": "https://registry.example/x.tgz"',
        'registry = "https://crates.example"',
        "https://pypi.org/simple",
    ],
)
def test_a_trace_is_found(text: str) -> None:
    assert len(traces(text)) >= 1


@pytest.mark.parametrize("text", ["/api/home/page", "the project's root/ folder", "~/home/x/", "registry_id"])
def test_what_only_looks_like_a_trace_passes(text: str) -> None:
    assert traces(text) == []
