"""What never became a request is answered with another status than 200, and nothing is carried out."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import httpx
import pytest

from alga_runner import Runner, Settings
from alga_runner.errors import SettingsError
from alga_runner.service import create_service

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/json"}


@pytest.fixture
def refused(client, headers, runner):
    """Post to ``/v1/execute`` and return the document of a refusal with ``status``; no execution was begun."""

    async def post(status: int, content=b"{}", *, without: str = "", **more: str) -> dict:
        sent = {name: value for name, value in (headers | JSON | more).items() if name != without}
        response = await client.post("/v1/execute", content=content, headers=sent)
        assert response.status_code == status
        assert response.headers["cache-control"] == "no-store"
        lines = runner.telemetry.render().decode().splitlines()
        ended = [line.endswith(" 0.0") for line in lines if line.startswith("alga_runner_executions_total{")]
        assert ended
        assert all(ended)
        document = response.json()
        assert document.keys() - {"fields"} == {"error", "message"}
        return document

    return post


async def test_a_missing_token(refused) -> None:
    assert (await refused(401, without="x-runner-service-token"))["error"] == "unauthorized"


@pytest.mark.parametrize(
    "token", ["", "wrong", "the-service-token2", "the-service-toke", "The-Service-Token"]
)
async def test_a_wrong_token(refused, token: str) -> None:
    assert (await refused(401, **{"x-runner-service-token": token}))["error"] == "unauthorized"


async def test_a_token_given_twice(client, headers) -> None:
    twice = [*headers.items(), *JSON.items(), ("x-runner-service-token", headers["x-runner-service-token"])]

    assert (await client.post("/v1/execute", content=b"{}", headers=twice)).status_code == 401


async def test_who_shows_no_token_is_told_nothing_of_their_request(refused) -> None:
    document = await refused(401, b"{", without="x-runner-service-token", **{"content-type": "text/plain"})

    assert document["error"] == "unauthorized"


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (rb'{"context":{"config":{"key":"\ud800"}}}', "context.config.key"),
        (rb'{"http":{"headers":{"a\udfffb":"x"}}}', r"http.headers.a\udfffb"),
        (rb'{"providers":["cap","\ud800\ud800"]}', "providers.1"),
        (rb'["\ud800"]', "0"),
        (rb'"\ud800"', "body"),
    ],
)
async def test_half_of_a_surrogate_pair_is_named_by_its_field(refused, content: bytes, field: str) -> None:
    document = await refused(400, content)

    assert document["error"] == "invalid_json"
    assert document["fields"] == {field: "holds half of a surrogate pair"}


@pytest.mark.parametrize(
    "kind", ["text/plain", "", "application/jsonp", "multipart/form-data; a=application/json"]
)
async def test_another_content_type(refused, kind: str) -> None:
    assert (await refused(415, **{"content-type": kind}))["error"] == "unsupported_media_type"


async def test_no_content_type(refused) -> None:
    assert (await refused(415, without="content-type"))["error"] == "unsupported_media_type"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="the beginning of an object"),
        pytest.param(b'{"a": NaN}', id="no number"),
        pytest.param(b"{} {}", id="two documents"),
        pytest.param(b'{"a": "\xff"}', id="not UTF-8"),
        pytest.param(b'{"a": "\\ud800"}', id="half a surrogate pair"),
        pytest.param(b"[" * 2_000 + b"]" * 2_000, id="deep"),
    ],
)
async def test_a_body_that_is_not_json(refused, content: bytes) -> None:
    assert (await refused(400, content))["error"] == "invalid_json"


@pytest.mark.parametrize("content", [b"[]", b"null", b"3", b'"x"'])
async def test_json_that_is_no_object(refused, content: bytes) -> None:
    assert (await refused(422, content))["fields"] == {"body": "must be an object"}


async def test_members_that_are_missing_are_named(refused) -> None:
    document = await refused(422, b'{"context": {"tenant_id": "a"}}')

    assert document["fields"] == {
        "context.extension_id": "required",
        "context.content_hash": "required",
        "http": "required",
    }
    assert "http: required" in document["message"]


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"context": {"tenant_id": 5}}, "context.tenant_id"),
        ({"context": {"config": None}}, "context.config"),
        ({"context": {"config": {"a": 1}}}, "context.config.a"),
        ({"context": {"request_id": 7}}, "context.request_id"),
        ({"http": {"query": {"a": ["b"]}}}, "http.query.a"),
        ({"http": {"headers": []}}, "http.headers"),
        ({"http": {"body_b64": True}}, "http.body_b64"),
        ({"limits": None}, "limits"),
        ({"limits": {"timeout_ms": "5"}}, "limits.timeout_ms"),
        ({"limits": {"timeout_ms": 5.5}}, "limits.timeout_ms"),
        ({"limits": {"timeout_ms": True}}, "limits.timeout_ms"),
        ({"limits": {"memory_mb": -1}}, "limits.memory_mb"),
        ({"providers": None}, "providers"),
        ({"providers": "cap:log.emit"}, "providers"),
        ({"providers": [1]}, "providers.0"),
        ({"user": {}}, "user.user_id"),
        ({"secret_envelope": {}}, "secret_envelope.ciphertext_b64"),
        ({"execution_token": 1}, "execution_token"),
        ({"execution_token": "a\nb"}, "execution_token"),
        ({"context": {"tenant_id": "acme\r\nx-alga-tenant: other"}}, "context.tenant_id"),
        ({"context": {"tenant_id": "größe"}}, "context.tenant_id"),
        ({"context": {"extension_id": "a\tb"}}, "context.extension_id"),
        ({"context": {"install_id": "a\n"}}, "context.install_id"),
        ({"context": {"version_id": "1\0"}}, "context.version_id"),
    ],
)
async def test_a_member_of_another_type_is_named(client, headers, request_for, members, field: str) -> None:
    body = request_for("sha256:" + "0" * 64, **members)

    response = await client.post("/v1/execute", json=body, headers=headers)

    assert response.status_code == 422
    assert field in response.json()["fields"]


async def test_a_client_s_name_given_twice_is_refused(client, headers, request_for) -> None:
    user = dict.fromkeys(
        ("user_id", "user_email", "user_name", "user_type", "client_name", "company_name"), "x"
    )

    response = await client.post("/v1/execute", json=request_for("aa", user=user), headers=headers)

    assert response.status_code == 422


async def test_values_are_not_repeated(refused) -> None:
    document = await refused(422, b'{"context": {"tenant_id": ["hunter2"]}, "http": "hunter2"}')

    assert "hunter2" not in str(document)


async def test_only_so_many_faults_are_told(refused) -> None:
    members = ",".join(f'"{number}": 1' for number in range(100))
    document = await refused(422, b'{"context": {"config": {%s}}}' % members.encode())

    assert len(document["fields"]) == 20


async def pieces(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b" " * 1024


async def test_a_body_whose_length_is_too_large(refused) -> None:
    assert (await refused(413, b" " * 4097))["error"] == "body_too_large"


async def test_a_body_in_pieces_that_grows_too_large(refused) -> None:
    assert (await refused(413, pieces(5)))["error"] == "body_too_large"


async def test_a_body_in_pieces_that_is_just_small_enough_is_read(refused) -> None:
    assert (await refused(400, pieces(4)))["error"] == "invalid_json"


async def test_of_a_body_without_end_only_so_much_is_read(service, headers) -> None:
    read = 0

    async def receive():
        nonlocal read
        read += 1024
        return {"type": "http.request", "body": b" " * 1024, "more_body": True}

    sent = []

    async def send(message) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in (headers | JSON).items()]
    await service({"type": "http", "method": "POST", "path": "/v1/execute", "headers": raw}, receive, send)

    assert sent[0]["status"] == 413
    assert read <= 3 * 4096


async def test_a_body_that_does_not_come(headers, runner: Runner) -> None:
    service = create_service(runner, runner.settings.model_copy(update={"http_body_timeout_ms": 1}))
    sent = []

    async def receive():
        await anyio.sleep_forever()

    async def send(message) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in (headers | JSON).items()]
    await service({"type": "http", "method": "POST", "path": "/v1/execute", "headers": raw}, receive, send)

    assert sent[0]["status"] == 408


async def test_a_client_that_waits_for_permission_to_send_is_refused_immediately(service, headers) -> None:
    async def receive():
        raise AssertionError("the body was read")

    sent = []

    async def send(message) -> None:
        sent.append(message)

    given = headers | JSON | {"content-length": "5000", "expect": "100-continue"}
    raw = [(name.encode(), value.encode()) for name, value in given.items()]
    await service({"type": "http", "method": "POST", "path": "/v1/execute", "headers": raw}, receive, send)

    assert sent[0]["status"] == 413


async def test_a_route_that_does_not_exist(client) -> None:
    response = await client.post("/v1/executes")

    assert response.status_code == 404
    assert response.json()["error"] == "not_found"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/execute"), ("POST", "/healthz"), ("PUT", "/metrics")]
)
async def test_a_method_that_a_route_does_not_take(client, method: str, path: str) -> None:
    response = await client.request(method, path)

    assert response.status_code == 405
    assert response.json()["error"] == "method_not_allowed"
    assert response.headers["allow"] == ("POST" if path == "/v1/execute" else "GET, HEAD")


async def test_a_service_without_a_token_is_not_made(runner: Runner) -> None:
    for token in (None, "", "  "):
        settings = Settings(service_token=token)
        with pytest.raises(SettingsError) as raised:
            create_service(runner, settings)
        assert "RUNNER_SERVICE_TOKEN" in str(raised.value.hint)


async def test_for_development_a_service_without_a_token_asks_for_none(
    runner: Runner, headers, request_for, publish
) -> None:
    service = create_service(runner, Settings(), require_token=False)
    del headers["x-runner-service-token"]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(service), base_url="http://runner") as client:
        response = await client.post("/v1/execute", json=request_for(publish()), headers=headers)

    assert response.json()["status"] == 200


async def test_a_token_that_is_set_is_asked_for_even_in_development(
    runner: Runner, settings, headers
) -> None:
    service = create_service(runner, settings, require_token=False)
    del headers["x-runner-service-token"]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(service), base_url="http://runner") as client:
        response = await client.post("/v1/execute", json={}, headers=headers)

    assert response.status_code == 401


async def test_another_protocol_than_http_is_refused(service) -> None:
    with pytest.raises(RuntimeError, match="websocket"):
        await service({"type": "websocket"}, None, None)
