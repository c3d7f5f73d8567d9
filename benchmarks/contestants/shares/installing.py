"""What both sides need to ask a server's admin API for: extensions, installs and schedules."""

from __future__ import annotations

import json
from typing import Any

import httpx

from alga_runner.models.archive import pack

from ...seeding import TOKEN

ADMIN = {"authorization": f"Bearer {TOKEN}"}
_CAPABILITY = "cap:scheduler.manage"


async def install(client: httpx.AsyncClient, tenant: str, name: str, wasm: bytes) -> tuple[str, str]:
    """Publish an extension whose only endpoint is ``POST /run``, and install it; both ids."""
    manifest = {
        "name": f"com.example.{name}",
        "version": "1.0.0",
        "runtime": "wasm-js@1",
        "capabilities": [_CAPABILITY],
        "api": {"endpoints": [{"method": "POST", "path": "/run", "handler": "run"}]},
    }
    archive = pack({"manifest.json": json.dumps(manifest).encode(), "dist/main.wasm": wasm})
    published = await client.post("/api/admin/extensions", content=archive, headers=ADMIN)
    extension_id: str = published.raise_for_status().json()["extensionId"]
    body = {"extensionId": extension_id, "grants": [_CAPABILITY]}
    made = await client.post(f"/api/admin/tenants/{tenant}/installs", json=body, headers=ADMIN)
    return extension_id, made.raise_for_status().json()["installId"]


async def schedule(
    client: httpx.AsyncClient, tenant: str, install_id: str, count: int, **members: Any
) -> list[str]:
    """Create so many schedules that are due once a year; their addresses."""
    url, ids = f"/api/admin/tenants/{tenant}/installs/{install_id}/schedules", []
    for _ in range(count):
        body = {"endpoint": "/run", "cron": "0 4 1 1 *", **members}
        made = await client.post(url, json=body, headers=ADMIN)
        ids.append(made.raise_for_status().json()["id"])
    return [f"{url}/{id_}" for id_ in ids]
