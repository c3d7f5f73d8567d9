"""The counters at the end: guests' calls and executions, as both processes counted them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families

from .stage import Stage

_CALLS = "extension_scheduler_api_calls_total"
_STOLEN = ("unknown", "execution_token_invalid")
"""How the server counts a call that it did not even read."""


def show_counters(stage: Stage) -> None:
    """Both counts agree with the calls that were made; calls that the runner denies never reach the server."""
    server, runner = (
        stage.send("GET", f"{url}/metrics").text for url in (stage.pair.server_url, stage.pair.runner_url)
    )
    _show_calls(stage, counted(runner), counted(server))
    _show_executions(stage, server, runner)


def counted(metrics: str) -> Counter[tuple[str, str]]:
    """The scheduler counters in Prometheus' text form, by operation (``get-endpoints``) and status, without zeros."""
    counts: Counter[tuple[str, str]] = Counter()
    for labels, value in _samples(metrics, _CALLS):
        counts[_dashed(labels["operation"]), labels["status"]] += value
    return +counts


def _show_calls(stage: Stage, runner: Counter[tuple[str, str]], server: Counter[tuple[str, str]]) -> None:
    stage.title(f"{_CALLS}{{operation, status}} in /metrics of both")
    stage.page.table(
        ("OPERATION", "STATUS", "RUNNER", "SERVER"),
        [
            (operation, status, str(runner[operation, status]), str(server[operation, status]))
            for operation, status in sorted(runner | server)
        ],
        indent=2,
    )
    stage.expect(_rows(runner), _rows(stage.calls), "What the runner counted")
    stage.held(f"the runner counted all {stage.calls.total()} calls of guests")
    passed = Counter({key: count for key, count in stage.calls.items() if key[1] != "denied"})
    denied = stage.calls.total() - passed.total()
    stage.expect(_rows(server), _rows(passed + Counter([_STOLEN])), "What the server counted")
    stage.held(f"the server counted {passed.total()}: the {denied} that were denied never left the runner")
    stage.held("and the one with the stolen token")


def _show_executions(stage: Stage, server: str, runner: str) -> None:
    stage.title("Executions")
    gateway = _total(server, "alga_server_gateway_calls_total", outcome="success")
    fired = _total(
        server, "alga_server_schedule_runs_total", code="none", status="success", trigger="schedule"
    )
    executed = _total(runner, "alga_runner_executions_total", status="success")
    stage.page.table(
        ("COUNTED BY", "METRIC", "VALUE"),
        [
            ("server", 'alga_server_gateway_calls_total{outcome="success"}', str(gateway)),
            (
                "server",
                'alga_server_schedule_runs_total{code="none",status="success",trigger="schedule"}',
                str(fired),
            ),
            ("runner", 'alga_runner_executions_total{status="success"}', str(executed)),
        ],
        indent=2,
    )
    stage.expect(gateway, stage.handled, "The number of calls of the gateway")
    stage.expect(executed, gateway + fired, "The number of executions")
    stage.held(f"the runner executed {executed}: {gateway} for the gateway, {fired} for schedules")


def _total(metrics: str, sample: str, **labels: str) -> int:
    return sum(value for found_labels, value in _samples(metrics, sample) if found_labels == labels)


def _samples(metrics: str, name: str) -> Iterator[tuple[dict[str, str], int]]:
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name == name:
                yield sample.labels, int(sample.value)


def _dashed(name: str) -> str:
    """``get-endpoints`` of ``getEndpoints``: the internal API's name for it."""
    return re.sub("[A-Z]", lambda letter: "-" + letter[0].lower(), name)


def _rows(counts: Counter[tuple[str, str]]) -> list[str]:
    return [f"{operation} {status} {count}" for (operation, status), count in sorted(counts.items())]
