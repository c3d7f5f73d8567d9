"""Section 1.9: the three callers, replayed over a socket; answers byte for byte, and what reaches the guest."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import httpx
import msgpack
import pytest

from alga_runner import Runner, Settings
from alga_runner.service import create_service
from tests.support.echo import echoed
from tests.support.guests import guest_wat
from tests.support.patience import PATIENCE_S
from tests.support.sockets import serving

pytestmark = pytest.mark.anyio

CALLERS = ("gateway", "ext-proxy", "scheduled-job")
TENANT = "5e6f9f1c-0e0d-4d6f-8a8e-3f2a1b0c9d8e"
EXTENSION = "0c9b7a65-4d3e-4f21-b0a9-8c7d6e5f4a3b"
FROM_UVICORN = (b"date:", b"server:", b"connection:")
"""Headers of every answer that the socket's own server adds."""


async def exchange(url: str, headers: dict[str, str], body: bytes) -> bytes:
    """The bytes that answer a request of these bytes, without the headers of ``FROM_UVICORN``."""
    address = httpx.URL(url)
    head = [f"POST /v1/execute HTTP/1.1\r\nhost: {address.netloc.decode()}\r\nconnection: close\r\n"]
    head += [f"{name}: {value}\r\n" for name, value in headers.items()]
    head += [f"content-length: {len(body)}\r\n\r\n"]
    received = b""
    with anyio.fail_after(PATIENCE_S):
        async with await anyio.connect_tcp(address.host, address.port or 80) as stream:
            await stream.send("".join(head).encode() + body)
            async for piece in stream:
                received += piece
    head_bytes, _, content = received.partition(b"\r\n\r\n")
    lines = [line for line in head_bytes.split(b"\r\n") if not line.lower().startswith(FROM_UVICORN)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + content


@pytest.fixture(scope="module")
async def url(runner: Runner, settings: Settings) -> AsyncIterator[str]:
    """Where the service listens for all tests of this module."""
    async with serving(create_service(runner, settings)) as at:
        yield at


@pytest.fixture
def replay(url: str, recorded, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """The whole answer to a recorded call; ``http`` is merged into the body's. A test has a key of its own."""
    key = hashlib.sha256(request.node.name.encode()).hexdigest()

    async def send(name: str, content_hash: str, http: dict[str, Any] | None = None, **changes: str) -> bytes:
        headers, body = recorded(name, content_hash)
        body["http"] |= http or {}
        if "x-idempotency-key" in headers:
            headers["x-idempotency-key"] = key
        return await exchange(url, headers | changes, json.dumps(body).encode())

    return send


RESPONSE = msgpack.packb(
    {
        "status": 201,
        "headers": [
            {"name": "Content-Type", "value": "text/html"},
            {"name": "ETag", "value": '"1"'},
        ],
        "body": "<p>\N{SNOWMAN}".encode(),
    }
)


@pytest.mark.parametrize("caller", CALLERS)
async def test_a_caller_gets_what_the_guest_answers_byte_for_byte(replay, publish, caller: str) -> None:
    guest = guest_wat(f"(call $respond (i32.const 1024) (i32.const {len(RESPONSE)}))", data=RESPONSE)

    answer = await replay(caller, publish(guest))

    body = b'{"status":201,"headers":{"Content-Type":"text/html","ETag":"\\"1\\""},"body_b64":"PHA+4piD","error":null}'
    assert answer == (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\ncache-control: no-store\r\n"
        b"\r\n%s" % (len(body), body)
    )


@pytest.mark.parametrize("caller", CALLERS)
async def test_a_caller_gets_a_failure_as_a_status_and_an_error_byte_for_byte(replay, caller: str) -> None:
    missing = "sha256:" + "0" * 64

    answer = await replay(caller, missing)

    start, separator, rest = answer.partition(b"{")
    assert start.startswith(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
    assert (separator + rest).startswith(
        b'{"status":502,"headers":{},"body_b64":null,"error":"bundle_fetch_failed: bundle_not_found: '
    )


async def what_reaches_the_guest(replay, publish, caller: str) -> dict[str, Any]:
    answer = await replay(caller, publish())
    return echoed(json.loads(answer.partition(b"\r\n\r\n")[2]))


async def test_the_gateway_s_call_reaches_the_guest_whole(replay, publish) -> None:
    request = await what_reaches_the_guest(replay, publish, "gateway")

    assert request["context"] == {
        "requestId": "6d1f0e0a-7b1e-4a53-9f0c-0d7a3c1b2e4f",
        "tenantId": TENANT,
        "extensionId": EXTENSION,
        "installId": "f1e2d3c4-b5a6-4978-8695-a4b3c2d1e0f9",
        "versionId": "11223344-5566-4778-899a-abbccddeeff0",
        "config": {"region": "eu", "base_url": "https://crm.example"},
    }
    assert request["http"]["method"] == "POST"
    assert request["http"]["url"] == "/items?page=2&q=a%20b%26c"
    assert request["http"]["body"] == b'{"name":"first"}'
    assert request["user"]["clientName"] == "Acme"


async def test_the_ext_proxy_s_call_reaches_the_guest_without_its_own_members(replay, publish) -> None:
    request = await what_reaches_the_guest(replay, publish, "ext-proxy")

    assert request["http"]["url"] == "/dashboard?tab=open"
    assert request["http"]["body"] is None
    assert request["user"]["clientName"] == "Client Ltd"
    assert request["user"]["additionalFields"]["timezone"] == "Europe/London"
    assert "endpoint" not in json.dumps(request)


async def test_a_scheduled_call_tells_the_guest_that_it_is_one(replay, publish) -> None:
    """``trigger`` and ``schedule_id`` were dropped (fault 41), and ``config`` never arrived (fault 13)."""
    request = await what_reaches_the_guest(replay, publish, "scheduled-job")

    assert request["context"]["trigger"] == "schedule"
    assert request["context"]["scheduleId"] == "5c4e3d2b-1a09-4f8e-9d7c-6b5a49382716"
    assert request["context"]["config"] == {"region": "eu"}
    assert request["http"]["body"] == b'{"full":true}'
    assert "user" not in request


@pytest.mark.parametrize("caller", ["gateway", "scheduled-job"])
async def test_a_call_sent_again_gets_the_same_answer_and_a_mark(replay, publish, caller: str) -> None:
    content_hash = publish()

    first = await replay(caller, content_hash)
    again = await replay(caller, content_hash)

    assert again == first.replace(b"no-store\r\n", b"no-store\r\nidempotent-replayed: true\r\n")


async def test_a_key_used_for_another_call_gives_the_gateway_s_client_409_and_json(replay, publish) -> None:
    content_hash = publish()
    await replay("gateway", content_hash)
    answer = await replay("gateway", content_hash, http={"path": "/other"})

    reply = json.loads(answer.partition(b"\r\n\r\n")[2])
    # The gateway sends ``status`` and the decoded body, as JSON.
    assert reply["status"] == 409
    assert json.loads(base64.b64decode(reply["body_b64"]))["error"] == "idempotency_key_reused"


async def test_the_ext_proxy_s_token_is_compared(replay, publish) -> None:
    answer = await replay("ext-proxy", publish(), **{"x-runner-service-token": "another"})

    assert answer.startswith(b"HTTP/1.1 401 ")
