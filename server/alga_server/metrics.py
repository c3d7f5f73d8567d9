"""The server's Prometheus metrics, one registry per app."""

from __future__ import annotations

from datetime import timedelta

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """The metrics of ``GET /metrics``. Labels are bounded: known operations, and codes of the error tree."""

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

        self._runs = Counter(
            "alga_server_schedule_runs",
            "Runs of schedules that ended, or were skipped.",
            ["status", "trigger"],
            registry=self._registry,
        )
        self._skipped = Counter(
            "alga_server_schedule_skipped",
            "Runs of schedules that were skipped.",
            ["reason"],
            registry=self._registry,
        )
        self._lost = Counter(
            "alga_server_schedule_lost",
            "Runs of schedules whose server stopped before they ended.",
            ["reason"],
            registry=self._registry,
        )
        self._missed = Counter(
            "alga_server_schedule_missed",
            "Occurrences of schedules that passed without a run of their own.",
            registry=self._registry,
        )
        self._made_up = Counter(
            "alga_server_schedule_made_up",
            "Runs of schedules that made up for missed occurrences.",
            registry=self._registry,
        )
        self._fired = Counter(
            "alga_server_schedule_fired",
            "Runs of schedules that began, first attempts only.",
            ["trigger"],
            registry=self._registry,
        )
        self._retried = Counter(
            "alga_server_schedule_retries",
            "Runs of schedules that began as another attempt.",
            registry=self._registry,
        )
        self._lag = Histogram(
            "alga_server_schedule_lag_seconds",
            "Time from when a schedule was due to when its run began.",
            buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 3600, 86400),
            registry=self._registry,
        )
        self._discrepancies = Counter(
            "alga_server_schedule_discrepancies",
            "Inconsistent schedules and runs, repaired or left.",
            ["discrepancy", "outcome"],
            registry=self._registry,
        )

    def discrepancy(self, kind: str, *, repaired: bool) -> None:
        """Count a discrepancy, ``repaired`` or left for a person."""
        self._discrepancies.labels(kind, "repaired" if repaired else "left").inc()

    def scheduler_call(self, operation: str, status: str, duration_s: float) -> None:
        """Count one call: ``status`` is ``success`` or an error's code."""
        self._calls.labels(operation, status).inc()
        self._duration.labels(operation).observe(duration_s)

    def schedule_run(self, status: str, trigger: str, reason: str | None, missed: int) -> None:
        """Count one run that ended or was skipped; ``missed`` is how many occurrences it passed over."""
        self._runs.labels(status, trigger).inc()
        if status == "skipped":
            self._skipped.labels(reason).inc()
        elif reason == "missed":
            self._made_up.inc()
        if status == "lost":
            self._lost.labels(reason).inc()
        self._missed.inc(missed)

    def schedule_fired(self, trigger: str, lag: timedelta, *, again: bool) -> None:
        """Count one run that began, ``lag`` after it was due; ``again`` if an earlier attempt failed."""
        if again:
            self._retried.inc()
        else:
            self._fired.labels(trigger).inc()
            self._lag.observe(lag.total_seconds())

    def gateway_call(self, outcome: str, duration_s: float) -> None:
        """Count one call: ``outcome`` is ``success``, ``client_gone``, ``cancelled`` or an error's code."""
        self._gateway_calls.labels(outcome).inc()
        self._gateway_duration.observe(duration_s)

    def text(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return generate_latest(self._registry)
