"""The reference Alga server: installs, endpoints, schedules, over HTTP.

Importing this package is cheap: what it offers is loaded when first used, so that the command line answers quickly.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .app import Server, create_app, sqlite_url
    from .clock import Clock, ManualClock, OffsetClock, SystemClock
    from .settings import ServerSettings

__all__ = [
    "Clock",
    "ManualClock",
    "OffsetClock",
    "Server",
    "ServerSettings",
    "SystemClock",
    "create_app",
    "sqlite_url",
]

_HOMES = {
    "Clock": "clock",
    "ManualClock": "clock",
    "OffsetClock": "clock",
    "Server": "app",
    "ServerSettings": "settings",
    "SystemClock": "clock",
    "create_app": "app",
    "sqlite_url": "app",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
