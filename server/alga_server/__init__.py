"""The reference Alga server: installs, endpoints, schedules, over HTTP."""

from __future__ import annotations

from .app import Server, create_app
from .clock import Clock, ManualClock, SystemClock
from .settings import ServerSettings

__all__ = ["Clock", "ManualClock", "Server", "ServerSettings", "SystemClock", "create_app"]
