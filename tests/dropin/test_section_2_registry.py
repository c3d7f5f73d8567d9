"""Section 2: whose pages a visitor gets, as the registry knows; without the faults 6, 7 and 22."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from alga_runner import Runner, Settings
from alga_runner.bundles import Bundle, MemoryBundles
from alga_runner.errors import SettingsError
from alga_runner.service import create_service
from alga_runner.service.ui import kept_answers, registry, registry_key, routes
from tests.support.bundles import bundle_files
from tests.support.clock import FakeMonotonic
from tests.support.pages import FILES, SCRIPT, FakeRegistry
from tests.support.patience import PATIENCE_S
from tests.support.sockets import serving

pytestmark = pytest.mark.anyio

IMMUTABLE = "public, max-age=31536000, immutable"


# Steps 1 to 3: hash, tenant, install.


@pytest.mark.parametrize("named", ["0" * 64, "sha256:", "sha256:xyz", "md5:00", "sha256:../x", "sha512:00"])
async def test_a_hash_in_another_form_is_refused(visitor: httpx.AsyncClient, named: str) -> None:
    response = await visitor.get(f"/ext-ui/ext/{named}/index.html?tenant=acme")

    assert (response.status_code, response.text) == (400, "invalid content hash")


async def test_a_tenant_without_the_install_gets_nothing(get, alga: FakeRegistry) -> None:
    assert (await get("index.html", tenant="globex")).status_code == 404
    assert alga.asked[0].url.params["tenant"] == "globex"


async def test_the_registry_is_asked_with_the_key_and_the_whole_question(
    get, alga: FakeRegistry, content_hash: str
) -> None:
    await get("index.html")

    [request] = alga.asked
    assert str(request.url.copy_with(query=None)) == "https://alga.example/api/installs/validate"
    assert dict(request.url.params, ts="") == {
        "tenant": "acme",
        "extension": "ext",
        "hash": content_hash,
        "ts": "",
    }
    assert request.headers["x-api-key"] == "key"


def put_key(file: Path, key: str) -> None:
    file.write_text(f"{key}\n")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "key"
    put_key(file, "from-the-file")
    return file


async def test_the_key_is_read_from_its_file_for_every_question_once_a_second(
    pages, alga: FakeRegistry, content_hash: str, key_file: Path, clock: FakeMonotonic
) -> None:
    """Upstream's host lookup did not read it (fault 22)."""
    async with pages(registry_key=None, registry_key_file=str(key_file)) as client:
        await client.get(f"/ext-ui/ext/{content_hash}/index.html?tenant=acme")
        put_key(key_file, "another")
        clock.now += 0.9
        await client.get("/", headers={"host": "soon.example"})
        clock.now += 0.2
        await client.get("/", headers={"host": "later.example"})

    keys = [request.headers["x-api-key"] for request in alga.asked]
    assert keys == ["from-the-file", "from-the-file", "another"]


async def test_the_key_is_read_while_other_work_has_all_threads(
    pages, alga: FakeRegistry, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "TIME_LIMIT_S", 2.0 * PATIENCE_S)
    threads = anyio.to_thread.current_default_thread_limiter()
    monkeypatch.setattr(threads, "total_tokens", 1)
    async with pages(registry_key=None, registry_key_file=str(key_file)) as client, threads:
        with anyio.fail_after(PATIENCE_S):
            await client.get("/")

    assert [request.headers["x-api-key"] for request in alga.asked] == ["from-the-file"]


async def test_a_file_of_the_key_that_cannot_be_read_in_time_holds_one_thread(
    monkeypatch: pytest.MonkeyPatch, key_file: Path, clock: FakeMonotonic
) -> None:
    reads, go_on = list[Path](), threading.Event()

    def hang(file: Path) -> str:
        reads.append(file)
        assert go_on.wait(PATIENCE_S)
        return "late"

    monkeypatch.setattr(registry_key, "_first_line", hang)
    file = registry_key.KeyFile(key_file, clock)
    try:
        for _ in range(3):  # questions that give up
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(file.read)
                await anyio.wait_all_tasks_blocked()
                tasks.cancel_scope.cancel()
    finally:
        go_on.set()

    assert await file.read() == "late"
    assert reads == [key_file]


async def failing() -> httpx.Response:
    raise httpx.ConnectError("refused")


async def unusable() -> httpx.Response:
    return httpx.Response(200, content=b"<html>")


async def too_soon() -> httpx.Response:
    return httpx.Response(503, json={"valid": True})


async def truthy() -> httpx.Response:
    return httpx.Response(200, json={"valid": "true"})


@pytest.mark.parametrize("answer", [failing, unusable, too_soon, truthy])
async def test_a_registry_that_does_not_say_yes_says_no(get, alga: FakeRegistry, answer) -> None:
    alga.answer = answer

    assert (await get("index.html")).status_code == 404


async def test_a_registry_that_does_not_answer_is_not_waited_for(
    get, alga: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent() -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(registry, "TIME_LIMIT_S", 0.0)
    alga.answer = silent

    assert (await get("index.html")).status_code == 404


@pytest.mark.parametrize("valid", [True, False])
async def test_an_answer_is_used_again_for_45_seconds(
    get, alga: FakeRegistry, clock: FakeMonotonic, valid: bool
) -> None:
    alga.valid = {("acme", "ext")} if valid else set()
    statuses = []
    for step in (0, 44.9, 0.2):
        clock.now += step
        statuses.append((await get("index.html")).status_code)
        alga.valid = set() if valid else {("acme", "ext")}

    assert statuses == ([200, 200, 404] if valid else [404, 404, 200])
    assert len(alga.asked) == 2


async def test_concurrent_visitors_ask_the_registry_once(get, alga: FakeRegistry) -> None:
    async with anyio.create_task_group() as tasks:
        for path in FILES:
            tasks.start_soon(get, path.removeprefix("ui/"))

    assert len(alga.asked) == 1


async def test_the_number_of_answers_that_are_kept_is_bounded(
    get, alga: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_answers, "MAX_ANSWERS", 2)
    for tenant in ("a", "b", "c", "c", "a"):
        await get("index.html", tenant=tenant)

    assert [request.url.params["tenant"] for request in alga.asked] == ["a", "b", "c", "a"]


async def test_made_up_tenants_drive_no_answer_of_a_true_one_out(
    get, alga: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_answers, "MAX_ANSWERS", 2)
    for tenant in ("acme", "a", "b", "c", "acme", "b"):
        await get("index.html", tenant=tenant)

    assert [request.url.params["tenant"] for request in alga.asked] == ["acme", "a", "b", "c", "b"]


async def test_the_number_of_true_tenants_whose_answers_are_kept_is_bounded(
    get, alga: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_answers, "MAX_ANSWERS", 2)
    tenants = ("a", "b", "c", "c", "a")
    alga.valid = {(tenant, "ext") for tenant in tenants}
    for tenant in tenants:
        await get("index.html", tenant=tenant)

    assert [request.url.params["tenant"] for request in alga.asked] == ["a", "b", "c", "a"]


async def test_a_question_that_found_no_connection_is_asked_again_soon(
    get, alga: FakeRegistry, clock: FakeMonotonic
) -> None:
    async def all_in_use() -> httpx.Response:
        raise httpx.PoolTimeout("all connections are in use")

    alga.answer, statuses = all_in_use, []
    for step in (0, 0.9, 0.2):
        clock.now += step
        statuses.append((await get("index.html")).status_code)
        alga.answer = None

    assert statuses == [404, 404, 200]
    assert all(asked.extensions["timeout"]["pool"] < registry.TIME_LIMIT_S for asked in alga.asked)


async def test_a_flood_of_made_up_tenants_and_hosts_leaves_connections_to_true_ones(
    clock: FakeMonotonic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer is used for 45 s: a question without a connection would keep its tenant out for as long."""
    install = {"tenant_id": "acme", "extension_id": "ext", "content_hash": f"sha256:{'0' * 64}"}
    held, go_on = list[bytes](), anyio.Event()

    async def slow_of_unknown(scope: Any, _receive: Any, send: Any) -> None:
        if b"made-up" in scope["query_string"]:
            held.append(scope["query_string"])
            await go_on.wait()
        body = json.dumps({"valid": True, **install}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    monkeypatch.setattr(registry, "TIME_LIMIT_S", 2.0 * PATIENCE_S)
    async with serving(slow_of_unknown) as url:
        asking = registry.Registry.of(Settings(registry_url=url), clock=clock)

        async def ask() -> None:
            assert await asking.is_installed("acme", "ext", install["content_hash"])
            assert (await asking.of_host("acme.example")).install is not None

        await ask()
        clock.now += kept_answers.KEPT_S + 1
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(asking.is_installed, f"made-up-{number}", "ext", "sha256:00")
                tasks.start_soon(asking.of_host, f"made-up-{number}.example")
            with anyio.fail_after(PATIENCE_S):
                await ask()
            assert len(held) < registry._CONCURRENT
            go_on.set()


async def test_without_a_registry_no_page_is_valid(pages, content_hash: str) -> None:
    async with pages(registry_url=None) as client:
        response = await client.get(f"/ext-ui/ext/{content_hash}/index.html?tenant=acme")

    assert response.status_code == 404


@pytest.mark.parametrize("text", ["1", "true", "yes", "True", "0", "false", "no"])
async def test_one_flag_decides_whether_installs_are_validated(
    pages, alga: FakeRegistry, content_hash: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Upstream read it two ways: with ``1``, the registry was not asked and everything was valid (fault 7)."""
    monkeypatch.setenv("EXT_STATIC_STRICT_VALIDATION", text)
    strict = Settings.load().ui_strict_validation
    alga.valid = set()
    async with pages(ui_strict_validation=strict) as client:
        response = await client.get(f"/ext-ui/ext/{content_hash}/index.html?tenant=acme")

    assert (response.status_code, len(alga.asked)) == (
        (404, 1) if text in {"1", "true", "yes", "True"} else (200, 0)
    )


# Whose page it is.


async def test_the_header_names_the_tenant_where_the_query_does_not(get) -> None:
    assert (await get("index.html", tenant=None, x_tenant_id="acme")).status_code == 200
    assert (await get("index.html", tenant="globex", x_tenant_id="acme")).status_code == 404


async def test_a_page_s_files_need_not_name_the_tenant_again(get, alga: FakeRegistry) -> None:
    await get("index.html")

    assert (await get("app.js", tenant=None)).status_code == 200
    assert alga.paths() == ["/api/installs/validate"]


async def test_a_tenant_is_remembered_only_once_its_install_is_valid(get, alga: FakeRegistry) -> None:
    """Upstream stored what the query said, before validation (fault 6)."""
    await get("index.html", tenant="globex")

    assert (await get("app.js", tenant=None)).status_code == 404
    assert alga.paths() == ["/api/installs/validate", "/api/installs/lookup-by-host"]


async def test_a_remembered_tenant_is_validated_like_a_named_one(
    get, alga: FakeRegistry, clock: FakeMonotonic
) -> None:
    await get("index.html")
    alga.valid = set()
    clock.now += 46

    assert (await get("app.js", tenant=None)).status_code == 404


async def test_the_number_of_remembered_tenants_is_bounded(
    get, visitor: httpx.AsyncClient, bundles: MemoryBundles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "MAX_HINTS", 1)
    other = bundles.add(Bundle.from_files({**bundle_files(), "ui/index.html": b"2"}), tenant_id="acme")
    await get("index.html")
    await visitor.get(f"/ext-ui/ext/{other}/index.html?tenant=acme")

    assert (await get("app.js", tenant=None)).status_code == 404


async def test_a_host_of_its_own_names_the_tenant(get, alga: FakeRegistry, content_hash: str) -> None:
    alga.hosts["acme.example"] = {"tenant_id": "acme", "extension_id": "ext", "content_hash": content_hash}

    assert (await get("index.html", tenant=None, host="ACME.example:8080")).status_code == 200


async def test_one_tenant_s_page_is_not_there_for_another_that_has_none(get, alga: FakeRegistry) -> None:
    """The bundle was published for one tenant; the registry's answer does not change that."""
    alga.valid.add(("globex", "ext"))
    await get("index.html")

    assert (await get("index.html", tenant="globex")).json() == {"code": "extract_failed"}


# GET /


async def test_a_host_leads_to_its_pages(
    visitor: httpx.AsyncClient, alga: FakeRegistry, content_hash: str
) -> None:
    alga.hosts["acme.example"] = {
        "tenant_id": "acme",
        "extension_id": "ext",
        "content_hash": content_hash.removeprefix("sha256:"),
        "more": 1,
    }

    response = await visitor.get("/", headers={"host": "acme.example:443"})

    assert response.status_code == 307
    assert (
        response.headers["location"] == f"/ext-ui/ext/{content_hash}/index.html?tenant=acme&extensionId=ext"
    )
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("host", ["", "a/b", "a@b", "a?b"])
async def test_a_request_without_a_host_is_refused(
    visitor: httpx.AsyncClient, alga: FakeRegistry, host: str
) -> None:
    response = await visitor.get("/", headers={"host": host})

    assert (response.status_code, alga.asked) == (400, [])


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"tenant_id": "acme", "extension_id": "ext", "content_hash": "x"},
        {"tenant_id": "../x", "extension_id": "ext", "content_hash": "0" * 64},
        {"tenant_id": "acme", "extension_id": "a b\r\n", "content_hash": "0" * 64},
        {"tenant_id": 1, "extension_id": "ext", "content_hash": "0" * 64},
    ],
    ids=str,
)
async def test_a_registry_that_answers_with_something_else_is_a_bad_gateway(
    visitor: httpx.AsyncClient, alga: FakeRegistry, document: dict[str, Any]
) -> None:
    alga.hosts["runner"] = document

    response = await visitor.get("/")

    assert response.status_code == 502
    assert "location" not in response.headers


@pytest.mark.parametrize(
    ("answer", "status"), [(failing, 502), (unusable, 502), (None, 404), (too_soon, 404)]
)
async def test_a_host_that_belongs_to_nothing_leads_nowhere(
    visitor: httpx.AsyncClient, alga: FakeRegistry, answer, status: int
) -> None:
    alga.answer = answer

    assert (await visitor.get("/")).status_code == status


async def test_without_a_registry_no_host_leads_anywhere(pages) -> None:
    async with pages(registry_url=None) as client:
        assert (await client.get("/")).status_code == 503


@pytest.mark.parametrize(
    "url", ["alga", "ftp://alga.example", "https://", "https://user:hunter2@alga.example"]
)
def test_a_registry_that_is_no_server_stops_the_start(runner: Runner, settings: Settings, url: str) -> None:
    with pytest.raises(SettingsError, match="registry_url") as refused:
        create_service(runner, settings.model_copy(update={"registry_url": url}))

    assert "hunter2" not in str(refused.value)


# Over sockets.


async def test_a_registry_on_a_socket_is_asked(runner: Runner, settings: Settings, content_hash: str) -> None:
    async def yes(scope: Any, _receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"valid": true}'})

    asked: list[str] = []
    async with serving(yes) as url:
        service = create_service(runner, settings.model_copy(update={"registry_url": url}))
        async with (
            serving(service) as at,
            httpx.AsyncClient(base_url=at, timeout=PATIENCE_S, trust_env=False) as client,
        ):
            response = await client.get(f"/ext-ui/ext/{content_hash}/app.js?tenant=acme")
            again = await client.get(
                f"/ext-ui/ext/{content_hash}/app.js", headers={"if-none-match": response.headers["etag"]}
            )

    assert (response.status_code, response.content) == (200, SCRIPT)
    assert (again.status_code, again.headers["cache-control"]) == (304, IMMUTABLE)
    assert asked == ["/api/installs/validate"]
