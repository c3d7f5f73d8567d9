"""``/readyz`` of the server: each thing it needs is checked for real, and a flood of probes costs nothing."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
from pydantic import SecretStr

from alga_common import readiness
from alga_runner.alga import HttpAlgaServer
from alga_server import ManualClock, Server, ServerSettings
from tests.support.server import RUNNER_TOKEN, Alga, FakeRunner

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    return ServerSettings(
        database_url=f"sqlite:///{tmp_path / 'alga.db'}",
        bundle_store=tmp_path / "bundles",
        runner_token=RUNNER_TOKEN,
        runner_service_token="hush-hush-token",
        dispatch_schedules=False,
    )


@pytest.fixture
def runner_transport(fake_runner: FakeRunner) -> httpx.AsyncBaseTransport:
    return httpx.MockTransport(fake_runner)


async def ask(alga: Alga, query: str = "") -> tuple[int, dict[str, Any]]:
    """Ask when no result is kept any more."""
    alga.clock.advance(timedelta(seconds=readiness.KEPT_S))
    response = await alga.client.get(f"/readyz{query}")
    return response.status_code, response.json()


async def test_a_server_that_has_what_it_needs_is_ready(alga: Alga) -> None:
    assert await ask(alga) == (
        200,
        {
            "status": "ready",
            "checks": {"database": "ok", "bundle_store": "ok", "runner": "ok"}
            | {"runner_service_token": "ok", "runner_clock": "not_checked"},
            "failures": {},
        },
    )


async def test_no_answer_may_be_cached(alga: Alga) -> None:
    assert (await alga.client.get("/readyz")).headers["cache-control"] == "no-store"


async def test_a_token_that_the_runner_refuses_makes_it_unready(alga: Alga, fake_runner: FakeRunner) -> None:
    fake_runner.ping_status = 401

    status, answer = await ask(alga)

    assert (status, answer["failures"]) == (
        503,
        {"runner_service_token": "The runner refuses this process's token."},
    )


async def test_a_bundle_store_that_cannot_be_written_makes_it_unready(alga: Alga, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "bundles")

    status, answer = await ask(alga)

    assert (status, answer["checks"]["bundle_store"]) == (503, "unusable")
    assert str(tmp_path) not in str(answer)


async def test_the_check_of_the_store_leaves_nothing_there(alga: Alga, tmp_path: Path) -> None:
    await ask(alga)

    assert [path.name for path in (tmp_path / "bundles").iterdir()] == [".lock"]


async def test_a_database_that_another_program_made_makes_it_unready(alga: Alga, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "alga.db") as connection:
        connection.execute("DROP TABLE alembic_version")
    connection.close()

    status, answer = await ask(alga)

    assert (status, answer["failures"]) == (503, {"database": "The database cannot be used."})


async def test_a_locked_database_makes_it_unready_until_it_is_free(
    alga: Alga, settings: ServerSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "TIME_LIMIT_S", 0.2)
    other = Server(settings, clock=alga.clock, runner_transport=httpx.MockTransport(FakeRunner()))
    connection = sqlite3.connect(tmp_path / "alga.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")

    [database, *_] = await other.check()
    connection.execute("ROLLBACK")
    connection.close()
    alga.clock.advance(timedelta(seconds=1))
    while database.failed:
        [database, *_] = await other.check()
        alga.clock.advance(timedelta(seconds=1))
    await other.aclose()

    assert database.code == "ok"


async def test_its_own_checks_do_not_ask_the_runner(alga: Alga, fake_runner: FakeRunner) -> None:
    fake_runner.ping_status = 502

    assert (await ask(alga, "?checks=own"))[0] == 200
    assert (await ask(alga))[0] == 503
    assert fake_runner.pings == 1


async def test_a_flood_of_probes_asks_the_runner_once(alga: Alga, fake_runner: FakeRunner) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(alga.client.get, "/readyz")

    assert fake_runner.pings == 1


async def test_a_runner_that_is_not_there_is_named_without_its_address(settings: ServerSettings) -> None:
    unreachable = settings.model_copy(update={"runner_url": "http://127.0.0.1:1"})
    async with (
        Server(unreachable, clock=ManualClock()) as server,
        httpx.AsyncClient(transport=httpx.ASGITransport(server.app), base_url="http://server") as client,
    ):
        response = await client.get("/readyz")

    assert (response.status_code, response.json()["failures"]) == (
        503,
        {"runner": "The runner cannot be reached."},
    )


async def test_a_wrong_token_is_an_error_line_at_the_start(
    alga: Alga, fake_runner: FakeRunner, caplog: pytest.LogCaptureFixture
) -> None:
    fake_runner.ping_status = 401
    with anyio.CancelScope() as scope, caplog.at_level(logging.INFO, "alga_server"):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(alga.server.watch_checks)
            while not caplog.records:
                await anyio.lowlevel.checkpoint()
            scope.cancel()

    [line] = caplog.records
    assert (line.levelname, line.__dict__["status"]) == ("ERROR", "refused")
    assert "ALGA_SERVER_RUNNER_SERVICE_TOKEN must be the runner's RUNNER_SERVICE_TOKEN" in line.getMessage()
    assert "hush" not in line.getMessage()


@pytest.mark.parametrize(
    ("token", "codes"),
    [
        (RUNNER_TOKEN, {"alga_server": "ok", "server_token": "ok", "server_clock": "not_checked"}),
        ("another", {"alga_server": "ok", "server_token": "refused", "server_clock": "not_checked"}),
    ],
)
async def test_a_runner_learns_whether_its_token_is_accepted(
    alga: Alga, token: str, codes: dict[str, str]
) -> None:
    transport = httpx.ASGITransport(alga.server.app)
    client = HttpAlgaServer("http://server/api", SecretStr(token), transport=transport)

    findings = await client.check(alga.clock.now)

    assert {finding.name: finding.code for finding in findings} == codes
    await client.aclose()


async def test_the_check_of_the_token_asks_nobody_else(alga: Alga, fake_runner: FakeRunner) -> None:
    response = await alga.client.get("/api/internal/ping", headers={"x-runner-auth": RUNNER_TOKEN})

    assert (response.status_code, response.json(), fake_runner.pings) == (200, {"status": "ok"}, 0)
