"""Test extensions against an Alga server and a runner in the test's process, with pytest's fixture ``alga``.

    def test_setup(alga):
        ext = alga.install("path/to/extension")
        assert ext.call("POST", "/setup").status == 200

Its names are loaded when first used: pytest imports the plugin on every run, and most runs never use it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .data import Invoice, Storage
    from .embedded import EmbeddedAlga
    from .extension import Call, Extension
    from .harness import Alga
    from .installed import Installed
    from .response import Response
    from .runs import Run, Runs, Schedule

__all__ = [
    "Alga",
    "Call",
    "EmbeddedAlga",
    "Extension",
    "Installed",
    "Invoice",
    "Response",
    "Run",
    "Runs",
    "Schedule",
    "Storage",
]

_HOMES = {
    "Alga": "harness",
    "Call": "extension",
    "EmbeddedAlga": "embedded",
    "Extension": "extension",
    "Installed": "installed",
    "Invoice": "data",
    "Response": "response",
    "Run": "runs",
    "Runs": "runs",
    "Schedule": "runs",
    "Storage": "data",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
