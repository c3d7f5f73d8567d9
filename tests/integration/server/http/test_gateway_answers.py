"""Answers of the gateway: the response of the guest, the codes of a failure, and the log line of each call."""

from __future__ import annotations

import base64
import gzip
import logging
from typing import Any

import anyio
import httpx
import pytest

from alga_server.execution import executions
from tests.support.server import SUCCESS, Alga, Answer, Install, ScriptedRunner

pytestmark = pytest.mark.anyio


@pytest.fixture
def runner() -> ScriptedRunner:
    return ScriptedRunner()


@pytest.fixture
def runner_transport(runner: ScriptedRunner) -> httpx.AsyncBaseTransport:
    return httpx.MockTransport(runner)


async def test_the_guests_status_body_and_headers_come_back(install: Install, runner: ScriptedRunner) -> None:
    runner.responds(
        418,
        headers={
            "Content-Type": "text/plain",
            "ETag": '"1"',
            "X-Ext-Warning": "hot",
            "x-ext-request-id": "e1",
        },
        body_b64="dGVhcG90",
    )

    response = await install.ask("POST", "/sync")

    assert (response.status_code, response.text) == (418, "teapot")
    assert response.headers["content-type"] == "text/plain"
    assert response.headers["etag"] == '"1"'
    assert response.headers["x-ext-warning"] == "hot"
    assert response.headers["x-ext-request-id"] == "e1"


async def test_no_other_header_of_the_guest_comes_back(install: Install, runner: ScriptedRunner) -> None:
    headers = {
        "set-cookie": "session=stolen",
        "location": "http://elsewhere.test/",
        "transfer-encoding": "chunked",
        "content-length": "999",
        "connection": "close",
        "access-control-allow-origin": "*",
        "content-security-policy": "default-src *",
        "x-request-id": "forged",
        "x-anything": "else",
    }
    runner.responds(headers=headers, body_b64="aGk=")

    response = await install.ask("POST", "/sync", headers={"x-request-id": "request-7"})

    assert dict(response.headers) == {
        "cache-control": "no-store",
        "content-length": "2",
        "content-security-policy": "sandbox",
        "x-content-type-options": "nosniff",
        "x-request-id": "request-7",
    }


async def test_the_guest_decides_how_long_its_answer_is_kept(
    install: Install, runner: ScriptedRunner
) -> None:
    runner.responds(headers={"cache-control": "private, max-age=60"})

    assert (await install.ask("GET", "/report")).headers["cache-control"] == "private, max-age=60"


@pytest.mark.parametrize("value", ["a\r\nset-cookie: b=c", "a\0b", "\u2713", "x" * 5000])
async def test_a_header_that_http_cannot_carry_is_left_out(
    install: Install, runner: ScriptedRunner, value: str
) -> None:
    runner.responds(headers={"x-ext-warning": value})

    response = await install.ask("POST", "/sync")

    assert response.status_code == 200
    assert "x-ext-warning" not in response.headers
    assert "set-cookie" not in response.headers


async def test_a_body_travels_with_its_encoding(install: Install, runner: ScriptedRunner) -> None:
    packed = gzip.compress(b"teapot")
    headers = {"Content-Encoding": "gzip", "Vary": "accept-encoding"}
    runner.responds(200, headers=headers, body_b64=base64.b64encode(packed).decode())

    response = await install.ask("POST", "/sync", content=packed, headers={"content-encoding": "gzip"})

    assert runner.document["http"]["headers"]["content-encoding"] == "gzip"
    assert (response.headers["content-encoding"], response.headers["vary"]) == ("gzip", "accept-encoding")
    assert response.text == "teapot"


async def test_a_redirect_to_a_path_of_the_extension_comes_back(
    install: Install, runner: ScriptedRunner
) -> None:
    own = f"/api/ext/{install.extension}/items"
    seen = []
    for location in ("items?page=2", own, "../other", "https://elsewhere.test/", "/items"):
        runner.responds(303, headers={"Location": location})
        seen.append((await install.ask("POST", "/sync")).headers.get("location"))

    assert seen == ["items?page=2", own, None, None, None]


@pytest.mark.parametrize("status", [204, 205, 304])
async def test_a_status_without_a_body_has_none(
    install: Install, runner: ScriptedRunner, status: int
) -> None:
    runner.responds(status, body_b64="aGk=")

    response = await install.ask("POST", "/sync")

    assert (response.status_code, response.content) == (status, b"")


PRIVATE = "internal-host-10.0.0.7"


async def refuse_connection(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError(f"{PRIVATE} refused", request=request)


def answers(status: int, **options: Any) -> Answer:
    return lambda _: httpx.Response(status, **options)


def failed(error: str) -> Answer:
    return answers(200, json={**SUCCESS, "status": 500, "error": error})


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refuse_connection, (502, "bad_gateway", "runner_unavailable")),
        (answers(500, text=PRIVATE), (502, "bad_gateway", "runner_unavailable")),
        (answers(401), (502, "bad_gateway", "runner_refused")),
        (answers(200, text=PRIVATE), (502, "bad_gateway", "runner_garbled")),
        (answers(503, headers={"retry-after": "7"}), (429, "rate_limited", "runner_busy")),
        (failed(f"execute_failed: guest_trap: {PRIVATE}"), (502, "bad_gateway", "guest_trap")),
        (failed(f"bundle_fetch_failed: {PRIVATE}"), (502, "bad_gateway", "bundle_fetch_failed")),
        (
            failed(f"execute_failed: deadline_exceeded: {PRIVATE}"),
            (504, "gateway_timeout", "deadline_exceeded"),
        ),
        (failed("idempotency_key_reused"), (409, "idempotency_key_reused", "idempotency_key_reused")),
    ],
)
async def test_a_failure_answers_with_codes_and_without_the_runners_message(
    install: Install, runner: ScriptedRunner, answer: Answer, expected: tuple[int, str, str]
) -> None:
    runner.answer = answer
    status, error, code = expected

    response = await install.ask("POST", "/sync", headers={"x-request-id": "request-7"})

    assert response.status_code == status
    assert response.json() == {"error": error, "code": code, "requestId": "request-7"}
    assert response.headers["x-request-id"] == "request-7"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers.get("retry-after") == ("7" if status == 429 else None)


async def test_a_runner_that_does_not_answer_is_a_timeout(
    install: Install, runner: ScriptedRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(_: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(executions, "ANSWER_GRACE_S", -29.999)
    runner.answer = hang

    response = await install.ask("POST", "/sync")

    assert (response.status_code, response.json()["error"]) == (504, "gateway_timeout")
    assert response.json()["code"] == "runner_timeout"


async def test_a_failure_of_the_server_itself_is_an_answer_too(
    install: Install, runner: ScriptedRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError(PRIVATE)

    monkeypatch.setattr("alga_common.routing.Routes.matching", broken)

    response = await install.ask("POST", "/sync", headers={"x-request-id": "request-7"})

    assert response.status_code == 500
    assert response.json() == {"error": "internal_error", "requestId": "request-7"}


async def test_a_failure_inside_the_runners_call_is_not_wrapped(
    install: Install, runner: ScriptedRunner
) -> None:
    async def broken(_: httpx.Request) -> httpx.Response:
        raise RuntimeError("not one of httpx's own")

    runner.answer = broken

    assert (await install.ask("POST", "/sync")).json()["error"] == "internal_error"


def lines(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [record for record in caplog.records if getattr(record, "action", "") == "gateway_call"]


async def test_when_the_caller_leaves_the_runners_call_ends(
    install: Install, alga: Alga, runner: ScriptedRunner, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "alga_server")
    executing, ended = anyio.Event(), anyio.Event()

    async def hang(_: httpx.Request) -> httpx.Response:
        executing.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        raise AssertionError

    runner.answer = hang
    incoming = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        if incoming:
            return incoming.pop(0)
        await executing.wait()
        return {"type": "http.disconnect"}

    async def send(_message: Any) -> None: ...

    path = f"/api/ext/{install.extension}/sync"
    headers = {"authorization": "Bearer gateway-token-of-the-test", "x-alga-tenant": install.tenant}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    await alga.server.app(scope, receive, send)

    assert ended.is_set()
    [line] = lines(caplog)
    assert line.status == "client_gone"


async def test_a_call_is_one_line_in_the_log(
    install: Install, runner: ScriptedRunner, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "alga_server")
    runner.responds(201)

    await install.ask("POST", "/sync", headers={"x-request-id": "request-7"})

    [line] = lines(caplog)
    assert line.getMessage() == "Gateway call POST /sync: success"
    assert (line.tenant_id, line.extension_id, line.install_id) == (
        install.tenant,
        install.extension,
        install.id,
    )
    assert (line.caller_request_id, line.http_status, line.status) == ("request-7", 201, "success")
    assert line.request_id == runner.document["context"]["request_id"]


async def test_a_refused_call_is_one_line_too(
    install: Install, runner: ScriptedRunner, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "alga_server")
    runner.responds(500, error="execute_failed: guest_trap: It trapped.")

    await install.ask("POST", "/sync")

    [line] = lines(caplog)
    assert (line.status, line.detail, line.http_status) == ("execution_failed", "guest_trap", 502)


async def test_calls_are_counted_by_codes_of_the_server_alone(
    install: Install, alga: Alga, runner: ScriptedRunner
) -> None:
    await install.ask("POST", "/sync")
    await install.ask("POST", "/missing")
    runner.responds(500, error="made_up_by_a_runner: words")
    await install.ask("POST", "/sync")

    metrics = await alga.metrics()
    for outcome in ("success", "endpoint_not_found", "execution_failed"):
        assert f'alga_server_gateway_calls_total{{outcome="{outcome}"}} 1.0' in metrics
    assert "made_up_by_a_runner" not in metrics


async def test_no_line_carries_a_body_a_query_a_token_or_the_path_as_sent(
    install: Install, runner: ScriptedRunner, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    runner.responds(500, error="execute_failed: guest_abort: private-words")

    await install.ask("GET", "/items/private-id?q=private-query", headers={"cookie": "private-cookie"})
    await install.ask("POST", "/sync", content=b"private-body")

    text = "".join(str(vars(record)) for record in caplog.records if record.name.startswith("alga_server"))
    assert "gateway_call" in text
    for secret in ("private", "-token-of-the-test"):
        assert secret not in text
