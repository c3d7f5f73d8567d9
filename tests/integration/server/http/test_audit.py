"""Every admin call is one log line: who, what, for which tenant and install, with what outcome."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from alga_runner.errors import SettingsError
from alga_server import ServerSettings
from tests.support.server import ADMIN_TOKEN, Alga, Install

pytestmark = pytest.mark.anyio

ALICE = "the-token-of-alice"
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"

Audit = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def settings(settings: ServerSettings) -> ServerSettings:
    return ServerSettings.load(
        **settings.model_dump(exclude_unset=True), admin_tokens=f"alice:{ALICE}, bob:the-token:of-bob"
    )


@pytest.fixture
def audit(caplog: pytest.LogCaptureFixture) -> Audit:
    """The fields of the lines so far."""
    caplog.set_level(logging.INFO, "alga_server")

    def lines() -> list[dict[str, Any]]:
        return [vars(record) for record in caplog.records if vars(record).get("action") == "admin_call"]

    return lines


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def test_a_call_has_one_line_with_who_what_and_whose(alga: Alga, audit: Audit) -> None:
    install = await alga.install("tenant-a")

    response = await alga.client.patch(
        install.admin_path, json={"enabled": False}, headers={**bearer(ALICE), "x-request-id": "call-1"}
    )

    published, installed, changed = audit()
    assert (published["operation"], published["extension_id"]) == (
        "POST /api/admin/extensions",
        install.extension,
    )
    assert (installed["token_name"], installed["install_id"]) == ("admin", install.id)
    expected = {
        "token_name": "alice",
        "operation": "PATCH /api/admin/tenants/{tenant_id}/installs/{install_id}",
        "tenant_id": "tenant-a",
        "install_id": install.id,
        "request_id": "call-1",
        "status": "success",
        "http_status": 200,
    }
    assert {name: changed[name] for name in expected} == expected
    assert changed["duration_ms"] >= 0
    assert response.headers["x-request-id"] == "call-1"


Refused = tuple[str, str, dict[str, Any], str | None, str, int]
REFUSALS: dict[str, Refused] = {
    "a wrong token": ("GET", "/extensions", {"headers": bearer("wrong")}, None, "unauthorized", 401),
    "no token": ("GET", "/extensions", {}, None, "unauthorized", 401),
    "a body that is not JSON": (
        "POST",
        "/tenants/a/installs",
        {"headers": bearer(ALICE), "content": b"{"},
        "alice",
        "validation_failed",
        400,
    ),
    "a field of another type": (
        "POST",
        "/tenants/a/installs",
        {"headers": bearer(ALICE), "json": {"extensionId": 1}},
        "alice",
        "validation_failed",
        400,
    ),
    "an install that is not there": (
        "DELETE",
        f"/tenants/a/installs/{UNKNOWN_ID}",
        {"headers": bearer("the-token:of-bob")},
        "bob",
        "not_found",
        404,
    ),
    "no route": ("GET", "/secrets", {"headers": bearer(ADMIN_TOKEN)}, None, "no_such_route", 404),
    "a method that is not allowed": (
        "PUT",
        "/extensions",
        {"headers": bearer(ADMIN_TOKEN)},
        None,
        "method_not_allowed",
        405,
    ),
}


@pytest.mark.parametrize("refused", REFUSALS.values(), ids=REFUSALS)
async def test_a_refused_call_has_its_line_too(alga: Alga, audit: Audit, refused: Refused) -> None:
    method, path, options, name, status, http_status = refused

    await alga.client.request(method, f"/api/admin{path}", **options)

    [line] = audit()
    assert (line["token_name"], line["status"], line["http_status"]) == (name, status, http_status)
    assert line["operation"].startswith(method)


async def test_a_call_that_fails_inside_has_its_line_too(
    alga: Alga, audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alga.server._services.database, "read", None)

    with pytest.raises(TypeError):
        await alga.client.get("/api/admin/extensions", headers=bearer(ALICE))

    [line] = audit()
    assert (line["token_name"], line["status"], line["http_status"]) == ("alice", "internal_error", 500)
    assert line["levelno"] == logging.WARNING


async def test_no_line_has_a_token_or_a_body(
    alga: Alga, caplog: pytest.LogCaptureFixture, audit: Audit
) -> None:
    await alga.install("tenant-a")
    for token in (ALICE, "guessed-token"):
        body = {"extensionId": UNKNOWN_ID, "config": {"key": "hunter2"}}
        await alga.client.post("/api/admin/tenants/a/installs", json=body, headers=bearer(token))

    assert len(audit()) == 4
    for secret in (ADMIN_TOKEN, ALICE, "guessed-token", "hunter2"):
        assert secret not in str([vars(record) for record in caplog.records])


@pytest.mark.parametrize("request_id", ["", "a b\tc", "x" * 200, "ü"])
async def test_an_id_that_is_none_is_replaced(alga: Alga, audit: Audit, request_id: str) -> None:
    headers = {**bearer(ALICE), "x-request-id": request_id.encode()}

    await alga.client.get("/api/admin/extensions", headers=headers)

    [line] = audit()
    assert len(line["request_id"]) == 36


async def test_other_calls_are_no_admins(install: Install, audit: Audit) -> None:
    before = len(audit())

    await install.call("list")
    await install.ask("GET", "/report")
    await install.alga.client.get("/api/administrators")

    assert len(audit()) == before


@pytest.mark.parametrize(
    "tokens",
    [
        "alice",
        "alice:",
        ":token-1",
        "admin:token-1",
        "a:token-1 a:token-2",
        "a:token-1,b:token-1",
        "a/b:token-1",
    ],
)
def test_names_that_are_none_or_not_unique_are_refused_without_the_tokens(tokens: str) -> None:
    with pytest.raises(SettingsError, match="admin_tokens") as refused:
        ServerSettings.load(admin_tokens=tokens)

    assert "token-1" not in str(refused.value)


def test_well_known_tokens_are_no_admins_outside_development() -> None:
    assert ServerSettings.load(admin_tokens="alice:changeme bob:x-y-z").usable_admin_tokens() == {
        "bob": "x-y-z"
    }
