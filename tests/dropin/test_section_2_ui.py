"""Section 2: the files of extensions' pages, without the faults 15 and 19."""

from __future__ import annotations

import hashlib

import anyio
import httpx
import pytest

from alga_runner import Runner, Settings
from alga_runner.bundles import Bundle, BundleSource, MemoryBundles
from alga_runner.errors import BundleHashMismatch, BundleNotFound, Overloaded, SettingsError
from alga_runner.service.ui.assets import PageCache
from tests.support.bundles import bundle_files
from tests.support.pages import FILES, INDEX, SCRIPT, FakeRegistry
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.anyio

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'"
)
IMMUTABLE = "public, max-age=31536000, immutable"


# Step 9: the file.


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("index.html", "text/html"),
        ("app.js", "text/javascript"),
        ("assets/style.css", "text/css"),
        ("assets//style.css", "text/css"),
        ("logo.SVG", "image/svg+xml"),
        ("LICENSE", "application/octet-stream"),
        ("data.json", "application/json"),
    ],
)
async def test_a_file_is_served_with_its_type_and_may_be_cached(get, path: str, content_type: str) -> None:
    response = await get(path)

    content = FILES["ui/" + path.replace("//", "/")]
    assert (response.status_code, response.content) == (200, content)
    assert response.headers["content-type"] == content_type
    assert response.headers["content-length"] == str(len(content))
    assert response.headers["etag"] == f'"sha256-{hashlib.sha256(content).hexdigest()}"'
    assert response.headers["cache-control"] == IMMUTABLE
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(("path", "has_one"), [("index.html", True), ("logo.SVG", True), ("app.js", False)])
async def test_what_a_browser_may_execute_has_a_policy(get, path: str, has_one: bool) -> None:
    response = await get(path)

    assert response.headers.get("content-security-policy") == (POLICY if has_one else None)


@pytest.mark.parametrize(
    ("changes", "policy"),
    [
        ({"ui_frame_ancestors": "https://a.example"}, f"{POLICY}; frame-ancestors https://a.example"),
        ({"ui_content_security_policy": "default-src *", "ui_frame_ancestors": "x"}, "default-src *"),
    ],
    ids=["frame ancestors", "replaced"],
)
async def test_the_policy_is_the_operator_s(
    pages, content_hash: str, changes: dict[str, str], policy: str
) -> None:
    async with pages(**changes) as client:
        response = await client.get(f"/ext-ui/ext/{content_hash}/index.html?tenant=acme")

    assert response.headers["content-security-policy"] == policy


@pytest.mark.parametrize("name", ["ui_content_security_policy", "ui_frame_ancestors"])
async def test_a_policy_that_no_header_can_hold_stops_the_start(pages, name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        async with pages(**{name: "default-src 'self'\r\nset-cookie: a=b"}):
            pass


async def test_head_is_answered_without_the_file(visitor: httpx.AsyncClient, content_hash: str) -> None:
    response = await visitor.head(f"/ext-ui/ext/{content_hash}/app.js?tenant=acme")

    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == str(len(SCRIPT))


# Step 8: the visitor has it.


@pytest.mark.parametrize("known", ["{etag}", '"a", {etag}', "*"])
async def test_a_file_that_the_visitor_has_is_not_sent_again(get, known: str) -> None:
    etag = (await get("app.js")).headers["etag"]

    response = await get("app.js", if_none_match=known.format(etag=etag))

    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == etag
    assert response.headers["cache-control"] == IMMUTABLE


async def test_a_file_that_differs_is_sent(get) -> None:
    assert (await get("app.js", if_none_match='W/"sha256-0", "sha256-0"')).status_code == 200


# Steps 6 and 7: no such file, or too large.


@pytest.mark.parametrize("path", ["", "items/7", "assets", "assets/", "missing.js"])
async def test_a_path_without_a_file_is_the_index_and_may_not_be_cached(get, path: str) -> None:
    """Upstream answered a missing file with the index, to be cached for a year (fault 19)."""
    response = await get(path)

    assert (response.status_code, response.content) == (200, INDEX)
    assert response.headers["content-type"] == "text/html"
    assert response.headers["cache-control"] == "no-store"


async def test_an_extension_without_pages_has_none(
    visitor: httpx.AsyncClient, bundles: MemoryBundles
) -> None:
    handler = bundles.add(Bundle.from_files(bundle_files()), tenant_id="acme")

    response = await visitor.get(f"/ext-ui/ext/{handler}/index.html?tenant=acme")

    assert (response.status_code, response.headers["cache-control"]) == (404, "no-store")


async def test_a_file_over_the_bound_is_refused(pages, content_hash: str) -> None:
    async with pages(ui_max_file_bytes=len(SCRIPT)) as client:
        fits = await client.get(f"/ext-ui/ext/{content_hash}/app.js?tenant=acme")
        large = await client.get(f"/ext-ui/ext/{content_hash}/index.html?tenant=acme")

    assert fits.status_code == 200
    assert (large.status_code, large.text) == (413, "asset too large")


# Step 5: the path.


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/index.html",
            "%2e%2e/manifest.json",
            "a/%2e%2e/%2e%2e/manifest.json",
            "..%2Fx.json",
            "%2e/app.js",
        ),
        *(".env", "a/.git/config", "a%5Cb.js", "a%00.js", "a%0a.js", "a.php", "a.js.", "a.", "app.wasm"),
        *("%2Fetc/passwd", "a%c2%85.js", "%ff.js"),
    ],
)
async def test_a_path_that_names_no_file_of_a_page_is_refused(
    visitor: httpx.AsyncClient, content_hash: str, path: str
) -> None:
    url = httpx.URL(f"http://runner/ext-ui/ext/{content_hash}/x?tenant=acme")
    raw = f"/ext-ui/ext/{content_hash}/{path}?tenant=acme".encode()

    response = await visitor.send(httpx.Request("GET", url.copy_with(raw_path=raw)))

    assert (response.status_code, response.text) == (400, "invalid path")


async def test_nothing_outside_of_the_pages_is_served(get) -> None:
    for path in ("manifest.json", "dist/main.wasm"):
        assert b"com.example.test" not in (await get(path)).content


# Step 4: the bundle.


class Failing(BundleSource):
    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    async def fetch(self, tenant_id: str, extension_id: str, content_hash: str) -> Bundle:
        raise self.errors.pop(0)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (BundleHashMismatch("archive hash mismatch"), 502, "archive_hash_mismatch"),
        (BundleNotFound("gone"), 500, "extract_failed"),
    ],
)
async def test_a_bundle_that_cannot_be_used_has_a_code(
    pages, settings: Settings, error: Exception, status: int, code: str
) -> None:
    async with Runner(settings, bundles=Failing(error)) as runner, pages(runner) as client:
        response = await client.get(f"/ext-ui/ext/sha256:{'0' * 64}/index.html?tenant=acme")

    assert (response.status_code, response.json()) == (status, {"code": code})
    assert response.headers["cache-control"] == "no-store"


async def test_concurrent_visitors_fetch_a_bundle_once(
    pages, settings: Settings, bundles: MemoryBundles, content_hash: str
) -> None:
    class Counting(BundleSource):
        fetched = 0

        async def fetch(self, *key: str) -> Bundle:
            self.fetched += 1
            await anyio.lowlevel.checkpoint()
            return await bundles.fetch(*key)

    source = Counting()
    async with (
        Runner(settings, bundles=source) as runner,
        pages(runner) as client,
        anyio.create_task_group() as tasks,
    ):
        for path in FILES:
            url = f"/ext-ui/ext/{content_hash}/{path.removeprefix('ui/')}?tenant=acme"
            tasks.start_soon(client.get, url)

    assert source.fetched == 1


@pytest.mark.parametrize(("most", "fetched"), [(1024 * 1024, 1), (0, 2)])
async def test_pages_that_do_not_fit_are_fetched_each_time(
    bundles: MemoryBundles, content_hash: str, most: int, fetched: int
) -> None:
    fetches: list[tuple[str, ...]] = []

    async def fetch(*key: str) -> Bundle:
        fetches.append(key)
        return await bundles.fetch(*key)

    cache = PageCache(fetch, max_bytes=most)
    for _ in range(2):
        await cache.get(("acme", "ext", content_hash))

    assert len(fetches) == fetched


async def test_a_flood_of_made_up_tenants_leaves_fetches_to_those_whose_bundle_was_found(
    bundles: MemoryBundles, content_hash: str
) -> None:
    """Without the registry's word nothing else tells them apart."""
    fetching = list[str]()

    async def fetch(tenant: str, extension: str, named: str) -> Bundle:
        if tenant.startswith("made-up"):
            fetching.append(tenant)
            await anyio.sleep_forever()
        return await bundles.fetch(tenant, extension, named)

    cache = PageCache(fetch, max_bytes=0)
    await cache.get(("acme", "ext", content_hash))
    refused = list[str]()

    async def ask(tenant: str) -> None:
        try:
            await cache.get((tenant, "ext", content_hash))
        except Overloaded:
            refused.append(tenant)

    async with anyio.create_task_group() as tasks:
        for number in range(2000):
            tasks.start_soon(ask, f"made-up-{number}")
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(PATIENCE_S):
            pages = await cache.get(("acme", "ext", content_hash))
        tasks.cancel_scope.cancel()

    assert "index.html" in pages.files
    assert len(fetching) == 1
    assert refused


async def test_bundles_of_valid_installs_are_fetched_at_the_same_time(
    pages, settings: Settings, bundles: MemoryBundles, alga: FakeRegistry
) -> None:
    tenants = {"acme", "globex"}
    alga.valid = {(tenant, "ext") for tenant in tenants}
    content_hash = bundles.add(Bundle.from_files(bundle_files() | FILES))

    class Together(BundleSource):
        def __init__(self) -> None:
            self.fetching: set[str] = set()
            self.all_are = anyio.Event()

        async def fetch(self, tenant_id: str, extension_id: str, content_hash: str) -> Bundle:
            self.fetching.add(tenant_id)
            if self.fetching == tenants:
                self.all_are.set()
            await self.all_are.wait()
            return await bundles.fetch(tenant_id, extension_id, content_hash)

    statuses = list[int]()

    async def get(client: httpx.AsyncClient, tenant: str) -> None:
        response = await client.get(f"/ext-ui/ext/{content_hash}/index.html?tenant={tenant}")
        statuses.append(response.status_code)

    async with Runner(settings, bundles=Together()) as runner, pages(runner) as client:
        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as tasks:
                for tenant in tenants:
                    tasks.start_soon(get, client, tenant)

    assert statuses == [200, 200]
