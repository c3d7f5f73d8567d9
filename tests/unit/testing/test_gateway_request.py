"""The execute request that a call becomes: what a gateway would send (alga-contract 1.9)."""

from __future__ import annotations

from typing import Any

import pytest

from alga_runner.errors import EndpointNotFound, ExtensionNotAvailable
from alga_runner.testing.gateway import execute_request

INSTALL: dict[str, Any] = {
    "installId": "install-1",
    "tenantId": "acme",
    "extensionId": "extension-1",
    "extensionName": "com.example.items",
    "versionId": "version-1",
    "contentHash": "sha256:" + "0" * 64,
    "enabled": True,
    "config": {"region": "eu"},
    "providers": ["cap:context.read", "cap:log.emit"],
    "endpoints": [
        {"method": "GET", "path": "/items"},
        {"method": "POST", "path": "/items"},
        {"method": "GET", "path": "/items/:id"},
        {"method": "GET", "path": "/things/{id}/parts"},
    ],
}


def test_the_context_is_the_installs() -> None:
    request = execute_request(INSTALL, "GET", "/items")

    context = request.context.model_dump(exclude_none=True)
    assert context.pop("request_id")
    assert context == {
        "tenant_id": "acme",
        "extension_id": "extension-1",
        "install_id": "install-1",
        "content_hash": "sha256:" + "0" * 64,
        "version_id": "version-1",
        "config": {"region": "eu"},
    }
    assert request.providers == ["cap:context.read", "cap:log.emit"]


def test_every_request_has_an_id_of_its_own() -> None:
    first, second = (execute_request(INSTALL, "GET", "/items") for _ in range(2))

    assert first.context.request_id != second.context.request_id
    assert first.http.headers["x-request-id"] == first.context.request_id


def test_a_scheduled_call_says_so() -> None:
    request = execute_request(
        INSTALL,
        "POST",
        "/items",
        trigger="schedule",
        schedule_id="s",
        nominal_time="2026-03-01T00:00:00.000Z",
    )

    context = request.context
    assert (context.trigger, context.schedule_id) == ("schedule", "s")
    assert context.nominal_time == "2026-03-01T00:00:00.000Z"


def test_json_becomes_the_body_with_its_content_type() -> None:
    request = execute_request(INSTALL, "POST", "/items", json={"a": 1})

    assert request.http.body() == b'{"a": 1}'
    assert request.http.headers["content-type"] == "application/json"


def test_bytes_are_sent_as_they_are() -> None:
    assert execute_request(INSTALL, "POST", "/items", body=b"\xff\0").http.body() == b"\xff\0"


def test_an_empty_body_is_not_the_same_as_none() -> None:
    assert execute_request(INSTALL, "POST", "/items", body=b"").http.body() == b""
    assert execute_request(INSTALL, "POST", "/items").http.body() is None


def test_a_call_has_one_body() -> None:
    with pytest.raises(ValueError, match="give json or body, not both"):
        execute_request(INSTALL, "POST", "/items", json={}, body=b"")


def test_only_headers_that_a_gateway_forwards_arrive() -> None:
    headers = {"Accept": "text/csv", "Cookie": "session=1", "Authorization": "Bearer x", "X-Other": "y"}

    request = execute_request(INSTALL, "GET", "/items", headers=headers)

    assert request.http.headers.keys() == {"accept", "x-request-id", "x-alga-tenant", "x-alga-extension"}


def test_the_caller_cannot_name_another_tenant() -> None:
    headers = {"X-Alga-Tenant": "globex", "x-alga-extension": "other"}

    request = execute_request(INSTALL, "GET", "/items", headers=headers)

    assert request.http.headers["x-alga-tenant"] == "acme"
    assert request.http.headers["x-alga-extension"] == "extension-1"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/items"), ("get", "/items"), ("GET", "/items/7"), ("GET", "/things/7/parts")],
)
def test_an_endpoint_answers_its_method_and_path(method: str, path: str) -> None:
    assert execute_request(INSTALL, method, path).http.path == path


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
    ],
)
def test_anything_else_is_not_found(method: str, path: str) -> None:
    with pytest.raises(EndpointNotFound, match=r"It has GET /items, POST /items, GET /items/:id"):
        execute_request(INSTALL, method, path)


def test_the_nearest_endpoint_is_the_hint() -> None:
    with pytest.raises(EndpointNotFound) as refused:
        execute_request(INSTALL, "POST", "/item")

    assert refused.value.hint == "Did you mean POST /items?"


def test_a_disabled_install_is_not_called() -> None:
    with pytest.raises(ExtensionNotAvailable, match=r"com\.example\.items for tenant acme is disabled"):
        execute_request({**INSTALL, "enabled": False}, "GET", "/items")
