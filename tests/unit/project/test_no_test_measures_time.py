"""No test depends on how much time the machine gives it."""

from __future__ import annotations

import re
from pathlib import Path

import hypothesis
import pytest

TESTS = Path(__file__).parents[2]
SOURCES = sorted(
    path for path in TESTS.rglob("*.py") if path not in {Path(__file__)} and "stress" not in path.parts
)


def lines(pattern: str) -> list[str]:
    return [
        f"{path.relative_to(TESTS)}:{number}: {line.strip()}"
        for path in SOURCES
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if re.search(pattern, line)
    ]


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param(r"\bfail_after\(\d", id="fail_after"),
        pytest.param(r"\bwait_for\([^)]*\), \d", id="wait_for"),
        pytest.param(r"^(?!.*subscription).*timeout=[1-9]\d*(\.\d+)?[,)]", id="timeout"),
    ],
)
def test_a_wait_for_what_must_happen_has_the_one_patience(pattern: str) -> None:
    assert lines(pattern) == [], "use PATIENCE_S of tests.support.patience"


def test_a_request_over_a_socket_has_the_one_patience() -> None:
    """httpx gives up after five seconds by itself."""
    text = {path: path.read_text() for path in SOURCES}
    calls = [
        (path, call)
        for path, source in text.items()
        for call in re.findall(
            r"httpx\.(?:get|post|put|delete|request|Client)\((?:[^()]|\([^()]*\))*\)", source
        )
    ]

    assert [f"{path.name}: {call}" for path, call in calls if "timeout=" not in call] == []


def test_no_test_measures_durations() -> None:
    assert lines(r"\b(perf_counter|process_time|thread_time)(_ns)?\(\)") == [], (
        "count instead, or inject a clock"
    )


def test_an_example_of_a_property_may_take_as_long_as_it_needs() -> None:
    assert hypothesis.settings().deadline is None
