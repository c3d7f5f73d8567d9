"""The wheel holds what a user needs, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return zipfile.ZipFile(wheel).namelist()


@pytest.mark.parametrize(
    "name",
    [
        "alga_runner/py.typed",
        "alga_runner/runner.py",
        "alga_runner/testing/plugin.py",
        "alga_runner/engine/native/alga_engine.c",
        "alga_runner/samples/scheduler-demo/manifest.json",
        "alga_runner/samples/scheduler-demo/dist/main.wasm",
        "alga_runner/conformance/cases.json",
        "alga_runner/conformance/modules/probe-scheduler.wasm",
        "alga_runner/conformance/sdks/c.wasm",
        "alga_server/py.typed",
        "alga_server/app.py",
    ],
)
def test_the_wheel_holds(names: list[str], name: str):
    assert name in names


def test_the_wheel_holds_three_packages_and_its_metadata(names: list[str]):
    tops = {name.partition("/")[0] for name in names}

    assert tops == {
        "alga_common",
        "alga_runner",
        "alga_server",
        next(top for top in tops if top.endswith(".dist-info")),
    }


def test_no_library_of_the_machine_that_built_it_is_in_the_wheel(names: list[str]):
    assert [name for name in names if ".so" in name] == []


def test_no_test_and_no_cache_is_in_the_wheel(names: list[str]):
    assert [name for name in names if "__pycache__" in name or "/tests/" in name] == []
