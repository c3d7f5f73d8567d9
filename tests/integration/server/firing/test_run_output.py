"""What a failed run logged and answered is kept with it: bounded, and of the newest runs."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection

from alga_server.firing import claims, recording, runs
from alga_server.firing.due import DueSchedule
from alga_server.firing.recording import Ending, Worker
from tests.support.server import SUCCESS, FakeRunner, Install

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

KEPT = runs.OUTPUT_BYTES


def answering(fake_runner: FakeRunner, *, body: bytes | None = None, **members: Any) -> None:
    body_b64 = None if body is None else base64.b64encode(body).decode()
    fake_runner.answer = httpx.Response(200, json={**SUCCESS, "body_b64": body_b64, **members})


async def run_once(install: Install) -> dict[str, Any]:
    """Fire a new schedule by hand."""
    answer: dict[str, Any] = (await install.run_now(await install.create())).json()
    return answer


async def test_a_failed_run_keeps_the_log_and_the_body(install: Install, fake_runner: FakeRunner) -> None:
    answering(fake_runner, status=502, body='{"error": "Zürich"}'.encode(), log_tail="error: no route")

    await run_once(install)

    [run] = await install.runs()
    assert (run["guestLog"], run["responseBody"]) == ("error: no route", '{"error": "Zürich"}')
    assert fake_runner.headers[0]["x-alga-log-tail"] == str(KEPT)


async def test_an_execution_without_a_response_keeps_the_log(
    install: Install, fake_runner: FakeRunner
) -> None:
    answering(
        fake_runner, status=500, error="execute_failed: guest_trap: It trapped.", log_tail="info: last words"
    )

    run = await run_once(install)

    assert (run["errorCode"], run["guestLog"], run["responseBody"]) == (
        "guest_trap",
        "info: last words",
        None,
    )


async def test_a_run_that_succeeded_keeps_neither(install: Install, fake_runner: FakeRunner) -> None:
    answering(fake_runner, body=b"secret", log_tail="info: all is well")

    run = await run_once(install)

    assert (run["status"], run["guestLog"], run["responseBody"]) == ("success", None, None)


async def test_a_runner_that_gives_no_log_is_no_failure(install: Install, fake_runner: FakeRunner) -> None:
    answering(fake_runner, status=500)

    run = await run_once(install)

    assert (run["errorCode"], run["guestLog"], run["responseBody"]) == ("handler_status", None, None)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"x" * 5000, "x" * KEPT),
        ("ä".encode() * KEPT + b"!", "ä" * (KEPT // 2 - 1) + "!"),
        (b"\xff\0ok", "�?ok"),
    ],
)
async def test_a_body_is_cut_between_characters_and_made_storable(
    install: Install, fake_runner: FakeRunner, sent: bytes, kept: str
) -> None:
    answering(fake_runner, status=500, body=sent, log_tail=sent.decode(errors="replace"))

    run = await run_once(install)

    assert run["responseBody"] == run["guestLog"] == kept
    assert len(kept.encode()) <= KEPT


async def test_the_newest_failed_runs_of_an_install_keep_theirs(
    install: Install, fake_runner: FakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "OUTPUTS_KEPT", 2)
    other = await install.alga.install("tenant-b")
    answering(fake_runner, status=500, body=b"why", log_tail="error: why")
    await run_once(other)

    for _ in range(4):
        await run_once(install)

    kept = [run["guestLog"] is not None and run["responseBody"] is not None for run in await install.runs()]
    assert kept == [False, False, True, True]
    assert [run["guestLog"] for run in await other.runs()] == ["error: why"]


async def test_runs_that_end_together_have_the_outputs_of_their_install_looked_at_once(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "OUTPUTS_KEPT", 2)
    others = [install, await install.alga.install("tenant-b")]
    clock, worker = install.alga.clock, Worker("worker-1", timedelta(seconds=60))
    due = [
        DueSchedule(own.tenant, own.id, await own.create(cron="0 1 * * *"), running=False)
        for own in others
        for _ in range(3)
    ]
    clock.advance(timedelta(hours=1))
    looked, prune = list[str](), runs.prune_outputs

    def counted(connection: Connection, tenant_id: str, install_id: str) -> None:
        looked.append(tenant_id)
        prune(connection, tenant_id, install_id)

    monkeypatch.setattr(runs, "prune_outputs", counted)
    failed = Ending("error", error_code="handler_status", guest_log="error: why")

    def fire(connection: Connection) -> None:
        outcomes = claims.claim_many(connection, due, worker, clock, room=6)
        begun = [outcome.run for outcome in outcomes if isinstance(outcome, claims.Claim)]
        recording.finish_all(connection, [recording._ended(run, failed, duration_ms=1) for run in begun])

    await install.alga.server._services.database.write(fire)

    assert looked == ["tenant-a", "tenant-b"]
    for own in others:
        assert [run["guestLog"] for run in await own.runs()] == [None, "error: why", "error: why"]


async def test_a_run_is_shown_to_its_own_tenant(install: Install, fake_runner: FakeRunner) -> None:
    answering(fake_runner, status=500, body=b"why")
    run = await run_once(install)
    alga = install.alga

    own = await alga.admin("GET", f"/api/admin/tenants/{install.tenant}/runs/{run['id']}")
    foreign = await alga.admin("GET", f"/api/admin/tenants/tenant-b/runs/{run['id']}")

    assert (own.status_code, own.json()) == (200, run)
    assert foreign.status_code == 404
