"""A program calls a bundle that it holds, as it would call an HTTP API."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from alga_runner import Bundle, Runner, Settings, read_bundle
from alga_runner.bundles import FolderBundles
from alga_runner.errors import (
    BundleNotFound,
    EngineUnavailable,
    GuestTrap,
    NoHandler,
    Overloaded,
    RequestInvalid,
    UnknownCapabilities,
)
from alga_runner.execution.calls import call_request
from tests.support import garbage
from tests.support.bundles import make_bundle
from tests.support.requests import execute_request

pytestmark = pytest.mark.anyio

DEMO = Path(__file__).parents[3] / "sample-extensions" / "scheduler-demo"


@pytest.fixture
def bundle(guest_wat) -> Bundle:
    return make_bundle(guest_wat())


def test_pairs_of_headers_may_repeat_a_name(bundle: Bundle) -> None:
    pairs = [("accept", "a/b"), ("accept", "c/d")]

    assert list(call_request(bundle, "GET", "/", headers=pairs).http.header_pairs()) == pairs


async def test_a_bundle_that_no_store_has_is_called(runner: Runner) -> None:
    response = await runner.call(read_bundle(DEMO), "post", "/configure", json={"intervalHours": "six"})

    assert (response.status, response.headers["content-type"]) == (400, "application/json")
    assert b"intervalHours" in response.body()


def test_a_call_becomes_the_request_of_the_http_api(bundle: Bundle) -> None:
    request = call_request(
        bundle,
        "post",
        "/items",
        json={"name": "\N{SNOWMAN}"},
        headers={"x-a": "1"},
        query={"q": "2"},
        tenant_id="acme",
        grants={"cap:log.emit"},
        config={"currency": "EUR"},
        timeout_ms=250,
        cpu_ms=100,
    )

    assert (request.http.method, request.http.path, request.http.query) == ("POST", "/items", {"q": "2"})
    assert request.http.headers == {"x-a": "1", "content-type": "application/json"}
    assert request.http.body() == b'{"name": "\\u2603"}'
    assert (request.context.tenant_id, request.context.extension_id) == ("acme", bundle.manifest.name)
    assert (request.context.config, request.providers) == ({"currency": "EUR"}, ["cap:log.emit"])
    assert (request.limits.timeout_ms, request.limits.cpu_ms) == (250, 100)


@pytest.mark.parametrize(
    ("options", "body", "content_type"),
    [
        ({}, None, None),
        ({"body": b"\xff"}, b"\xff", None),
        ({"body": "\N{SNOWMAN}"}, b"\xe2\x98\x83", None),
        ({"body": ""}, b"", None),
        ({"json": [], "headers": {"Content-Type": "application/x"}}, b"[]", "application/x"),
    ],
)
def test_a_body_is_sent_as_it_was_given(
    bundle: Bundle, options: dict[str, Any], body: bytes | None, content_type: str | None
) -> None:
    request = call_request(bundle, "POST", "/", **options)

    assert request.http.body() == body
    assert next(iter(request.http.headers.values()), None) == content_type


@pytest.mark.parametrize(
    ("path", "options", "sentence"),
    [
        ("/a", {"json": 1, "body": "1"}, "one body"),
        ("/a?b=1", {}, "has a '\\?'"),
        ("/a", {"json": float("nan")}, "json cannot be sent"),
        ("/a", {"json": object()}, "json cannot be sent"),
        ("/a", {"query": {"n": 5}}, "http.query.n cannot be used"),
        ("/a", {"timeout_ms": -1}, "limits.timeout_ms cannot be used"),
    ],
)
async def test_a_bad_argument_is_named(
    runner: Runner, bundle: Bundle, path: str, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(RequestInvalid, match=sentence):
        await runner.call(bundle, "GET", path, **options)


async def test_how_the_guest_ended_is_raised_with_its_extension_and_handler(
    runner: Runner, guest_wat
) -> None:
    crashing = make_bundle(guest_wat("unreachable"))

    with pytest.raises(GuestTrap) as trapped:
        await runner.call(crashing, "POST", "/sync")

    assert trapped.value.where["extension"] == crashing.manifest.name
    assert trapped.value.where["handler"] == "POST /sync"


async def test_an_unknown_capability_is_refused(runner: Runner, bundle: Bundle) -> None:
    with pytest.raises(UnknownCapabilities):
        await runner.call(bundle, "GET", "/", grants=["cap:everything"])


async def test_pages_alone_have_no_handler(runner: Runner) -> None:
    manifest = b'{"name": "p", "version": "1.0.0", "ui": {"type": "iframe", "entry": "ui/i.html"}}'

    with pytest.raises(NoHandler):
        await runner.call(Bundle.from_files({"manifest.json": manifest, "ui/i.html": b"<p>"}), "GET", "/")


async def test_a_held_bundle_is_its_tenant_s_alone_and_gone_with_its_holder(
    settings: Settings, tmp_path: Path, guest_wat
) -> None:
    with garbage.of_its_own() as collect:
        bundle = make_bundle(guest_wat())
        async with Runner(settings, bundles=FolderBundles(tmp_path)) as runner:
            assert (await runner.call(bundle, "GET", "/", tenant_id="acme")).status == 200
            with pytest.raises(BundleNotFound):
                await runner.execute(execute_request(bundle.content_hash, tenant="globex"))

            content_hash = bundle.content_hash
            del bundle
            collect()
            with pytest.raises(BundleNotFound):
                await runner.execute(execute_request(content_hash, context={"extension_id": "another"}))


async def test_one_tenant_has_a_quarter_of_the_places_unless_the_settings_give_it_more(guest_wat) -> None:
    """As docs/library.md describes for a program whose calls name no tenant."""
    spinning = make_bundle(guest_wat("(loop (br 0))"))
    async with Runner(Settings(max_guests=8, max_memory_mb=4, max_queued=0)) as runner:
        calls = [asyncio.ensure_future(runner.call(spinning, "GET", "/")) for _ in range(3)]
        done, under_way = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        for call in under_way:
            call.cancel()
        await asyncio.wait(calls)

    (refused,) = done
    assert isinstance(refused.exception(), Overloaded)


async def test_a_runner_is_called_on_its_own_loop_alone(runner: Runner, bundle: Bundle) -> None:
    def elsewhere() -> None:
        asyncio.run(runner.call(bundle, "GET", "/"))

    with pytest.raises(EngineUnavailable, match="belongs to another event loop") as refused:
        await anyio.to_thread.run_sync(elsewhere)

    assert "run_coroutine_threadsafe" in (refused.value.hint or "")


async def test_another_thread_hands_its_call_to_the_loop(runner: Runner, bundle: Bundle) -> None:
    loop = asyncio.get_running_loop()

    def elsewhere() -> int:
        return asyncio.run_coroutine_threadsafe(runner.call(bundle, "GET", "/"), loop).result().status

    assert await anyio.to_thread.run_sync(elsewhere) == 200
