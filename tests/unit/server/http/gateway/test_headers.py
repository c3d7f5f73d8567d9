"""Which of a guest's headers a caller sees, and what becomes of repeated ones."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from alga_server.http.gateway.headers import for_caller, trace


@pytest.mark.parametrize(
    ("name", "values", "seen"),
    [
        ("vary", ["accept", "origin"], "accept, origin"),
        ("cache-control", ["private", "max-age=5"], "private, max-age=5"),
        ("content-type", ["text/html", "text/plain"], "text/plain"),
        ("etag", ['"1"', '"2"'], '"2"'),
    ],
)
def test_of_a_repeated_header_all_values_count_if_they_are_a_list_else_the_last(
    name: str, values: list[str], seen: str
) -> None:
    headers = [(name.title() if number else name, value) for number, value in enumerate(values)]

    assert for_caller(headers, "/api/ext/a/x", "/api/ext/a")[name] == seen


def test_a_repeated_location_counts_only_if_the_last_is_the_extensions_own() -> None:
    own, foreign = ("location", "/api/ext/a/x"), ("location", "https://elsewhere.example/")

    assert "location" in for_caller([foreign, own], "/api/ext/a/x", "/api/ext/a")
    assert "location" not in for_caller([own, foreign], "/api/ext/a/x", "/api/ext/a")


def test_a_cookie_is_never_passed() -> None:
    assert "set-cookie" not in for_caller([("set-cookie", "a=1"), ("set-cookie", "b=2")], "/", "/")


PARENT = f"00-{'a' * 32}-{'b' * 16}-01"


def test_the_callers_span_is_passed_on_with_its_state() -> None:
    given = {"traceparent": PARENT, "tracestate": "vendor=1"}

    assert trace(Headers(given)) == given


@pytest.mark.parametrize("parent", ["", "x", PARENT.upper(), PARENT + "0", f"{PARENT}, {PARENT}"])
def test_a_span_of_another_form_is_left_out_and_its_state_too(parent: str) -> None:
    assert trace(Headers({"traceparent": parent, "tracestate": "vendor=1"})) == {}


def test_a_state_that_is_too_long_is_left_out_alone() -> None:
    assert trace(Headers({"traceparent": PARENT, "tracestate": "v=" + "1" * 511})) == {"traceparent": PARENT}
