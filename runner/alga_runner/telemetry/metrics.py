"""What the runner counts. Counting is an addition to a number: it happens with every host call and execution."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping

from alga_common.wire import codes_below

from ..errors import (
    BundleError,
    EngineError,
    ExecutionError,
    ModuleError,
    RequestError,
    ServerFault,
)
from .exposition import Family, Snapshot, render

_HOST_CALL_BOUNDS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)
_EXECUTION_BOUNDS = (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

_COMPILE_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

_SCHEDULER = "scheduler."

SCHEDULER_CALLS = Family(
    "extension_scheduler_api_calls_total",
    "counter",
    "Scheduler host API calls by extensions.",
    ("operation", "status"),
)
HOST_CALLS = Family("alga_runner_host_calls_total", "counter", "Host calls.", ("operation", "status"))
HOST_CALL_SECONDS = Family(
    "alga_runner_host_call_seconds", "histogram", "Duration of host calls.", ("operation",), _HOST_CALL_BOUNDS
)
EXECUTIONS = Family("alga_runner_executions_total", "counter", "Executions.", ("status",))
EXECUTION_SECONDS = Family(
    "alga_runner_execution_seconds", "histogram", "Duration of executions.", (), _EXECUTION_BOUNDS
)
IN_PROGRESS = Family("alga_runner_executions_in_progress", "gauge", "Executions that have not ended.")
ADMITTED = Family("alga_runner_executions_admitted", "gauge", "Executions in progress that have a place.")
QUEUED = Family("alga_runner_executions_queued", "gauge", "Executions in progress that wait for a place.")
REFUSED = Family(
    "alga_runner_executions_refused_total",
    "counter",
    "Executions for which there was no room, by which bound said so.",
    ("reason",),
)
SERVER_FAULTS = Family(
    "alga_runner_server_faults_total",
    "counter",
    "Host calls that an operator's mistake failed: the Alga server refused the token, or something else answered.",
    ("fault",),
)
HTTP_REQUESTS = Family(
    "alga_runner_http_requests_total",
    "counter",
    "HTTP requests, by the HTTP status they were answered with.",
    ("route", "status"),
)
CODE_CACHE = Family(
    "alga_runner_code_cache_total",
    "counter",
    "Modules by what the code cache had of them: hit, miss, or discarded, which is a miss, too.",
    ("result",),
)
COMPILE_SECONDS = Family(
    "alga_runner_compile_seconds",
    "histogram",
    "How long modules waited for their compilation to end.",
    ("status",),
    _COMPILE_BOUNDS,
)
DROPPED = Family(
    "alga_runner_log_lines_dropped_total",
    "counter",
    "Log lines lost because the queue was full, closed, a handler failed, or guests logged too many.",
)

FAMILIES = (
    SCHEDULER_CALLS,
    HOST_CALLS,
    HOST_CALL_SECONDS,
    EXECUTIONS,
    EXECUTION_SECONDS,
    IN_PROGRESS,
    ADMITTED,
    QUEUED,
    REFUSED,
    SERVER_FAULTS,
    HTTP_REQUESTS,
    CODE_CACHE,
    COMPILE_SECONDS,
    DROPPED,
)


HANDLER_ERROR = "handler_error"
"""The status of an execution whose handler answered 500 or above, in metrics."""


EXECUTION_STATUSES = (
    *("ok", HANDLER_ERROR, "cancelled", "internal"),
    *sorted(codes_below(EngineError, BundleError, ModuleError, RequestError, ExecutionError)),
)
REFUSALS = (
    *("queue_full", "queue_timeout", "bytes", "memory", "draining"),
    *("tenant_queue_full", "tenant_queue_timeout", "tenant_bytes", "tenant_memory"),
)
COMPILE_STATUSES = ("ok", "cancelled", *sorted(codes_below(ModuleError)))


class Histogram:
    """Counts of observations by bucket, each alone, and their sum."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count ``value`` in the first bucket whose bound it does not pass."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def sample(self) -> list[float]:
        """As a snapshot has it."""
        return [*self._counts, self._sum]


class Metrics:
    """The numbers of one runner, all but ``dropped`` added to by its event loop alone. Durations are in seconds.

    A status is ``ok`` or a code; as a label it is ``success``, or the code with underscores (``not_found``). Known
    values of labels are there, at zero, before anything was counted: a rate needs an earlier value.
    """

    def __init__(self) -> None:
        self._host_calls: Counter[tuple[str, str]] = Counter()
        self._host_call_seconds: dict[str, Histogram] = defaultdict(lambda: Histogram(_HOST_CALL_BOUNDS))
        self._executions: Counter[str] = Counter(dict.fromkeys(EXECUTION_STATUSES, 0))
        self._execution_seconds = Histogram(_EXECUTION_BOUNDS)
        self._in_progress = 0
        self._places: Callable[[], tuple[int, int]] = _no_places
        self._refused: Counter[str] = Counter(dict.fromkeys(REFUSALS, 0))
        self._server_faults: Counter[str] = Counter({fault.value: 0 for fault in ServerFault})
        self._http_requests: Counter[tuple[str, int]] = Counter()
        self._code_cache: Counter[str] = Counter(dict.fromkeys(("hit", "miss", "discarded"), 0))
        self._compile_seconds: dict[str, Histogram] = defaultdict(lambda: Histogram(_COMPILE_BOUNDS))
        for status in COMPILE_STATUSES:
            self._compile_seconds[status] = Histogram(_COMPILE_BOUNDS)
        self._dropped = 0
        self._dropping = threading.Lock()

    def expect_host_calls(self, statuses: Mapping[str, Iterable[str]]) -> None:
        """Have counters for the operations that there are, each with the ``statuses`` that its calls can have."""
        for operation, known in statuses.items():
            self._host_call_seconds[operation]
            for status in known:
                self._host_calls[operation, status] += 0

    def expect_http_requests(self, routes: Mapping[str, Iterable[int]]) -> None:
        """Have counters for the routes that there are, each with the HTTP statuses that it answers."""
        for route, known in routes.items():
            for status in known:
                self._http_requests[route, status] += 0

    def host_call(self, operation: str, status: str, duration_s: float) -> None:
        """Count one host call."""
        self._host_calls[operation, status] += 1
        self._host_call_seconds[operation].observe(duration_s)

    def execution_began(self) -> None:
        """One more execution is in progress."""
        self._in_progress += 1

    def execution(self, status: str, duration_s: float) -> None:
        """Count one execution, which is in progress no more."""
        self._in_progress -= 1
        self._executions[status] += 1
        self._execution_seconds.observe(duration_s)

    def watch_places(self, taken_and_queued: Callable[[], tuple[int, int]]) -> None:
        """Ask this for how many executions have a place, and how many wait for one."""
        self._places = taken_and_queued

    def refused(self, reason: str) -> None:
        """Count one execution for which there was no room."""
        self._refused[reason] += 1

    def server_fault(self, fault: ServerFault) -> None:
        """Count one host call that failed for an operator's mistake."""
        self._server_faults[fault.value] += 1

    def http_request(self, route: str, status: int) -> None:
        """Count one HTTP request; 499 is a client that left before its answer."""
        self._http_requests[route, status] += 1

    def code_cache(self, result: str) -> None:
        """Count one module by what the code cache had of it."""
        self._code_cache[result] += 1

    def compilation(self, status: str, duration_s: float) -> None:
        """Count one compilation."""
        self._compile_seconds[status].observe(duration_s)

    def dropped(self, lines: int = 1) -> None:
        """Count log lines that were lost."""
        with self._dropping:
            self._dropped += lines

    def snapshot(self) -> Snapshot:
        """All numbers as they are now."""
        admitted, queued = self._places()
        calls = [
            (operation, _label(status), count) for (operation, status), count in self._host_calls.items()
        ]
        return {
            SCHEDULER_CALLS.name: [
                ([operation.removeprefix(_SCHEDULER), status], [count])
                for operation, status, count in calls
                if operation.startswith(_SCHEDULER)
            ],
            HOST_CALLS.name: [([operation, status], [count]) for operation, status, count in calls],
            HOST_CALL_SECONDS.name: [
                ([operation], seconds.sample()) for operation, seconds in self._host_call_seconds.items()
            ],
            EXECUTIONS.name: [([_label(status)], [count]) for status, count in self._executions.items()],
            EXECUTION_SECONDS.name: [([], self._execution_seconds.sample())],
            IN_PROGRESS.name: [([], [self._in_progress])],
            ADMITTED.name: [([], [admitted])],
            QUEUED.name: [([], [queued])],
            REFUSED.name: [([reason], [count]) for reason, count in self._refused.items()],
            SERVER_FAULTS.name: [([fault], [count]) for fault, count in self._server_faults.items()],
            HTTP_REQUESTS.name: [
                ([route, str(status)], [count]) for (route, status), count in self._http_requests.items()
            ],
            CODE_CACHE.name: [([result], [count]) for result, count in self._code_cache.items()],
            COMPILE_SECONDS.name: [
                ([_label(status)], seconds.sample()) for status, seconds in self._compile_seconds.items()
            ],
            DROPPED.name: [([], [self._dropped])],
        }

    def render(self) -> bytes:
        """All numbers in Prometheus' text form."""
        return render(FAMILIES, [self.snapshot()])


def _no_places() -> tuple[int, int]:
    return 0, 0


def _label(status: str) -> str:
    return "success" if status == "ok" else status.replace("-", "_")
