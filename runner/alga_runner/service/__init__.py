"""The runner over HTTP: ``POST /v1/execute``, health and metrics, as one ASGI app.

Its names are loaded when first used: the supervisor of several workers imports modules of this package, and must not
load the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .app import Service, create_service

__all__ = ["Service", "create_service"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import app  # noqa: PLC0415 - it brings the engine

    return getattr(app, name)
