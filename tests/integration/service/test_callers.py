"""Who may call: a token, unless the operator opens ``/v1/execute`` on purpose (alga-contract 7, fault 2)."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from alga_runner import Runner, Settings
from alga_runner.errors import SettingsError
from alga_runner.service import create_service
from alga_runner.service.callers import warn_of_open_execute

pytestmark = pytest.mark.anyio

ROUTING = {"x-alga-tenant": "acme", "x-alga-extension": "ext"}
TOKEN = "the-service-token"

Open = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def opened(runner: Runner, settings: Settings) -> Open:
    """A client of a service that is open to callers without a token."""

    @asynccontextmanager
    async def client(**changes: Any) -> AsyncIterator[httpx.AsyncClient]:
        changed = settings.model_copy(update={"allow_unauthenticated_execute": True, **changes})
        transport = httpx.ASGITransport(create_service(runner, changed))
        async with httpx.AsyncClient(transport=transport, base_url="http://runner") as it:
            yield it

    return client


@pytest.mark.parametrize("token", [None, SecretStr(TOKEN)], ids=["without a token", "with a token"])
async def test_an_open_runner_executes_for_callers_that_send_no_token(
    opened: Open, publish, request_for, token: SecretStr | None
) -> None:
    async with opened(service_token=token) as client:
        response = await client.post("/v1/execute", json=request_for(publish()), headers=ROUTING)

    assert response.json()["status"] == 200


async def test_an_open_runner_refuses_a_wrong_token_all_the_same(opened: Open) -> None:
    async with opened() as client:
        response = await client.post("/v1/execute", json={}, headers={"x-runner-service-token": "wrong"})

    assert response.status_code == 401


async def test_an_open_runner_without_a_token_takes_a_caller_that_sends_one(
    opened: Open, publish, request_for
) -> None:
    async with opened(service_token=None) as client:
        headers = ROUTING | {"x-runner-service-token": "any"}
        response = await client.post("/v1/execute", json=request_for(publish()), headers=headers)

    assert response.json()["status"] == 200


@pytest.mark.parametrize("token", [None, SecretStr(TOKEN)], ids=["without a token", "with a token"])
async def test_an_open_runner_asks_for_the_token_on_its_other_routes(
    opened: Open, token: SecretStr | None
) -> None:
    async with opened(service_token=token) as client:
        assert (await client.post("/warmup", json={})).status_code == 401
        assert (await client.get("/v1/ping")).status_code == 401


@pytest.mark.parametrize("token", ["local-runner-key", "changeme", "change-me", "secret", "ChangeMe"])
@pytest.mark.parametrize("is_open", [False, True], ids=["closed", "open"])
async def test_a_token_that_everyone_knows_guards_nothing(runner: Runner, token: str, is_open: bool) -> None:
    settings = Settings(service_token=SecretStr(token), allow_unauthenticated_execute=is_open)

    with pytest.raises(SettingsError) as refused:
        create_service(runner, settings)

    assert "RUNNER_SERVICE_TOKEN" in str(refused.value)
    assert token not in str(refused.value)


async def test_a_token_that_everyone_knows_works_in_development(runner: Runner) -> None:
    service = create_service(runner, Settings(service_token=SecretStr("changeme")), require_token=False)

    transport = httpx.ASGITransport(service)
    async with httpx.AsyncClient(transport=transport, base_url="http://runner") as client:
        assert (await client.get("/v1/ping")).status_code == 401
        response = await client.get("/v1/ping", headers={"x-runner-service-token": "changeme"})
        assert response.status_code == 200


async def test_a_service_without_a_token_names_the_setting_for_callers_without_one(runner: Runner) -> None:
    with pytest.raises(SettingsError) as refused:
        create_service(runner, Settings())

    assert "ALGA_RUNNER_ALLOW_UNAUTHENTICATED_EXECUTE=true" in refused.value.hint


@pytest.mark.parametrize(
    ("host", "reach"),
    [("0.0.0.0", "everyone who reaches 0.0.0.0"), ("127.0.0.1", "every process of this machine")],
)
def test_an_open_runner_warns_at_start_of_what_else_has_to_keep_callers_out(
    caplog: pytest.LogCaptureFixture, host: str, reach: str
) -> None:
    warn_of_open_execute(Settings(allow_unauthenticated_execute=True), host)

    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert reach in record.getMessage()
    assert "NetworkPolicy" in record.getMessage()


def test_a_closed_runner_warns_of_nothing(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_open_execute(Settings(), "0.0.0.0")

    assert caplog.records == []
