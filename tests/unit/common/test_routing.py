"""From the path of a call to the endpoint that answers."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from alga_common import routing


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
    return {method: endpoint.path for method, endpoint in routing.matching(ENDPOINTS, segments).items()}


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
