"""The vectors are current, and have the shape that their README describes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[3] / "guest-abi" / "vectors"
FILES = ("host-call-requests.json", "replies.json", "requests.json", "responses.json", "values.json")
REFUSALS = {"validation-failed", "too-large", "invalid_response"}

Vectors = Callable[[str], list[dict[str, Any]]]


def test_the_committed_vectors_are_what_the_script_writes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-B", FOLDER / "generate.py", tmp_path], check=True)

    for name in FILES:
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes(), name


def test_no_vector_file_is_unknown_to_these_tests() -> None:
    assert sorted(path.name for path in FOLDER.glob("*.json")) == list(FILES)


@pytest.mark.parametrize("file", FILES)
def test_every_vector_has_a_name_of_its_own(file: str, vectors: Vectors) -> None:
    names = [vector["name"] for vector in vectors(file)]

    assert len(names) == len(set(names))


@pytest.mark.parametrize("file", FILES)
def test_every_vector_says_what_must_happen(file: str, vectors: Vectors) -> None:
    for vector in vectors(file):
        assert vector["kind"] in {"valid", "refused", "breach"}, vector["name"]
        assert (vector.get("code") in REFUSALS) == (vector["kind"] == "refused"), vector["name"]
        assert vector["meaning"], vector["name"]
