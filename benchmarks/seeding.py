"""A server's database with many installs and schedules in it, as the server itself would have made them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import httpx
from sqlalchemy import create_engine, func, insert, select

from alga_runner.models.archive import pack
from alga_server import ManualClock, Server, ServerSettings
from alga_server.storage import tables

START = datetime(2026, 1, 1, tzinfo=UTC)
TOKEN = "token-of-the-benchmark"  # noqa: S105 - of a throwaway server
TENANT = "acme"
CRON = "0 * * * *"
_DUE, _NOMINAL = datetime(2026, 1, 1, 1, tzinfo=UTC), "2026-01-01T01:00:00.000Z"
_MANIFEST = {
    "name": "com.example.bench",
    "publisher": "Example",
    "version": "1.0.0",
    "runtime": "wasm-js@1",
    "capabilities": ["cap:scheduler.manage"],
    "api": {"endpoints": [{"method": "POST", "path": "/sync", "handler": "sync"}]},
}


@dataclass(frozen=True, slots=True)
class Seeded:
    """The seeded state: an install for each tenant ``acme-0``, ``acme-1`` and so on."""

    extension_id: str
    install_ids: list[str]
    schedule_ids: list[list[str]]


def settings(url: str) -> ServerSettings:
    """The server's defaults, but for the rate of changes, which would refuse the measured calls."""
    return ServerSettings(
        database_url=url,
        runner_token=TOKEN,
        admin_token=TOKEN,
        gateway_token=TOKEN,
        dispatch_schedules=False,
        schedule_changes_burst=1_000_000,
    )


async def seed(url: str, *, installs: int, schedules: int) -> Seeded:
    """Fill the empty database at ``url``: so many installs, and so many schedules of each, all due at 01:00."""
    async with Server(settings(url), clock=ManualClock(START)) as server:
        transport = httpx.ASGITransport(server.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            bundle = pack({"manifest.json": json.dumps(_MANIFEST).encode(), "dist/main.wasm": b"\0asm"})
            headers = {"authorization": f"Bearer {TOKEN}"}
            answer = await client.post("/api/admin/extensions", content=bundle, headers=headers)
            published = answer.raise_for_status().json()
    engine = create_engine(url)
    install_ids = [str(uuid4()) for _ in range(installs)]
    schedule_ids = [[str(uuid4()) for _ in range(schedules)] for _ in install_ids]
    with engine.begin() as connection:
        endpoint_id = connection.execute(select(tables.endpoint.c.id)).scalar_one()
        owned = [
            {"tenant_id": f"{TENANT}-{at}", "id": install_id} for at, install_id in enumerate(install_ids)
        ]
        common = {"extension_id": published["extensionId"], "version_id": published["versionId"]}
        common |= {"enabled": True, "config": {}, "created_at": START, "updated_at": START}
        connection.execute(insert(tables.install), [{**owner, **common} for owner in owned])
        grants = [
            {"tenant_id": owner["tenant_id"], "install_id": owner["id"], "capability": "cap:scheduler.manage"}
            for owner in owned
        ]
        connection.execute(insert(tables.grant), grants)
        if schedules:
            rows = list(_rows(owned, schedule_ids, endpoint_id))
            connection.execute(insert(tables.schedule), rows)
    engine.dispose()
    return Seeded(published["extensionId"], install_ids, schedule_ids)


def _rows(
    owned: list[dict[str, str]], schedule_ids: list[list[str]], endpoint_id: str
) -> Iterator[dict[str, object]]:
    for owner, ids in zip(owned, schedule_ids, strict=True):
        for ordinal, schedule_id in enumerate(ids, 1):
            yield {
                "id": schedule_id,
                "tenant_id": owner["tenant_id"],
                "install_id": owner["id"],
                "ordinal": ordinal,
                "endpoint_id": endpoint_id,
                "name": f"Schedule {ordinal}",
                "cron": CRON,
                "timezone": "UTC",
                "enabled": True,
                "payload": {"number": ordinal},
                "trigger": "host_api",
                "next_run_at": _DUE,
                "next_nominal_time": _NOMINAL,
                "created_at": START,
                "updated_at": START,
            }


def fired(url: str) -> tuple[int, int]:
    """How many schedules there are, and how many of them ran at 01:00 with success."""
    run = tables.schedule_run.c
    ran = select(func.count(run.schedule_id.distinct())).where(
        run.status == "success", run.trigger == "schedule", run.nominal_time == _NOMINAL, run.attempt == 1
    )
    engine = create_engine(url)
    with engine.connect() as connection:
        schedules = connection.execute(select(func.count()).select_from(tables.schedule)).scalar_one()
        succeeded = connection.execute(ran).scalar_one()
    engine.dispose()
    return schedules, succeeded
