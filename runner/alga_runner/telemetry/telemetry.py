"""One door for everything the runner reports about host calls and executions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic, time

from alga_common.sharing.rate import TokenBucket

from ..errors import ServerFault
from .exposition import Snapshot
from .lines import MAX_QUEUED_LINES, Line, LogQueue
from .metrics import HANDLER_ERROR, Metrics
from .tracing import Tracing
from .who import Caller, HostCall, Who

logging.getLogger("alga_runner").addHandler(logging.NullHandler())  # quiet until an application configures it

GUEST_LINES_PER_SECOND = 200
GUEST_LINES_BURST = 1_000
"""How many lines of guests are logged, all tenants together: a guest that logs in a loop must not fill the log."""

SLOW_S = 1.0
"""From how many seconds on a host call, or a request, that went well has a line of its own at ``info``."""

_ALWAYS_LOGGED = "scheduler."
"""How the operations begin of which each call has a line: the requirements have it so."""

_LEVELS = {"internal": logging.ERROR, "breach": logging.WARNING}
FAULT_LINES_EVERY_S = 60.0
"""How long after a line about a fault of the Alga server the same fault gets no line of its own again."""

_FAULT_HINTS = {
    ServerFault.UNAUTHORIZED: "It refuses the runner's token; set RUNNER_STORAGE_API_TOKEN to the one it expects. "
    "It answered: ",
    ServerFault.UNUSABLE_ANSWER: "Check that STORAGE_API_BASE_URL leads to its API and server_dialect fits it. "
    "It answered: ",
    ServerFault.SECRETS: "See docs/secrets.md. ",
}
"""What to do about each, for the operator; the detail follows."""

_GUEST_LEVELS = {"debug": logging.DEBUG, "warn": logging.WARNING, "error": logging.ERROR}


def _line(
    level: int,
    action: str,
    status: str,
    who: Caller,
    *,
    detail: str | None,
    operation: str | None = None,
    duration_s: float = 0.0,
) -> Line:
    return Line(
        time(),
        level,
        action,
        operation,
        status,
        duration_s,
        who.tenant_id,
        who.install_id,
        who.extension_id,
        who.version_id,
        who.request_id,
        detail,
    )


class Telemetry:
    """Log lines on the logger ``alga_runner`` and metrics in a registry of their own.

    A status is ``ok`` or a code. Close it to write the lines that are still queued.
    """

    def __init__(
        self,
        logger: logging.Logger | None = None,
        *,
        max_queued_lines: int = MAX_QUEUED_LINES,
        clock: Callable[[], float] = monotonic,
        tracing: Tracing | None = None,
    ) -> None:
        self.tracing = tracing
        self._metrics = Metrics()
        self.execution_began: Callable[[], None] = self._metrics.execution_began
        """One more execution is in progress, until ``execution`` reports it."""
        self._clock = clock
        self._fault_lines: dict[ServerFault, float] = {}
        self._guest_lines = TokenBucket(
            per_second=GUEST_LINES_PER_SECOND, burst=GUEST_LINES_BURST, clock=clock
        )
        self._lines = LogQueue(
            logger or logging.getLogger("alga_runner"), self._metrics.dropped, capacity=max_queued_lines
        )

    def host_call(
        self,
        operation: str,
        status: str,
        duration_s: float,
        who: Who,
        detail: str | None = None,
    ) -> None:
        """Report one host call of ``who``. ``detail`` is for operators: it must hold no payload and no secret.

        One that succeeds in time has its line at ``debug``, unless it is of the scheduler.
        """
        self._metrics.host_call(operation, status, duration_s)
        if status != "ok":
            level = _LEVELS.get(status, logging.INFO)
        elif duration_s >= SLOW_S or operation.startswith(_ALWAYS_LOGGED):
            level = logging.INFO
        else:
            level = logging.DEBUG
        if self._lines.wanted(level):
            self._lines.write(
                _line(
                    level,
                    "host_call",
                    status,
                    who,
                    detail=detail,
                    operation=operation,
                    duration_s=duration_s,
                )
            )

    def execution(
        self,
        status: str,
        duration_s: float,
        who: Who,
        *,
        detail: str | None = None,
        endpoint: str | None = None,
        http_status: int | None = None,
        signer: str | None = None,
        host_calls: Sequence[HostCall] = (),
    ) -> None:
        """Report one execution of ``who``; ``status`` is ``ok`` or the code of the error that ended it.

        ``endpoint`` is its handler as the manifest declares it, if that is known; ``http_status`` is the response's;
        ``signer`` signed the bundle. The line has the sums of ``host_calls``.
        """
        failed = status == "ok" and http_status is not None and http_status >= 500
        self._metrics.execution(HANDLER_ERROR if failed else status, duration_s)
        level = logging.INFO if status == "ok" else logging.WARNING
        if self._lines.wanted(level):
            calls_failed, calls_s = 0, 0.0
            for call in host_calls:
                calls_failed += call.status != "ok"
                calls_s += call.duration_s
            # A line of nearly every request: its members in their order take half the time.
            self._lines.write(
                Line(
                    time(),
                    level,
                    "execution",
                    None,
                    status,
                    duration_s,
                    who.tenant_id,
                    who.install_id,
                    who.extension_id,
                    who.version_id,
                    who.request_id,
                    detail,
                    endpoint,
                    signer,
                    len(host_calls),
                    calls_failed,
                    calls_s,
                )
            )

    def guest_line(self, level: str, message: str, who: Who) -> None:
        """Pass on what a guest logged, at its own ``level``; beyond a rate, lines are dropped and counted."""
        number = _GUEST_LEVELS.get(level, logging.INFO)
        if self._lines.wanted(number):
            if not self._guest_lines.take():
                self._metrics.dropped()
                return
            self._lines.write(_line(number, "guest_log", level, who, detail=message))

    def events_dropped(self, events: int) -> None:
        """Count debug events that were not sent, with the lines that were not written."""
        self._metrics.dropped(events)

    def expect_host_calls(self, statuses: Mapping[str, Iterable[str]]) -> None:
        """Count calls of these operations from zero on, each with the statuses it can end with."""
        self._metrics.expect_host_calls(statuses)

    def expect_http_requests(self, routes: Mapping[str, Iterable[int]]) -> None:
        """Count requests of these routes from zero on, each with the HTTP statuses it answers."""
        self._metrics.expect_http_requests(routes)

    def watch_places(self, taken_and_queued: Callable[[], tuple[int, int]]) -> None:
        """Ask this for how many executions have a place, and how many wait for one, when metrics are read."""
        self._metrics.watch_places(taken_and_queued)

    def refused(self, reason: str) -> None:
        """Count one execution for which there was no room; ``reason`` is a label."""
        self._metrics.refused(reason)

    def http_request(
        self,
        route: str,
        http_status: int,
        duration_s: float,
        who: Caller,
        *,
        level: int,
        detail: str | None,
    ) -> None:
        """Report one HTTP request. ``route`` is one that exists, or ``other``: it is a label."""
        self._metrics.http_request(route, http_status)
        if self._lines.wanted(level):
            line = _line(
                level,
                "http_request",
                str(http_status),
                who,
                detail=detail,
                operation=route,
                duration_s=duration_s,
            )
            self._lines.write(line)

    def server_fault(self, fault: ServerFault, detail: str | None) -> None:
        """Report a host call that failed for an operator's mistake: each is counted, one a minute is an error line."""
        self._metrics.server_fault(fault)
        now = self._clock()
        if now - self._fault_lines.get(fault, -FAULT_LINES_EVERY_S) >= FAULT_LINES_EVERY_S:
            self._fault_lines[fault] = now
            self._notice(logging.ERROR, "server_fault", fault.value, f"{_FAULT_HINTS[fault]}{detail}")

    def snapshot(self) -> Snapshot:
        """All metrics as they are now, to be summed with those of other processes."""
        return self._metrics.snapshot()

    def compilation(self, status: str, duration_s: float, detail: str) -> None:
        """Report one module that was compiled; ``status`` is ``ok`` or a code, ``detail`` names the module."""
        self._metrics.compilation(status, duration_s)
        level = logging.INFO if status in {"ok", "cancelled"} else logging.WARNING
        self._notice(level, "compilation", status, detail, duration_s)

    def code_cache(self, result: str, detail: str = "") -> None:
        """Report a look-up in the code cache: ``hit``, ``miss``, or ``discarded`` for the reason in ``detail``."""
        self._metrics.code_cache(result)
        if result == "discarded":
            self._notice(logging.WARNING, "code_cache", result, detail)

    def code_cache_unusable(self, detail: str) -> None:
        """Report that the code cache cannot be used, or not fully. May be called from any thread."""
        self._notice(logging.WARNING, "code_cache", "unusable", detail)

    def _notice(self, level: int, action: str, status: str, detail: str, duration_s: float = 0.0) -> None:
        """A line about no execution in particular."""
        if self._lines.wanted(level):
            self._lines.write(
                Line(time(), level, action, None, status, duration_s, None, None, None, None, None, detail)
            )

    def render(self) -> bytes:
        """All metrics in Prometheus' text form."""
        return self._metrics.render()

    def flush(self) -> None:
        """Return once every line reported before is written."""
        self._lines.flush()

    def close(self) -> None:
        """Write the queued lines and end the log thread; metrics stay readable. May be called again."""
        self._lines.close()
