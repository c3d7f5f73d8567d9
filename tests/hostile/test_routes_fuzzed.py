"""Every route of the OpenAPI document, asked with all that the document allows, and with what it does not allow.

None may fail, and every answer must be one that the document names, in its shape. ``FUZZ_EXAMPLES`` is how many
requests each route gets (``make fuzz``).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import requests
import schemathesis
import uvicorn
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, given, seed
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from alga_server import OffsetClock, Server, ServerSettings
from alga_server.http.internal.routes import APIS
from tests.support.bundles import make_archive, manifest_api
from tests.support.patience import PATIENCE_S

pytestmark = [pytest.mark.postgres, pytest.mark.routes]

ROUNDS = 10
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "12"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
RUNNER_TOKEN, ADMIN_TOKEN = "runner-token-of-the-fuzz", "admin-token-of-the-fuzz"
SETTINGS = ServerSettings(
    runner_token=RUNNER_TOKEN,
    admin_token=ADMIN_TOKEN,
    require_execution_token=False,
    dispatch_schedules=False,
    schedule_changes_burst=40,
    development=True,
)
GRANTS = [api.capability for api in APIS]
ARCHIVE = make_archive(capabilities=GRANTS, api=manifest_api("POST /sync", "GET /report"))
TENANT = "tenant-fuzz"
CLIENT = "11111111-1111-4111-8111-111111111111"


def document() -> dict[str, Any]:
    app = Server(SETTINGS, clock=OffsetClock(), allow_clock=True).app
    with start_blocking_portal() as portal:

        async def fetch() -> Any:
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://server"
            ) as client:
                return (await client.get("/openapi.json")).json()

        document: dict[str, Any] = portal.call(fetch)
    return document


DOCUMENT = document()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
# The clock first: there is hardly anything yet that a year could fire.
ROUTES = sorted(
    ((method, path) for path, methods in DOCUMENT["paths"].items() for method in methods),
    key=lambda route: ("clock" not in route[1], route[1], route[0]),
)


class _QuietUvicorn(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def answered(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"status": 200, "headers": {}, "body_b64": None, "error": None})


@dataclass
class Target:
    """The server on a socket, with an install and a schedule that there are."""

    url: str
    session: requests.Session

    def admin(self, method: str, path: str, **options: Any) -> Any:
        headers = {"authorization": f"Bearer {ADMIN_TOKEN}"}
        answer = self.session.request(
            method, f"{self.url}/api/admin{path}", headers=headers, timeout=PATIENCE_S, **options
        )
        return answer.json() if answer.content else None

    def furnish(self) -> dict[str, str]:
        """Ids that mean something, made again where an earlier request deleted what they meant."""
        extension_id = self.admin("POST", "/extensions", data=ARCHIVE)["extensionId"]
        installs = self.admin("GET", f"/tenants/{TENANT}/installs")["installs"]
        if not installs:
            body = {"extensionId": extension_id, "grants": GRANTS}
            installs = [self.admin("POST", f"/tenants/{TENANT}/installs", json=body)]
        install_id = installs[0]["installId"]
        root = f"/tenants/{TENANT}/installs/{install_id}"
        # As they were: enabled, granted, with room.
        self.admin("PATCH", root, json={"enabled": True, "grants": GRANTS})
        for schedule in self.admin("GET", f"{root}/schedules")["schedules"]:
            self.admin("DELETE", f"{root}/schedules/{schedule['id']}")
        schedule = self.admin("POST", f"{root}/schedules", json={"endpoint": "/sync", "cron": "0 4 1 1 *"})
        self.admin("POST", f"{root}/schedules/{schedule['id']}/run-now")
        return {
            "tenant_id": TENANT,
            "extension_id": extension_id,
            "install_id": install_id,
            "schedule_id": schedule["id"],
            "run_id": self.admin("GET", f"{root}/runs")["runs"][0]["id"],
        }


@pytest.fixture(scope="module")
def target(lasting_database_url: str) -> Iterator[Target]:
    server = Server(
        SETTINGS.model_copy(update={"database_url": lasting_database_url}),
        clock=OffsetClock(),
        allow_clock=True,
        runner_transport=httpx.MockTransport(answered),
    )
    clients = [{"clientId": CLIENT, "clientName": "Client"}]
    services = [{"serviceId": CLIENT, "serviceName": "Service"}]
    server.seed.add(TENANT, {"clients": clients, "services": services})
    served = _QuietUvicorn(uvicorn.Config(server.app, log_config=None, ws="none"))
    with (
        start_blocking_portal() as portal,
        socket.create_server(("127.0.0.1", 0)) as listener,
        requests.Session() as session,
    ):
        task = portal.start_task_soon(served.serve, [listener])
        session.trust_env = False
        yield Target(f"http://127.0.0.1:{listener.getsockname()[1]}", session)
        served.should_exit = True
        task.result()


@pytest.mark.parametrize(("method", "path"), ROUTES, ids=[f"{method} {path}" for method, path in ROUTES])
def test_a_route_never_fails_and_answers_as_it_says(target: Target, method: str, path: str) -> None:
    ids = target.furnish()
    identity = {
        "x-runner-auth": RUNNER_TOKEN,
        "x-api-key": RUNNER_TOKEN,
        "authorization": f"Bearer {ADMIN_TOKEN}",
        "x-alga-tenant": ids["tenant_id"],
        "x-alga-extension": ids["extension_id"],
        "x-ext-install-id": ids["install_id"],
    }

    meaning = {
        "scheduleId": ids["schedule_id"],
        "namespace": "fuzz",
        "key": "a",
        "clientId": CLIENT,
        "items": [{"serviceId": CLIENT, "quantity": 1, "description": "", "rate": 1}],
        "dueDate": None,
        "invoiceDate": None,
        "extensionId": ids["extension_id"],
        "endpoint": "/sync",
        "cron": "0 4 * * *",
        "timezone": "UTC",
        "enabled": True,
        "missedRuns": "skip",
        "missedWindowSeconds": 60,
        "maxAttempts": 2,
        "retryDelaySeconds": 60,
        "retryFactor": 1,
        "payload": [],
        "versionId": None,
        "grants": [],
        "advance": {"seconds": 1},
        "to": None,
    }
    statuses: set[int] = set()

    @hypothesis_settings(
        max_examples=EXAMPLES,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=SCHEMA[path][method.upper()].as_strategy(),
        known=st.sampled_from([True, True, True, False]),
        real=st.sampled_from([True, True, False]),
    )
    def ask(case: Any, known: bool, real: bool) -> None:
        if real:
            case.path_parameters.update({name: ids[name] for name in case.path_parameters if name in ids})
            if isinstance(case.body, dict):
                case.body.update({name: value for name, value in meaning.items() if name in case.body})
            elif case.media_type == "application/octet-stream":
                case.body = ARCHIVE
        response = case.call_and_validate(
            base_url=target.url,
            session=target.session,
            headers=identity if known else None,
            checks=CHECKS,
            timeout=PATIENCE_S,
        )
        statuses.add(response.status_code)

    # A route that refused every request was not tried. (A second install of one extension is a conflict at best, and no
    # host is known.) Of a few requests, by chance none may be a good one: then there are more.
    tried = {404} if path.endswith("lookup-by-host") else {200, 201, 202, 204, 409}
    for number in range(ROUNDS):
        seed(20260101 + number)(ask)()
        if statuses & tried:
            break
    assert statuses & tried, statuses
