"""The folders of the samples that are components, ready to install."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from alga_runner.cli.precompile.report import precompile

SAMPLES = Path(__file__).parents[2] / "sample-extensions"


def sample_folder(name: str, temporary: pytest.TempPathFactory) -> Path:
    """The folder of the sample ``name``; with the component that ``SAMPLE_WASM`` names in place of its own.

    Its component is compiled ahead, which can take longer than a request may. Skips where it is missing.
    """
    folder = SAMPLES / name
    if given := os.environ.get("SAMPLE_WASM"):
        folder = temporary.mktemp("sample")
        (folder / "dist").mkdir()
        shutil.copy(SAMPLES / name / "manifest.json", folder)
        shutil.copy(given, folder / "dist" / "main.wasm")
    if not (folder / "dist" / "main.wasm").exists():
        pytest.skip(f"{name} is not built: `make components` builds it")
    assert precompile([str(folder)], code_cache=None, jobs=1, as_json=False)
    return folder
