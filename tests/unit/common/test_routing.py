"""From the path of a call to the endpoint that answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alga_common import routing
from alga_common.wire import MAX_ENDPOINT_SEGMENTS, MAX_ENDPOINTS
from tests.support.cost import assert_bounded, cost_of


@dataclass(frozen=True)
class Endpoint:
    method: str
    path: str


ENDPOINTS = [
    Endpoint("GET", "/"),
    Endpoint("GET", "/items/:id"),
    Endpoint("DELETE", "/items/:id"),
    Endpoint("GET", "/items/new"),
    Endpoint("GET", "/items/{id}/notes/:note"),
    Endpoint("GET", "/caf\u00e9 bar"),
    Endpoint("GET", "/:kind/all"),
]


def matched(path: bytes) -> dict[str, str]:
    segments = routing.split_path(path)
    assert segments is not None
    return {
        method: endpoint.path for method, endpoint in routing.Routes(ENDPOINTS).matching(segments).items()
    }


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"", {"GET": "/"}),
        (b"items/7", {"GET": "/items/:id", "DELETE": "/items/:id"}),
        (b"items/7/notes/8", {"GET": "/items/{id}/notes/:note"}),
        (b"caf%C3%A9%20bar", {"GET": "/caf\u00e9 bar"}),
        (b"%69tems/7", {"GET": "/items/:id", "DELETE": "/items/:id"}),
        (b"items/a%2Fb", {"GET": "/items/:id", "DELETE": "/items/:id"}),
        (b"items/:id", {"GET": "/items/:id", "DELETE": "/items/:id"}),
        (b"items", {}),
        (b"items/", {}),
        (b"items//", {}),
        (b"items/7/", {}),
        (b"items/.", {}),
        (b"items/..", {}),
        (b"items/%2e%2E", {}),
        (b"Items/7", {}),
        (b"items/7/notes/8/more", {}),
        (b"/items/7", {}),
    ],
)
def test_a_path_finds_its_endpoints(path: bytes, expected: dict[str, str]) -> None:
    assert matched(path) == expected


def test_a_segment_spelled_out_goes_before_a_parameter() -> None:
    assert matched(b"items/new") == {"GET": "/items/new", "DELETE": "/items/:id"}
    assert matched(b"items/all")["GET"] == "/items/:id"


def test_a_path_that_is_not_utf8_is_none() -> None:
    assert routing.split_path(b"items/%ff") is None


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (b"", "/"),
        (b"items/7", "/items/7"),
        (b"%69tems/7", "/items/7"),
        (b"items/a%2Fb", "/items/a%2Fb"),
        (b"items/a%3Fadmin=1", "/items/a%3Fadmin=1"),
        (b"items/a%23b%25c", "/items/a%23b%25c"),
        (b"items/a%0d%0Ab", "/items/a%0D%0Ab"),
        (b"caf%c3%a9%20bar", "/caf%C3%A9%20bar"),
        (b"items/a@b;c=d", "/items/a@b;c=d"),
    ],
)
def test_a_guest_receives_the_path_in_one_form_that_hides_no_query(sent: bytes, received: str) -> None:
    segments = routing.split_path(sent)
    assert segments is not None

    assert routing.join_path(segments) == received


def by_rule(endpoints: Sequence[Endpoint], segments: Sequence[str]) -> dict[str, Endpoint]:
    """The endpoints of a path by the rule's own words, one after the other."""

    def parameters(endpoint: Endpoint) -> list[bool]:
        return [segment.startswith(":") for segment in endpoint.path[1:].split("/")]

    def matches(endpoint: Endpoint) -> bool:
        declared = endpoint.path[1:].split("/")
        return len(declared) == len(segments) and all(
            one == sent or (one.startswith(":") and sent not in {"", ".", ".."})
            for one, sent in zip(declared, segments, strict=True)
        )

    by_method: dict[str, Endpoint] = {}
    for endpoint in sorted(filter(matches, endpoints), key=parameters):
        by_method.setdefault(endpoint.method, endpoint)
    return by_method


SEGMENTS = st.sampled_from(["a", "b", ":id", ":x", "", ".", ".."])
PATHS = st.lists(SEGMENTS, min_size=1, max_size=3)


@given(
    declared=st.lists(st.tuples(st.sampled_from(["GET", "PUT"]), PATHS), max_size=12),
    asked=st.lists(PATHS, min_size=1, max_size=5),
)
@settings(max_examples=50)
def test_many_endpoints_are_found_as_one_after_the_other_would_be(
    declared: list[tuple[str, list[str]]], asked: list[list[str]]
) -> None:
    endpoints = [Endpoint(method, "/" + "/".join(path)) for method, path in declared]
    routes = routing.Routes(endpoints)

    assert [routes.matching(path) for path in asked] == [by_rule(endpoints, path) for path in asked]


@pytest.mark.parametrize("path", ["/items/{}", "/items/{}/:id", "/{}/a", "/:a/{}/:b"])
def test_finding_one_of_many_endpoints_costs_as_much_as_one_of_few(path: str) -> None:
    few, many = (
        routing.Routes([Endpoint("GET", path.format(number)) for number in range(count)])
        for count in (10, 1000)
    )
    asked = path.format(7)[1:].split("/")

    assert many.matching(asked).keys() == {"GET"}
    assert cost_of(many.matching, asked).steps == cost_of(few.matching, asked).steps


def test_of_a_thousand_forms_each_is_looked_at_once() -> None:
    """The worst that a manifest can declare: every endpoint has its parameters at other places."""
    forms = product(*[("a", ":id")] * 10, *[("x",)] * (MAX_ENDPOINT_SEGMENTS - 10))
    routes = routing.Routes([Endpoint("GET", "/" + "/".join(form)) for form in islice(forms, MAX_ENDPOINTS)])

    assert_bounded(
        routes.matching, ["a"] * MAX_ENDPOINT_SEGMENTS, steps=5 * MAX_ENDPOINTS, peak_bytes=64 * 1024
    )
