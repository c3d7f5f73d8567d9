"""Section 1.1: the request's body, member by member; 1.5, the user; 1.7, limits; 1.8, what the guest gets."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from alga_runner import Runner, Settings
from tests.support.echo import echoed
from tests.support.guests import guest_wat
from tests.support.requests import execute_request

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024


@pytest.fixture
def changed(client: httpx.AsyncClient, recorded, publish) -> Callable[..., Any]:
    """The answer to the gateway's call with one member set, or left out; ``...`` leaves out."""

    async def send(path: str, value: Any) -> httpx.Response:
        headers, body = recorded("gateway", publish())
        *above, last = path.split(".")
        place = body
        for name in above:
            place = place[name]
        if value is ...:
            place.pop(last, None)
        else:
            place[last] = value
        headers.pop("x-idempotency-key")
        return await client.post("/v1/execute", content=json.dumps(body), headers=headers)

    return send


OPTIONAL = [
    *("context.request_id", "context.install_id", "context.version_id", "http.body_b64"),
    *("limits.timeout_ms", "limits.memory_mb", "limits.fuel", "secret_envelope", "user"),
]
"""They may be missing, or null."""

DEFAULTED = ["context.config", "http.query", "http.headers", "limits", "providers"]
"""They may be missing, and not null."""

REQUIRED = ["context.tenant_id", "context.extension_id", "context.content_hash", "http.method", "http.path"]


@pytest.mark.parametrize("path", [*OPTIONAL, *DEFAULTED])
async def test_a_member_with_a_default_may_be_missing(changed, path: str) -> None:
    response = await changed(path, ...)

    assert (response.status_code, response.json()["error"]) == (200, None)


@pytest.mark.parametrize("path", OPTIONAL)
async def test_a_nullable_member_may_be_null(changed, path: str) -> None:
    response = await changed(path, None)

    assert (response.status_code, response.json()["error"]) == (200, None)


@pytest.mark.parametrize("path", [*DEFAULTED, *REQUIRED, "context", "http"])
async def test_null_is_refused_where_the_type_is_not_nullable(changed, path: str) -> None:
    response = await changed(path, None)

    assert response.status_code == 422
    assert list(response.json()["fields"]) == [path]


@pytest.mark.parametrize("path", [*REQUIRED, "context", "http"])
async def test_a_required_member_is_named_when_it_is_missing(changed, path: str) -> None:
    response = await changed(path, ...)

    assert response.status_code == 422
    assert response.json()["fields"] == {path: "required"}


@pytest.mark.parametrize("path", ["new", "context.new", "http.new", "limits.new", "user.new"])
async def test_unknown_members_are_ignored_everywhere(changed, path: str) -> None:
    response = await changed(path, {"anything": [1, None]})

    assert response.json()["error"] is None
    assert "anything" not in json.dumps(echoed(response.json()), default=str)


async def test_a_content_hash_may_be_without_its_prefix(execute, publish) -> None:
    bare = publish().removeprefix("sha256:")

    assert (await execute(bare)).json()["error"] is None


async def test_a_body_of_the_gateway_s_largest_size_is_taken(execute, publish) -> None:
    """Upstream's framework refused bodies over 2 MB (fault 16)."""
    body = base64.b64encode(bytes(10 * MIB)).decode()

    response = await execute(publish(guest_wat()), http={"body_b64": body})

    assert (response.status_code, response.json()["error"]) == (200, None)


# 1.5 The user.


USER = {"user_id": "u", "user_email": "e", "user_name": "n", "user_type": "client"}


@pytest.mark.parametrize("member", ["client_name", "company_name"])
async def test_the_client_s_name_has_two_spellings(execute, member: str) -> None:
    response = await execute(user={**USER, member: "Acme"})

    assert echoed(response.json())["user"]["clientName"] == "Acme"


async def test_both_spellings_together_are_refused(execute) -> None:
    response = await execute(user={**USER, "client_name": "Acme", "company_name": "Acme"})

    assert response.status_code == 422


@pytest.mark.parametrize("member", USER)
async def test_a_user_has_four_required_members(execute, member: str) -> None:
    response = await execute(user={name: value for name, value in USER.items() if name != member})

    assert response.json()["fields"] == {f"user.{member}": "required"}


async def test_what_a_user_may_lack_has_a_default(execute) -> None:
    response = await execute(user=USER)

    assert echoed(response.json())["user"] == {
        "userId": "u",
        "userEmail": "e",
        "userName": "n",
        "userType": "client",
        "clientName": "",
        "additionalFields": {},
    }


# 1.7 Limits.


GROWS = guest_wat("""
  (if (i32.eq (memory.grow (i32.const 256)) (i32.const -1)) (then unreachable))
  (call $respond (i32.const 0) (global.get $ok))""")
"""A guest that needs 16 MiB more than it has."""


async def test_a_call_without_limits_has_the_runner_s(execute, publish) -> None:
    """Upstream's guest trapped on its first instruction (fault 12)."""
    assert (await execute(publish(GROWS))).json()["error"] is None


async def test_a_smaller_limit_holds(execute, publish) -> None:
    response = await execute(publish(GROWS), limits={"memory_mb": 8})

    assert response.json()["error"].startswith("execute_failed: ")


@pytest.mark.parametrize(
    "limits", [{"memory_mb": 2**63}, {"memory_mb": 0}, {"fuel": 1}, {"timeout_ms": 2**63}]
)
async def test_a_limit_beyond_the_runner_s_is_the_runner_s(execute, publish, limits: dict[str, int]) -> None:
    too_much = guest_wat("""
      (if (i32.ne (memory.grow (i32.const 1024)) (i32.const -1)) (then unreachable))
      (call $respond (i32.const 0) (global.get $ok))""")

    assert (await execute(publish(GROWS), limits=limits)).json()["error"] is None
    assert (await execute(publish(too_much), limits=limits)).json()["error"] is None


async def test_a_time_limit_is_held_to_the_runner_s_ceiling(runner: Runner, settings: Settings) -> None:
    """Callers' limits had no ceiling (fault 13)."""
    request = execute_request("sha256:" + "0" * 64, limits={"timeout_ms": 10**9})

    assert runner.timeout_s(request.limits.timeout_ms) == settings.max_timeout_ms / 1000


# 1.8 What the guest gets.


@pytest.mark.parametrize(
    ("path", "query", "url"),
    [
        ("/a", {}, "/a"),
        ("/a", {"b": "c d"}, "/a?b=c%20d"),
        ("/a?x=1", {"b": "c"}, "/a?x=1&b=c"),
    ],
)
async def test_the_url_is_the_path_and_the_encoded_query(execute, path: str, query: dict, url: str) -> None:
    response = await execute(http={"path": path, "query": query})

    assert echoed(response.json())["http"]["url"] == url


async def test_headers_reach_the_guest_as_they_are(execute) -> None:
    response = await execute(http={"headers": {"X-Odd-Name": " a,b ", "accept": "*/*"}})

    assert echoed(response.json())["http"]["headers"] == [
        {"name": "X-Odd-Name", "value": " a,b "},
        {"name": "accept", "value": "*/*"},
    ]


@pytest.mark.parametrize(
    ("body_b64", "body"), [(None, None), ("", b""), (" aGk= ", b"hi")], ids=["none", "empty", "trimmed"]
)
async def test_an_empty_body_is_a_body_and_none_is_none(execute, body_b64: str | None, body: object) -> None:
    response = await execute(http={"body_b64": body_b64})

    assert echoed(response.json())["http"]["body"] == body


async def test_what_the_runner_alone_needs_does_not_reach_the_guest(execute) -> None:
    response = await execute(execution_token="hunter2", providers=["cap:log.emit"])

    seen = json.dumps(echoed(response.json()), default=str)
    assert "hunter2" not in seen
    assert "sha256" not in seen
    assert "cap:" not in seen
