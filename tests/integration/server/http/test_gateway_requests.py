"""Calls of the gateway: who may call, which install and endpoint answer, and the request that reaches the guest."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import httpx
import pytest

from alga_server import Server, ServerSettings
from tests.support.server import Alga, Install, ScriptedRunner

pytestmark = pytest.mark.anyio

UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def runner() -> ScriptedRunner:
    return ScriptedRunner()


@pytest.fixture
def runner_transport(runner: ScriptedRunner) -> httpx.AsyncBaseTransport:
    return httpx.MockTransport(runner)


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
    install: Install, runner: ScriptedRunner, headers: dict[str, str]
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


@pytest.mark.parametrize("extension", [UNKNOWN_ID, "com.example.sync", "%00", "x" * 300])
async def test_an_unknown_extension_is_not_available(
    install: Install, runner: ScriptedRunner, extension: str
) -> None:
    install.extension = extension

    response = await install.ask("POST", "/sync", headers={"x-request-id": "request-7"})

    assert response.status_code == 404
    assert response.json() == {"error": "extension_not_available", "requestId": "request-7"}
    assert runner.asked == []


async def test_an_extension_of_another_tenant_is_not_available(
    alga: Alga, install: Install, runner: ScriptedRunner
) -> None:
    response = await install.ask("POST", "/sync", headers={"x-alga-tenant": "tenant-b"})

    assert (response.status_code, response.json()["error"]) == (404, "extension_not_available")
    assert runner.asked == []


async def test_a_disabled_install_is_not_available(
    alga: Alga, install: Install, runner: ScriptedRunner
) -> None:
    await alga.admin("PATCH", install.admin_path, json={"enabled": False})

    response = await install.ask("POST", "/sync")

    assert (response.status_code, response.json()["error"]) == (404, "extension_not_available")
    assert runner.asked == []


async def test_each_tenant_reaches_its_own_install(
    alga: Alga, install: Install, runner: ScriptedRunner
) -> None:
    theirs = await alga.install("tenant-b")

    await theirs.ask("POST", "/sync")

    assert runner.document["context"]["install_id"] == theirs.id != install.id


async def test_a_call_becomes_an_execution_of_the_install(install: Install, runner: ScriptedRunner) -> None:
    await install.ask("POST", "/sync?a=1&b=2&a=3", content=b"\x00\xff", headers={"x-request-id": "request-7"})

    context, http = runner.document["context"], runner.document["http"]
    assert context["tenant_id"] == install.tenant
    assert context["extension_id"] == install.extension
    assert context["install_id"] == install.id
    assert context["request_id"] not in {None, "request-7"}
    assert (http["method"], http["path"], http["body_b64"]) == ("POST", "/sync?a=1&b=2&a=3", "AP8=")
    assert http["query"] == {}
    assert "cap:scheduler.manage" in runner.document["providers"]
    assert "user" not in runner.document


async def test_only_named_headers_reach_the_guest(install: Install, runner: ScriptedRunner) -> None:
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


async def test_the_authenticated_person_is_passed_on(install: Install, runner: ScriptedRunner) -> None:
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
    install: Install, runner: ScriptedRunner, name: bytes
) -> None:
    headers = {"x-alga-user-id": b"u1", "x-alga-user-name": name}

    response = await install.ask("POST", "/sync", headers=headers)

    assert (response.status_code, response.json()["error"]) == (400, "validation_failed")
    assert runner.asked == []


async def test_a_user_named_twice_is_refused_rather_than_ignored(
    install: Install, runner: ScriptedRunner
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
async def test_a_path_that_reads_two_ways_calls_nothing(
    install: Install, runner: ScriptedRunner, path: str
) -> None:
    headers = {"authorization": "Bearer gateway-token-of-the-test", "x-alga-tenant": install.tenant}
    response = await install.alga.client.post(path.format(id=install.extension), headers=headers)

    assert (response.status_code, response.json()["error"]) == (404, "endpoint_not_found")
    assert runner.asked == []


@pytest.mark.parametrize("request_id", ["two words", "x" * 129, "caf\u00e9".encode()])
async def test_a_strange_request_id_is_replaced(
    install: Install, runner: ScriptedRunner, request_id: Any
) -> None:
    response = await install.ask("POST", "/sync", headers={"x-request-id": request_id})

    fresh = response.headers["x-request-id"]
    assert runner.document["context"]["request_id"] == fresh
    assert len(fresh) == 36


async def test_a_change_is_idempotent_under_the_clients_key(install: Install, runner: ScriptedRunner) -> None:
    await install.ask("POST", "/sync", headers={"x-idempotency-key": "key-1"})

    assert runner.asked[0].headers["x-idempotency-key"] == "key-1"


async def test_a_change_without_a_key_has_its_request_id(install: Install, runner: ScriptedRunner) -> None:
    response = await install.ask("POST", "/sync")

    assert runner.asked[0].headers["x-idempotency-key"] == response.headers["x-request-id"]


async def test_two_calls_with_one_request_id_are_two_executions(
    install: Install, runner: ScriptedRunner
) -> None:
    """A caller's request id is for tracing: a page may send one id with several calls."""
    ids = [await execution_of(install, runner, headers={"x-request-id": "request-7"}) for _ in range(2)]

    assert ids[0] != ids[1]
    assert [request.headers["x-idempotency-key"] for request in runner.asked] == ids


async def test_a_call_sent_again_under_its_key_is_one_execution(
    install: Install, runner: ScriptedRunner
) -> None:
    """By its id a server recognises a create that it carried out before, even if the runner forgot it."""
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
async def test_no_other_person_and_no_other_call_gets_its_id(
    install: Install, runner: ScriptedRunner, path: str, changes: dict[str, str]
) -> None:
    headers = {"x-idempotency-key": "key-1", "x-alga-user-id": "ann"}
    first = await execution_of(install, runner, headers=headers)

    assert await execution_of(install, runner, path, headers={**headers, **changes}) != first
    assert await execution_of(install, runner, headers={"x-request-id": first}) != first


async def execution_of(install: Install, runner: ScriptedRunner, path: str = "/sync", **options: Any) -> str:
    """The id of the execution that a call becomes."""
    await install.ask("POST", path, **options)
    request_id: str = json.loads(runner.asked[-1].content)["context"]["request_id"]
    return request_id


async def test_a_read_has_no_idempotency_key(install: Install, runner: ScriptedRunner) -> None:
    await install.ask("GET", "/report", headers={"x-idempotency-key": "key-1"})

    assert "x-idempotency-key" not in runner.asked[0].headers


async def test_a_key_that_cannot_be_used_is_refused_rather_than_ignored(
    install: Install, runner: ScriptedRunner
) -> None:
    response = await install.ask("POST", "/sync", headers={"x-idempotency-key": "k" * 129})

    assert response.status_code == 400
    assert runner.asked == []


@pytest.fixture
def settings(settings: ServerSettings) -> ServerSettings:
    return settings.model_copy(update={"max_gateway_body_bytes": 1000})


async def test_the_largest_body_passes(install: Install, runner: ScriptedRunner) -> None:
    assert (await install.ask("POST", "/sync", content=b"x" * 1000)).status_code == 200


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_past_the_limit_is_too_large(
    install: Install, runner: ScriptedRunner, declared: bool
) -> None:
    async def chunks() -> Any:
        for _ in range(11):
            yield b"x" * 91

    response = await install.ask("POST", "/sync", content=b"x" * 1001 if declared else chunks())

    assert (response.status_code, response.json()["error"]) == (413, "payload_too_large")
    assert runner.asked == []


async def test_a_body_for_no_endpoint_is_not_read(install: Install) -> None:
    async def chunks() -> Any:
        yield b"x" * 10
        pytest.fail("the gateway read a body that has no endpoint")

    assert (await install.ask("POST", "/missing", content=chunks())).status_code == 404


async def test_head_is_get_without_the_body(install: Install, runner: ScriptedRunner) -> None:
    runner.responds(headers={"content-type": "text/plain"}, body_b64="aGk=")

    response = await install.ask("HEAD", "/report")

    assert runner.document["http"]["method"] == "GET"
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == "2"
    assert response.headers["content-type"] == "text/plain"


async def test_head_of_what_has_no_get_is_no_endpoint(install: Install, runner: ScriptedRunner) -> None:
    assert (await install.ask("HEAD", "/sync")).status_code == 404
    assert runner.asked == []


async def test_options_lists_the_methods_and_executes_nothing(
    install: Install, runner: ScriptedRunner
) -> None:
    response = await install.ask("OPTIONS", "/both")

    assert (response.status_code, response.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    assert runner.asked == []


async def test_options_of_no_endpoint_is_no_endpoint(install: Install) -> None:
    assert (await install.ask("OPTIONS", "/missing")).status_code == 404


async def test_an_extension_may_answer_head_and_options_itself(alga: Alga, runner: ScriptedRunner) -> None:
    endpoints = [
        {"method": method, "path": "/own", "handler": "own"} for method in ("HEAD", "OPTIONS", "GET")
    ]
    install = await alga.install(name="com.example.own", api={"endpoints": endpoints})

    await install.ask("HEAD", "/own")
    await install.ask("OPTIONS", "/own")

    asked = [json.loads(request.content)["http"]["method"] for request in runner.asked]
    assert asked == ["HEAD", "OPTIONS"]
