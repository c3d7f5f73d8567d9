"""Calls of a test go through the server's gateway: the request that arrives, the response, the refusals."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgpack
import pytest

from alga_runner.bundles import Bundle
from alga_runner.errors import DeadlineExceeded, EndpointNotFound, GuestTrap, InvalidResponse, RequestInvalid
from alga_runner.testing import Alga, Call, Extension, Response

Bundles = Callable[..., Bundle]

ENDPOINTS = ("GET /items", "POST /items", "GET /items/:id", "GET /things/{id}/parts")


@pytest.fixture
def items(alga: Alga, echo: Bundles) -> Extension:
    return alga.install(echo(*ENDPOINTS))


def arrived(response: Response) -> dict[str, Any]:
    """The request as the guest has it."""
    request: dict[str, Any] = msgpack.unpackb(response.body)
    return request


def headers_of(response: Response) -> dict[str, str]:
    return {header["name"]: header["value"] for header in arrived(response)["http"]["headers"]}


def test_method_path_and_query_arrive(items: Extension) -> None:
    http = arrived(items.call("get", "/items/7", query={"year": "2026"}))["http"]

    assert (http["method"], http["url"]) == ("GET", "/items/7?year=2026")


@pytest.mark.parametrize(
    "query", [{"a": ["1", "2"], "b": ""}, "a=1&a=2&b="], ids=["names with values", "as in a URL"]
)
def test_a_name_may_have_several_values(items: Extension, query: dict[str, str | list[str]] | str) -> None:
    assert arrived(items.call("GET", "/items", query=query))["http"]["url"] == "/items?a=1&a=2&b="


def test_an_encoding_that_the_body_does_not_have_harms_no_call(alga: Alga, responding: Bundles) -> None:
    headers = [{"name": "content-encoding", "value": "gzip"}]
    response = alga.install(responding({"status": 200, "headers": headers, "body": b"plain"})).call(
        "POST", "/run"
    )

    assert (response.headers["content-encoding"], response.body) == ("gzip", b"plain")


def test_json_arrives_with_its_content_type(items: Extension) -> None:
    response = items.call("POST", "/items", json={"a": 1})

    assert arrived(response)["http"]["body"] == b'{"a": 1}'
    assert headers_of(response)["content-type"] == "application/json"


def test_bytes_arrive_as_they_are(items: Extension) -> None:
    assert arrived(items.call("POST", "/items", body=b"\xff\0"))["http"]["body"] == b"\xff\0"


def test_only_headers_that_a_gateway_forwards_arrive(items: Extension) -> None:
    headers = {"Accept": "text/csv", "Cookie": "session=1", "Authorization": "Bearer x", "X-Other": "y"}

    seen = headers_of(items.call("GET", "/items", headers=headers))

    assert seen.keys() == {"accept", "x-request-id", "x-alga-tenant", "x-alga-extension"}


def test_a_request_id_of_ones_own_arrives(items: Extension) -> None:
    assert headers_of(items.call("GET", "/items", headers={"X-Request-Id": "mine"}))["x-request-id"] == "mine"


def test_a_caller_cannot_name_another_tenant_or_show_another_token(items: Extension) -> None:
    headers = {"X-Alga-Tenant": "globex", "x-alga-user-id": "root", "Authorization": "Bearer mine"}

    seen = headers_of(items.call("GET", "/items", headers=headers))

    assert seen["x-alga-tenant"] == "acme"


def test_concurrent_calls_keep_their_own_log(items: Extension) -> None:
    responses = items.call_many([Call("POST", "/items", body=b"%d" % number) for number in range(20)])

    assert [arrived(response)["http"]["body"] for response in responses] == [
        b"%d" % number for number in range(20)
    ]
    assert [len(response.log) for response in responses] == [1] * 20


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/items"),
        ("POST", "/items/7"),
        ("GET", "/items/"),
        ("GET", "/items/7/8"),
        ("GET", "/things//parts"),
        ("GET", "items"),
        ("GET", "/Items"),
        ("GET", "/"),
        ("GET", "/things/../items"),
        ("GET", "/../../admin/extensions"),
        ("GET", "/items?year=2026"),
    ],
)
def test_what_the_manifest_does_not_have_is_not_found(items: Extension, method: str, path: str) -> None:
    with pytest.raises(EndpointNotFound, match=r"It has GET /items, POST /items, GET /items/:id"):
        items.call(method, path)


def test_the_nearest_endpoint_is_the_hint(items: Extension) -> None:
    with pytest.raises(EndpointNotFound) as refused:
        items.call("POST", "/item")

    assert refused.value.hint == "Did you mean POST /items?"


def test_headers_that_a_gateway_does_not_forward_are_not_in_the_response(
    alga: Alga, responding: Bundles
) -> None:
    headers = [
        {"name": "Content-Type", "value": "text/csv"},
        {"name": "x-total", "value": "3"},
        {"name": "set-cookie", "value": "a=b"},
    ]

    response = alga.install(responding({"status": 200, "headers": headers})).call("POST", "/run")

    assert dict(response.headers) == {"content-type": "text/csv"}


def test_a_response_without_room_for_a_body_has_none(alga: Alga, responding: Bundles) -> None:
    assert alga.install(responding({"status": 204, "body": b"?"})).call("POST", "/run").body == b""


def test_a_head_is_a_get_without_its_body(items: Extension) -> None:
    response = items.call("HEAD", "/items")

    assert (response.status, response.body, len(response.log)) == (200, b"", 1)


@pytest.mark.parametrize("status", [404, 502])
def test_a_status_of_the_guests_own_is_a_response(alga: Alga, responding: Bundles, status: int) -> None:
    answer = {"status": status, "body": b'{"error": "endpoint_not_found", "requestId": "1"}'}

    assert alga.install(responding(answer)).call("POST", "/run").status == status


def test_a_status_that_ends_no_exchange_is_an_error(alga: Alga, responding: Bundles) -> None:
    extension = alga.install(responding({"status": 101}))

    with pytest.raises(InvalidResponse, match="is 101, not an integer from 200"):
        extension.call("POST", "/run")


def test_a_trap_is_the_runners_own_error(alga: Alga, extension: Bundles) -> None:
    with pytest.raises(GuestTrap, match="unreachable"):
        alga.install(extension("unreachable")).call("POST", "/run")


def test_an_endless_handler_ends_with_its_time(alga: Alga, extension: Bundles) -> None:
    endless = alga.install(extension("(loop (br 0))"))

    with pytest.raises(DeadlineExceeded, match="within 20 ms"):
        endless.call("POST", "/run", timeout_ms=20)


def test_a_body_that_no_gateway_takes_is_refused(alga: Alga, items: Extension) -> None:
    with pytest.raises(RequestInvalid, match=r"refused POST /items of com\.example\.items with HTTP 413"):
        items.call("POST", "/items", body=bytes(10 * 1024 * 1024 + 1))


def test_a_key_that_was_used_answers_without_running_again(alga: Alga, items: Extension) -> None:
    again = Call("POST", "/items", json=1, headers={"x-idempotency-key": "once"})

    first, second = (items.call_many([again])[0] for _ in range(2))

    assert second.body == first.body
    assert (len(first.log), len(second.log)) == (1, 0)


def test_a_key_that_was_used_for_another_request_is_refused(items: Extension) -> None:
    headers = {"x-idempotency-key": "once"}
    items.call("POST", "/items", json=1, headers=headers)

    with pytest.raises(RequestInvalid, match="HTTP 409: idempotency_key_reused"):
        items.call("POST", "/items", json=2, headers=headers)


def test_what_a_gateway_answers_by_itself_is_a_response(items: Extension) -> None:
    response = items.call("OPTIONS", "/items")

    assert response.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert response.log == []


def test_a_call_has_one_body(items: Extension) -> None:
    with pytest.raises(ValueError, match="give json or body, not both"):
        items.call("POST", "/items", json={}, body=b"")


def test_no_token_causes_a_warning(alga: Alga, items: Extension, caplog: pytest.LogCaptureFixture) -> None:
    items.call("GET", "/items")

    assert [record for record in caplog.get_records("setup") if record.levelno >= logging.WARNING] == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
