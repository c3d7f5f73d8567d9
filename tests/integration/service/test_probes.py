"""Health, readiness and metrics."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx
import pytest
from pydantic import SecretStr

from alga_common import readiness
from alga_common.readiness import Finding
from alga_runner import Runner, Settings
from alga_runner.alga import HttpAlgaServer, NoAlgaServer
from alga_runner.bundles import FolderBundles, MemoryBundles
from alga_runner.bundles.stores import ArchiveCache, HttpStore, RemoteBundles
from alga_runner.service import create_service
from alga_runner.service.health import Peers, ReadyWorkers
from alga_runner.service.http import Refused
from tests.support.clock import FakeMonotonic

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
        "checks": {
            "engine": "ok",
            "accepting": "ok",
            "bundle_store": "ok",
            "alga_server": "not_configured",
        },
        "failures": {},
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
    assert alive.json() == {
        "status": "ok",
        "cache_writable": True,
        "bundle_store": "bundle_store_unreachable",
        "ext_cache_max_bytes": None,
    }


@pytest.mark.parametrize(
    ("cached", "status", "code"), [(True, 200, "not_checked"), (False, 503, "bundle_store_unreachable")]
)
async def test_a_store_over_http_that_is_down_takes_no_runner_with_a_cache_out_of_service(
    ask, tmp_path: Path, cached: bool, status: int, code: str
) -> None:
    def down() -> RemoteBundles:
        cache = ArchiveCache(tmp_path / "cache", 1 << 20) if cached else None
        return RemoteBundles(HttpStore("http://127.0.0.1:1"), cache)

    ready, alive = await ask("/readyz", down()), await ask("/healthz", down())

    assert (ready.status_code, ready.json()["checks"]["bundle_store"]) == (status, code)
    assert (alive.status_code, alive.json()["bundle_store"]) == (200, "bundle_store_unreachable")


async def test_a_cache_that_takes_no_bundles_fails_the_process(ask) -> None:
    class Full(MemoryBundles):
        cache_max_bytes = 1000

        async def cache_writable(self) -> bool:
            return False

    response = await ask("/healthz", Full())

    assert response.status_code == 503
    assert response.json() == {
        "status": "failing",
        "cache_writable": False,
        "bundle_store": "ok",
        "ext_cache_max_bytes": 1000,
    }


async def test_a_store_that_is_there_is_reachable_even_if_empty(ask, tmp_path: Path) -> None:
    assert (await ask("/readyz", FolderBundles(tmp_path))).status_code == 200


async def test_a_store_that_does_not_answer_counts_as_unreachable(
    ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Hanging(MemoryBundles):
        async def reachable(self) -> bool:
            await anyio.sleep_forever()

    monkeypatch.setattr(readiness, "TIME_LIMIT_S", 0.0)

    response = await ask("/readyz", Hanging())

    assert (response.status_code, response.json()["failures"]) == (
        503,
        {"bundle_store": "The bundle store did not answer within 0 s."},
    )


async def test_a_refused_server_token_makes_it_unready_until_the_server_accepts_it(
    settings: Settings, clock: FakeMonotonic
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
        transport = httpx.ASGITransport(create_service(runner, clock=clock))
        async with httpx.AsyncClient(transport=transport, base_url="http://runner") as client:
            refused = await client.get("/readyz")
            accepted = "token"
            clock.now += 1
            ready = await client.get("/readyz")
            await client.get("/readyz")

    assert (refused.status_code, refused.json()["checks"]["server_token"]) == (503, "refused")
    assert (ready.status_code, ready.json()["checks"]["server_token"]) == (200, "ok")
    assert [request.method for request in checked] == ["GET", "GET", "POST"]


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


@pytest.mark.parametrize(("token", "status"), [("the-service-token", 200), ("another", 401), (None, 401)])
async def test_a_ping_checks_the_caller_s_token_and_nothing_else(
    client, token: str | None, status: int
) -> None:
    headers = {} if token is None else {"x-runner-service-token": token}

    assert (await client.get("/v1/ping", headers=headers)).status_code == status


class Checked(NoAlgaServer):
    """A server of which a check finds ``code``; counted."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.times = 0

    async def check(self, now: Callable[[], datetime]) -> list[Finding]:
        self.times += 1
        return [Finding("server_token", self.code, "The Alga server refuses this process's token.")]


@pytest.fixture
def ask_with_server(settings: Settings):
    async def get(path: str, alga: Checked, times: int = 1) -> httpx.Response:
        async with Runner(settings, alga=alga, bundles=MemoryBundles()) as runner:
            transport = httpx.ASGITransport(create_service(runner))
            async with httpx.AsyncClient(transport=transport, base_url="http://runner") as client:
                return [await client.get(path) for _ in range(times)][-1]

    return get


async def test_a_token_that_the_server_refuses_makes_it_unready_but_alive(ask_with_server) -> None:
    ready, alive = (
        await ask_with_server("/readyz", Checked("refused")),
        await ask_with_server("/healthz", Checked("refused")),
    )

    assert (ready.status_code, alive.status_code) == (503, 200)
    assert ready.json()["failures"] == {"server_token": "The Alga server refuses this process's token."}


async def test_its_own_checks_leave_the_server_out(ask_with_server) -> None:
    alga = Checked("refused")

    assert (await ask_with_server("/readyz?checks=own", alga)).status_code == 200
    assert alga.times == 0


async def test_a_flood_of_probes_asks_the_server_once(ask_with_server) -> None:
    alga = Checked("ok")

    await ask_with_server("/readyz", alga, times=50)

    assert alga.times == 1


def failures(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.__dict__.get("action") == "check_failed"]


async def test_a_wrong_token_is_an_error_line_at_the_start(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    async with Runner(settings, alga=Checked("refused"), bundles=MemoryBundles()) as runner:
        service = create_service(runner)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(service.watch_checks)
            while not failures(caplog):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()

    [line] = failures(caplog)
    assert (line.levelname, line.__dict__["status"]) == ("ERROR", "refused")


async def test_known_labels_are_at_zero_before_the_first_request(client) -> None:
    lines = (await client.get("/metrics")).text.splitlines()

    for sample in (
        'alga_runner_executions_total{status="success"}',
        'alga_runner_executions_total{status="handler_error"}',
        'alga_runner_executions_total{status="guest_trap"}',
        'alga_runner_executions_total{status="deadline_exceeded"}',
        'alga_runner_executions_refused_total{reason="tenant_queue_full"}',
        'alga_runner_http_requests_total{route="/v1/execute",status="503"}',
        'alga_runner_host_calls_total{operation="scheduler.create",status="rate_limited"}',
        'alga_runner_compile_seconds_count{status="compile_timeout"}',
        'alga_runner_code_cache_total{result="discarded"}',
        'alga_runner_server_faults_total{fault="unauthorized"}',
        'extension_scheduler_api_calls_total{operation="list",status="success"}',
    ):
        assert f"{sample} 0.0" in lines
