"""What the server tells its operators: health, metrics, one log line per call; and what it never tells."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from alga_runner.errors import SettingsError
from alga_server import ManualClock, Server, ServerSettings, SystemClock, create_app
from alga_server.metrics import Metrics
from tests.support.server import Alga, Install

UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"

pytestmark = pytest.mark.anyio

CALLS = "extension_scheduler_api_calls_total"


def lines(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if getattr(record, "action", "") == "scheduler_api_call"]


def calls_counted(metrics: str) -> float:
    """How many calls of the scheduler API there were, of any operation."""
    lines = [line for line in metrics.splitlines() if line.startswith(f"{CALLS}{{")]
    assert lines, "operations are there from zero on"
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def test_health_is_ok(alga: Alga) -> None:
    response = await alga.client.get("/healthz")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("operation", "members", "status"),
    [
        ("list", {}, "success"),
        ("getEndpoints", {}, "success"),
        ("get", {"scheduleId": UNKNOWN_ID}, "success"),
        ("create", {"endpoint": "/sync", "cron": "0 * * * *"}, "success"),
        ("create", {"endpoint": "/sync", "cron": "* * * * *"}, "validation_failed"),
        ("delete", {"scheduleId": UNKNOWN_ID}, "not_found"),
    ],
)
async def test_a_call_is_counted_and_logged_once(
    install: Install, caplog: pytest.LogCaptureFixture, operation: str, members: dict[str, Any], status: str
) -> None:
    caplog.set_level(logging.INFO, "alga_server")

    await install.call(operation, **members)

    metrics = await install.alga.metrics()
    assert f'{CALLS}{{operation="{operation}",status="{status}"}} 1.0' in metrics
    assert f'extension_scheduler_api_duration_seconds_count{{operation="{operation}"}} 1.0' in metrics
    [line] = lines(caplog)
    assert (line.operation, line.status) == (operation, status)  # type: ignore[attr-defined]
    assert line.tenant_id == install.tenant  # type: ignore[attr-defined]
    assert line.extension_id == install.extension  # type: ignore[attr-defined]
    assert line.install_id == install.id  # type: ignore[attr-defined]
    assert line.request_id == "request-1"  # type: ignore[attr-defined]
    assert line.duration_ms == 0.0  # type: ignore[attr-defined]


async def test_over_quota_is_counted_as_such(install: Install, alga: Alga) -> None:
    for _ in range(51):
        await install.call("create", endpoint="/sync", cron="0 * * * *")

    assert f'{CALLS}{{operation="create",status="quota_exceeded"}} 1.0' in await alga.metrics()


async def test_denied_and_unauthorized_are_counted(alga: Alga) -> None:
    install = await alga.install(grants=())
    await install.call("list")
    await alga.client.post(install.path, headers=install.headers(x_runner_auth="wrong"))

    metrics = await alga.metrics()
    assert f'{CALLS}{{operation="list",status="denied"}} 1.0' in metrics
    assert f'{CALLS}{{operation="unknown",status="unauthorized"}} 1.0' in metrics


async def test_a_made_up_operation_makes_no_new_series(install: Install, alga: Alga) -> None:
    await install.call("made-up")

    metrics = await alga.metrics()
    assert "made-up" not in metrics
    assert f'{CALLS}{{operation="unknown",status="validation_failed"}} 1.0' in metrics


async def test_known_labels_are_at_zero_before_the_first_call(settings: ServerSettings) -> None:
    async with Server(settings) as server:
        transport = httpx.ASGITransport(server.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            lines = (await client.get("/metrics")).text.splitlines()

    for sample in (
        f'{CALLS}{{operation="create",status="rate_limited"}}',
        f'{CALLS}{{operation="unknown",status="unauthorized"}}',
        'alga_server_gateway_calls_total{outcome="handler_error"}',
        'alga_server_gateway_calls_total{outcome="runner_unavailable"}',
        'alga_server_admin_calls_total{outcome="unauthorized"}',
        'alga_server_schedule_runs_total{code="guest_trap",status="error",trigger="schedule"}',
        'alga_server_schedule_runs_total{code="runner_unavailable",status="error",trigger="run_now"}',
        'alga_server_schedule_runs_total{code="other",status="error",trigger="schedule"}',
        'alga_server_schedule_runs_total{code="run_lost",status="lost",trigger="schedule"}',
        'alga_server_schedule_skipped_total{reason="overlap"}',
        'alga_server_schedule_lost_total{reason="lease_expired"}',
        'alga_server_schedule_discrepancies_total{discrepancy="not_scheduled",outcome="repaired"}',
        "alga_server_schedule_runs_in_progress",
    ):
        assert f"{sample} 0.0" in lines
    assert "alga_server_schedule_run_places 50.0" in lines


def test_a_run_s_code_that_only_its_runner_knows_makes_no_new_series() -> None:
    metrics = Metrics(run_codes=["guest_trap"])

    for code in ("guest_trap", "made-up-1", "made-up-2"):
        metrics.schedule_run("error", "schedule", reason=None, code=code, missed=0)

    shown = metrics.text().decode()
    name = "alga_server_schedule_runs_total"
    assert f'{name}{{code="guest_trap",status="error",trigger="schedule"}} 1.0' in shown
    assert f'{name}{{code="other",status="error",trigger="schedule"}} 2.0' in shown
    assert "made-up" not in shown


async def test_two_servers_count_apart(alga: Alga, install: Install, settings: ServerSettings) -> None:
    await install.call("list")

    async with Server(settings) as other:
        transport = httpx.ASGITransport(other.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            assert calls_counted((await client.get("/metrics")).text) == 0


@pytest.mark.parametrize(
    ("operation", "members"), [("list", {}), ("get", {"scheduleId": UNKNOWN_ID}), ("getEndpoints", {})]
)
async def test_a_read_that_the_database_fails_is_a_failure_and_not_nothing(
    install: Install, operation: str, members: dict[str, Any]
) -> None:
    database = install.alga.server._services.database
    for table in ("tenant_extension_schedule", "extension_api_endpoint"):
        away = text(f"ALTER TABLE {table} RENAME TO {table}_away")
        await database.write(lambda c, away=away: c.execute(away))

    response = await install.call(operation, **members)

    assert response.status_code == 500
    assert "away" not in response.text
    assert "no such table" not in response.text


async def test_an_admins_call_is_not_counted_as_a_host_call(alga: Alga, install: Install) -> None:
    await alga.admin("GET", f"{install.admin_path}/schedules")

    assert calls_counted(await alga.metrics()) == 0


async def test_no_log_line_carries_a_payload_a_name_or_a_token(
    install: Install, alga: Alga, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    members = {"endpoint": "/sync", "cron": "0 * * * *", "payload": {"k": "private-payload"}}
    created = await install.call("create", name="private-name", **members)
    await install.call("create", name="private-name", **members)
    # A failure inside a statement, which SQLAlchemy's messages would spell out with its parameters.
    monkeypatch.setattr("alga_server.schedules.schedules.uuid4", lambda: created.json()["scheduleId"])
    failed = await install.call("create", name="private-other", **members)

    assert failed.status_code == 500
    text = caplog.text + str([vars(record) for record in caplog.records])
    assert "scheduler_api_failure" in text
    for secret in ("private-payload", "private-name", "private-other", "-token-of-the-test"):
        assert secret not in text


async def test_a_strange_request_id_does_not_reach_the_log(
    install: Install, alga: Alga, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "alga_server")

    for request_id in ("x" * 129, "a b", "tab\there"):
        await alga.client.post(
            install.path, json={"operation": "list"}, headers=install.headers(x_request_id=request_id)
        )

    assert [line.request_id for line in lines(caplog)] == [None] * 3  # type: ignore[attr-defined]


async def test_a_server_without_tokens_warns_when_it_starts(caplog: pytest.LogCaptureFixture) -> None:
    async with Server(ServerSettings(runner_token="changeme")):
        pass

    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert any("runner_token" in message for message in warned)
    assert any("admin_token" in message for message in warned)
    assert "changeme" not in caplog.text


async def test_the_app_works_without_lifespan_events(settings: ServerSettings) -> None:
    server = Server(settings)
    transport = httpx.ASGITransport(server.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        assert (await client.get("/healthz")).status_code == 200
    await server.aclose()


async def test_the_lifespan_starts_and_closes_the_server(settings: ServerSettings) -> None:
    app = create_app(settings)

    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            assert (await client.get("/healthz")).status_code == 200


def test_every_setting_is_described() -> None:
    for name, field in ServerSettings.model_fields.items():
        assert field.description, name


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALGA_SERVER_RUNNER_TOKEN", "from-the-environment")
    monkeypatch.setenv("ALGA_SERVER_MAX_SCHEDULES_PER_INSTALL", "7")

    settings = ServerSettings.load()

    assert settings.runner_token == SecretStr("from-the-environment")
    assert settings.max_schedules_per_install == 7
    assert "from-the-environment" not in repr(settings)


def test_a_bad_setting_is_named() -> None:
    with pytest.raises(SettingsError, match="max_schedules_per_install"):
        ServerSettings.load(max_schedules_per_install="many")


def test_a_manual_clock_moves_forward_only() -> None:
    clock = ManualClock()
    clock.advance(timedelta(minutes=1))

    assert clock.monotonic() == 60.0
    assert clock.now().isoformat() == "2026-01-01T00:01:00+00:00"
    with pytest.raises(ValueError, match="back"):
        clock.advance(timedelta(seconds=-1))


def test_the_system_clock_is_aware() -> None:
    clock = SystemClock()

    assert clock.now().tzinfo is not None
    assert clock.monotonic() <= clock.monotonic()
