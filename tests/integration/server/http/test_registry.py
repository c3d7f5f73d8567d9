"""The registry's routes, and pages that a runner serves by them (alga-contract 2)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from alga_runner import Runner, Settings
from alga_runner.bundles import Bundle, MemoryBundles
from alga_runner.models.archive import pack
from alga_runner.service import create_service
from tests.support.bundles import bundle_files
from tests.support.pages import FILES, INDEX
from tests.support.server import MANIFEST, RUNNER_TOKEN, Alga, Install

pytestmark = pytest.mark.anyio

KEY = {"x-api-key": RUNNER_TOKEN}
PAGES = pack(bundle_files(**MANIFEST) | FILES)


@pytest.fixture
async def pages(alga: Alga) -> Install:
    """An install of an extension with pages."""
    published = (await alga.admin("POST", "/api/admin/extensions", content=PAGES)).json()
    body = {"extensionId": published["extensionId"], "grants": []}
    installed = await alga.admin("POST", "/api/admin/tenants/tenant-a/installs", json=body)
    assert installed.status_code == 201, installed.text
    return Install(alga, "tenant-a", published["extensionId"], installed.json()["installId"])


@pytest.fixture
def question(pages: Install) -> dict[str, str]:
    content_hash = Bundle.from_archive(PAGES).content_hash
    return {"tenant": pages.tenant, "extension": pages.extension, "hash": content_hash, "ts": "1"}


async def ask(alga: Alga, question: dict[str, str], **headers: str) -> httpx.Response:
    return await alga.client.get("/api/installs/validate", params=question, headers=KEY | headers)


async def test_an_install_of_that_version_is_valid(alga: Alga, question: dict[str, str]) -> None:
    response = await ask(alga, question)

    assert (response.status_code, response.json()) == (200, {"valid": True})
    assert response.headers["cache-control"] == "no-store"


async def test_the_hash_may_be_without_its_prefix(alga: Alga, question: dict[str, str]) -> None:
    question["hash"] = question["hash"].removeprefix("sha256:").upper()

    assert (await ask(alga, question)).json() == {"valid": True}


@pytest.mark.parametrize(
    "changes",
    [
        {"tenant": "tenant-b"},
        {"tenant": ""},
        {"tenant": "a/b"},
        {"extension": "another"},
        {"extension": "a\0b"},
        {"hash": "sha256:" + "0" * 64},
        {"hash": "none"},
        {"hash": ""},
    ],
    ids=str,
)
async def test_anything_else_is_not(alga: Alga, question: dict[str, str], changes: dict[str, str]) -> None:
    response = await ask(alga, question | changes)

    assert (response.status_code, response.json()) == (200, {"valid": False})


async def test_a_disabled_install_is_not_valid(alga: Alga, pages: Install, question: dict[str, str]) -> None:
    """Upstream's registry does not look (fault 49)."""
    await alga.admin("PATCH", pages.admin_path, json={"enabled": False})

    assert (await ask(alga, question)).json() == {"valid": False}


@pytest.mark.parametrize("key", ["", "another"])
@pytest.mark.parametrize("route", ["validate", "lookup-by-host"])
async def test_the_key_is_compared(alga: Alga, route: str, key: str) -> None:
    """Upstream takes any (fault 49)."""
    response = await alga.client.get(
        f"/api/installs/{route}", params={"host": "x"}, headers={"x-api-key": key}
    )

    assert response.status_code == 401


@pytest.mark.parametrize(
    ("host", "status", "error"), [("a.example", 404, "not_found"), (" ", 400, "missing_host")]
)
async def test_no_host_belongs_to_an_install(alga: Alga, host: str, status: int, error: str) -> None:
    response = await alga.client.get("/api/installs/lookup-by-host", params={"host": host}, headers=KEY)

    assert (response.status_code, response.json()) == (status, {"error": error})


async def test_a_runner_serves_the_pages_of_valid_installs(
    alga: Alga, pages: Install, question: dict[str, str]
) -> None:
    async def visit(tenant: str) -> httpx.Response:
        path = f"/ext-ui/{pages.extension}/{question['hash']}/index.html"
        return await visitor.get(path, params={"tenant": tenant})

    bundles = MemoryBundles()
    bundles.add(Bundle.from_archive(PAGES))
    options: dict[str, Any] = {"registry_url": "http://server", "registry_key": SecretStr(RUNNER_TOKEN)}
    async with Runner(Settings(max_guests=1, max_memory_mb=1, **options), bundles=bundles) as runner:
        service = create_service(runner, require_token=False, registry=httpx.ASGITransport(alga.server.app))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(service), base_url="http://runner"
        ) as visitor:
            installed, other = await visit("tenant-a"), await visit("tenant-b")

    assert (installed.status_code, installed.content) == (200, INDEX)
    assert other.status_code == 404
