"""``ui-proxy`` in both ABIs, over real sockets (alga-contract 4, ui-proxy; 7, faults 9 and 21)."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from alga_runner import Settings
from alga_runner.alga import connect_ui_proxy
from alga_runner.errors import SettingsError
from tests.support.component_world import world_component
from tests.support.host_calls import ANSWERS_TEXT, Calling, calling
from tests.support.raw_server import RawServer, listening

pytestmark = pytest.mark.anyio

PROXY = ("cap:ui.proxy",)
API_KEY, AUTH_KEY = "planted-api-key", "planted-auth-key"
ENVELOPE = {"ciphertext_b64": base64.b64encode(json.dumps({"api_key": API_KEY}).encode()).decode()}
USER = {"user_id": "u-1", "user_email": "ada@example.com", "user_name": "ada", "user_type": "internal"}
CASE = """(i32.store16 (i32.const 0) (i32.add (i32.const 200)
  (i32.add (i32.mul (i32.const 10) (i32.load8_u (i32.const 512))) (i32.load8_u (i32.const 516))))) (i32.const 0)"""
ROUTE_NOT_FOUND, DENIED, BAD_REQUEST, INTERNAL = 210, 211, 212, 213


@pytest.fixture(scope="module")
async def running() -> AsyncIterator[tuple[RawServer, Calling]]:
    async with listening(RawServer()) as server:
        url = f"http://127.0.0.1:{server.port}/host/"
        async with calling(ui_proxy_url=url, ui_proxy_auth_key=AUTH_KEY) as place:
            yield server, place


@pytest.fixture
def server(running: tuple[RawServer, Calling]) -> RawServer:
    running[0].start_again()
    return running[0]


@pytest.fixture
def proxied(running: tuple[RawServer, Calling]) -> Calling:
    """A runner that knows the routes of ``server``."""
    return running[1]


def component(route: str, then: str = ANSWERS_TEXT) -> bytes:
    """A component that calls ``route`` and answers with the body, or with what ``then`` makes of it."""
    handler = f"""(local $text i32) (call $ui-proxy.call-route (i32.const 2048) (i32.const {len(route)})
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 512)) (local.set $text (i32.const 516)) {then}"""
    return world_component(handler, ["ui-proxy call-route"], code=f'(data (i32.const 2048) "{route}")')


async def call(place: Calling, route: str, payload: bytes | None = None, **members: Any) -> dict[str, Any]:
    request = {"route": route} if payload is None else {"route": route, "payload": payload}
    return await place.call("ui-proxy.call-route", request, **{"grants": PROXY, **members})


def target(server: RawServer) -> str:
    return server.heads[-1].split(b" ")[1].decode()


async def test_a_route_is_below_the_extensions_own(proxied: Calling, server: RawServer) -> None:
    reply = await call(proxied, "/settings//tab?x=1&y=a b", user=USER, context={"version_id": "v-1"})

    head = server.heads[0].decode()
    assert reply == {"ok": {"body": b"hi"}}
    extension = head.split("x-alga-extension: ")[1].split("\r\n")[0]
    assert head.startswith(f"GET /host/{extension}/settings/tab?x=1&y=a%20b HTTP/1.1\r\n")
    for line in (
        *("x-request-id: request-1", "x-alga-tenant: acme", "x-ext-install-id: install-1"),
        *("x-ext-version-id: v-1", "x-user-id: u-1", "x-user-email: ada@example.com"),
        f"x-runner-auth: {AUTH_KEY}",
    ):
        assert f"\r\n{line}\r\n" in head


@pytest.mark.parametrize("route", ["/api/tickets?page=2", "api/tickets?page=2"])
async def test_a_route_of_the_api_is_without_the_extension(
    proxied: Calling, server: RawServer, route: str
) -> None:
    await call(proxied, route, b'{"a": 1}')

    assert target(server) == "/host/api/tickets?page=2"
    assert server.heads[0].startswith(b"POST ")
    assert b"\r\ncontent-type: application/json\r\n" in server.heads[0]
    assert server.bodies == [b'{"a": 1}']


async def test_a_component_gets_the_body(proxied: Calling) -> None:
    observation = await proxied.observe(component("settings"), grants=PROXY)

    assert observation.response is not None, observation.error
    assert observation.response.body() == b"hi"


@pytest.mark.parametrize(
    ("grants", "envelope", "sent"),
    [
        ((*PROXY, "cap:secrets.get"), ENVELOPE, True),
        (PROXY, ENVELOPE, False),
        ((*PROXY, "cap:secrets.get"), None, False),
    ],
)
async def test_the_api_key_goes_along_only_where_secrets_are_granted(
    proxied: Calling, server: RawServer, *, grants: tuple[str, ...], envelope: object, sent: bool
) -> None:
    await call(proxied, "settings", grants=grants, secret_envelope=envelope)

    assert (f"\r\nx-api-key: {API_KEY}\r\n".encode() in server.heads[0]) is sent
    assert (b"x-api-key" in server.heads[0]) is sent


@pytest.mark.parametrize(
    "route",
    [
        *("", "  ", "/", "?x=1", "a/../b", "./a", "..", "%2e%2e/a", "a/.%2E", "%252e%252e/a", "a%2f.."),
        *("a%252fb", "a\\b", "a%5cb", "a%0d%0ab", "a#b", "a?b\nc"),
    ],
)
async def test_a_route_that_leads_elsewhere_is_a_bad_request(
    proxied: Calling, server: RawServer, route: str
) -> None:
    reply = await call(proxied, route)

    assert reply["err"]["code"] == "validation-failed"
    assert server.heads == []


@pytest.mark.parametrize(
    "route",
    ["/api/internal/ext-storage/install/other", "api//INTERNAL", "api/%69nternal", "api/%2569nternal/x"],
)
async def test_internal_routes_are_denied(proxied: Calling, server: RawServer, route: str) -> None:
    reply = await call(proxied, route)

    assert reply["err"]["code"] == "denied"
    assert server.heads == []


@pytest.mark.parametrize(
    ("status", "code", "case"),
    [
        (401, "denied", DENIED),
        (403, "denied", DENIED),
        (429, "rate-limited", DENIED),
        (404, "not-found", ROUTE_NOT_FOUND),
        (400, "validation-failed", BAD_REQUEST),
        (422, "validation-failed", BAD_REQUEST),
        (302, "internal", INTERNAL),
        (500, "internal", INTERNAL),
        (503, "internal", INTERNAL),
    ],
)
async def test_what_the_route_answers_is_mapped(
    proxied: Calling, server: RawServer, status: int, code: str, case: int
) -> None:
    server.answer = f"HTTP/1.1 {status} No\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n".encode()

    reply = await call(proxied, "settings")
    observation = await proxied.observe(component("settings", CASE), grants=PROXY)

    assert observation.response is not None, observation.error
    assert (reply["err"]["code"], observation.response.status) == (code, case)
    assert len(server.heads) == 2


async def test_without_the_grant_nothing_is_sent(proxied: Calling, server: RawServer) -> None:
    reply = await call(proxied, "settings", grants=())
    observation = await proxied.observe(component("settings", CASE), grants=())

    assert observation.response is not None, observation.error
    assert (reply["err"]["code"], observation.response.status) == ("denied", DENIED)
    assert server.heads == []


async def test_without_a_base_url_no_route_is_found(place: Calling) -> None:
    reply = await call(place, "settings")
    observation = await place.observe(component("settings", CASE), grants=PROXY)

    assert observation.response is not None, observation.error
    assert (reply["err"]["code"], observation.response.status) == ("not-found", ROUTE_NOT_FOUND)


async def test_a_route_that_does_not_answer_ends_with_the_time(server: RawServer) -> None:
    server.answer = None
    url = f"http://127.0.0.1:{server.port}"
    async with calling(ui_proxy_url=url, ui_proxy_timeout_ms=50) as place:
        reply = await call(place, "settings")

    assert reply["err"]["code"] == "timeout"


async def test_an_answer_without_end_is_cut_off(proxied: Calling, server: RawServer) -> None:
    server.answer, server.repeated = b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 100_000

    assert (await call(proxied, "settings"))["err"]["code"] == "too-large"


async def test_neither_keys_nor_routes_nor_payloads_are_logged(
    proxied: Calling, server: RawServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    members: dict[str, Any] = {
        "grants": (*PROXY, "cap:secrets.get"),
        "secret_envelope": ENVELOPE,
        "user": USER,
    }
    await call(proxied, "planted-route?planted-query", b"planted-payload", **members)
    server.answer = b"HTTP/1.1 500 No\r\ncontent-length: 15\r\n\r\nplanted-answers"
    await call(proxied, "planted-route?planted-query", b"planted-payload", **members)
    proxied.runner.telemetry.flush()

    shown = caplog.text + proxied.runner.telemetry.render().decode()
    assert "ui-proxy.call-route" in shown
    assert "planted" not in shown
    assert "ada@example.com" not in shown


def test_an_address_that_cannot_be_used_is_a_settings_error() -> None:
    with pytest.raises(SettingsError, match="UI_PROXY_BASE_URL"):
        connect_ui_proxy(Settings(ui_proxy_url="http://user:password@host"))
