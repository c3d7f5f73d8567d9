"""What a handler that is under way may still do when an admin has taken its rights away."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from alga_server import ServerSettings
from alga_server.execution import executions
from tests.support.server import Install

pytestmark = pytest.mark.anyio

CREATE = {"operation": "create", "endpoint": "/sync", "cron": "0 * * * *"}
OK = {"status": 200, "headers": {}, "body_b64": None, "error": None}


class Handler:
    """A runner whose handler makes host calls while it is under way, with the token it was given."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.meanwhile: Callable[[], Awaitable[Any]] | None = None

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked = json.loads(request.content)
        if self.meanwhile is not None:
            await self.meanwhile()
        return httpx.Response(200, json=OK)

    async def call(self, installed: Any, body: dict[str, Any] = CREATE, **headers: str) -> httpx.Response:
        """A host call of the execution, in the name of ``installed``."""
        own = installed.headers(
            x_alga_execution_token=self.asked["execution_token"],
            x_request_id=self.asked["context"]["request_id"],
            **headers,
        )
        answer: httpx.Response = await installed.alga.client.post(installed.path, json=body, headers=own)
        return answer


@pytest.fixture
def handler() -> Handler:
    return Handler()


@pytest.fixture
def runner_transport(handler: Handler) -> httpx.AsyncBaseTransport:
    return httpx.MockTransport(handler)


@pytest.fixture
def settings(settings: ServerSettings) -> ServerSettings:
    return settings.model_copy(update={"require_execution_token": True})


async def admin_does(install: Install, method: str, **options: Any) -> None:
    response = await install.alga.admin(method, install.admin_path, **options)
    assert response.status_code in {200, 204}, response.text


@pytest.mark.parametrize(
    ("method", "changes", "refusal"),
    [
        ("PATCH", {"enabled": False}, (404, "NOT_FOUND")),
        ("PATCH", {"grants": []}, (403, "CAPABILITY_DENIED")),
        ("DELETE", None, (404, "NOT_FOUND")),
    ],
    ids=["disabled", "revoked", "uninstalled"],
)
async def test_what_an_admin_takes_away_holds_for_a_handler_under_way(
    install: Install, handler: Handler, method: str, changes: dict[str, Any] | None, refusal: tuple[int, str]
) -> None:
    answers: list[httpx.Response] = []

    async def meanwhile() -> None:
        answers.append(await handler.call(install))
        await admin_does(install, method, **({} if changes is None else {"json": changes}))
        answers.append(await handler.call(install))

    handler.meanwhile = meanwhile
    response = await install.ask("POST", "/sync")

    assert response.status_code == 200
    before, after = answers
    assert before.status_code == 201
    assert (after.status_code, after.json()["code"]) == refusal


async def test_a_reinstalled_extension_is_not_spoken_for_by_its_former_install(
    install: Install, handler: Handler
) -> None:
    await install.ask("POST", "/sync")
    await admin_does(install, "DELETE")
    again = await install.alga.install(install.tenant)

    assert (await handler.call(again)).json()["code"] == "EXECUTION_TOKEN_INVALID"
    assert (await handler.call(install)).json()["code"] == "NOT_FOUND"


async def test_another_tenants_install_is_not_spoken_for(install: Install, handler: Handler) -> None:
    other = await install.alga.install("tenant-b")
    await install.ask("POST", "/sync")

    for headers in ({}, {"x_ext_install_id": install.id}, {"x_alga_tenant": install.tenant}):
        assert (await handler.call(other, **headers)).status_code in {401, 404}
    assert (await other.alga.admin("GET", f"{other.admin_path}/schedules")).json() == {"schedules": []}


async def test_a_token_is_worth_nothing_once_its_execution_must_have_ended(
    install: Install, handler: Handler, settings: ServerSettings
) -> None:
    await install.ask("POST", "/sync")
    lifetime = timedelta(seconds=settings.execution_timeout_ms / 1000 + executions.TOKEN_GRACE_S)

    install.alga.clock.advance(lifetime - timedelta(milliseconds=1))
    assert (await handler.call(install)).status_code == 201
    install.alga.clock.advance(timedelta(milliseconds=1))
    assert (await handler.call(install)).json()["code"] == "EXECUTION_TOKEN_INVALID"
