from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from alga_runner.errors import ServerFault
from alga_runner.models import ExecutionContext
from alga_runner.telemetry import SLOW_S, Telemetry
from alga_runner.telemetry.telemetry import GUEST_LINES_BURST, GUEST_LINES_PER_SECOND
from tests.support.clock import FakeMonotonic

WHO = ExecutionContext(
    tenant_id="tenant-1",
    install_id="install-1",
    extension_id="acme.sync",
    version_id="v-1",
    request_id="request-1",
    content_hash="",
)
NAMED: dict[str, Any] = {
    "tenant_id": "tenant-1",
    "install_id": "install-1",
    "extension_id": "acme.sync",
    "version_id": "v-1",
    "request_id": "request-1",
}


class Keep(logging.Handler):
    """Keeps records; waits before each for ``may_write``, and is ``busy`` meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.threads: set[int] = set()
        self.may_write = threading.Event()
        self.may_write.set()
        self.busy = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.busy.set()
        self.may_write.wait()
        self.threads.add(threading.get_ident())
        self.records.append(record)


@pytest.fixture
def logger() -> logging.Logger:
    logger = logging.Logger("telemetry-test", logging.INFO)
    logger.propagate = False
    return logger


@pytest.fixture
def kept(logger: logging.Logger) -> Keep:
    keep = Keep()
    logger.addHandler(keep)
    return keep


@pytest.fixture
def telemetry(logger: logging.Logger, kept: Keep) -> Iterator[Telemetry]:
    telemetry = Telemetry(logger, max_queued_lines=3)
    yield telemetry
    kept.may_write.set()
    telemetry.close()


def samples(telemetry: Telemetry, name: str) -> dict[str, float]:
    lines = [line.rsplit(" ", 1) for line in telemetry.render().decode().splitlines()]
    return {sample: float(value) for sample, value in lines if sample.partition("{")[0] == name}


def counted(telemetry: Telemetry, name: str) -> dict[str, float]:
    """Like ``samples``, without those that are zero."""
    return {sample: value for sample, value in samples(telemetry, name).items() if value}


def dropped(telemetry: Telemetry) -> float:
    return samples(telemetry, "alga_runner_log_lines_dropped_total")["alga_runner_log_lines_dropped_total"]


def test_a_line_is_a_sentence_with_an_action_and_stable_fields(telemetry: Telemetry, kept: Keep) -> None:
    telemetry.host_call("scheduler.create", "ok", 0.0125, WHO)
    telemetry.flush()

    (line,) = kept.records
    assert line.getMessage() == "Host call scheduler.create of extension acme.sync succeeded after 12.5 ms"
    fields = vars(line)
    expected = NAMED | {
        "action": "host_call",
        "operation": "scheduler.create",
        "status": "ok",
        "duration_ms": 12.5,
    }
    assert {name: fields[name] for name in expected} == expected


def test_an_execution_has_its_line_too(telemetry: Telemetry, kept: Keep) -> None:
    telemetry.execution("guest_trap", 1.5, WHO, detail="unreachable")
    telemetry.flush()

    (line,) = kept.records
    assert line.getMessage() == (
        "Execution of extension acme.sync (version v-1) ended with guest_trap after 1500.0 ms: unreachable"
    )
    assert (vars(line)["action"], line.levelno) == ("execution", logging.WARNING)


class Call(NamedTuple):
    status: str
    duration_s: float


def test_the_line_of_an_execution_sums_its_host_calls(telemetry: Telemetry, kept: Keep) -> None:
    telemetry.execution("ok", 0.5, WHO, host_calls=[Call("ok", 0.25), Call("denied", 0.0), Call("ok", 0.125)])
    telemetry.execution("ok", 0.5, WHO, host_calls=[Call("ok", 0.25)])
    telemetry.execution("ok", 0.5, WHO)
    telemetry.flush()

    three, one, none = kept.records
    assert three.getMessage().endswith(" after 500.0 ms, 3 host calls (1 failed) in 375.0 ms")
    sums = {"host_calls": 3, "host_calls_failed": 1, "host_calls_ms": 375.0}
    assert {name: vars(three)[name] for name in sums} == sums
    assert one.getMessage().endswith(" after 500.0 ms, 1 host call in 250.0 ms")
    assert "host_calls_failed" not in vars(one)
    assert "host_calls" not in vars(none)


def test_of_host_calls_that_went_well_those_of_the_scheduler_and_slow_ones_have_a_line(
    telemetry: Telemetry, kept: Keep
) -> None:
    telemetry.host_call("scheduler.get", "ok", 0.001, WHO)
    telemetry.host_call("storage.get", "ok", 0.999, WHO)
    telemetry.host_call("http.send", "ok", SLOW_S, WHO)
    telemetry.flush()

    assert [vars(line)["operation"] for line in kept.records] == ["scheduler.get", "http.send"]


@pytest.mark.parametrize("status", ["denied", "unavailable", "internal", "breach", "cancelled"])
def test_a_host_call_that_was_refused_or_failed_has_a_line(
    telemetry: Telemetry, kept: Keep, status: str
) -> None:
    telemetry.host_call("storage.get", status, 0.001, WHO)
    telemetry.flush()

    assert [vars(line)["status"] for line in kept.records] == [status]


def test_at_debug_every_host_call_has_a_line(
    telemetry: Telemetry, logger: logging.Logger, kept: Keep
) -> None:
    logger.setLevel(logging.DEBUG)

    telemetry.host_call("storage.get", "ok", 0.001, WHO)
    telemetry.flush()

    assert [line.levelno for line in kept.records] == [logging.DEBUG]


def test_what_a_guest_logs_has_its_level_and_stays_on_one_line(telemetry: Telemetry, kept: Keep) -> None:
    telemetry.guest_line("warn", "slow\nERROR forged", WHO)
    telemetry.guest_line("info", "x" * 10_000, WHO)
    telemetry.flush()

    first, second = kept.records
    assert first.getMessage() == "Extension acme.sync logged: slow\\nERROR forged"
    assert (vars(first)["action"], first.levelno) == ("guest_log", logging.WARNING)
    assert len(vars(second)["detail"]) == 2_000


def test_a_fault_of_the_server_is_counted_each_time_and_one_error_line_a_minute(
    logger: logging.Logger, kept: Keep
) -> None:
    now = 1_000.0
    telemetry = Telemetry(logger, clock=lambda: now)
    counted = 'alga_runner_server_faults_total{fault="unauthorized"}'
    assert samples(telemetry, "alga_runner_server_faults_total")[counted] == 0

    for _ in range(3):
        telemetry.server_fault(ServerFault.UNAUTHORIZED, "HTTP 401, 'Invalid\nrunner token'")
    now += 60.0
    telemetry.server_fault(ServerFault.UNAUTHORIZED, "HTTP 401")
    telemetry.server_fault(ServerFault.UNUSABLE_ANSWER, "HTTP 404")
    telemetry.close()

    first, *others = kept.records
    assert first.getMessage() == (
        "The Alga server is not usable: unauthorized: It refuses the runner's token; set RUNNER_STORAGE_API_TOKEN to "
        "the one it expects. It answered: HTTP 401, 'Invalid\\nrunner token'"
    )
    assert (first.levelno, vars(first)["action"]) == (logging.ERROR, "server_fault")
    assert [vars(line)["status"] for line in others] == ["unauthorized", "unusable_answer"]
    assert samples(telemetry, "alga_runner_server_faults_total")[counted] == 4


def test_guests_that_log_in_a_loop_do_not_fill_the_log(logger: logging.Logger, kept: Keep) -> None:
    clock = FakeMonotonic()
    telemetry = Telemetry(logger, clock=clock)

    for _ in range(GUEST_LINES_BURST + 5):
        telemetry.guest_line("info", "again", WHO)
    telemetry.flush()
    assert len(kept.records) == GUEST_LINES_BURST
    assert dropped(telemetry) == 5

    clock.now += 10 / GUEST_LINES_PER_SECOND
    for _ in range(20):
        telemetry.guest_line("info", "again", WHO)
    telemetry.close()
    assert len(kept.records) == GUEST_LINES_BURST + 10


def test_lines_are_written_off_the_calling_thread(telemetry: Telemetry, kept: Keep) -> None:
    telemetry.host_call("scheduler.list", "ok", 0.001, WHO)
    telemetry.flush()

    assert threading.get_ident() not in kept.threads


def test_an_identifier_cannot_forge_a_line(telemetry: Telemetry, kept: Keep) -> None:
    telemetry.host_call(
        "scheduler.list", "ok", 0.0, WHO.model_copy(update={"extension_id": "a\nERROR forged\u2028"})
    )
    telemetry.flush()

    (line,) = kept.records
    assert line.getMessage().isprintable()


def test_a_long_identifier_is_cut(telemetry: Telemetry, kept: Keep) -> None:
    telemetry.host_call("scheduler.list", "ok", 0.0, WHO.model_copy(update={"request_id": "x" * 10_000}))
    telemetry.flush()

    assert len(vars(kept.records[0])["request_id"]) == 256


def test_lines_that_find_the_queue_full_are_dropped_and_counted(telemetry: Telemetry, kept: Keep) -> None:
    kept.may_write.clear()
    telemetry.host_call("scheduler.list", "ok", 0.0, WHO)
    kept.busy.wait()
    for _ in range(5):
        telemetry.host_call("scheduler.list", "ok", 0.0, WHO)

    assert dropped(telemetry) == 2
    kept.may_write.set()
    telemetry.flush()
    assert len(kept.records) == 4


def test_a_handler_that_raises_loses_one_line_not_the_log(
    telemetry: Telemetry, logger: logging.Logger, kept: Keep
) -> None:
    def once(record: logging.LogRecord) -> bool:
        logger.removeFilter(once)
        raise RuntimeError

    logger.addFilter(once)
    telemetry.host_call("scheduler.list", "ok", 0.0, WHO)
    telemetry.host_call("log.emit", "denied", 0.0, WHO)
    telemetry.flush()

    assert [vars(line)["status"] for line in kept.records] == ["denied"]
    assert dropped(telemetry) == 1


def test_closing_writes_what_is_queued(telemetry: Telemetry, kept: Keep) -> None:
    telemetry.host_call("scheduler.list", "ok", 0.0, WHO)
    telemetry.close()

    assert len(kept.records) == 1


def test_after_closing_lines_are_dropped_and_metrics_go_on(telemetry: Telemetry) -> None:
    telemetry.close()
    telemetry.close()
    telemetry.host_call("scheduler.list", "ok", 0.0, WHO)
    telemetry.flush()

    assert dropped(telemetry) == 1
    assert samples(telemetry, "alga_runner_host_calls_total") == {
        'alga_runner_host_calls_total{operation="scheduler.list",status="success"}': 1.0
    }


def test_a_level_nobody_wants_costs_no_line_and_no_thread(logger: logging.Logger) -> None:
    logger.setLevel(logging.CRITICAL)
    telemetry = Telemetry(logger)
    before = threading.active_count()
    telemetry.host_call("scheduler.list", "ok", 0.0, WHO)

    assert threading.active_count() == before
    assert dropped(telemetry) == 0


def test_scheduler_calls_are_counted_as_the_requirements_name_them(telemetry: Telemetry) -> None:
    telemetry.host_call("scheduler.list", "ok", 0.0, WHO)
    telemetry.host_call("scheduler.get-endpoints", "not-found", 0.0, WHO)
    telemetry.host_call("log.emit", "ok", 0.0, WHO)

    assert samples(telemetry, "extension_scheduler_api_calls_total") == {
        'extension_scheduler_api_calls_total{operation="list",status="success"}': 1.0,
        'extension_scheduler_api_calls_total{operation="get-endpoints",status="not_found"}': 1.0,
    }


def test_durations_are_observed_per_operation(telemetry: Telemetry) -> None:
    telemetry.host_call("scheduler.list", "ok", 0.25, WHO)
    telemetry.host_call("scheduler.list", "timeout", 0.5, WHO)

    assert samples(telemetry, "alga_runner_host_call_seconds_sum") == {
        'alga_runner_host_call_seconds_sum{operation="scheduler.list"}': 0.75
    }


def test_executions_are_counted_by_status(telemetry: Telemetry) -> None:
    telemetry.execution("ok", 0.25, WHO)
    telemetry.execution("guest_trap", 0.5, WHO)
    telemetry.execution("ok", 0.25, WHO, http_status=499)
    telemetry.execution("ok", 0.0, WHO, http_status=500)

    assert counted(telemetry, "alga_runner_executions_total") == {
        'alga_runner_executions_total{status="success"}': 2.0,
        'alga_runner_executions_total{status="handler_error"}': 1.0,
        'alga_runner_executions_total{status="guest_trap"}': 1.0,
    }
    assert samples(telemetry, "alga_runner_execution_seconds_sum") == {
        "alga_runner_execution_seconds_sum": 1.0
    }


def test_two_runners_count_apart(telemetry: Telemetry, logger: logging.Logger) -> None:
    other = Telemetry(logger)
    telemetry.execution("ok", 0.25, WHO)

    assert counted(other, "alga_runner_executions_total") == {}
