"""Run Alga extensions written in WebAssembly, isolated and capability-gated.

Importing this package is cheap: what it offers is loaded when first used, so that a pytest plugin or a server that only
needs ``alga_runner.models`` does not load the WebAssembly engine.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bundles import Bundle, read_bundle
    from .errors import AlgaError
    from .execution.observation import Observation
    from .models import ExecuteRequest, ExecuteResponse
    from .runner import Runner
    from .settings import Settings

__all__ = [
    "AlgaError",
    "Bundle",
    "ExecuteRequest",
    "ExecuteResponse",
    "Observation",
    "Runner",
    "Settings",
    "read_bundle",
]

_HOMES = {
    "AlgaError": "errors",
    "Bundle": "bundles",
    "ExecuteRequest": "models",
    "ExecuteResponse": "models",
    "Observation": "execution.observation",
    "Runner": "runner",
    "Settings": "settings",
    "read_bundle": "bundles",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
