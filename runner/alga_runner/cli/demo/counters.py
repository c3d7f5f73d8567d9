"""The counters at the end: what guests called, as the runner and as the server counted it."""

from __future__ import annotations

import re
from collections import Counter

from prometheus_client.parser import text_string_to_metric_families

from .stage import Stage

_FAMILY = "extension_scheduler_api_calls"
_SAMPLE = f"{_FAMILY}_total"


async def show_counters(stage: Stage) -> None:
    """Both counts agree with what was called; calls that the runner denies never reach the server."""
    stage.title(f"{_SAMPLE}{{operation, status}}")
    runner = counted(stage.alga.runner.telemetry.render().decode())
    server = counted(await stage.alga.server_metrics())
    stage.page.table(
        ("OPERATION", "STATUS", "RUNNER", "SERVER"),
        [
            (operation, status, str(runner[operation, status]), str(server[operation, status]))
            for operation, status in sorted(runner | server)
        ],
    )
    stage.expect(_rows(runner), _rows(stage.calls), "What the runner counted")
    stage.held(f"the runner counted all {stage.calls.total()} calls")
    passed = Counter({key: count for key, count in stage.calls.items() if key[1] != "denied"})
    denied = stage.calls.total() - passed.total()
    stage.expect(_rows(server), _rows(passed), "What the server counted")
    stage.held(f"the server counted {passed.total()}: the {denied} that were denied never left the runner")


def counted(metrics: str) -> Counter[tuple[str, str]]:
    """The scheduler counters in Prometheus' text form, by operation (``get-endpoints``) and status."""
    found: Counter[tuple[str, str]] = Counter()
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples if family.name == _FAMILY else ():
            if sample.name == _SAMPLE:
                found[_dashed(sample.labels["operation"]), sample.labels["status"]] += int(sample.value)
    return found


def _dashed(name: str) -> str:
    """``get-endpoints`` of ``getEndpoints``: the internal API's name for it."""
    return re.sub("[A-Z]", lambda letter: "-" + letter[0].lower(), name)


def _rows(counts: Counter[tuple[str, str]]) -> list[str]:
    return [f"{operation} {status} {count}" for (operation, status), count in sorted(counts.items())]
