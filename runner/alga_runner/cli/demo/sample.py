"""Where the sample extension is: beside the package in a wheel, at the top of the repository in a checkout."""

from __future__ import annotations

from pathlib import Path

from ...errors import BundleNotFound

_NAME = "scheduler-demo"


def sample_path() -> Path:
    """The folder of the sample extension. Raises ``BundleNotFound``."""
    package = Path(__file__).parents[2]
    places = (package / "samples" / _NAME, package.parents[1] / "sample-extensions" / _NAME)
    for place in places:
        if (place / "manifest.json").is_file():
            return place
    raise BundleNotFound(
        f"The sample extension {_NAME} is not installed with alga-runner.",
        hint="Install alga-runner from its wheel, or run it in a checkout.",
    )
