"""For every test: compiled code is kept in a folder of this run, and garbage is collected less often."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from importlib import import_module
from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Give every process of this run, those that tests start included, an empty cache for themselves."""
    # Thousands of servers come and go: looking for cycles took a fifth of the time.
    gc.set_threshold(20_000, 10, 10)
    # By default without the native helper, whether it was built or not: `make test-native` asks for it.
    os.environ.setdefault("ALGA_RUNNER_NATIVE_ENGINE", "off")
    if (library := os.environ.get("ALGA_TEST_NATIVE_LIBRARY")) is not None:
        import_module("alga_runner.engine.native.build").LIBRARY = Path(library)
    if "PYTEST_XDIST_WORKER" in os.environ:
        return  # it has the folder of the process that started it
    folder = tempfile.mkdtemp(prefix="alga-runner-tests-")
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = folder

    def restore() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        os.environ.pop("XDG_CACHE_HOME")
        if before is not None:
            os.environ["XDG_CACHE_HOME"] = before

    config.add_cleanup(restore)


def pytest_collection_finish() -> None:
    """Leave the tests themselves, and all that they import, out of every later search for cycles."""
    gc.collect()
    gc.freeze()
