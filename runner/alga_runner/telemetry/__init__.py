"""What the runner tells its operators: log lines and metrics. Never payloads, secrets or tokens."""

from __future__ import annotations

from .output import configure_logging
from .telemetry import Telemetry

__all__ = ["Telemetry", "configure_logging"]
