"""The public names are exactly those that ``__all__`` lists, in every package."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

PACKAGES = [
    "alga",
    "bundles",
    "capabilities",
    "engine",
    "guests",
    "models",
    "service",
    "telemetry",
    "testing",
    "workers",
]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_room_exports_what_it_lists(package: str):
    room = importlib.import_module(f"alga_runner.{package}")

    assert sorted(room.__all__) == sorted(set(room.__all__))
    assert [name for name in room.__all__ if not hasattr(room, name)] == []


def test_the_server_exports_what_it_lists():
    server = importlib.import_module("alga_server")

    assert [name for name in server.__all__ if not hasattr(server, name)] == []


def test_the_library_exports_what_it_lists():
    library = importlib.import_module("alga_runner")

    assert library.__all__ == [
        "AlgaError",
        "Bundle",
        "ExecuteRequest",
        "ExecuteResponse",
        "Observation",
        "Runner",
        "Settings",
        "read_bundle",
    ]
    assert all(getattr(library, name).__name__ == name for name in library.__all__)
    assert set(library.__all__) <= set(dir(library))


def test_a_name_that_is_not_exported_is_not_there():
    with pytest.raises(AttributeError, match="Store"):
        importlib.import_module("alga_runner").Store  # noqa: B018 - the look-up is the test


def test_importing_the_library_loads_nothing_heavy():
    program = "import sys, alga_runner; print(sorted({'wasmtime', 'pydantic', 'httpx', 'fastapi'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == "[]"
