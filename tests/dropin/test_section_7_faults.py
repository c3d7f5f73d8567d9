"""Section 7: the proven faults of Alga's runner are not this one's.

Those of the service are below, or in the modules of their sections; the others are tested where their parts are:

 1  a key of another tenant: here; bounds, age and fingerprint: integration/service/test_idempotency
 2  no token, and headers that name another tenant than the body: here
 3  WASI HTTP: unit/guests/test_wasi_http
 4  requests to servers, and to which addresses: integration/egress, unit/egress, integration/capabilities/test_http
 5  a cached bundle of another tenant: here
 6, 7, 22  tenants and keys of pages: test_section_2_registry
 8  expired and unknown envelopes: unit/secrets, integration/capabilities/test_secrets
 9, 21  keys of the UI proxy: integration/capabilities/test_ui_proxy
10, 11  an engine, a compilation and a thread for each request: here
12  no time limit: test_section_1_1_request; a host call that waits: hostile/test_limits_hold
13  limits without a ceiling and configuration: test_section_1_1_request, test_section_1_9_callers; ``fuel`` stays
    ignored, as ``cpu_ms`` bounds computing
14  errors with HTTP 200: stays, test_section_1_3_order lists what differs
15, 16  caching of answers, size of bodies: test_section_2_routes, test_section_1_1_request
17, 18  events that are cut, and tagged with their execution: unit/telemetry/test_debug_stream
19  pages that are half unpacked, or missing: test_section_2_ui; archives: unit/bundles
20  the order of checks: test_section_1_3_order
23  a panic that no request reaches: nothing to show
24 to 27  storage and clients: integration/capabilities/test_storage, test_clients_and_services
28  updates that clear: unit/alga/test_updates_carry
29  words of a refusal: the modules of integration/capabilities
41  schedules that a guest cannot tell: test_section_1_9_callers
"""

from __future__ import annotations

import threading

import httpx
import pytest

from alga_runner import Runner
from alga_runner.bundles import MemoryBundles
from tests.support.bundles import make_bundle
from tests.support.guests import guest_wat
from tests.support.requests import execute_document

pytestmark = pytest.mark.anyio


def metric(runner: Runner, sample: str) -> float:
    lines = runner.telemetry.render().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(sample))


async def test_fault_1_a_key_of_one_tenant_gives_nothing_to_another(
    client: httpx.AsyncClient, publish
) -> None:
    async def call(tenant: str) -> httpx.Response:
        headers = {"x-alga-tenant": tenant, "x-alga-extension": "ext", "x-idempotency-key": "chosen"}
        return await client.post(
            "/v1/execute", json=execute_document(content_hash, tenant=tenant), headers=headers
        )

    content_hash = publish()
    first, other = await call("acme"), await call("globex")

    assert "idempotent-replayed" not in other.headers
    assert first.json() != other.json()


async def test_fault_2_a_closed_runner_asks_for_the_token(
    runner: Runner, closed: httpx.AsyncClient, publish
) -> None:
    headers = {"x-alga-tenant": "acme", "x-alga-extension": "ext"}

    response = await closed.post("/v1/execute", json=execute_document(publish()), headers=headers)

    assert response.status_code == 401


@pytest.mark.parametrize("header", ["x-alga-tenant", "x-alga-extension"])
async def test_fault_2_headers_cannot_choose_another_bundle_than_the_body(execute, header: str) -> None:
    response = await execute(headers={header: "globex"})

    assert response.json()["error"] == "routing_headers_mismatch"


async def test_fault_5_a_bundle_that_one_tenant_loaded_is_not_there_for_another(
    client: httpx.AsyncClient, bundles: MemoryBundles
) -> None:
    async def call(tenant: str) -> str | None:
        headers = {"x-alga-tenant": tenant, "x-alga-extension": "ext"}
        document = execute_document(content_hash, tenant=tenant)
        response = await client.post("/v1/execute", json=document, headers=headers)
        error: str | None = response.json()["error"]
        return error

    content_hash = bundles.add(make_bundle(guest_wat(), version="5.0.0"), tenant_id="acme")

    assert await call("acme") is None
    assert (await call("globex") or "").startswith("bundle_fetch_failed: bundle_not_found: ")


async def test_faults_10_and_11_a_second_call_compiles_nothing_and_starts_no_thread(
    execute, publish, runner: Runner
) -> None:
    content_hash = publish()
    await execute(content_hash)
    before = threading.active_count(), metric(runner, "alga_runner_compile_seconds_count")

    for _ in range(20):
        await execute(content_hash, limits={"timeout_ms": 60_000})

    assert (threading.active_count(), metric(runner, "alga_runner_compile_seconds_count")) == before
