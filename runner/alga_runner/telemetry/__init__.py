"""What the runner tells its operators: log lines and metrics. Never payloads, secrets or tokens."""

from __future__ import annotations

from .debug_stream import DebugStream
from .output import configure_logging
from .telemetry import SLOW_S, Telemetry
from .tracing import ExecutionSpan, HostCallSpan, Tracing, exporting

__all__ = [
    "SLOW_S",
    "DebugStream",
    "ExecutionSpan",
    "HostCallSpan",
    "Telemetry",
    "Tracing",
    "configure_logging",
    "exporting",
]
