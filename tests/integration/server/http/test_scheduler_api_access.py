"""Calls of the internal scheduler API that never reach an operation: body, tokens, identity, grants."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from alga_server import Server, ServerSettings
from tests.support.server import Alga, Install

pytestmark = pytest.mark.anyio

UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize("operation", ["", "LIST", "drop", None, 5, ["list"]])
async def test_an_unknown_operation_is_a_validation_error(install: Install, operation: Any) -> None:
    response = await install.call(operation)

    assert response.status_code == 400
    answer = response.json()
    assert answer["error"] == "Validation error"
    assert answer["details"] == {"formErrors": [], "fieldErrors": {"operation": ["Unsupported operation"]}}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"list"',
        b"\xff\xfe",
        b'{"operation": NaN}',
        b"[" * 100_000,
        b'{"operation": ' + b"9" * 10_000 + b"}",
        '{"operation":"list"}'.encode("utf-16"),
    ],
)
async def test_a_body_that_is_no_json_object(install: Install, alga: Alga, body: bytes) -> None:
    response = await alga.client.post(install.path, content=body, headers=install.headers())

    assert response.status_code == 400
    assert response.json() == {"error": "Invalid JSON body", "code": "VALIDATION_FAILED", "details": None}


async def test_an_incomplete_body_is_refused_without_a_traceback(
    install: Install, alga: Alga, caplog: pytest.LogCaptureFixture
) -> None:
    sent: list[dict[str, Any]] = []
    messages = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])
    scope = {
        "type": "http",
        "method": "POST",
        "path": install.path,
        "raw_path": install.path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in install.headers().items()],
    }

    async def receive() -> dict[str, Any]:
        return next(messages)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await alga.server.app(scope, receive, send)

    assert sent[0]["status"] == 400
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_body_that_is_too_large_is_refused(install: Install) -> None:
    response = await install.call("create", payload=["x" * 1024 * 1024])

    assert response.status_code == 413
    assert response.json()["code"] == "BODY_TOO_LARGE"


@pytest.mark.parametrize("token", [None, "", "wrong", "Bearer runner-token-of-the-test"])
async def test_a_wrong_runner_token_is_refused_before_anything_else(
    install: Install, alga: Alga, token: str | None
) -> None:
    response = await alga.client.post(
        install.path, content=b"{", headers=install.headers(x_runner_auth=token)
    )

    assert response.status_code == 401
    assert response.json() == {"error": "Invalid runner token", "code": "UNAUTHORIZED", "details": None}


@pytest.mark.parametrize("header", ["x_alga_tenant", "x_alga_extension", "x_ext_install_id"])
@pytest.mark.parametrize("value", [None, "", "two words", "x" * 129])
async def test_an_identity_header_that_is_missing_or_strange(
    install: Install, alga: Alga, header: str, value: str | None
) -> None:
    response = await alga.client.post(
        install.path, json={"operation": "list"}, headers=install.headers(**{header: value})
    )

    assert response.status_code == 401
    assert response.json() == {"error": "Missing identity headers", "code": "UNAUTHORIZED", "details": None}


async def test_an_identity_header_sent_twice_is_refused(install: Install, alga: Alga) -> None:
    headers = [*install.headers().items(), ("x-alga-tenant", "tenant-b")]

    response = await alga.client.post(install.path, json={"operation": "list"}, headers=headers)

    assert response.status_code == 401


async def test_the_request_id_is_optional(install: Install, alga: Alga) -> None:
    headers = install.headers(x_request_id=None)

    assert (
        await alga.client.post(install.path, json={"operation": "list"}, headers=headers)
    ).status_code == 200


async def test_a_disabled_install_looks_like_none(install: Install, alga: Alga) -> None:
    await alga.admin("PATCH", install.admin_path, json={"enabled": False})

    response = await install.call("list")

    assert response.status_code == 404
    assert response.json() == {"error": "Install not found", "code": "NOT_FOUND", "details": None}


@pytest.mark.parametrize("operation", ["list", "get", "create", "update", "delete", "getEndpoints"])
async def test_without_the_grant_every_operation_is_denied(alga: Alga, operation: str) -> None:
    install = await alga.install("tenant-c", grants=("cap:storage.kv",))

    response = await install.call(operation, scheduleId=UNKNOWN_ID)

    assert response.status_code == 403
    assert response.json()["code"] == "CAPABILITY_DENIED"
    assert response.json()["error"] == "Permission denied: cap:scheduler.manage not granted"


async def test_a_withdrawn_grant_is_denied_immediately(install: Install, alga: Alga) -> None:
    await alga.admin("PATCH", install.admin_path, json={"grants": []})

    assert (await install.call("list")).status_code == 403


async def test_an_unexpected_failure_is_an_answer_without_detail(
    install: Install, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_args: object) -> None:
        raise RuntimeError("what went wrong inside")

    monkeypatch.setattr("alga_server.schedules.pages.page", broken)

    response = await install.call("list")

    assert response.status_code == 500
    assert response.json() == {"error": "Internal error", "code": "INTERNAL_ERROR", "details": None}


async def status_with_token(settings: ServerSettings, token: str) -> int:
    headers = {
        "x-runner-auth": token,
        "x-alga-tenant": "tenant-a",
        "x-alga-extension": UNKNOWN_ID,
        "x-ext-install-id": UNKNOWN_ID,
    }
    path = f"/api/internal/ext-scheduler/install/{UNKNOWN_ID}"
    settings = settings.model_copy(update={"require_execution_token": False})
    async with Server(settings) as server:
        transport = httpx.ASGITransport(server.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return (await client.post(path, json={"operation": "list"}, headers=headers)).status_code


@pytest.mark.parametrize("token", ["", "anything"])
async def test_with_no_token_configured_every_call_is_refused(token: str) -> None:
    assert await status_with_token(ServerSettings(), token) == 401
    assert await status_with_token(ServerSettings(runner_token=""), token) == 401


@pytest.mark.parametrize("token", ["local-runner-key", "changeme", "change-me", "secret", "ChangeMe"])
async def test_a_well_known_token_is_refused(token: str) -> None:
    assert await status_with_token(ServerSettings(runner_token=token), token) == 401


async def test_a_well_known_token_works_in_development() -> None:
    settings = ServerSettings(runner_token="changeme", development=True)

    assert await status_with_token(settings, "changeme") == 404
