"""Fetching: verified, and never across tenants."""

from __future__ import annotations

import io
import tarfile
import threading
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import zstandard

from alga_common.fair_limiter import share
from alga_runner.bundles import Bundle, BundleSource, FolderBundles, MemoryBundles
from alga_runner.bundles.stores import bundle_source
from alga_runner.errors import BundleHashMismatch, BundleInvalid, BundleNotFound, SettingsError
from alga_runner.models import content_hash, pack
from alga_runner.models.archive import MAX_UNPACKING_BYTES, unpacking_bytes
from alga_runner.settings import Settings
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.anyio

FILES = {
    "manifest.json": b'{"name": "demo", "version": "1.0.0", "runtime": "wasm-js@1"}',
    "dist/main.wasm": b"\0asm",
}
ARCHIVE = pack(FILES)
HASH = content_hash(ARCHIVE)


def publish(root: Path, tenant: str, extension: str = "ext", archive: bytes = ARCHIVE) -> None:
    path = root / FolderBundles.key(tenant, extension, HASH)
    path.parent.mkdir(parents=True)
    path.write_bytes(archive)


@pytest.fixture(params=["folder", "memory"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> BundleSource:
    """A store that holds one bundle, of tenant t1."""
    if request.param == "folder":
        publish(tmp_path, "t1")
        return FolderBundles(tmp_path)
    memory = MemoryBundles()
    memory.add(Bundle.from_files(FILES), tenant_id="t1")
    return memory


@pytest.mark.parametrize("spelling", [HASH, HASH.removeprefix("sha256:"), HASH.upper()])
async def test_a_tenant_gets_its_bundle(source: BundleSource, spelling: str) -> None:
    bundle = await source.fetch("t1", "ext", spelling)

    assert (bundle.content_hash, dict(bundle.files)) == (HASH, FILES)


async def test_another_tenant_does_not_get_it(source: BundleSource) -> None:
    with pytest.raises(BundleNotFound):
        await source.fetch("t2", "ext", HASH)


async def test_an_unknown_hash_is_not_found(source: BundleSource) -> None:
    with pytest.raises(BundleNotFound, match="f" * 64):
        await source.fetch("t1", "ext", "f" * 64)


@pytest.mark.parametrize("text", ["", "sha256:", "sha256:xyz", "../../etc", "f" * 63, "f" * 64 + "/.."])
async def test_what_is_no_hash_names_no_bundle(source: BundleSource, text: str) -> None:
    with pytest.raises(BundleNotFound, match="cannot name a bundle"):
        await source.fetch("t1", "ext", text)


def test_the_folder_is_laid_out_like_the_object_store() -> None:
    digits = HASH.removeprefix("sha256:")

    assert FolderBundles.key("t1", "ext", HASH) == f"tenants/t1/extensions/ext/sha256/{digits}/bundle.tar.zst"


@pytest.mark.parametrize("name", ["", ".", "..", "../t1", "t1/x", "t1\\x", ".t1", "t\n1", "t\0", "x" * 129])
async def test_an_id_that_is_no_plain_segment_is_refused(tmp_path: Path, name: str) -> None:
    publish(tmp_path, "t1")
    source = FolderBundles(tmp_path)

    with pytest.raises(BundleNotFound, match="The tenant id"):
        await source.fetch(name, "ext", HASH)
    with pytest.raises(BundleNotFound, match="The extension id"):
        await source.fetch("t1", name, HASH)


async def test_an_archive_that_was_replaced_is_refused(tmp_path: Path) -> None:
    publish(tmp_path, "t1", archive=pack({**FILES, "dist/main.wasm": b"other"}))

    with pytest.raises(BundleHashMismatch, match="archive hash mismatch: expected"):
        await FolderBundles(tmp_path).fetch("t1", "ext", HASH)


async def test_a_folder_in_place_of_an_archive_is_refused_without_its_place_on_disk(tmp_path: Path) -> None:
    (tmp_path / FolderBundles.key("t1", "ext", HASH)).mkdir(parents=True)

    with pytest.raises(BundleInvalid, match="not a regular file") as refused:
        await FolderBundles(tmp_path).fetch("t1", "ext", HASH)
    assert str(tmp_path) not in str(refused.value)


async def test_a_missing_bundle_is_named_by_its_key_alone(tmp_path: Path) -> None:
    with pytest.raises(BundleNotFound) as missing:
        await FolderBundles(tmp_path).fetch("t1", "ext", HASH)

    assert str(missing.value) == f"There is no bundle {FolderBundles.key('t1', 'ext', HASH)} in the store."


def archive_with_links(count: int) -> bytes:
    """An archive of ``FILES`` and so many links."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in FILES.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for number in range(count):
            link = tarfile.TarInfo(f"link-{number}")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
    return zstandard.compress(buffer.getvalue())


async def test_entries_are_skipped_where_the_setting_says_so_and_each_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    archive = archive_with_links(22)
    path = tmp_path / FolderBundles.key("t1", "ext", content_hash(archive))
    path.parent.mkdir(parents=True)
    path.write_bytes(archive)
    settings = {"bundle_store": str(tmp_path)}

    with pytest.raises(BundleInvalid, match="is a link"):
        await bundle_source(Settings(**settings)).fetch("t1", "ext", content_hash(archive))
    bundle = await bundle_source(Settings(**settings, bundle_entries="skip")).fetch(
        "t1", "ext", content_hash(archive)
    )

    assert dict(bundle.files) == FILES
    assert len(caplog.messages) == 21
    assert "Entry skipped in tenants/t1/extensions/ext/" in caplog.messages[0]
    assert "'link-0' is a link" in caplog.messages[0]
    assert caplog.messages[-1].startswith("2 more entries skipped in tenants/t1/")


async def test_a_bundle_in_memory_can_be_for_every_tenant() -> None:
    memory = MemoryBundles()
    added = memory.add(Bundle.from_files(FILES))

    assert (await memory.fetch("anyone", "ext", added)).content_hash == HASH


@pytest.mark.parametrize("spelling", ["{}", "file://{}", "file://localhost{}"])
async def test_a_store_is_a_path_or_a_file_url(tmp_path: Path, spelling: str) -> None:
    publish(tmp_path, "t1")

    source = bundle_source(Settings(bundle_store=spelling.format(tmp_path)))

    assert (await source.fetch("t1", "ext", HASH)).content_hash == HASH


@pytest.mark.parametrize("base", ["s3://bucket/x", "ftp://store.test/x"])
def test_a_store_of_another_kind_is_refused(base: str) -> None:
    with pytest.raises(SettingsError, match="is not a kind of store"):
        bundle_source(Settings(bundle_store=base))


@pytest.mark.parametrize("base", ["file://host/x", "file://x", "file:///x?y", "file:///x#y"])
def test_a_file_url_that_is_more_than_a_path_is_refused(base: str) -> None:
    with pytest.raises(SettingsError, match="file:// URL"):
        bundle_source(Settings(bundle_store=base))


@pytest.mark.parametrize(
    ("name", "encoded"), [("100%41", "100%2541"), ("a?b#c", "a%3Fb%23c"), ("a\udcff b", "a%FF%20b")]
)
@pytest.mark.parametrize("as_url", [False, True], ids=["path", "url"])
async def test_a_store_of_any_name_is_exactly_that_folder(
    tmp_path: Path, name: str, encoded: str, as_url: bool
) -> None:
    (tmp_path / name).mkdir()
    publish(tmp_path / name, "t1")

    base = f"file://{tmp_path}/{encoded}" if as_url else str(tmp_path / name)
    source = bundle_source(Settings(bundle_store=base))

    assert (await source.fetch("t1", "ext", HASH)).content_hash == HASH


class Held:
    """Archives that are being unpacked: each waits in its thread until all may go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.most = 0
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Event()
        self._lock = threading.Lock()
        monkeypatch.setattr("alga_runner.bundles.bundle.unpack", self._unpack)

    def _unpack(self, archive: bytes, **_: object) -> dict[str, bytes]:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.begun.release()
        assert self.go_on.wait(PATIENCE_S)
        with self._lock:
            self.now -= 1
        return FILES

    async def begin(self, count: int) -> None:
        """Wait until that many more have begun."""
        for _ in range(count):
            assert await anyio.to_thread.run_sync(partial(self.begun.acquire, timeout=PATIENCE_S))


async def test_a_tenant_s_archives_are_unpacked_in_its_share_of_memory_and_leave_room_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tenant in ("t1", "t2"):
        publish(tmp_path, tenant)
    held, source = Held(monkeypatch), FolderBundles(tmp_path)
    of_one = share(MAX_UNPACKING_BYTES) // unpacking_bytes(len(ARCHIVE))

    async with anyio.create_task_group() as tasks:
        for _ in range(of_one + 6):
            tasks.start_soon(source.fetch, "t1", "ext", HASH)
        await held.begin(of_one)
        tasks.start_soon(source.fetch, "t2", "ext", HASH)
        await held.begin(1)
        held.go_on.set()

    assert held.most == of_one + 1


async def test_an_archive_keeps_its_memory_until_its_thread_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path, "t1")
    held, source = Held(monkeypatch), FolderBundles(tmp_path)
    memory = source._unpacker._memory
    of_one = share(MAX_UNPACKING_BYTES) // unpacking_bytes(len(ARCHIVE))

    async with anyio.create_task_group() as tasks:
        for _ in range(of_one):
            tasks.start_soon(source.fetch, "t1", "ext", HASH)
        await held.begin(of_one)
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            for _ in range(10):
                await anyio.lowlevel.checkpoint()
            assert memory.used == of_one * unpacking_bytes(len(ARCHIVE))
            held.go_on.set()

    assert memory.used == 0
