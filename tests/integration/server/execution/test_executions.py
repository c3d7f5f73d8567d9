"""The request that the server sends a runner, and the outcome of every answer."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import anyio
import httpx
import pytest

from alga_common.logging import TextLines
from alga_runner.errors import SettingsError
from alga_runner.models import ExecuteRequest, User
from alga_server import ManualClock, ServerSettings
from alga_server.catalog.installs import Install
from alga_server.errors import (
    ExecutionFailed,
    ExecutionTimedOut,
    RunnerBusy,
    RunnerFailure,
    RunnerProtocolError,
    RunnerRefused,
    RunnerTimeout,
    RunnerUnavailable,
)
from alga_server.execution import executions
from alga_server.execution.executions import Executor, Firing, Outcome
from alga_server.execution.runner_client import RunnerClient
from alga_server.execution.tokens import ExecutionTokens
from alga_server.storage.database import Database
from tests.support.server import SUCCESS, Answer, ScriptedRunner

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 1, tzinfo=UTC)
INSTALL = Install(
    install_id="install-1",
    tenant_id="tenant-a",
    extension_id="extension-1",
    extension_name="com.example.sync",
    version_id="version-1",
    version="1.0.0",
    content_hash="sha256:" + "0" * 64,
    enabled=True,
    config={"region": "eu"},
    grants=frozenset({"cap:scheduler.manage"}),
    created_at=NOW,
    updated_at=NOW,
    rate_arrival_at=None,
)
SERVICE_TOKEN = "service-token-of-the-test"
Execute = Callable[..., Awaitable[Outcome]]


@pytest.fixture
def runner() -> ScriptedRunner:
    return ScriptedRunner()


@pytest.fixture
def settings() -> ServerSettings:
    return ServerSettings(
        runner_url="http://runner.test/base/",
        runner_service_token=SERVICE_TOKEN,
        max_runner_response_bytes=4096,
    )


@pytest.fixture
async def tokens(quick_database_url: str) -> AsyncIterator[ExecutionTokens]:
    database = Database(quick_database_url)
    yield ExecutionTokens(database, ManualClock())
    await database.aclose()


@pytest.fixture
async def execute(
    runner: ScriptedRunner, settings: ServerSettings, tokens: ExecutionTokens
) -> AsyncIterator[Execute]:
    client = RunnerClient(settings, httpx.MockTransport(runner))
    executor = Executor(settings, ManualClock(), tokens, client)

    async def run(method: str = "POST", path: str = "/sync", **options: Any) -> Outcome:
        return await executor.execute(INSTALL, method, path, **options)

    yield run
    await client.aclose()


async def test_the_runner_is_told_who_executes_what(runner: ScriptedRunner, execute: Execute) -> None:
    outcome = await execute(
        firing=Firing(
            trigger="schedule",
            schedule_id="schedule-1",
            schedule_name=None,
            schedule_timezone="Europe/Berlin",
            nominal_time="2026-01-01T06:00:00.000Z",
            started_at="2026-01-01T06:00:01.000Z",
            attempt=1,
        )
    )

    assert runner.document["context"] == {
        "request_id": outcome.request_id,
        "tenant_id": "tenant-a",
        "extension_id": "extension-1",
        "install_id": "install-1",
        "content_hash": INSTALL.content_hash,
        "version_id": "version-1",
        "config": {"region": "eu"},
        "trigger": "schedule",
        "schedule_id": "schedule-1",
        "schedule_timezone": "Europe/Berlin",
        "nominal_time": "2026-01-01T06:00:00.000Z",
        "started_at": "2026-01-01T06:00:01.000Z",
        "attempt": 1,
    }
    assert runner.document["providers"] == [
        "cap:context.read",
        "cap:log.emit",
        "cap:scheduler.manage",
        "cap:user.read",
    ]
    assert runner.document["limits"] == {"timeout_ms": 30_000, "memory_mb": 256}


async def test_the_guests_request_is_the_callers(runner: ScriptedRunner, execute: Execute) -> None:
    await execute("PUT", "/items/1", query={"a": "b"}, headers={"accept": "text/plain"}, body=b"\xff")

    assert runner.document["http"] == {
        "method": "PUT",
        "path": "/items/1",
        "query": {"a": "b"},
        "headers": {"accept": "text/plain", "x-alga-tenant": "tenant-a", "x-alga-extension": "extension-1"},
        "body_b64": "/w==",
    }


async def test_a_caller_cannot_name_another_tenant_to_the_guest(
    runner: ScriptedRunner, execute: Execute
) -> None:
    await execute(headers={"x-alga-tenant": "tenant-b"})

    assert runner.document["http"]["headers"]["x-alga-tenant"] == "tenant-a"


async def test_the_user_is_passed_on(runner: ScriptedRunner, execute: Execute) -> None:
    user = User(user_id="u1", user_email="u@example.com", user_name="U", user_type="internal")

    await execute(user=user)

    assert ExecuteRequest.model_validate(runner.document).user == user


async def test_the_call_carries_its_headers_and_no_others(runner: ScriptedRunner, execute: Execute) -> None:
    await execute(request_id="request-7", idempotency_key="key-1")

    [request] = runner.asked
    assert str(request.url) == "http://runner.test/base/v1/execute"
    assert dict(request.headers) == {
        "accept": "application/json",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "content-length": str(len(request.content)),
        "host": "runner.test",
        "user-agent": "alga-server",
        "x-alga-tenant": "tenant-a",
        "x-alga-extension": "extension-1",
        "x-request-id": "request-7",
        "x-idempotency-key": "key-1",
        "x-runner-service-token": SERVICE_TOKEN,
    }


async def test_each_execution_gets_a_token_of_its_own(
    runner: ScriptedRunner, execute: Execute, tokens: ExecutionTokens
) -> None:
    outcome = await execute()

    await tokens.verify(
        runner.document["execution_token"],
        tenant_id="tenant-a",
        install_id="install-1",
        request_id=outcome.request_id,
    )


async def test_a_shorter_time_is_passed_on(runner: ScriptedRunner, execute: Execute) -> None:
    await execute(timeout_ms=1_500)

    assert runner.document["limits"]["timeout_ms"] == 1_500


async def test_a_guests_response_is_the_outcome_whatever_its_status(
    runner: ScriptedRunner, execute: Execute
) -> None:
    runner.answer = lambda _: httpx.Response(200, json={**SUCCESS, "status": 503, "body_b64": "aGk="})

    outcome = await execute()

    assert outcome.failure is None
    assert (outcome.unwrap().status, outcome.unwrap().body()) == (503, b"hi")


async def refuse_connection(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


async def lose_connection(request: httpx.Request) -> httpx.Response:
    raise httpx.RemoteProtocolError("no answer", request=request)


async def no_connection_free(request: httpx.Request) -> httpx.Response:
    raise httpx.PoolTimeout("all in use", request=request)


async def breaks_off() -> AsyncIterator[bytes]:
    yield b'{"status":'
    raise httpx.ReadError("lost")


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 1024


def answers(status: int, **options: Any) -> Answer:
    return lambda _: httpx.Response(status, **options)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refuse_connection, RunnerUnavailable),
        (lose_connection, RunnerUnavailable),
        (no_connection_free, RunnerBusy),
        (answers(500), RunnerUnavailable),
        (answers(502, text="a proxy's page"), RunnerUnavailable),
        (answers(503), RunnerUnavailable),
        (answers(503, headers={"retry-after": "1"}), RunnerBusy),
        (answers(429), RunnerBusy),
        (answers(401), RunnerRefused),
        (answers(413), RunnerRefused),
        (answers(422, json=SUCCESS), RunnerRefused),
        (answers(302, headers={"location": "http://elsewhere.test/"}), RunnerProtocolError),
        (answers(204), RunnerProtocolError),
        (answers(200), RunnerProtocolError),
        (answers(200, text="<html>"), RunnerProtocolError),
        (answers(200, json=[]), RunnerProtocolError),
        (answers(200, json={"headers": {}}), RunnerProtocolError),
        (answers(200, json={**SUCCESS, "headers": {"a": 1}}), RunnerProtocolError),
        (answers(200, json={**SUCCESS, "status": 101}), RunnerProtocolError),
        (answers(200, json={**SUCCESS, "status": 600}), RunnerProtocolError),
        (answers(200, json={**SUCCESS, "body_b64": "not base64!"}), RunnerProtocolError),
        (answers(200, json={**SUCCESS, "body_b64": "\u00e9"}), RunnerProtocolError),
        (answers(200, json={**SUCCESS, "body_b64": "A" * 5000}), RunnerProtocolError),
        (lambda _: httpx.Response(200, content=endless()), RunnerProtocolError),
        (lambda _: httpx.Response(200, content=breaks_off()), RunnerUnavailable),
        (
            answers(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(b"x")),
            RunnerProtocolError,
        ),
        (answers(200, json={**SUCCESS, "status": 500, "error": "execute_failed: x"}), ExecutionFailed),
    ],
)
async def test_a_failure_has_a_kind_and_is_asked_for_once(
    runner: ScriptedRunner, execute: Execute, answer: Answer, kind: type[RunnerFailure]
) -> None:
    runner.answer = answer

    outcome = await execute()

    assert type(outcome.failure) is kind
    assert outcome.response is None
    assert len(runner.asked) == 1
    with pytest.raises(kind):
        outcome.unwrap()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("0", 1), ("-1", 1), ("soon", 1), ("9" * 9, 86400), ("9" * 5000, 1)],
)
async def test_a_busy_runner_says_when_to_come_back(
    runner: ScriptedRunner, execute: Execute, header: str, seconds: int
) -> None:
    runner.answer = answers(503, headers={"retry-after": header})

    failure = (await execute()).failure

    assert isinstance(failure, RunnerBusy)
    assert failure.retry_after_s == seconds


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("execute_failed: guest_trap: The guest trapped.", "guest_trap"),
        ("execute_failed: it trapped", "execute_failed"),
        ("bundle_fetch_failed: bundle_not_found: The store has no such bundle.", "bundle_not_found"),
        ("unknown_capabilities: reboot", "unknown_capabilities"),
        ("secret_decrypt_failed", "secret_decrypt_failed"),
        ("Something else", "execution_failed"),
        ("", "execution_failed"),
    ],
)
async def test_the_runners_words_are_kept_and_its_code_found(
    runner: ScriptedRunner, execute: Execute, error: str, code: str
) -> None:
    runner.answer = answers(200, json={**SUCCESS, "status": 502, "error": error})

    failure = (await execute()).failure

    assert isinstance(failure, ExecutionFailed)
    assert (failure.status, failure.error, failure.runner_code) == (502, error, code)


async def test_an_error_without_end_is_cut(runner: ScriptedRunner, execute: Execute) -> None:
    runner.answer = answers(200, json={**SUCCESS, "error": "execute_failed: " + "x" * 3_000})

    failure = (await execute()).failure

    assert isinstance(failure, ExecutionFailed)
    assert len(failure.error) == 2_000


async def test_a_guest_past_its_deadline_timed_out(runner: ScriptedRunner, execute: Execute) -> None:
    runner.answer = answers(200, json={**SUCCESS, "error": "execute_failed: deadline_exceeded: Too slow."})

    assert isinstance((await execute()).failure, ExecutionTimedOut)


async def test_a_runner_that_does_not_answer_is_left(
    runner: ScriptedRunner, execute: Execute, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = anyio.Event()

    async def hang(_: httpx.Request) -> httpx.Response:
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    monkeypatch.setattr(executions, "ANSWER_GRACE_S", 0)
    runner.answer = hang

    outcome = await execute(timeout_ms=1)

    assert isinstance(outcome.failure, RunnerTimeout)
    assert ended.is_set()


async def test_a_runner_that_trickles_is_left_too(
    runner: ScriptedRunner, execute: Execute, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def trickle() -> AsyncIterator[bytes]:
        yield b"{"
        await anyio.sleep_forever()

    monkeypatch.setattr(executions, "ANSWER_GRACE_S", 0)
    runner.answer = lambda _: httpx.Response(200, content=trickle())

    assert isinstance((await execute(timeout_ms=1)).failure, RunnerTimeout)


async def test_no_failure_tells_a_secret(runner: ScriptedRunner, execute: Execute) -> None:
    async def quote(request: httpx.Request) -> httpx.Response:
        raise httpx.LocalProtocolError(f"bad header {request.headers['x-runner-service-token']}")

    runner.answer = quote

    failure = (await execute()).failure

    assert SERVICE_TOKEN not in f"{failure!r} {failure}"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "runner:8080",
        "ftp://runner",
        "http://",
        "http://me:pass@runner",
        "http://runner/?a=b",
        "http://r#f",
    ],
)
def test_a_runners_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="runner_url"):
        RunnerClient(ServerSettings(runner_url=url))


@pytest.mark.parametrize("token", ["two\nlines", "caf\u00e9", "x" * 513])
def test_a_service_token_that_no_header_carries_is_refused_unseen(token: str) -> None:
    with pytest.raises(SettingsError, match=r"runner_service_token \(ALGA_SERVER_RUNNER") as refused:
        ServerSettings.load(runner_service_token=token)

    assert token not in str(refused.value)


async def test_white_space_around_a_token_does_not_count(runner: ScriptedRunner) -> None:
    settings = ServerSettings.load(runner_service_token=" padded\n")
    request = {
        "context": {"tenant_id": "t", "extension_id": "e", "content_hash": "h"},
        "http": {"method": "GET", "path": "/"},
    }

    client = RunnerClient(settings, httpx.MockTransport(runner))
    await client.execute(ExecuteRequest.model_validate(request), timeout_s=60)

    assert runner.asked[0].headers["x-runner-service-token"] == "padded"


async def test_without_a_service_token_none_is_sent(runner: ScriptedRunner) -> None:
    client = RunnerClient(ServerSettings(), httpx.MockTransport(runner))
    document = {
        "context": {"tenant_id": "t", "extension_id": "e", "content_hash": "h"},
        "http": {"method": "GET", "path": "/"},
    }

    await client.execute(ExecuteRequest.model_validate(document), timeout_s=60)

    assert "x-runner-service-token" not in runner.asked[0].headers
    await client.aclose()


async def test_nobody_listening_is_unavailable() -> None:
    # Port 9 of a reserved address: nothing is there, on any machine.
    client = RunnerClient(ServerSettings(runner_url="http://127.0.0.1:9"))
    document = {
        "context": {"tenant_id": "t", "extension_id": "e", "content_hash": "h"},
        "http": {"method": "GET", "path": "/"},
    }

    with pytest.raises(RunnerUnavailable):
        await client.execute(ExecuteRequest.model_validate(document), timeout_s=60)
    await client.aclose()


async def show_log(
    runner: ScriptedRunner, tokens: ExecutionTokens, log_tail: str, *, development: bool, times: int = 1
) -> None:
    settings = ServerSettings(runner_url="http://runner.test", development=development)
    client = RunnerClient(settings, httpx.MockTransport(runner))
    executor = Executor(settings, ManualClock(), tokens, client)
    runner.responds(500, log_tail=log_tail)
    for _ in range(times):
        await executor.execute(INSTALL, "POST", "/sync")
    await client.aclose()


@pytest.mark.parametrize(("development", "shown"), [(True, ["error: a\\x1b[31m", "info: b"]), (False, [])])
async def test_a_server_in_development_shows_what_guests_log(
    *,
    runner: ScriptedRunner,
    tokens: ExecutionTokens,
    caplog: pytest.LogCaptureFixture,
    development: bool,
    shown: list[str],
) -> None:
    caplog.set_level(logging.INFO, "alga_server")

    await show_log(runner, tokens, "error: a\x1b[31m\ninfo: b", development=development)

    lines = [TextLines().format(record)[18:] for record in caplog.records if "logged" in record.message]
    assert lines == [f"Extension extension-1 logged: {line}" for line in shown]
    assert ("x-alga-log-tail" in runner.asked[0].headers) == development


async def test_the_shown_lines_of_guests_are_bounded(
    runner: ScriptedRunner, tokens: ExecutionTokens, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "alga_server")

    await show_log(runner, tokens, "info: again\n" * 100, development=True, times=6)

    assert sum("logged" in record.message for record in caplog.records) == 500
