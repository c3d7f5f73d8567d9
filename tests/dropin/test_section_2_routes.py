"""Section 2: the routes besides execute."""

from __future__ import annotations

import httpx
import pytest

pytestmark = pytest.mark.anyio

TOKEN = {"x-runner-service-token": "service-token-of-the-recording"}


async def test_healthz_has_the_contract_s_members(client: httpx.AsyncClient) -> None:
    response = await client.get("/healthz")

    assert response.status_code == 200
    assert response.json() == {
        "status": "ok",
        "cache_writable": True,
        "bundle_store": "ok",
        "ext_cache_max_bytes": None,
    }


async def test_warmup_with_the_hash_alone_is_answered_as_upstream_answers_every_request(
    client: httpx.AsyncClient, publish
) -> None:
    response = await client.post("/warmup", json={"content_hash": publish()}, headers=TOKEN)

    assert (response.status_code, response.text) == (
        400,
        "warmup unsupported without tenant + extension context",
    )


async def test_warmup_that_names_tenant_and_extension_warms(client: httpx.AsyncClient, publish) -> None:
    body = {"content_hash": publish(), "tenant_id": "acme", "extension_id": "ext"}

    response = await client.post("/warmup", json=body, headers=TOKEN)

    assert (response.status_code, response.json()["status"]) == (200, "ready")


async def test_warmup_without_a_hash_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.post("/warmup", json={}, headers=TOKEN)

    assert response.status_code == 422


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/none"])
async def test_no_answer_may_be_cached(client: httpx.AsyncClient, path: str) -> None:
    """Upstream's layer said a year, on every answer (fault 15)."""
    assert (await client.get(path)).headers["cache-control"] == "no-store"
