"""Health, readiness and metrics."""

from __future__ import annotations

from pathlib import Path

import anyio
import httpx
import pytest
from pydantic import SecretStr

from alga_runner import Runner, Settings
from alga_runner.alga import HttpAlgaServer
from alga_runner.bundles import FolderBundles, MemoryBundles
from alga_runner.service import create_service, health
from alga_runner.service.health import Peers, ReadyWorkers
from alga_runner.service.http import Refused

pytestmark = pytest.mark.anyio


@pytest.fixture
def ask(settings: Settings):
    async def get(path: str, bundles) -> httpx.Response:
        async with Runner(settings, bundles=bundles) as runner:
            transport = httpx.ASGITransport(create_service(runner))
            async with httpx.AsyncClient(transport=transport, base_url="http://runner") as client:
                return await client.get(path)

    return get


async def test_a_runner_that_can_execute_is_ready(client) -> None:
    response = await client.get("/readyz")

    assert response.status_code == 200
    assert response.json() == {
        "status": "ready",
        "checks": {"engine": "ok", "bundle_store": "ok", "server_token": "ok", "accepting": "ok"},
    }


async def test_probes_ask_for_no_token_and_are_never_cached(client) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        response = await client.get(path)
        assert response.status_code == 200
        assert response.headers["cache-control"] == "no-store"


async def test_a_store_that_is_gone_makes_it_unready_but_alive(ask, tmp_path: Path) -> None:
    gone = FolderBundles(tmp_path / "gone")

    ready, alive = await ask("/readyz", gone), await ask("/healthz", gone)

    assert (ready.status_code, ready.json()["checks"]["bundle_store"]) == (503, "bundle_store_unreachable")
    assert alive.status_code == 200
    assert alive.json() == {"status": "ok", "bundle_store": "bundle_store_unreachable"}


async def test_a_store_that_is_there_is_reachable_even_if_empty(ask, tmp_path: Path) -> None:
    assert (await ask("/readyz", FolderBundles(tmp_path))).status_code == 200


async def test_a_store_that_does_not_answer_counts_as_unreachable(
    ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hanging(MemoryBundles):
        async def reachable(self) -> bool:
            await anyio.sleep_forever()

    monkeypatch.setattr(health, "PATIENCE_S", 0.0)

    assert (await ask("/readyz", Hanging())).status_code == 503


async def test_a_refused_server_token_makes_it_unready_until_the_server_accepts_it(
    settings: Settings,
) -> None:
    def check(request: httpx.Request) -> httpx.Response:
        checked.append(request)
        if request.headers["x-runner-auth"] != accepted:
            return httpx.Response(401, json={"error": "Invalid runner token", "code": "UNAUTHORIZED"})
        return httpx.Response(404, json={"error": "Install not found", "code": "NOT_FOUND"})

    checked: list[httpx.Request] = []
    accepted = "another-token"
    alga = HttpAlgaServer("http://alga", SecretStr("token"), transport=httpx.MockTransport(check))
    async with Runner(settings, alga=alga) as runner:
        transport = httpx.ASGITransport(create_service(runner))
        async with httpx.AsyncClient(transport=transport, base_url="http://runner") as client:
            alga.token_refused = True
            refused = await client.get("/readyz")
            accepted = "token"
            ready = await client.get("/readyz")
            await client.get("/readyz")

    assert (refused.status_code, refused.json()["checks"]["server_token"]) == (503, "refused")
    assert (ready.status_code, ready.json()["checks"]["server_token"]) == (200, "ok")
    assert len(checked) == 2


async def test_a_runner_that_was_left_is_not_ready(settings: Settings) -> None:
    async with Runner(settings) as runner:
        service = create_service(runner)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(service), base_url="http://runner") as client:
        response = await client.get("/readyz")

    assert response.status_code == 503
    assert response.json()["checks"]["engine"] == "not_running"


async def test_a_head_request_gets_headers_alone(client) -> None:
    response = await client.head("/healthz")

    assert response.status_code == 200
    assert int(response.headers["content-length"]) > 0
    assert response.content == b""


async def test_metrics_count_requests_and_executions(client, execute, publish) -> None:
    await execute()
    await execute(publish("unreachable"))
    await client.get("/nope/" + "x" * 100)

    response = await client.get("/metrics")

    assert response.headers["content-type"].startswith("text/plain")
    for sample in (
        'alga_runner_http_requests_total{route="/v1/execute",status="200"} 2.0',
        'alga_runner_http_requests_total{route="other",status="404"} 1.0',
        'alga_runner_executions_total{status="success"} 1.0',
        'alga_runner_executions_total{status="guest_trap"} 1.0',
        "alga_runner_executions_in_progress 0.0",
    ):
        assert sample in response.text.splitlines()


class Others(Peers):
    """Two of three workers answer, and what they counted can be had or not."""

    def __init__(self, page: bytes | None = None) -> None:
        self._page = page

    @property
    def workers(self) -> ReadyWorkers:
        return ReadyWorkers(ready=2, of=3)

    async def metrics(self) -> bytes:
        if self._page is None:
            raise Refused(503, "metrics_unavailable", "Not now.")
        return self._page


@pytest.fixture
def ask_one_of_three(runner: Runner):
    async def get(path: str, peers: Peers) -> httpx.Response:
        transport = httpx.ASGITransport(create_service(runner, peers=peers, require_token=False))
        async with httpx.AsyncClient(transport=transport, base_url="http://runner") as client:
            return await client.get(path)

    return get


async def test_of_several_workers_a_probe_says_how_many_answer(ask_one_of_three) -> None:
    for path in ("/readyz", "/healthz"):
        response = await ask_one_of_three(path, Others())
        assert (response.status_code, response.json()["workers"]) == (200, {"ready": 2, "of": 3})


async def test_of_several_workers_the_metrics_are_those_of_all(ask_one_of_three) -> None:
    response = await ask_one_of_three("/metrics", Others(b"counted_total 3.0\n"))

    assert response.content == b"counted_total 3.0\n"


async def test_metrics_that_cannot_be_told_are_an_error_not_a_smaller_number(ask_one_of_three) -> None:
    response = await ask_one_of_three("/metrics", Others())

    assert (response.status_code, response.json()["error"]) == (503, "metrics_unavailable")


async def test_a_service_that_retires_answers_and_says_that_it_was_the_last_on_the_connection(
    service, client, execute
) -> None:
    assert "connection" not in (await execute()).headers

    service.retire()

    for response in (await execute(), await client.get("/readyz"), await client.get("/nowhere")):
        assert response.headers["connection"] == "close"
    assert (await client.get("/readyz")).status_code == 200
