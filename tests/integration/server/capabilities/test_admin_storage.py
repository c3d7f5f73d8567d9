"""What extensions store, asked for by an admin; and data that is added while a development server runs."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from alga_server import Server, ServerSettings
from tests.support.server import ADMIN_TOKEN
from tests.support.storage import Storage, refusal

pytestmark = pytest.mark.anyio


async def ask(storage: Storage, operation: str, **members: Any) -> httpx.Response:
    body = {"operation": operation, "namespace": storage.namespace, **members}
    return await storage.install.alga.admin("POST", f"{storage.install.admin_path}/storage", json=body)


async def test_an_admin_reads_and_writes_the_install_s_records_without_a_grant(storage: Storage) -> None:
    await storage.put("a", "theirs", metadata={"m": 1})
    await storage.install.alga.admin("PATCH", storage.install.admin_path, json={"grants": []})

    read = await ask(storage, "get", key="a")
    written = await ask(storage, "put", key="b", value=2)
    listed = await ask(storage, "list", includeValues=True)
    deleted = await ask(storage, "delete", key="a")

    assert (read.json()["value"], read.json()["metadata"]) == ("theirs", {"m": 1})
    assert written.json()["revision"] == 1
    assert [item["value"] for item in listed.json()["items"]] == ["theirs", 2]
    assert deleted.json() == {"success": True}


async def test_an_admin_is_held_to_the_same_rules(storage: Storage) -> None:
    large = "x" * 65_535
    answers = {
        "get": await ask(storage, "get", key="a"),
        "put": await ask(storage, "put", key="a", value=1, ifRevision=1),
        "large": await ask(storage, "put", key="a", value=large),
        "slash": await ask(storage, "put", key="a/b", value=1),
        "drop": await ask(storage, "drop"),
    }

    assert {name: refusal(answer) for name, answer in answers.items()} == {
        "get": (404, "not_found"),
        "put": (409, "revision_mismatch"),
        "large": (400, "limit_exceeded"),
        "slash": (400, "validation_failed"),
        "drop": (400, "validation_failed"),
    }


async def test_an_install_of_another_tenant_is_not_found(storage: Storage, another: Storage) -> None:
    await another.put("a", "theirs")
    path = f"/api/admin/tenants/{storage.install.tenant}/installs/{another.install.id}/storage"

    response = await storage.install.alga.admin(
        "POST", path, json={"operation": "get", "namespace": "notes", "key": "a"}
    )

    assert refusal(response) == (404, "not_found")


async def test_a_server_that_is_not_for_development_takes_no_seed_data(storage: Storage) -> None:
    path = f"/api/admin/tenants/{storage.install.tenant}/seed-data"

    assert refusal(await storage.install.alga.admin("PATCH", path, json={})) == (404, "no_such_route")


async def test_a_development_server_takes_seed_data_from_this_machine_alone() -> None:
    settings = ServerSettings(admin_token=ADMIN_TOKEN, development=True, dispatch_schedules=False)
    async with Server(settings, allow_clock=True) as server:
        statuses = {}
        for host in ("127.0.0.1", "192.0.2.1"):
            transport = httpx.ASGITransport(server.app, client=(host, 5))
            async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
                client.headers["authorization"] = f"Bearer {ADMIN_TOKEN}"
                answers = [
                    await client.patch(f"/api/admin/tenants/{tenant}/seed-data", json=body)
                    for tenant, body in [("acme", {"taxPercent": 7}), ("a b", {}), ("acme", {"taxes": 7})]
                ]
                statuses[host] = [answer.status_code for answer in answers]

        assert statuses == {"127.0.0.1": [204, 400, 400], "192.0.2.1": [403, 403, 403]}
        assert server.seed.of("acme").tax_percent == 7
