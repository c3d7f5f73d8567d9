"""Bundles of a store over HTTP: verified, each for its tenant alone, and there while the store is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from alga_runner.bundles import FolderBundles
from alga_runner.bundles.signatures import SignedBundles, TrustBundle, new_key, signature_document, trust_line
from alga_runner.bundles.stores import ArchiveCache, HttpStore, RemoteBundles, S3Credentials, bundle_source
from alga_runner.errors import (
    BundleDownloadFailed,
    BundleError,
    BundleHashMismatch,
    BundleInvalid,
    BundleNotFound,
    BundleSignatureInvalid,
    BundleUnsigned,
    SettingsError,
)
from alga_runner.models import content_hash, pack
from alga_runner.settings import Settings
from tests.support.object_store import ObjectStore

pytestmark = pytest.mark.anyio

FILES = {
    "manifest.json": b'{"name": "demo", "version": "1.0.0", "runtime": "wasm-js@1"}',
    "dist/main.wasm": b"\0asm",
}
ARCHIVE = pack(FILES)
HASH = content_hash(ARCHIVE)
DIGITS = HASH.removeprefix("sha256:")
FAILED = "verify_archive_sha256 fetch failed: "


def path_of(tenant: str, extension: str = "ext") -> str:
    return "/alga-ext/" + FolderBundles.key(tenant, extension, HASH)


class Pauses(list[float]):
    """Waits for nothing, and keeps for how long it should have."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


class Fixture:
    """A store on a socket, and bundles that are fetched from it."""

    def __init__(self, store: ObjectStore, url: str, cache: ArchiveCache) -> None:
        self.store = store
        self.pauses = Pauses()
        self.http = HttpStore(f"{url}/alga-ext/", pause=self.pauses)
        self.bundles = RemoteBundles(self.http, cache)

    async def fetch(self, tenant: str = "t1", extension: str = "ext") -> dict[str, bytes]:
        return dict((await self.bundles.fetch(tenant, extension, HASH)).files)

    async def refusal(self, tenant: str = "t1", extension: str = "ext") -> BundleError:
        with pytest.raises(BundleError) as refused:
            await self.fetch(tenant, extension)
        return refused.value


@pytest.fixture
def cache(tmp_path: Path) -> ArchiveCache:
    return ArchiveCache(tmp_path / "cache", 1 << 20)


@pytest.fixture
async def remote(cache: ArchiveCache) -> AsyncIterator[Fixture]:
    """A store that holds one bundle, of tenant t1."""
    store = ObjectStore({path_of("t1"): ARCHIVE})
    async with store.serving() as url:
        fixture = Fixture(store, url, cache)
        yield fixture
        await fixture.bundles.aclose()


@asynccontextmanager
async def closed(fixture: Fixture) -> AsyncIterator[None]:
    """While the store is down."""
    base, fixture.http._base = fixture.http._base, fixture.http._base.copy_with(port=1)
    await fixture.http._transport.aclose()
    yield
    fixture.http._base = base


async def test_a_tenant_gets_its_bundle_by_its_key(remote: Fixture) -> None:
    assert await remote.fetch() == FILES
    assert remote.store.asked == [f"GET {path_of('t1')}"]


async def test_a_bundle_is_downloaded_once(remote: Fixture) -> None:
    await remote.fetch()
    await remote.fetch()

    assert len(remote.store.asked) == 1


async def test_without_a_cache_it_is_downloaded_each_time(remote: Fixture) -> None:
    bundles = RemoteBundles(remote.http)

    for _ in range(2):
        assert dict((await bundles.fetch("t1", "ext", HASH)).files) == FILES
    assert len(remote.store.asked) == 2


@pytest.mark.parametrize(("tenant", "extension"), [("t2", "ext"), ("t1", "other")])
async def test_a_cached_hash_is_not_given_to_another_pair(
    remote: Fixture, tenant: str, extension: str
) -> None:
    await remote.fetch()

    refused = await remote.refusal(tenant, extension)

    assert isinstance(refused, BundleNotFound)
    assert remote.store.asked[1:] == [f"HEAD {path_of(tenant, extension)}"]


async def test_another_pair_that_has_the_object_too_is_asked_for_once_and_not_downloaded(
    remote: Fixture,
) -> None:
    remote.store.objects[path_of("t2")] = ARCHIVE
    await remote.fetch()

    for _ in range(2):
        assert await remote.fetch("t2") == FILES
    assert remote.store.asked[1:] == [f"HEAD {path_of('t2')}"]


async def test_a_store_that_is_down_takes_no_cached_bundle_with_it(remote: Fixture) -> None:
    await remote.fetch()

    async with closed(remote):
        assert await remote.fetch() == FILES
        assert not await remote.bundles.reachable()


async def test_while_the_store_is_down_another_pair_still_gets_no_cached_bundle(remote: Fixture) -> None:
    await remote.fetch()

    async with closed(remote):
        refused = await remote.refusal("t2")

    assert isinstance(refused, BundleDownloadFailed)


async def test_a_missing_bundle_is_told_in_the_contract_s_words(remote: Fixture) -> None:
    refused = await remote.refusal("t2")

    assert isinstance(refused, BundleNotFound)
    assert str(refused) == FAILED + "404 Not Found"
    assert remote.pauses == []


async def test_an_archive_that_was_replaced_is_refused_and_not_kept(
    remote: Fixture, cache: ArchiveCache
) -> None:
    other = pack({**FILES, "dist/main.wasm": b"other"})
    remote.store.objects[path_of("t1")] = other

    refused = await remote.refusal()

    assert isinstance(refused, BundleHashMismatch)
    got = content_hash(other).removeprefix("sha256:")
    assert str(refused) == f"archive hash mismatch: expected {DIGITS}, got {got}"
    assert cache.read(DIGITS) is None


async def test_what_is_no_bundle_is_refused_and_not_kept(remote: Fixture, cache: ArchiveCache) -> None:
    name = content_hash(b"not an archive")
    key = FolderBundles.key("t1", "ext", name)
    remote.store.objects[f"/alga-ext/{key}"] = b"not an archive"

    with pytest.raises(BundleInvalid, match="not zstd"):
        await remote.bundles.fetch("t1", "ext", name)
    assert cache.read(name.removeprefix("sha256:")) is None


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_fault_that_may_pass_is_tried_again_after_growing_pauses(
    remote: Fixture, status: int
) -> None:
    remote.store.statuses = [status, status]

    assert await remote.fetch() == FILES
    assert remote.pauses == [0.1, 0.4]


async def test_a_fault_that_lasts_ends_the_fetch(remote: Fixture) -> None:
    remote.store.statuses = [503] * 9

    refused = await remote.refusal()

    assert isinstance(refused, BundleDownloadFailed)
    assert str(refused) == FAILED + "503 Service Unavailable"
    assert len(remote.store.asked) == 4


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403])
async def test_a_refusal_is_not_tried_again_and_no_redirect_is_followed(remote: Fixture, status: int) -> None:
    remote.store.statuses = [status]
    remote.store.headers = {"location": path_of("t1")}

    refused = await remote.refusal()

    assert isinstance(refused, BundleDownloadFailed)
    assert str(refused).startswith(f"{FAILED}{status} ")
    assert len(remote.store.asked) == 1


async def test_a_store_that_is_not_there_is_named_without_its_address(remote: Fixture) -> None:
    async with closed(remote):
        refused = await remote.refusal()

    assert str(refused) == FAILED + "the bundle store cannot be reached"
    assert len(remote.pauses) == 3


@pytest.mark.parametrize(
    ("length", "why"), [("999999999999", "is larger than"), (str(len(ARCHIVE) + 1), "breaks off")]
)
async def test_an_answer_of_a_false_length_is_refused(remote: Fixture, length: str, why: str) -> None:
    remote.store.headers = {"content-length": length}

    refused = await remote.refusal()

    assert str(refused).startswith(f"{FAILED}the bundle store's answer {why}")


async def test_a_compressed_answer_is_refused(remote: Fixture) -> None:
    remote.store.headers = {"content-encoding": "zstd"}

    assert "is compressed, which was not requested" in str(await remote.refusal())


async def test_a_store_that_never_answers_ends_the_fetch_in_time(remote: Fixture) -> None:
    remote.store.silent = True
    bundles = RemoteBundles(remote.http, timeout_s=0.02)

    with pytest.raises(BundleDownloadFailed, match=r"did not give the bundle within 0\.02 s"):
        await bundles.fetch("t1", "ext", HASH)


async def test_a_damaged_archive_in_the_cache_is_fetched_again(
    remote: Fixture, cache: ArchiveCache, tmp_path: Path
) -> None:
    await remote.fetch()
    (tmp_path / "cache" / f"{DIGITS}.tar.zst").write_bytes(ARCHIVE[:-1])

    assert await remote.fetch() == FILES
    assert cache.read(DIGITS) == ARCHIVE
    assert len(remote.store.asked) == 2


async def test_a_cache_that_cannot_be_used_costs_downloads_and_no_more(
    remote: Fixture, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    bundles = RemoteBundles(remote.http, ArchiveCache(tmp_path / "file", 1 << 20))

    assert dict((await bundles.fetch("t1", "ext", HASH)).files) == FILES
    assert not await bundles.cache_writable()


async def test_a_tenant_s_downloads_leave_room_for_another_s(remote: Fixture) -> None:
    remote.store.objects[path_of("t2")] = ARCHIVE
    bundles = RemoteBundles(remote.http)
    remote.store.silent = True
    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(bundles.fetch, "t1", "ext", HASH)
        while len(remote.store.asked) < 2:
            await anyio.lowlevel.checkpoint()
        remote.store.silent = False
        assert dict((await bundles.fetch("t2", "ext", HASH)).files) == FILES
        tasks.cancel_scope.cancel()


async def test_a_large_archive_is_asked_for_again_in_a_place_of_its_own_and_small_ones_go_on(
    remote: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alga_runner.bundles.stores.remote.SMALL_ARCHIVE_BYTES", len(ARCHIVE) - 1)
    monkeypatch.setattr("alga_runner.bundles.stores.http_store._MAX_ERROR_BYTES", 64)
    small = pack({**FILES, "manifest.json": b"{}"})
    key = FolderBundles.key("t2", "ext", content_hash(small))
    remote.store.objects[f"/alga-ext/{key}"] = small
    large = remote.bundles._large_downloads
    async with large.of("t3", 1), large.of("t4", 1), anyio.create_task_group() as tasks:
        tasks.start_soon(remote.fetch)
        while len(remote.store.asked) < 1 or remote.bundles._downloads.used:
            await anyio.lowlevel.checkpoint()
        await remote.bundles.fetch("t2", "ext", content_hash(small))
        assert len(remote.store.asked) == 2, "the large one waits"
        tasks.cancel_scope.cancel()

    assert await remote.fetch() == FILES
    assert len(remote.store.asked) == 4
    assert remote.pauses == []


@pytest.mark.parametrize("tenant", ["a b", "ünï", "a%2fb", "a+b", "a?b#c"])
async def test_an_id_of_any_characters_is_one_segment_of_the_key(remote: Fixture, tenant: str) -> None:
    await remote.refusal(tenant)

    [asked] = remote.store.asked
    assert asked.count("/") == path_of("t1").count("/")
    assert "?" not in asked
    assert asked.isascii()


@pytest.mark.parametrize(
    ("base", "asked"), [("", ""), ("/", ""), ("/a%20b/c/", "/a%20b/c"), ("/a'b", "/a%27b")]
)
async def test_keys_are_below_the_path_of_the_base(remote: Fixture, base: str, asked: str) -> None:
    origin = str(remote.http._base).removesuffix("/alga-ext")
    store = HttpStore(origin + base)

    with pytest.raises(BundleNotFound):
        await store.read("tenants/t1", "t1")
    await store.aclose()
    assert remote.store.asked == [f"GET {asked}/tenants/t1"]


@pytest.mark.parametrize("content_id", ["../up", "", ".hidden", "a/b"])
async def test_an_id_that_is_no_plain_segment_is_refused_before_anything_is_asked(
    remote: Fixture, content_id: str
) -> None:
    await remote.refusal(content_id)
    await remote.refusal("t1", content_id)

    assert remote.store.asked == []


async def test_a_store_is_reachable_when_it_answers_anything_but_a_failure(remote: Fixture) -> None:
    assert await remote.bundles.reachable()
    assert remote.store.asked == ["HEAD /alga-ext"]
    remote.store.statuses = [503]
    assert not await remote.bundles.reachable()


@pytest.mark.parametrize(
    ("status", "body", "code", "sentence"),
    [
        (404, "NoSuchKey", "ok", "accepts the runner's requests"),
        (403, "SignatureDoesNotMatch", "refused", "refuses the runner's signature"),
        (403, "InvalidAccessKeyId", "refused", "does not know the runner's access key"),
        (403, "RequestTimeTooSkewed", "refused", "clocks of the bundle store"),
        (400, "Surprise", "refused", "refuses the runner's request: Surprise"),
        (404, "NoSuchBucket", "refused", "has no such bucket"),
        (403, "AccessDenied", "refused", "refuses requests without a signature"),
        (500, "InternalError", "bundle_store_unreachable", "answers with HTTP 500"),
    ],
)
async def test_a_check_tells_why_a_store_refuses(
    remote: Fixture, status: int, body: str, code: str, sentence: str
) -> None:
    remote.store.statuses = [status]
    remote.store.body = f"<Error><Code>{body}</Code></Error>".encode()

    [finding] = await remote.bundles.check()

    assert finding.code == code
    assert sentence in finding.sentence


async def test_a_check_of_signed_requests_takes_a_denied_listing_for_fine(remote: Fixture) -> None:
    remote.store.statuses = [403]
    remote.store.body = b"<Error><Code>AccessDenied</Code></Error>"
    store = HttpStore(str(remote.http._base), S3Credentials("key", "secret", "us-east-1"))

    assert (await store.check("tenants/none")).code == "ok"
    await store.aclose()


async def test_a_check_of_a_store_that_is_not_there_says_so(remote: Fixture) -> None:
    async with closed(remote):
        [finding] = await remote.bundles.check()

    assert (finding.code, finding.sentence) == (
        "bundle_store_unreachable",
        "The bundle store cannot be reached.",
    )


async def test_an_http_store_is_made_of_alga_s_own_variables(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = ObjectStore({path_of("t1"): ARCHIVE})
    async with store.serving() as url:
        for name, value in {
            "BUNDLE_STORE_BASE": f"{url}/alga-ext/",
            "MINIO_ACCESS_KEY": "key",
            "MINIO_SECRET_KEY": "secret",
            "EXT_CACHE_ROOT": str(tmp_path / "root"),
            "EXT_CACHE_MAX_BYTES": "1048576",
        }.items():
            monkeypatch.setenv(name, value)
        bundles = bundle_source(Settings.load())

        assert dict((await bundles.fetch("t1", "ext", HASH)).files) == FILES
        assert bundles.cache_max_bytes == 1_048_576
        assert (tmp_path / "root" / "archives" / f"{DIGITS}.tar.zst").is_file()
        await bundles.aclose()


@pytest.mark.parametrize("variable", ["S3_ACCESS_KEY", "S3_SECRET_KEY"])
def test_one_key_without_the_other_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv("BUNDLE_STORE_BASE", "http://store.test")
    monkeypatch.setenv(variable, "hunter2")

    with pytest.raises(SettingsError, match=rf"\({variable}\) is there, and not s3_.*_key \(S3_") as refused:
        bundle_source(Settings.load())
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("base", ["http://", "http://user:hunter2@store.test", "https://store.test/?x=1"])
def test_a_url_that_is_more_than_a_host_and_a_path_is_refused_without_quoting_it(base: str) -> None:
    with pytest.raises(
        SettingsError, match=r"bundle_store \(BUNDLE_STORE_BASE\) cannot be used: it "
    ) as refused:
        bundle_source(Settings(bundle_store=base))
    assert "hunter2" not in str(refused.value)


KEY = new_key()
SIGNED = signature_document(KEY, HASH)


def signed(remote: Fixture) -> SignedBundles:
    trust = TrustBundle.parse(trust_line(KEY.public_key(), "Acme"))
    return SignedBundles(remote.bundles, trust, required=True)


async def test_a_signature_is_read_next_to_the_archive_and_kept_with_it(remote: Fixture) -> None:
    remote.store.objects[path_of("t1") + ".SIGNATURE"] = SIGNED

    assert (await signed(remote).fetch("t1", "ext", HASH)).signer == "Acme"
    async with closed(remote):
        assert (await signed(remote).fetch("t1", "ext", HASH)).signer == "Acme"
    assert remote.store.asked == [f"GET {path_of('t1')}.SIGNATURE", f"GET {path_of('t1')}"]


async def test_without_a_signature_no_archive_is_downloaded(remote: Fixture) -> None:
    with pytest.raises(BundleUnsigned):
        await signed(remote).fetch("t1", "ext", HASH)
    assert remote.store.asked == [f"GET {path_of('t1')}.SIGNATURE"]


async def test_a_bundle_that_is_signed_anew_is_asked_for_its_new_signature(remote: Fixture) -> None:
    remote.store.objects[path_of("t1") + ".SIGNATURE"] = signature_document(new_key(), HASH)
    with pytest.raises(BundleSignatureInvalid, match="not trusted"):
        await signed(remote).fetch("t1", "ext", HASH)

    remote.store.objects[path_of("t1") + ".SIGNATURE"] = SIGNED

    assert (await signed(remote).fetch("t1", "ext", HASH)).signer == "Acme"


async def test_a_signature_of_many_bytes_is_refused(remote: Fixture) -> None:
    remote.store.objects[path_of("t1") + ".SIGNATURE"] = b" " * 5000

    with pytest.raises(BundleDownloadFailed, match="more than 4096 bytes"):
        await signed(remote).fetch("t1", "ext", HASH)
