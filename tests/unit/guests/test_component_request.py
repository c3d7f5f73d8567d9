"""The headers that name what a component runs for are those of the context: no caller can forge them."""

from __future__ import annotations

import pytest

from alga_runner.guests.http import TRIGGER_HEADERS, plain_request
from tests.support.requests import execute_request

SCHEDULED = {
    "trigger": "schedule",
    "schedule_id": "s-1",
    "nominal_time": "2026-01-02T03:04:05Z",
    "attempt": 2,
}


def headers(sent: dict[str, str], **context: object) -> list[tuple[str, str]]:
    request = execute_request("sha256:0", http={"headers": sent}, context=context)
    listed = plain_request(request, None)["http"]["headers"]
    return [(header["name"], header["value"]) for header in listed]


@pytest.mark.parametrize("name", TRIGGER_HEADERS)
def test_a_caller_cannot_set_what_the_context_says_in_any_spelling(name: str) -> None:
    sent = {name: "forged", name.upper(): "forged", name.title(): "forged", f" {name}\t": "forged", "a": "b"}

    assert headers(sent) == [("a", "b")]
    assert "forged" not in dict(headers(sent, **SCHEDULED)).values()


def test_the_context_of_a_scheduled_run_is_in_the_headers() -> None:
    assert headers({"a": "b"}, **SCHEDULED) == [
        ("a", "b"),
        ("x-alga-trigger", "schedule"),
        ("x-alga-schedule-id", "s-1"),
        ("x-alga-nominal-time", "2026-01-02T03:04:05.000Z"),
        ("x-alga-attempt", "2"),
    ]
