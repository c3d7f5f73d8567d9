"""The server's Prometheus metrics, one registry per app."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST

TRIGGERS = ("schedule", "run_now")
OTHER = "other"
"""The code of a run that ended with one that is not known here: a runner may have codes of its own."""


SCHEDULER = "scheduler"
"""The internal API whose metrics have the names that the requirements give."""


class _HostCalls:
    """How many calls of internal APIs there were, and how long they took."""

    def __init__(self, name: str, what: str, labels: list[str], registry: CollectorRegistry) -> None:
        labels = [*labels, "operation"]
        self.calls = Counter(f"{name}_calls", f"Calls of {what}.", [*labels, "status"], registry=registry)
        self.duration = Histogram(
            f"{name}_duration_seconds", f"Duration of calls of {what}.", labels, registry=registry
        )


class Metrics:
    """The metrics of ``GET /metrics``. Labels are bounded: known operations, and codes of the error tree.

    Known values of labels are there, at zero, from the first reading on: a rate needs an earlier value.
    ``operations`` are those of each internal API; its calls end with ``statuses``, those of gateway and admin API with
    ``codes`` if they are refused, and failed runs with ``run_codes``.
    """

    def __init__(
        self,
        *,
        operations: Mapping[str, Iterable[str]] | None = None,
        statuses: Iterable[str] = (),
        codes: Iterable[str] = (),
        run_codes: Iterable[str] = (),
    ) -> None:
        self._run_codes = {*run_codes, "run_lost"}
        self._registry = CollectorRegistry()
        self._scheduler = _HostCalls(
            "extension_scheduler_api", "the internal scheduler API", [], self._registry
        )
        self._others = _HostCalls("alga_server_host", "the other internal APIs", ["api"], self._registry)
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
            ["status", "trigger", "code"],
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
        self._late = Counter(
            "alga_server_schedule_late",
            "Runs of schedules that began late because the servers had no room for them.",
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

        self._admin_calls = Counter(
            "alga_server_admin_calls", "Calls of the admin API.", ["outcome"], registry=self._registry
        )
        self._running = Gauge(
            "alga_server_schedule_runs_in_progress",
            "Runs of schedules under way on this server.",
            registry=self._registry,
        )
        self._places = Gauge(
            "alga_server_schedule_run_places",
            "Runs of schedules that may be under way on this server.",
            registry=self._registry,
        )
        self._operations = operations or {}
        self._statuses = ("success", "cancelled", *statuses)
        self._outcomes = ("success", "cancelled", *codes)
        self._at_zero = False

    def _api(self, api: str, operation: str) -> tuple[_HostCalls, list[str]]:
        """The metrics of an internal API, and their first labels; the scheduler's have names of their own."""
        return (self._scheduler, [operation]) if api == SCHEDULER else (self._others, [api, operation])

    def _start_at_zero(self) -> None:
        for api, names in self._operations.items():
            self._start_api_at_zero(api, names)
        for outcome in self._outcomes:
            self._gateway_calls.labels(outcome)
            self._admin_calls.labels(outcome)
        for outcome in ("handler_error", "client_gone"):
            self._gateway_calls.labels(outcome)
        self._admin_calls.labels("method_not_allowed")
        self._start_runs_at_zero()

    def _start_api_at_zero(self, api: str, operations: Iterable[str]) -> None:
        for operation in operations:
            family, labels = self._api(api, operation)
            family.duration.labels(*labels)
            for status in self._statuses:
                family.calls.labels(*labels, status)

    def _start_runs_at_zero(self) -> None:
        for trigger in TRIGGERS:
            self._fired.labels(trigger)
            for status, code in (
                ("success", "none"),
                ("skipped", "none"),
                ("lost", "run_lost"),
                *(("error", code) for code in sorted({*self._run_codes, OTHER} - {"run_lost"})),
            ):
                self._runs.labels(status, trigger, code)
        for reason in ("overlap", "install_disabled", "schedule_disabled", "missed", "superseded"):
            self._skipped.labels(reason)
        for reason in ("lease_expired", "shutdown"):
            self._lost.labels(reason)

    def watch_runs(self, running: Callable[[], int], places: int) -> None:
        """Ask ``running`` for how many runs are under way when metrics are read; there are ``places`` for them."""
        self._running.set_function(running)
        self._places.set(places)

    def admin_call(self, outcome: str) -> None:
        """Count one call: ``outcome`` is ``success``, ``cancelled`` or an error's code."""
        self._admin_calls.labels(outcome).inc()

    def expect_discrepancies(self, kinds: Iterable[str]) -> None:
        """Count discrepancies of these kinds from zero on."""
        for kind in kinds:
            for outcome in ("repaired", "left"):
                self._discrepancies.labels(kind, outcome)

    def discrepancy(self, kind: str, *, repaired: bool) -> None:
        """Count a discrepancy, ``repaired`` or left for a person."""
        self._discrepancies.labels(kind, "repaired" if repaired else "left").inc()

    def host_call(self, api: str, operation: str, status: str, duration_s: float) -> None:
        """Count one call of an internal API: ``status`` is ``success`` or an error's code."""
        family, labels = self._api(api, operation)
        family.calls.labels(*labels, status).inc()
        family.duration.labels(*labels).observe(duration_s)

    def schedule_run(
        self, status: str, trigger: str, *, reason: str | None, code: str | None, missed: int
    ) -> None:
        """Count one run that ended or was skipped; ``missed`` is how many occurrences it passed over."""
        label = "none" if code is None else code if code in self._run_codes else OTHER
        self._runs.labels(status, trigger, label).inc()
        if status == "skipped":
            self._skipped.labels(reason).inc()
        elif reason == "missed":
            self._made_up.inc()
        if status == "lost":
            self._lost.labels(reason).inc()
        self._missed.inc(missed)

    def schedule_fired(self, trigger: str, lag: timedelta, *, again: bool, late: bool = False) -> None:
        """Count one run that began, ``lag`` after it was due; ``again`` if an earlier attempt failed.

        It is ``late`` if it waited for room.
        """
        if late:
            self._late.inc()
        if again:
            self._retried.inc()
        else:
            self._fired.labels(trigger).inc()
            self._lag.observe(lag.total_seconds())

    def gateway_call(self, outcome: str, duration_s: float) -> None:
        """Count one call: ``outcome`` is ``success``, ``client_gone``, ``cancelled`` or an error's code.

        It is ``handler_error`` where the handler answered 500 or above.
        """
        self._gateway_calls.labels(outcome).inc()
        self._gateway_duration.observe(duration_s)

    def text(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        if not self._at_zero:  # a thousand series, not needed before the first reading
            self._at_zero = True
            self._start_at_zero()
        return generate_latest(self._registry)
