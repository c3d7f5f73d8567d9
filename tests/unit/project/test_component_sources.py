"""The TypeScript sample's committed component was built from the committed sources.

Two builds differ in bytes, so a list next to the component has its digest and those of all that it was built from.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]
HINT = "Run `make typescript-sample` and commit what it writes."


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """``scripts/typescript.py``, which wrote the list."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        spec = importlib.util.spec_from_file_location("typescript", ROOT / "scripts" / "typescript.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    return module


def test_the_committed_component_is_of_the_committed_sources(script: ModuleType) -> None:
    assert script.digests().splitlines() == script.LIST.read_text().splitlines(), HINT


def test_every_pattern_of_sources_finds_some(script: ModuleType) -> None:
    assert [pattern for pattern in script.SOURCES if not list(ROOT.glob(pattern))] == []
