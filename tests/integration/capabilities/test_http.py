"""``http.fetch`` in both ABIs, over real sockets (alga-contract 4, HTTP)."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from alga_runner import Settings
from alga_runner.egress import (
    AddressRules,
    Egress,
    EgressLimits,
    Resolver,
    connect,
    parse_networks,
    parse_rules,
)
from alga_runner.errors import SettingsError
from tests.support.component_world import world_component
from tests.support.host_calls import ANSWERS_TEXT, Calling, calling
from tests.support.patience import PATIENCE_S
from tests.support.raw_server import RawServer, listening

pytestmark = pytest.mark.anyio

FETCH = ("cap:http.fetch",)
SECRET = "s3cret-of-the-test"


@pytest.fixture(scope="module")
async def listening_server() -> AsyncIterator[RawServer]:
    async with listening(RawServer()) as server:
        yield server


@pytest.fixture
def server(listening_server: RawServer) -> RawServer:
    listening_server.start_again()
    return listening_server


@pytest.fixture(scope="module")
async def outside() -> AsyncIterator[Calling]:
    """A runner whose guests may call ``http://api.test`` on any port."""
    egress = Egress(
        parse_rules("http://api.test:*"),
        AddressRules(parse_networks("127.0.0.1")),
        EgressLimits(response_bytes=2_000_000),
        resolver=Resolver(lambda _: ["127.0.0.1"], threads=4),
    )
    async with calling(egress=egress) as running:
        yield running
    await egress.aclose()


def component(url: str, method: str = "GET", *, shown: str = ANSWERS_TEXT) -> bytes:
    """A component that fetches ``url`` and answers with the body of the answer, or with what ``shown`` makes of it."""
    data = f'(data (i32.const 2048) "{method}") (data (i32.const 2112) "{url}")'
    handler = f"""(local $text i32)
      (call $http.fetch (i32.const 2048) (i32.const {len(method)}) (i32.const 2112) (i32.const {len(url)})
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 512))
      (local.set $text (i32.const {512 + 20})) {shown}"""
    return world_component(handler, ["http fetch"], code=data)


CASE = """(i32.store16 (i32.const 0) (i32.add (i32.const 200)
  (i32.add (i32.mul (i32.const 10) (i32.load8_u (i32.const 512))) (i32.load8_u (i32.const 516))))) (i32.const 0)"""
"""The status is 210 and the number of the error's case."""
INVALID_URL, NOT_ALLOWED, TRANSPORT, INTERNAL = 210, 211, 212, 213


async def test_a_core_module_gets_the_answer(outside: Calling, server: RawServer) -> None:
    server.answer = b"HTTP/1.1 404 No\r\nX-A: b\r\nx-a: c\r\ncontent-length: 2\r\n\r\nno"
    request = {
        "method": "post",
        "url": f"http://api.test:{server.port}/items",
        "headers": [{"name": "X-Key", "value": "v"}],
        "body": b"hello",
    }

    reply = await outside.call("http.fetch", request, grants=FETCH)

    headers = [("x-a", "b"), ("x-a", "c"), ("content-length", "2")]
    assert reply == {
        "ok": {
            "status": 404,
            "headers": [{"name": name, "value": value} for name, value in headers],
            "body": b"no",
        }
    }
    assert server.heads[0].startswith(b"POST /items HTTP/1.1\r\n")
    assert server.bodies == [b"hello"]


@pytest.mark.parametrize("of", ["core module", "component"])
async def test_bodies_on_their_way_count_as_the_memory_of_the_tenant(
    outside: Calling, server: RawServer, of: str
) -> None:
    url, arrived = f"http://api.test:{server.port}/items", b"x" * 3_000
    server.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + arrived
    server.drip = True  # and then it waits

    async def call() -> None:
        if of == "component":
            await outside.observe(component(url), grants=FETCH)
        else:
            request = {"method": "post", "url": url, "headers": [], "body": b"y" * 1_000}
            await outside.call("http.fetch", request, grants=FETCH)

    def on_their_way() -> int:
        return sum(budget.holder.held_bytes for budget in outside.runner._under_way if budget.holder)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        least = 2 * (len(arrived) + (1_000 if of == "core module" else 0))
        with anyio.fail_after(PATIENCE_S):
            while on_their_way() < least:
                await anyio.lowlevel.checkpoint()
        assert on_their_way() < least + 4_096
        budgets = list(outside.runner._under_way)
        held = outside.runner._memory_guard._held()
        assert sum(sum(guests.values()) for guests in held.values()) >= least
        tasks.cancel_scope.cancel()

    assert [budget.holder for budget in budgets] == [None]


async def test_a_component_gets_the_answer(outside: Calling, server: RawServer) -> None:
    guest = component(f"http://api.test:{server.port}/")

    observation = await outside.observe(guest, grants=FETCH)

    assert observation.response is not None, observation.error
    assert observation.response.body() == b"hi"


@pytest.mark.parametrize(
    ("url", "code", "case"),
    [
        ("http://other.test/", "denied", NOT_ALLOWED),
        ("https://api.test/", "denied", NOT_ALLOWED),
        ("http://127.0.0.1/", "denied", NOT_ALLOWED),
        ("no url", "validation-failed", INVALID_URL),
        ("http://u:p@api.test/", "validation-failed", INVALID_URL),
        ("http://api.test:1/", "unavailable", TRANSPORT),
    ],
)
async def test_both_abis_get_the_same_refusal(outside: Calling, url: str, code: str, case: int) -> None:
    reply = await outside.call("http.fetch", {"method": "GET", "url": url}, grants=FETCH)
    observation = await outside.observe(component(url, shown=CASE), grants=FETCH)

    assert observation.response is not None, observation.error
    assert (reply["err"]["code"], observation.response.status) == (code, case)


async def test_a_broken_answer_is_internal_in_both_abis(outside: Calling, server: RawServer) -> None:
    server.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbroken"
    url = f"http://api.test:{server.port}/"

    reply = await outside.call("http.fetch", {"method": "GET", "url": url}, grants=FETCH)
    observation = await outside.observe(component(url, shown=CASE), grants=FETCH)

    assert observation.response is not None, observation.error
    assert (reply["err"]["code"], observation.response.status) == ("internal", INTERNAL)


async def test_without_the_grant_nothing_is_sent(outside: Calling, server: RawServer) -> None:
    url = f"http://api.test:{server.port}/"

    reply = await outside.call("http.fetch", {"method": "GET", "url": url}, grants=())
    observation = await outside.observe(component(url, shown=CASE), grants=())

    assert observation.response is not None, observation.error
    assert (reply["err"]["code"], observation.response.status) == ("denied", NOT_ALLOWED)
    assert server.heads == []


async def test_an_answer_too_large_for_a_component_is_none(outside: Calling, server: RawServer) -> None:
    size = 1024 * 1024 + 1
    server.answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + bytes(size)
    url = f"http://api.test:{server.port}/"

    observation = await outside.observe(component(url, shown=CASE), grants=FETCH)

    assert observation.response is not None, observation.error
    assert observation.response.status == INTERNAL
    assert observation.host_calls[0].status == "too-large"


@pytest.mark.parametrize("method", ["GET", "head", "POST"])
async def test_only_requests_that_change_nothing_are_retryable(outside: Calling, method: str) -> None:
    request = {"method": method, "url": "http://api.test:1/"}

    reply = await outside.call("http.fetch", request, grants=FETCH)

    assert reply["err"].get("retryable", False) is (method != "POST")


async def test_the_installs_configuration_narrows(outside: Calling, server: RawServer) -> None:
    request = {"method": "GET", "url": f"http://api.test:{server.port}/"}
    context = {"config": {"egress_allow": "http://api.test:1"}}

    reply = await outside.call("http.fetch", request, grants=FETCH, context=context)

    assert reply["err"]["code"] == "denied"
    assert f"http://api.test:{server.port} in its configuration's egress_allow" in reply["err"]["message"]
    assert server.heads == []


@pytest.mark.parametrize("port", [None, 1])
async def test_no_url_header_or_body_is_logged(
    outside: Calling, server: RawServer, caplog: pytest.LogCaptureFixture, port: int | None
) -> None:
    caplog.set_level(logging.DEBUG)
    server.answer = b"HTTP/1.1 200 OK\r\nx-a: %s\r\n\r\n%s" % (SECRET.encode(), SECRET.encode())
    request: dict[str, Any] = {
        "method": "POST",
        "url": f"http://api.test:{port or server.port}/{SECRET}?q={SECRET}",
        "headers": [{"name": "authorization", "value": SECRET}],
        "body": SECRET.encode(),
    }

    await outside.call("http.fetch", request, grants=FETCH)
    await outside.call("http.fetch", {**request, "url": f"https://{SECRET}@api.test/{SECRET}"}, grants=FETCH)
    await outside.call("http.fetch", {**request, "headers": [{"name": "te", "value": SECRET}]}, grants=FETCH)
    outside.runner.telemetry.flush()

    assert "http.fetch" in caplog.text
    assert SECRET not in caplog.text + outside.runner.telemetry.render().decode()


@pytest.mark.parametrize("name", ["egress_allow", "egress_allowlist", "egress_allow_addresses"])
def test_a_setting_that_cannot_be_read_is_named(name: str) -> None:
    with pytest.raises(SettingsError) as error:
        connect(Settings(**{name: "https://a.example/path"}))  # type: ignore[arg-type] # a text each

    assert name in str(error.value)
    assert "has an entry 1 that is no" in str(error.value)
    assert "a.example/path" not in str(error.value)


def test_algas_own_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXT_EGRESS_ALLOWLIST", "example.com")

    assert len(connect(Settings.load()).rules) == 4
