"""Which of a guest's headers a caller sees, and what becomes of repeated ones."""

from __future__ import annotations

import pytest

from alga_server.http.gateway.headers import for_caller


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
