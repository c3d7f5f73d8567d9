"""The gateway: what reaches an extension, what comes back, and what a caller is told when nothing does."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import anyio
import httpx
import pytest

from alga_server import Server, ServerSettings
from alga_server.execution import executions
from tests.support.server import Alga, Install

pytestmark = pytest.mark.anyio

UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
OK = {"status": 200, "headers": {}, "body_b64": None, "error": None}

Handler = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


class Runner:
    """A runner that answers as it is told and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []
        self.answer: Handler = lambda _: httpx.Response(200, json=OK)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answer(request)
        return answer if isinstance(answer, httpx.Response) else await answer

    def responds(self, status: int = 200, **members: Any) -> None:
        document = {**OK, "status": status, **members}
        # What upstream's runner sends with every reply (alga-contract 7, fault 15), and a cookie of its own.
        headers = {"cache-control": "public, max-age=31536000, immutable", "set-cookie": "runner=1"}
        self.answer = lambda _: httpx.Response(200, json=document, headers=headers)

    def fails(self, error: str, status: int = 500) -> None:
        self.responds(status, error=error)

    @property
    def document(self) -> dict[str, Any]:
        [request] = self.asked
        document: dict[str, Any] = json.loads(request.content)
        return document


@pytest.fixture
def runner() -> Runner:
    return Runner()


@pytest.fixture
def runner_transport(runner: Runner) -> httpx.AsyncBaseTransport:
    return httpx.MockTransport(runner)


def lines(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [record for record in caplog.records if getattr(record, "action", "") == "gateway_call"]


# ---- The guest's answer


async def test_the_guests_status_body_and_headers_come_back(install: Install, runner: Runner) -> None:
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


async def test_no_other_header_of_the_guest_comes_back(install: Install, runner: Runner) -> None:
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


async def test_the_guest_decides_how_long_its_answer_is_kept(install: Install, runner: Runner) -> None:
    runner.responds(headers={"cache-control": "private, max-age=60"})

    assert (await install.ask("GET", "/report")).headers["cache-control"] == "private, max-age=60"


@pytest.mark.parametrize("value", ["a\r\nset-cookie: b=c", "a\0b", "\u2713", "x" * 5000])
async def test_a_header_that_http_cannot_carry_is_left_out(
    install: Install, runner: Runner, value: str
) -> None:
    runner.responds(headers={"x-ext-warning": value})

    response = await install.ask("POST", "/sync")

    assert response.status_code == 200
    assert "x-ext-warning" not in response.headers
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize("status", [204, 205, 304])
async def test_a_status_without_a_body_has_none(install: Install, runner: Runner, status: int) -> None:
    runner.responds(status, body_b64="aGk=")

    response = await install.ask("POST", "/sync")

    assert (response.status_code, response.content) == (status, b"")


# ---- What the guest is asked


async def test_a_call_becomes_an_execution_of_the_install(install: Install, runner: Runner) -> None:
    await install.ask("POST", "/sync?a=1&b=2&a=3", content=b"\x00\xff", headers={"x-request-id": "request-7"})

    context, http = runner.document["context"], runner.document["http"]
    assert context["tenant_id"] == install.tenant
    assert context["extension_id"] == install.extension
    assert context["install_id"] == install.id
    assert context["request_id"] not in {None, "request-7"}
    assert (http["method"], http["path"], http["body_b64"]) == ("POST", "/sync", "AP8=")
    assert http["query"] == {"a": "3", "b": "2"}
    assert "cap:scheduler.manage" in runner.document["providers"]
    assert "user" not in runner.document


async def test_only_named_headers_reach_the_guest(install: Install, runner: Runner) -> None:
    headers = {
        "accept": "text/plain",
        "accept-encoding": "br",
        "content-type": "text/csv",
        "user-agent": "browser",
        "cookie": "session=1",
        "x-forwarded-for": "10.0.0.1",
        "x-alga-user-id": "u1",
        "x-idempotency-key": "key-1",
        "x-request-id": "request-7",
    }

    await install.ask("POST", "/sync", content=b"a,b", headers=headers)

    assert runner.document["http"]["headers"] == {
        "accept": "text/plain",
        "accept-encoding": "br",
        "content-type": "text/csv",
        "user-agent": "browser",
        "x-request-id": "request-7",
        "x-alga-tenant": install.tenant,
        "x-alga-extension": install.extension,
    }


async def test_the_authenticated_person_is_passed_on(install: Install, runner: Runner) -> None:
    headers = {
        "x-alga-user-id": "u1",
        "x-alga-user-email": "zoe@example.com",
        "x-alga-user-name": "Zo\u00eb".encode(),
        "x-alga-user-type": "client",
    }

    await install.ask("POST", "/sync", headers=headers)

    user = runner.document["user"]
    assert (user["user_id"], user["user_email"]) == ("u1", "zoe@example.com")
    assert (user["user_name"], user["user_type"]) == ("Zo\u00eb", "client")


@pytest.mark.parametrize("name", [b"\xff", b"n" * 257])
async def test_a_person_whose_name_cannot_be_read_is_refused(
    install: Install, runner: Runner, name: bytes
) -> None:
    headers = {"x-alga-user-id": b"u1", "x-alga-user-name": name}

    response = await install.ask("POST", "/sync", headers=headers)

    assert (response.status_code, response.json()["error"]) == (400, "validation_failed")
    assert runner.asked == []


async def test_a_user_named_twice_is_refused_and_not_taken_for_nobody(
    install: Install, runner: Runner
) -> None:
    headers = [
        ("authorization", "Bearer gateway-token-of-the-test"),
        ("x-alga-tenant", install.tenant),
        ("x-alga-user-id", ""),
        ("x-alga-user-id", "u1"),
    ]
    response = await install.alga.client.post(f"/api/ext/{install.extension}/sync", headers=headers)

    assert (response.status_code, runner.asked) == (400, [])


@pytest.mark.parametrize(
    "path",
    [
        "/api%2Fext/{id}/api/ext/elsewhere/sync",
        "/api/ext/{id}%2Felsewhere/sync",
        "/api/%65xt/{id}/sync",
        "/api/ext/%20{id}/sync",
    ],
)
async def test_a_path_that_reads_two_ways_calls_nothing(install: Install, runner: Runner, path: str) -> None:
    headers = {"authorization": "Bearer gateway-token-of-the-test", "x-alga-tenant": install.tenant}
    response = await install.alga.client.post(path.format(id=install.extension), headers=headers)

    assert (response.status_code, response.json()["error"]) == (404, "endpoint_not_found")
    assert runner.asked == []


@pytest.mark.parametrize("request_id", ["two words", "x" * 129, "caf\u00e9".encode()])
async def test_a_strange_request_id_is_replaced(install: Install, runner: Runner, request_id: Any) -> None:
    response = await install.ask("POST", "/sync", headers={"x-request-id": request_id})

    fresh = response.headers["x-request-id"]
    assert runner.document["context"]["request_id"] == fresh
    assert len(fresh) == 36


async def test_a_change_is_idempotent_under_the_clients_key(install: Install, runner: Runner) -> None:
    await install.ask("POST", "/sync", headers={"x-idempotency-key": "key-1"})

    assert runner.asked[0].headers["x-idempotency-key"] == "key-1"


async def test_a_change_without_a_key_has_its_request_id(install: Install, runner: Runner) -> None:
    response = await install.ask("POST", "/sync")

    assert runner.asked[0].headers["x-idempotency-key"] == response.headers["x-request-id"]


async def test_two_calls_with_one_request_id_are_two_executions(install: Install, runner: Runner) -> None:
    """A caller's request id is for tracing: one goes with everything that one click does."""
    ids = [await execution_of(install, runner, headers={"x-request-id": "request-7"}) for _ in range(2)]

    assert ids[0] != ids[1]
    assert [each.headers["x-idempotency-key"] for each in runner.asked] == ids


async def test_a_call_sent_again_under_its_key_is_one_execution(install: Install, runner: Runner) -> None:
    """By its id a server knows what it created already, whatever the runner has forgotten."""
    headers = {"x-idempotency-key": "key-1", "x-alga-user-id": "ann"}
    first = await execution_of(install, runner, headers={**headers, "x-request-id": "request-7"})

    assert await execution_of(install, runner, headers=headers) == first
    assert UUID(first)


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("/sync", {"x-alga-user-id": "bob"}),
        ("/sync", {"x-alga-user-id": ""}),
        ("/sync", {"x-idempotency-key": "key-2"}),
        ("/both", {}),
    ],
)
async def test_nobody_else_and_no_other_call_comes_by_its_id(
    install: Install, runner: Runner, path: str, changes: dict[str, str]
) -> None:
    headers = {"x-idempotency-key": "key-1", "x-alga-user-id": "ann"}
    first = await execution_of(install, runner, headers=headers)

    assert await execution_of(install, runner, path, headers={**headers, **changes}) != first
    assert await execution_of(install, runner, headers={"x-request-id": first}) != first


async def execution_of(install: Install, runner: Runner, path: str = "/sync", **options: Any) -> str:
    """The id of the execution that a call becomes."""
    await install.ask("POST", path, **options)
    found: str = json.loads(runner.asked[-1].content)["context"]["request_id"]
    return found


async def test_a_read_has_no_idempotency_key(install: Install, runner: Runner) -> None:
    await install.ask("GET", "/report", headers={"x-idempotency-key": "key-1"})

    assert "x-idempotency-key" not in runner.asked[0].headers


async def test_a_key_that_cannot_be_used_is_refused_rather_than_ignored(
    install: Install, runner: Runner
) -> None:
    response = await install.ask("POST", "/sync", headers={"x-idempotency-key": "k" * 129})

    assert response.status_code == 400
    assert runner.asked == []


# ---- Who may call


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": ""},
        {"authorization": "Bearer wrong"},
        {"authorization": "Basic gateway-token-of-the-test"},
        {"authorization": "Bearer admin-token-of-the-test"},
        {"authorization": "Bearer runner-token-of-the-test"},
        {"x-alga-tenant": ""},
        {"x-alga-tenant": "tenant a"},
    ],
)
async def test_a_caller_that_is_not_known_is_refused(
    install: Install, runner: Runner, headers: dict[str, str]
) -> None:
    response = await install.ask("POST", "/sync", headers={**headers, "x-request-id": "request-7"})

    assert response.status_code == 401
    assert response.json() == {"error": "unauthenticated", "requestId": "request-7"}
    assert response.headers["www-authenticate"] == "Bearer"
    assert runner.asked == []


@pytest.mark.parametrize("token", [None, "", "changeme"])
async def test_without_a_usable_token_every_call_is_refused(token: str | None) -> None:
    async with Server(ServerSettings(gateway_token=token)) as server:
        transport = httpx.ASGITransport(server.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            headers = {"authorization": f"Bearer {token or ''}", "x-alga-tenant": "tenant-a"}
            response = await client.get(f"/api/ext/{UNKNOWN_ID}/", headers=headers)

    assert (response.status_code, response.json()["error"]) == (401, "unauthenticated")


# ---- Which install


@pytest.mark.parametrize("extension", [UNKNOWN_ID, "com.example.sync", "%00", "x" * 300])
async def test_an_unknown_extension_is_not_available(
    install: Install, runner: Runner, extension: str
) -> None:
    install.extension = extension

    response = await install.ask("POST", "/sync", headers={"x-request-id": "request-7"})

    assert response.status_code == 404
    assert response.json() == {"error": "extension_not_available", "requestId": "request-7"}
    assert runner.asked == []


async def test_an_extension_of_another_tenant_is_not_available(
    alga: Alga, install: Install, runner: Runner
) -> None:
    response = await install.ask("POST", "/sync", headers={"x-alga-tenant": "tenant-b"})

    assert (response.status_code, response.json()["error"]) == (404, "extension_not_available")
    assert runner.asked == []


async def test_a_disabled_install_is_not_available(alga: Alga, install: Install, runner: Runner) -> None:
    await alga.admin("PATCH", install.admin_path, json={"enabled": False})

    response = await install.ask("POST", "/sync")

    assert (response.status_code, response.json()["error"]) == (404, "extension_not_available")
    assert runner.asked == []


async def test_each_tenant_reaches_its_own_install(alga: Alga, install: Install, runner: Runner) -> None:
    theirs = await alga.install("tenant-b")

    await theirs.ask("POST", "/sync")

    assert runner.document["context"]["install_id"] == theirs.id != install.id


# ---- The body


@pytest.fixture
def settings(settings: ServerSettings) -> ServerSettings:
    return settings.model_copy(update={"max_gateway_body_bytes": 1000})


async def test_the_largest_body_passes(install: Install, runner: Runner) -> None:
    assert (await install.ask("POST", "/sync", content=b"x" * 1000)).status_code == 200


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_past_the_limit_is_too_large(install: Install, runner: Runner, declared: bool) -> None:
    async def chunks() -> Any:
        for _ in range(11):
            yield b"x" * 91

    response = await install.ask("POST", "/sync", content=b"x" * 1001 if declared else chunks())

    assert (response.status_code, response.json()["error"]) == (413, "payload_too_large")
    assert runner.asked == []


async def test_a_body_for_no_endpoint_is_not_read(install: Install) -> None:
    async def chunks() -> Any:
        yield b"x" * 10
        pytest.fail("nobody wants this body")

    assert (await install.ask("POST", "/missing", content=chunks())).status_code == 404


# ---- Failures

PRIVATE = "internal-host-10.0.0.7"


async def refuse_connection(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError(f"{PRIVATE} refused", request=request)


def answers(status: int, **options: Any) -> Handler:
    return lambda _: httpx.Response(status, **options)


def failed(error: str) -> Handler:
    return answers(200, json={**OK, "status": 500, "error": error})


@pytest.mark.parametrize(
    ("answer", "told"),
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
async def test_a_failure_is_told_in_codes_and_not_in_the_runners_words(
    install: Install, runner: Runner, answer: Handler, told: tuple[int, str, str]
) -> None:
    runner.answer = answer
    status, error, code = told

    response = await install.ask("POST", "/sync", headers={"x-request-id": "request-7"})

    assert response.status_code == status
    assert response.json() == {"error": error, "code": code, "requestId": "request-7"}
    assert response.headers["x-request-id"] == "request-7"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers.get("retry-after") == ("7" if status == 429 else None)


async def test_a_runner_that_does_not_answer_is_a_timeout(
    install: Install, runner: Runner, monkeypatch: pytest.MonkeyPatch
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
    install: Install, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError(PRIVATE)

    monkeypatch.setattr("alga_server.http.gateway.routing.matching", broken)

    response = await install.ask("POST", "/sync", headers={"x-request-id": "request-7"})

    assert response.status_code == 500
    assert response.json() == {"error": "internal_error", "requestId": "request-7"}


async def test_a_failure_inside_the_runners_call_is_not_wrapped(install: Install, runner: Runner) -> None:
    async def broken(_: httpx.Request) -> httpx.Response:
        raise RuntimeError("not one of httpx's own")

    runner.answer = broken

    assert (await install.ask("POST", "/sync")).json()["error"] == "internal_error"


# ---- HEAD and OPTIONS


async def test_head_is_get_without_the_body(install: Install, runner: Runner) -> None:
    runner.responds(headers={"content-type": "text/plain"}, body_b64="aGk=")

    response = await install.ask("HEAD", "/report")

    assert runner.document["http"]["method"] == "GET"
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == "2"
    assert response.headers["content-type"] == "text/plain"


async def test_head_of_what_has_no_get_is_no_endpoint(install: Install, runner: Runner) -> None:
    assert (await install.ask("HEAD", "/sync")).status_code == 404
    assert runner.asked == []


async def test_options_tells_the_methods_and_executes_nothing(install: Install, runner: Runner) -> None:
    response = await install.ask("OPTIONS", "/both")

    assert (response.status_code, response.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    assert runner.asked == []


async def test_options_of_no_endpoint_is_no_endpoint(install: Install) -> None:
    assert (await install.ask("OPTIONS", "/missing")).status_code == 404


async def test_an_extension_may_answer_head_and_options_itself(alga: Alga, runner: Runner) -> None:
    endpoints = [
        {"method": method, "path": "/own", "handler": "own"} for method in ("HEAD", "OPTIONS", "GET")
    ]
    install = await alga.install(name="com.example.own", api={"endpoints": endpoints})

    await install.ask("HEAD", "/own")
    await install.ask("OPTIONS", "/own")

    asked = [json.loads(request.content)["http"]["method"] for request in runner.asked]
    assert asked == ["HEAD", "OPTIONS"]


# ---- A caller that leaves


async def test_when_the_caller_leaves_the_runners_call_ends(
    install: Install, alga: Alga, runner: Runner, caplog: pytest.LogCaptureFixture
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


# ---- The log


async def test_a_call_is_one_line_in_the_log(
    install: Install, runner: Runner, caplog: pytest.LogCaptureFixture
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
    install: Install, runner: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "alga_server")
    runner.fails("execute_failed: guest_trap: It trapped.")

    await install.ask("POST", "/sync")

    [line] = lines(caplog)
    assert (line.status, line.detail, line.http_status) == ("execution_failed", "guest_trap", 502)


async def test_calls_are_counted_by_codes_of_the_server_alone(
    install: Install, alga: Alga, runner: Runner
) -> None:
    await install.ask("POST", "/sync")
    await install.ask("POST", "/missing")
    runner.fails("made_up_by_a_runner: words")
    await install.ask("POST", "/sync")

    metrics = await alga.metrics()
    for outcome in ("success", "endpoint_not_found", "execution_failed"):
        assert f'alga_server_gateway_calls_total{{outcome="{outcome}"}} 1.0' in metrics
    assert "made_up_by_a_runner" not in metrics


async def test_no_line_carries_a_body_a_query_a_token_or_the_path_as_sent(
    install: Install, runner: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    runner.fails("execute_failed: guest_abort: private-words", 500)

    await install.ask("GET", "/items/private-id?q=private-query", headers={"cookie": "private-cookie"})
    await install.ask("POST", "/sync", content=b"private-body")

    text = "".join(str(vars(record)) for record in caplog.records if record.name.startswith("alga_server"))
    assert "gateway_call" in text
    for secret in ("private", "-token-of-the-test"):
        assert secret not in text
