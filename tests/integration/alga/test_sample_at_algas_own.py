"""The sample extension, as a tenant uses it, in front of a double of Alga's own server."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from alga_runner import Runner, Settings
from alga_runner.alga import DIALECTS, HttpAlgaServer
from alga_runner.bundles import MemoryBundles, read_bundle
from tests.support.algas_own import AlgasOwnServer
from tests.support.requests import execute_request

pytestmark = pytest.mark.anyio

SAMPLE = Path(__file__).parents[3] / "sample-extensions" / "scheduler-demo"


async def test_setup_configure_and_setup_again_leave_two_schedules(settings: Settings) -> None:
    server = AlgasOwnServer("token")
    install_id = server.install()
    alga = HttpAlgaServer(
        "http://alga", SecretStr("token"), dialect=DIALECTS["alga"], transport=httpx.ASGITransport(server)
    )
    bundles = MemoryBundles()
    content_hash = bundles.add(read_bundle(SAMPLE), tenant_id="acme")

    async with Runner(settings, alga=alga, bundles=bundles) as runner:

        async def call(path: str, body: dict[str, Any]) -> None:
            request = execute_request(
                content_hash,
                context={"extension_id": "demo", "install_id": install_id, "request_id": path[1:]},
                http={
                    "method": "POST",
                    "path": path,
                    "body_b64": b64encode(json.dumps(body).encode()).decode(),
                },
                providers=["cap:scheduler.manage"],
            )
            assert (await runner.execute(request)).status == 200

        await call("/setup", {})
        await call("/configure", {"intervalHours": 6})
        await call("/setup", {})

    assert [(row["name"], row["cron"], row["payload"]) for row in server.installs[install_id]] == [
        ("Hourly sync", "0 */6 * * *", {"full": False}),
        ("Nightly full sync", "30 2 * * *", {"full": True}),
    ]
