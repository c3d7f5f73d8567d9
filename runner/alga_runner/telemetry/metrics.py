"""The runner's Prometheus metrics. Every child is looked up once and kept, so that counting costs a dict look-up."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_HOST_CALL_BUCKETS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)
_EXECUTION_BUCKETS = (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

_SCHEDULER = "scheduler."


class Metrics:
    """Counters and histograms in a registry of their own. Durations are in seconds.

    A label ``status`` is ``success`` or a code with underscores (``not_found``); the PRD, "Observability", names
    ``extension_scheduler_api_calls_total{operation, status}``.
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._scheduler_calls = Counter(
            "extension_scheduler_api_calls_total",
            "Scheduler host API calls by extensions.",
            ("operation", "status"),
            registry=registry,
        )
        self._host_calls = Counter(
            "alga_runner_host_calls_total", "Host calls.", ("operation", "status"), registry=registry
        )
        self._host_call_seconds = Histogram(
            "alga_runner_host_call_seconds",
            "Duration of host calls.",
            ("operation",),
            buckets=_HOST_CALL_BUCKETS,
            registry=registry,
        )
        self._executions = Counter(
            "alga_runner_executions_total", "Executions.", ("status",), registry=registry
        )
        self._execution_seconds = Histogram(
            "alga_runner_execution_seconds",
            "Duration of executions.",
            buckets=_EXECUTION_BUCKETS,
            registry=registry,
        )
        self._in_progress = Gauge(
            "alga_runner_executions_in_progress", "Executions that have not ended.", registry=registry
        )
        self._http_requests = Counter(
            "alga_runner_http_requests_total",
            "HTTP requests, by the HTTP status they were answered with.",
            ("route", "status"),
            registry=registry,
        )
        self._dropped = Counter(
            "alga_runner_log_lines_dropped_total",
            "Log lines lost because the queue was full, closed, or a handler failed.",
            registry=registry,
        )
        self._host_call_children: dict[tuple[str, str], tuple[Counter, Counter | None, Histogram]] = {}
        self._execution_children: dict[str, Counter] = {}

    def host_call(self, operation: str, status: str, duration_s: float) -> None:
        """Count one host call."""
        children = self._host_call_children.get((operation, status))
        if children is None:
            children = self._add_host_call(operation, status)
        calls, scheduler_calls, seconds = children
        calls.inc()
        if scheduler_calls is not None:
            scheduler_calls.inc()
        seconds.observe(duration_s)

    def execution(self, status: str, duration_s: float) -> None:
        """Count one execution."""
        child = self._execution_children.get(status)
        if child is None:
            child = self._execution_children[status] = self._executions.labels(_label(status))
        child.inc()
        self._execution_seconds.observe(duration_s)

    def in_progress(self) -> AbstractContextManager[None]:
        """Count one execution as in progress while the context is entered."""
        return cast("AbstractContextManager[None]", self._in_progress.track_inprogress())

    def http_request(self, route: str, status: int) -> None:
        """Count one HTTP request; 499 is a client that left before its answer."""
        self._http_requests.labels(route, str(status)).inc()

    def dropped(self, lines: int = 1) -> None:
        """Count log lines that were lost."""
        self._dropped.inc(lines)

    def render(self) -> bytes:
        """All metrics in Prometheus' text form."""
        return generate_latest(self._registry)

    def _add_host_call(self, operation: str, status: str) -> tuple[Counter, Counter | None, Histogram]:
        label = _label(status)
        scheduler_calls = None
        if operation.startswith(_SCHEDULER):
            scheduler_calls = self._scheduler_calls.labels(operation.removeprefix(_SCHEDULER), label)
        children = (
            self._host_calls.labels(operation, label),
            scheduler_calls,
            self._host_call_seconds.labels(operation),
        )
        self._host_call_children[operation, status] = children
        return children


def _label(status: str) -> str:
    return "success" if status == "ok" else status.replace("-", "_")
