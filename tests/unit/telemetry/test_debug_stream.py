"""The debug stream without a Redis: bounds, shares, and settings that cannot be used."""

from __future__ import annotations

import logging
import sys
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from alga_runner import Settings
from alga_runner.errors import SettingsError
from alga_runner.models import ExecutionContext
from alga_runner.telemetry import DebugStream
from alga_runner.telemetry.debug_stream import MAX_EVENTS, MAX_EVENTS_PER_TENANT
from tests.support.patience import PATIENCE_S

AWAY = "redis://:hunter2@127.0.0.1:9/0"


@pytest.fixture
def lost() -> list[int]:
    return []


@pytest.fixture
def stream(lost: list[int]) -> DebugStream:
    return DebugStream(with_url(AWAY), lost.append)


def with_url(url: str, **others: Any) -> Settings:
    return Settings(debug_redis_url=SecretStr(url), **others)


def push(stream: DebugStream, tenant: str = "acme", times: int = 1) -> None:
    who = ExecutionContext(tenant_id=tenant, extension_id="ext", content_hash="sha256:0")
    for _ in range(times):
        stream.push(who, "log", "info", "hello", truncated=False)


def test_a_tenant_that_logs_much_loses_its_own_events_alone(stream: DebugStream, lost: list[int]) -> None:
    push(stream, "loud", MAX_EVENTS_PER_TENANT + 3)
    push(stream, "quiet", 5)

    assert sum(lost) == 3


def test_all_tenants_together_have_a_bound(stream: DebugStream, lost: list[int]) -> None:
    for number in range(MAX_EVENTS // 100 + 1):
        push(stream, f"tenant-{number}", 100)

    assert sum(lost) == 100


@pytest.mark.anyio
async def test_a_redis_that_is_away_costs_events_which_are_counted_and_no_secret_is_logged(
    stream: DebugStream, lost: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    push(stream, times=3)

    with anyio.fail_after(PATIENCE_S):
        await stream.finish()

    (record,) = caplog.records
    assert sum(lost) == 3
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "Debug events not sent to Redis: ConnectionError (events=3)"


@pytest.mark.anyio
async def test_a_tenants_share_is_free_again_once_its_events_are_gone(
    stream: DebugStream, lost: list[int]
) -> None:
    push(stream, times=MAX_EVENTS_PER_TENANT)
    await stream.finish()
    lost.clear()

    push(stream, times=MAX_EVENTS_PER_TENANT)

    assert lost == []


def test_a_url_that_is_no_redis_is_refused_and_not_quoted() -> None:
    with pytest.raises(SettingsError) as refused:
        DebugStream(with_url("http://user:hunter2@example"), list[int]().append)

    assert "RUNNER_DEBUG_REDIS_URL" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_the_setting_without_the_package_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)

    with pytest.raises(SettingsError) as refused:
        DebugStream(with_url(AWAY), list[int]().append)
    assert "alga-runner[redis]" in (refused.value.hint or "")


@pytest.mark.parametrize("url", [None, ""])
def test_without_a_url_there_is_no_stream(url: str | None) -> None:
    settings = Settings() if url is None else with_url(url)

    assert DebugStream.of(settings, list[int]().append) is None
