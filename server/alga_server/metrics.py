"""The server's Prometheus metrics, one registry per app."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """What ``GET /metrics`` shows. Labels are bounded: known operations, and codes of the error tree."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._calls = Counter(
            "extension_scheduler_api_calls",
            "Calls of the internal scheduler API.",
            ["operation", "status"],
            registry=self._registry,
        )
        self._duration = Histogram(
            "extension_scheduler_api_duration_seconds",
            "Duration of calls of the internal scheduler API.",
            ["operation"],
            registry=self._registry,
        )
        self._gateway_calls = Counter(
            "alga_server_gateway_calls", "Calls of the gateway.", ["outcome"], registry=self._registry
        )
        self._gateway_duration = Histogram(
            "alga_server_gateway_duration_seconds",
            "Duration of calls of the gateway, executions included.",
            registry=self._registry,
        )

    def scheduler_call(self, operation: str, status: str, duration_s: float) -> None:
        """Count one call: ``status`` is ``success`` or an error's code."""
        self._calls.labels(operation, status).inc()
        self._duration.labels(operation).observe(duration_s)

    def gateway_call(self, outcome: str, duration_s: float) -> None:
        """Count one call: ``outcome`` is ``success``, ``client_gone``, ``cancelled`` or an error's code."""
        self._gateway_calls.labels(outcome).inc()
        self._gateway_duration.observe(duration_s)

    def text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self._registry)
