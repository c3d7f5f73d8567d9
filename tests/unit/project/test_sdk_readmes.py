"""The READMEs of the SDKs for components go from an empty folder to a call: their manifests are valid and say the same.

Their sources are checked and built by `make components`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alga_runner.models import parse_manifest

SDKS = Path(__file__).parents[3] / "guest-abi"


@pytest.mark.parametrize("language", ["typescript", "python"])
def test_the_first_example_is_an_extension(language: str) -> None:
    text = (SDKS / language / "README.md").read_text("utf-8")

    source = text.partition(f"```{language}\n")[2].partition("```")[0]
    manifest = parse_manifest(text.partition("```json\n")[2].partition("```")[0])

    assert manifest.capabilities == ["cap:scheduler.manage"]
    for endpoint in manifest.endpoints:
        assert f"{json.dumps(endpoint.method)}, {json.dumps(endpoint.path)}" in source
