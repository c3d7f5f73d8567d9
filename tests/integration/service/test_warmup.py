"""``POST /warmup`` loads a bundle before it is executed, and names what keeps it from being loaded."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from alga_runner import Runner, Settings
from alga_runner.bundles import Bundle, MemoryBundles
from alga_runner.service import Service
from alga_runner.service.warmup import MAX_WARMUPS
from tests.support.bundles import make_bundle

pytestmark = pytest.mark.anyio

PAGES = (
    b'{"name": "com.example.pages", "version": "1.0.0", "ui": {"type": "iframe", "entry": "ui/index.html"}}'
)
TENANT_SHARE = MAX_WARMUPS // 4

Warm = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Without a cache, in which other tests may have left the module."""
    return settings.model_copy(update={"code_cache": "off"})


@pytest.fixture
def warm(client: httpx.AsyncClient, headers: dict[str, str]) -> Warm:
    async def post(content_hash: str | None, tenant_id: str | None = "acme", **more: Any) -> httpx.Response:
        members = {"content_hash": content_hash, "tenant_id": tenant_id, "extension_id": "ext", **more}
        document = {name: value for name, value in members.items() if value is not None}
        return await client.post("/warmup", json=document, headers=headers)

    return post


@pytest.fixture
def compiled(runner: Runner) -> Callable[[], int]:
    """How many modules were compiled."""

    def count() -> int:
        shown = runner.telemetry.render().decode()
        pattern = r"^alga_runner_compile_seconds_count\{.*\} (\d+)"
        return sum(map(int, re.findall(pattern, shown, re.MULTILINE)))

    return count


class Held:
    """Bundles that are fetched when a test lets them go."""

    def __init__(self, bundles: MemoryBundles, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        self.go = anyio.Event()
        fetch = bundles.fetch

        async def held(*key: str) -> Bundle:
            self.asked += 1
            await self.go.wait()
            return await fetch(*key)

        monkeypatch.setattr(bundles, "fetch", held)

    async def were_asked(self, times: int) -> None:
        while self.asked < times:
            await anyio.lowlevel.checkpoint()


@pytest.fixture
def held(bundles: MemoryBundles, monkeypatch: pytest.MonkeyPatch) -> Held:
    return Held(bundles, monkeypatch)


async def test_the_first_execution_of_a_bundle_that_was_warmed_up_compiles_nothing(
    warm: Warm, execute, publish, compiled: Callable[[], int]
) -> None:
    content_hash = publish()

    answer = await warm(content_hash)

    assert answer.status_code == 200
    document = answer.json()
    assert document.pop("duration_ms") >= 0
    assert document == {"status": "ready", "content_hash": content_hash}
    before = compiled()
    assert (await execute(content_hash)).json()["status"] == 200
    assert compiled() == before


async def test_a_bundle_is_compiled_once_however_often_it_is_warmed_up(
    warm: Warm, publish, compiled: Callable[[], int]
) -> None:
    content_hash = publish()

    answers = [await warm(content_hash) for _ in range(3)]

    assert [answer.json()["status"] for answer in answers] == ["ready"] * 3
    assert compiled() == 1


async def test_nothing_of_the_extension_is_executed(warm: Warm, publish, runner: Runner) -> None:
    await warm(publish("unreachable"))

    shown = runner.telemetry.render().decode()
    counts = re.findall(r"^alga_runner_executions_total\{.*\} (\S+)", shown, re.MULTILINE)
    assert set(map(float, counts)) == {0}


async def test_a_module_that_is_refused_is_answered_with_its_code_and_hint(warm: Warm, publish) -> None:
    answer = await warm(publish(wasm=b"\0asm\1\0\0\0"))

    assert answer.status_code == 422
    document = answer.json()
    assert document["error"] == "abi_marker_missing"
    assert "(extension ext)" in document["message"]
    assert document["hint"]


async def test_a_bundle_that_is_not_there_is_named(warm: Warm) -> None:
    answer = await warm("sha256:" + "0" * 64)

    assert (answer.status_code, answer.json()["error"]) == (422, "bundle_not_found")


async def test_another_tenant_s_bundle_is_not_there(warm: Warm, bundles: MemoryBundles, guest_wat) -> None:
    content_hash = bundles.add(make_bundle(guest_wat()), tenant_id="acme")

    assert (await warm(content_hash, "other")).json()["error"] == "bundle_not_found"


async def test_pages_alone_have_nothing_to_compile(warm: Warm, bundles: MemoryBundles) -> None:
    pages = Bundle.from_files({"manifest.json": PAGES, "ui/index.html": b"<p>"})

    answer = await warm(bundles.add(pages))

    assert (answer.status_code, answer.json()["status"]) == (200, "no_module")


@pytest.mark.parametrize("missing", ["tenant_id", "extension_id"])
@pytest.mark.parametrize("value", [None, ""])
async def test_a_hash_alone_is_answered_as_upstream_does(warm: Warm, missing: str, value: str | None) -> None:
    answer = await warm("sha256:" + "0" * 64, **{missing: value})

    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text == "warmup unsupported without tenant + extension context"


async def test_a_request_without_a_hash_is_refused_by_its_field(warm: Warm) -> None:
    answer = await warm(None)

    assert (answer.status_code, answer.json()["error"]) == (422, "request_invalid")
    assert answer.json()["fields"] == {"content_hash": "required"}
    assert "is not a warm-up request" in answer.json()["message"]


async def test_without_the_token_nothing_is_loaded(client: httpx.AsyncClient, publish, held: Held) -> None:
    document = {"content_hash": publish(), "tenant_id": "acme", "extension_id": "ext"}

    answer = await client.post("/warmup", json=document)

    assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized")
    assert held.asked == 0


async def test_a_large_request_is_refused(warm: Warm) -> None:
    assert (await warm("sha256:" + "0" * 64, padding="x" * 5_000)).status_code == 413


async def test_only_post_is_answered(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await client.get("/warmup", headers=headers)

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_tenant_has_a_share_of_the_places(warm: Warm, publish, held: Held) -> None:
    content_hash = publish()
    async with anyio.create_task_group() as tasks:
        for _ in range(TENANT_SHARE):
            tasks.start_soon(warm, content_hash)
        await held.were_asked(1)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()

        refused = await warm(content_hash)
        tasks.start_soon(warm, content_hash, "other")
        await held.were_asked(2)
        held.go.set()

    assert (refused.status_code, refused.json()["error"]) == (429, "overloaded")
    assert int(refused.headers["retry-after"]) > 0
    assert (await warm(content_hash)).status_code == 200


async def test_a_client_that_leaves_does_not_end_the_load(
    service: Service, publish, headers, held: Held, compiled: Callable[[], int]
) -> None:
    body = b'{"content_hash":"%s","tenant_id":"acme","extension_id":"ext"}' % publish().encode()
    messages: list[Any] = [{"type": "http.request", "body": body}, {"type": "http.disconnect"}]
    given = {**headers, "content-type": "application/json"}
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/warmup",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        raise AssertionError(f"the client is gone, and was sent {message}")

    await service(scope, receive, send)
    held.go.set()

    while not compiled():
        await anyio.lowlevel.checkpoint()


async def test_a_runner_that_ends_answers_those_that_wait(
    service: Service, warm: Warm, publish, held: Held
) -> None:
    answers: list[httpx.Response] = []

    async def ask() -> None:
        answers.append(await warm(publish()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await held.were_asked(1)
        service.stop()

    assert [(answer.status_code, answer.json()["error"]) for answer in answers] == [(503, "draining")]
