"""Routes of the host's own API, answered from the seed data (alga-contract 4, "ui-proxy")."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.server import Alga, Install
from tests.support.storage import refusal

from .conftest import TENANTS

pytestmark = pytest.mark.anyio

ROUTES: list[dict[str, Any]] = [
    {"route": "/tickets/open", "answer": [{"id": 1}]},
    {"route": "/tickets/open", "method": "POST", "status": 201, "answer": {"id": 2}},
    {"route": "api/v1/tenant", "answer": {"name": "Acme"}},
    {"route": "/api/v1/broken", "status": 503, "answer": {"error": "down"}},
    {"route": "/nothing"},
]


async def with_routes(alga: Alga) -> Install:
    grants = ("cap:ui.proxy",)
    install = await alga.install(
        next(TENANTS), name="com.example.ui", capabilities=list(grants), grants=grants
    )
    alga.server.seed.add(install.tenant, {"uiRoutes": ROUTES})
    return install


@pytest.fixture
async def install(alga: Alga) -> Install:
    return await with_routes(alga)


async def ask(install: Install, path: str, method: str = "GET", **options: Any) -> httpx.Response:
    headers = options.pop("headers", install.headers())
    return await install.alga.client.request(method, f"/api/ui-proxy{path}", headers=headers, **options)


def own(install: Install, route: str) -> str:
    return f"/{install.extension}/{route}"


async def test_a_route_below_the_extension_answers_by_its_method(install: Install) -> None:
    read = await ask(install, own(install, "tickets/open"))
    written = await ask(install, own(install, "tickets//open/?page=2"), "POST", content=b'"anything"')

    assert (read.status_code, read.json()) == (200, [{"id": 1}])
    assert (written.status_code, written.json()) == (201, {"id": 2})


async def test_a_route_of_the_host_has_no_extension_before_it(install: Install) -> None:
    assert (await ask(install, "/api/v1/tenant")).json() == {"name": "Acme"}
    broken = await ask(install, "/api/v1/broken")
    assert (broken.status_code, broken.json()) == (503, {"error": "down"})


async def test_a_route_without_an_answer_answers_null(install: Install) -> None:
    response = await ask(install, own(install, "nothing"))

    assert (response.status_code, response.json()) == (200, None)


async def test_what_the_data_has_not_is_no_route(install: Install) -> None:
    stranger = "00000000-0000-4000-8000-000000000000"
    paths = [own(install, "tickets"), own(install, ""), "/tickets/open", f"/{stranger}/tickets/open", "/"]

    answers = [await ask(install, path) for path in paths]
    answers.append(await ask(install, "/api/v1/tenant", "POST"))

    assert {refusal(answer) for answer in answers} == {(404, "NO_SUCH_ROUTE")}


async def test_a_tenant_has_the_routes_of_its_own_data(alga: Alga) -> None:
    grants = ("cap:ui.proxy",)
    await with_routes(alga)
    other = await alga.install(next(TENANTS), name="com.example.ui", capabilities=list(grants), grants=grants)

    assert (await ask(other, "/api/v1/tenant")).status_code == 404


async def test_the_runner_the_install_and_the_capability_are_checked(alga: Alga, install: Install) -> None:
    wrong = [install.headers(x_runner_auth=token) for token in (None, "", "wrong")]
    unknown = install.headers(x_alga_tenant="tenant-elsewhere")

    assert {(await ask(install, "/api/v1/tenant", headers=headers)).status_code for headers in wrong} == {401}
    assert (await ask(install, "/api/v1/tenant", headers=unknown)).status_code == 404
    await alga.admin("PATCH", install.admin_path, json={"grants": []})
    assert refusal(await ask(install, "/api/v1/tenant")) == (403, "CAPABILITY_DENIED")
    await alga.admin("PATCH", install.admin_path, json={"grants": ["cap:ui.proxy"], "enabled": False})
    assert refusal(await ask(install, "/api/v1/tenant")) == (404, "NOT_FOUND")


async def test_a_payload_is_bounded(install: Install) -> None:
    response = await ask(install, "/api/v1/tenant", "POST", content=b" " * (4 * 1024 * 1024 + 1))

    assert response.status_code == 413


async def test_calls_are_counted_without_their_routes(alga: Alga, install: Install) -> None:
    await ask(install, "/api/v1/tenant")

    page = await alga.metrics()

    assert 'alga_server_host_calls_total{api="ui-proxy",operation="GET",status="success"}' in page
    assert "v1/tenant" not in page
