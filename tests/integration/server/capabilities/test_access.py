"""Calls of each internal API that reach no operation: tokens, identity, grants, fairness."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from alga_server.http.internal.call import Api
from alga_server.http.internal.routes import APIS_BY_INSTALL
from tests.support.server import Alga, Install
from tests.support.storage import Storage, refusal

from .conftest import TENANTS

pytestmark = pytest.mark.anyio


@pytest.fixture(params=APIS_BY_INSTALL, ids=lambda api: api.name)
def api(request: pytest.FixtureRequest) -> Api:
    chosen: Api = request.param
    return chosen


async def with_grant(alga: Alga, api: Api) -> Install:
    changes: dict[str, Any] = {"name": f"com.example.{api.name}", "capabilities": [api.capability]}
    return await alga.install(next(TENANTS), grants=(api.capability,), **changes)


@pytest.fixture
async def granted(alga: Alga, api: Api) -> Install:
    return await with_grant(alga, api)


def code(api: Api, name: str) -> str:
    return api.codes.get(name, name.upper())


async def test_a_wrong_runner_token_is_refused_before_anything_else(api: Api, granted: Install) -> None:
    path = f"/api/internal/ext-{api.name}/install/{granted.id}"

    answers = [
        await granted.alga.client.post(path, content=b"{", headers=granted.headers(x_runner_auth=token))
        for token in (None, "", "wrong")
    ]

    assert {answer.status_code for answer in answers} == {401}
    assert {answer.json()["error"] for answer in answers} == {"Invalid runner token"}


async def test_missing_identity_is_refused(api: Api, granted: Install) -> None:
    path = f"/api/internal/ext-{api.name}/install/{granted.id}"

    for name in ("x_alga_tenant", "x_alga_extension", "x_ext_install_id"):
        answer = await granted.alga.client.post(path, json={}, headers=granted.headers(**{name: None}))

        assert refusal(answer) == (401, "UNAUTHORIZED"), name


async def test_the_server_checks_the_capability_itself(api: Api, granted: Install) -> None:
    await granted.alga.admin("PATCH", granted.admin_path, json={"grants": []})

    for operation in api.operations:
        answer = await granted.host_call(api.name, operation)

        assert refusal(answer) == (403, code(api, "capability_denied")), operation
        assert answer.json()["error"] == f"Permission denied: {api.capability} not granted"


async def test_a_disabled_install_and_a_strangers_look_like_none(api: Api, granted: Install) -> None:
    theirs = await with_grant(granted.alga, api)
    own, foreign = granted.headers(), granted.headers(x_ext_install_id=theirs.id)
    paths = [f"/api/internal/ext-{api.name}/install/{install_id}" for install_id in (theirs.id, "nonsense")]
    body = {"operation": next(iter(api.operations))}
    answers = [
        await granted.alga.client.post(paths[0], json=body, headers=headers) for headers in (own, foreign)
    ]
    answers.append(await granted.alga.client.post(paths[1], json=body, headers=own))
    await granted.alga.admin("PATCH", granted.admin_path, json={"enabled": False})
    answers.append(await granted.host_call(api.name, body["operation"]))

    expected = api.no_install("Install not found")
    assert {refusal(answer) for answer in answers} == {(expected.http_status, code(api, expected.code))}
    assert len({answer.content for answer in answers}) == 1


async def test_an_unknown_operation_is_refused(api: Api, granted: Install) -> None:
    for operation in ("", "drop", None, 5, ["list"]):
        answer = await granted.host_call(api.name, operation)  # type: ignore[arg-type]

        assert refusal(answer) == (400, code(api, "validation_failed")), operation
        assert "Unsupported operation" in answer.text


async def test_a_body_that_is_no_object_or_too_large_is_refused(api: Api, granted: Install) -> None:
    path = f"/api/internal/ext-{api.name}/install/{granted.id}"

    answers = [
        await granted.alga.client.post(path, content=body, headers=granted.headers())
        for body in (b"", b"[]", b"{", b"\xff", b" " * (1024 * 1024 + 1))
    ]

    assert [answer.status_code for answer in answers] == [400, 400, 400, 400, 413]


async def counted(alga: Alga, api: Api) -> int:
    """How many calls of the API the metrics have."""
    name = "extension_scheduler_api_calls_total{"
    if api.name != "scheduler":
        name = f'alga_server_host_calls_total{{api="{api.name}",'
    lines = (await alga.metrics()).splitlines()
    return int(sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)))


async def test_a_call_is_counted_and_has_one_log_line_without_its_content(
    api: Api, granted: Install, caplog: pytest.LogCaptureFixture
) -> None:
    operation, before = next(iter(api.operations)), await counted(granted.alga, api)
    with caplog.at_level(logging.INFO, "alga_server"):
        await granted.host_call(api.name, operation, namespace="plantedsecret", key="plantedsecret")

    [line] = [record for record in caplog.records if getattr(record, "action", "") == f"{api.name}_api_call"]
    assert (line.operation, line.tenant_id, line.install_id) == (operation, granted.tenant, granted.id)  # type: ignore[attr-defined]
    assert "plantedsecret" not in str(vars(line))
    assert await counted(granted.alga, api) == before + 1


async def test_of_waiting_tenants_the_one_with_the_fewest_calls_is_next(alga: Alga) -> None:
    services = alga.server._services
    order: list[str] = []

    async def call(tenant: str) -> None:
        async with services.turns.of(tenant):
            order.append(tenant)
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        for _ in range(40):
            tasks.start_soon(call, "busy")
        await anyio.lowlevel.checkpoint()
        tasks.start_soon(call, "quiet")

    assert order.index("quiet") < 20


async def test_a_tenant_with_too_many_waiting_calls_is_refused(
    alga: Alga, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter: Any = alga.server._services.turns._limiter
    storage = Storage(await with_grant(alga, APIS_BY_INSTALL[1]))
    monkeypatch.setattr(limiter, "owner_limit", 0)
    monkeypatch.setattr(limiter, "owner_max_waiting", 0)

    answer = await storage.call("list")

    assert refusal(answer) == (429, "RATE_LIMITED")
    assert answer.headers["retry-after"] == "1"
