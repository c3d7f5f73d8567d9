"""Sections 1.2 to 1.4: a request that was parsed is answered 200, with a status and an error; the order of checks.

Five answers have a status of their own all the same, because the request was not read, or nothing of it carried out:
401 without the token, 413 for a body that is too large, 422 for one that is no execute request, 429 and 503 without
room. ``test_refusals`` and ``test_admission`` of the service have them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
import msgpack
import pytest

from alga_runner import Runner
from alga_runner.errors import EngineUnavailable
from tests.support.guests import guest_wat

pytestmark = pytest.mark.anyio

GONE = "sha256:" + "0" * 64
TRAP = guest_wat("unreachable")


def failed(response: httpx.Response) -> tuple[int, str]:
    """Status and error of an answer without anything of a guest."""
    assert response.status_code == 200
    reply = response.json()
    assert list(reply) == ["status", "headers", "body_b64", "error"]
    assert (reply["headers"], reply["body_b64"]) == ({}, None)
    return reply["status"], reply["error"]


# Each fault of a request, with what it is answered, in the contract's order. The check of capabilities precedes the
# download (fault 20); upstream's order is engine, bundle, capabilities.
FAULTS: list[tuple[str, dict[str, Any], int, str]] = [
    ("no routing headers", {"headers": {"x-alga-tenant": ""}}, 400, "missing_routing_headers"),
    ("unknown capabilities", {"providers": ["cap:b", " CAP:A "]}, 400, "unknown_capabilities: cap:a, cap:b"),
    ("no bundle", {"content_hash": GONE}, 502, "bundle_fetch_failed: "),
    ("no base64", {"http": {"body_b64": "%"}}, 500, "execute_failed: invalid body base64: "),
    ("a trap", {}, 500, "execute_failed: guest_trap: "),
]


@pytest.mark.parametrize("first", range(len(FAULTS)), ids=[name for name, *_ in FAULTS])
async def test_of_several_faults_the_first_is_named(execute, publish, first: int) -> None:
    members: dict[str, Any] = {"content_hash": publish(TRAP)}
    for _, fault, _, _ in FAULTS[first:]:
        members |= fault

    status, error = failed(await execute(**members))

    assert status == FAULTS[first][2]
    assert error.startswith(FAULTS[first][3])


async def test_an_engine_that_cannot_start_has_the_contract_s_string(
    execute, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise EngineUnavailable("It is broken.")

    monkeypatch.setattr(runner, "_entered", broken)

    status, error = failed(await execute())

    assert status == 500
    assert error.startswith("engine_init_failed: engine_unavailable: It is broken. ")


@pytest.mark.parametrize("status", [200, 404, 500])
async def test_the_guest_s_status_is_passed_through_and_is_no_error(execute, publish, status: int) -> None:
    response = msgpack.packb({"status": status, "body": b""})
    guest = guest_wat(f"(call $respond (i32.const 1024) (i32.const {len(response)}))", data=response)

    answer = await execute(publish(guest))

    assert answer.content == b'{"status":%d,"headers":{},"body_b64":"","error":null}' % status


async def test_of_a_header_given_twice_the_last_one_counts(execute, publish) -> None:
    headers = [{"name": "X-A", "value": "1"}, {"name": "X-A", "value": "2"}]
    response = msgpack.packb({"status": 200, "headers": headers})
    guest = guest_wat(f"(call $respond (i32.const 1024) (i32.const {len(response)}))", data=response)

    assert (await execute(publish(guest))).json()["headers"] == {"X-A": "2"}


# Idempotency: which answers are stored.


@pytest.fixture
def again(execute, runner: Runner) -> Callable[..., Any]:
    """Whether the second of two calls with one key was executed."""

    async def send(**members: Any) -> bool:
        headers = {"x-idempotency-key": "key"} | members.pop("headers", {})
        await execute(headers=headers, **members)
        second = await execute(headers=headers, **members)
        return "idempotent-replayed" not in second.headers

    return send


@pytest.mark.parametrize("status", [200, 404, 500])
async def test_a_guest_s_answer_of_any_status_is_stored(again, publish, status: int) -> None:
    response = msgpack.packb({"status": status})
    guest = guest_wat(f"(call $respond (i32.const 1024) (i32.const {len(response)}))", data=response)

    assert not await again(content_hash=publish(guest))


@pytest.mark.parametrize(("name", "members"), [(name, members) for name, members, _, _ in FAULTS])
async def test_a_failure_is_not_stored(again, publish, name: str, members: dict[str, Any]) -> None:
    assert await again(**{"content_hash": publish(TRAP), **members})


async def test_a_blank_key_is_no_key(again) -> None:
    assert await again(headers={"x-idempotency-key": " "})


# 1.4 Capabilities.


KNOWN = (
    *("context.read", "secrets.get", "http.fetch", "storage.kv", "log.emit", "ui.proxy", "user.read"),
    *("scheduler.manage", "invoice.manual.create", "client.read", "service.read"),
)


async def test_every_capability_of_the_contract_is_known_in_any_case(execute) -> None:
    providers = [f" CAP:{name.upper()} " for name in KNOWN]

    assert (await execute(providers=[*providers, "", "  "])).json()["error"] is None


# Headers that are not read.


async def test_the_gateways_own_headers_choose_nothing(execute) -> None:
    headers = {"x-ext-install-id": "another", "x-ext-version-id": "another", "x-ext-registry-id": "another"}

    body = base64.b64decode((await execute(headers=headers)).json()["body_b64"])

    assert b"another" not in body


# Answers that are not 200: the framework's, before the handler.


@pytest.mark.parametrize(
    ("asked", "content_type", "content", "status"),
    [
        ("POST /v1/execute", "text/plain", b"{}", 415),
        ("POST /v1/execute", "application/json", b"{", 400),
        ("POST /v1/execute", "application/json", b"{}", 422),
        ("POST /v1/execute", "application/json", b"{" + b" " * 25 * 1024 * 1024, 413),
        ("GET /v1/execute", "application/json", b"", 405),
        ("POST /v1/other", "application/json", b"{}", 404),
    ],
    ids=["415", "400", "422", "413", "405", "404"],
)
async def test_what_is_no_execute_request_has_a_status_of_its_own(
    client: httpx.AsyncClient, asked: str, content_type: str, content: bytes, status: int
) -> None:
    response = await client.request(*asked.split(), content=content, headers={"content-type": content_type})

    assert response.status_code == status
    assert json.loads(response.content).keys() >= {"error", "message"}
    assert response.headers["cache-control"] == "no-store"
