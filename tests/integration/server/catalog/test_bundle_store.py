"""Every install has its bundle under its own tenant's key, whole, or the install is refused."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from alga_runner.bundles import BundleSource, FolderBundles
from alga_runner.errors import SettingsError
from alga_runner.models import content_hash, pack
from alga_server import ManualClock, Server, ServerSettings
from alga_server.catalog.bundle_store import BundleStore, Placement
from tests.support.server import Alga, Install, extension_archive

pytestmark = pytest.mark.anyio

MANIFEST = b'{"name": "com.example.sync", "version": "1.0.0", "runtime": "wasm-js@1"}'
ARCHIVE = pack({"manifest.json": MANIFEST, "dist/main.wasm": b"\0asm"})
HASH = content_hash(ARCHIVE)
MINE = Placement("tenant-a", "5f6b", HASH)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "bundles"


@pytest.fixture
def settings(settings: ServerSettings, root: Path) -> ServerSettings:
    return settings.model_copy(update={"bundle_store": root})


def archives(root: Path) -> list[Path]:
    return sorted(root.rglob("bundle.tar.zst"))


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def archive_of(root: Path, placement: Placement) -> Path:
    return root.joinpath(*placement.folder, "bundle.tar.zst")


def test_a_runner_finds_what_was_put(root: Path) -> None:
    BundleStore(root).put(MINE, ARCHIVE)

    source: BundleSource = FolderBundles(root)
    bundle = anyio.run(source.fetch, "tenant-a", "5f6b", HASH)

    assert bundle.content_hash == HASH
    assert archive_of(root, MINE) == root / FolderBundles.key("tenant-a", "5f6b", HASH)


def test_the_manifest_is_next_to_the_archive_byte_by_byte(root: Path) -> None:
    BundleStore(root).put(MINE, ARCHIVE)

    assert archive_of(root, MINE).with_name("manifest.json").read_bytes() == MANIFEST


def test_a_new_store_is_its_owners_alone_whatever_the_umask(root: Path) -> None:
    old = os.umask(0)
    try:
        store = BundleStore(root / "deep")
    finally:
        os.umask(old)

    assert stat.S_IMODE((root / "deep").stat().st_mode) == 0o700
    assert store.exposure() is None


def test_a_store_that_is_there_keeps_its_mode_and_is_pointed_out(root: Path) -> None:
    root.mkdir()
    root.chmod(0o755)

    assert f"`chmod 700 {root}`" in (BundleStore(root).exposure() or "")
    assert stat.S_IMODE(root.stat().st_mode) == 0o755


def test_the_command_that_closes_a_folder_is_quoted_for_a_shell(tmp_path: Path) -> None:
    folder = tmp_path / "two words"
    folder.mkdir()
    folder.chmod(0o755)

    assert f"`chmod 700 '{folder}'`" in (BundleStore(folder).exposure() or "")


def test_files_are_for_every_reader_whatever_the_umask(root: Path) -> None:
    old = os.umask(0o077)
    try:
        store = BundleStore(root)
        store.put(MINE, ARCHIVE)
    finally:
        os.umask(old)

    file = archive_of(root, MINE)
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    below = [folder for folder in file.parents if folder.is_relative_to(root) and folder != root]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in below} == {0o755}


def test_bytes_that_the_hash_does_not_name_are_refused(root: Path) -> None:
    with pytest.raises(ValueError, match="is not sha256:"):
        BundleStore(root).put(MINE, ARCHIVE + b"\0")

    assert archives(root) == []


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../other", "a/b", "a\\b", ".hidden", "a\0b", "a\nb", "x" * 129]
)
def test_an_id_that_is_not_one_plain_segment_is_refused(root: Path, name: str) -> None:
    store = BundleStore(root)

    with pytest.raises(ValueError, match="cannot name a bundle"):
        store.put(Placement(name, "5f6b", HASH), ARCHIVE)
    with pytest.raises(ValueError, match="cannot name a bundle"):
        store.put(Placement("tenant-a", name, HASH), ARCHIVE)

    assert archives(root.parent) == []


@pytest.mark.parametrize("text", ["", "sha256:", "sha256:" + "g" * 64, "../" * 20])
def test_a_hash_that_is_none_is_refused(root: Path, text: str) -> None:
    with pytest.raises(ValueError, match="a content hash is"):
        BundleStore(root).put(Placement("tenant-a", "5f6b", text), ARCHIVE)


def test_a_truncated_archive_is_replaced(root: Path) -> None:
    store = BundleStore(root)
    store.put(MINE, ARCHIVE)
    archive_of(root, MINE).write_bytes(ARCHIVE[:10])

    assert not store.holds(MINE, len(ARCHIVE))
    store.put(MINE, ARCHIVE)

    assert archive_of(root, MINE).read_bytes() == ARCHIVE


def test_what_stands_there_is_not_written_again(root: Path) -> None:
    store = BundleStore(root)
    store.put(MINE, ARCHIVE)
    before = archive_of(root, MINE).stat().st_ino

    store.put(MINE, ARCHIVE)

    assert archive_of(root, MINE).stat().st_ino == before


def test_the_remains_of_a_crash_do_not_matter(root: Path) -> None:
    store = BundleStore(root)
    (root / ".incoming").write_bytes(b"half a bun")

    store.put(MINE, ARCHIVE)

    assert archive_of(root, MINE).read_bytes() == ARCHIVE
    assert not (root / ".incoming").exists()


def test_discarding_leaves_nothing_of_the_tenant_and_everything_of_others(root: Path) -> None:
    store = BundleStore(root)
    yours = Placement("tenant-b", "5f6b", HASH)
    store.put(MINE, ARCHIVE)
    store.put(yours, ARCHIVE)

    store.discard(MINE)

    assert [path.name for path in (root / "tenants").iterdir()] == ["tenant-b"]
    assert archives(root) == [archive_of(root, yours)]


def test_discarding_what_is_not_there_is_fine(root: Path) -> None:
    BundleStore(root).discard(MINE)

    assert root.is_dir()


def test_a_store_that_is_a_file_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(
        SettingsError,
        match=r"bundle_store \(ALGA_SERVER_BUNDLE_STORE\) names cannot be used: Not a directory",
    ):
        BundleStore(tmp_path / "file")


def has_bundle(root: Path, install: Install) -> bool:
    return archive_of(
        root, Placement(install.tenant, install.extension, content_hash(install.bundle))
    ).is_file()


@pytest.fixture
async def installed(alga: Alga) -> Any:
    install = await alga.install("tenant-a")
    install.bundle = extension_archive()
    return install


async def test_an_install_has_its_bundle_when_it_is_acknowledged(root: Path, installed: Any) -> None:
    assert has_bundle(root, installed)


async def test_publishing_alone_writes_nothing(alga: Alga, root: Path) -> None:
    await alga.publish()

    assert archives(root) == []


async def test_each_tenant_has_a_copy_and_loses_only_its_own(alga: Alga, root: Path) -> None:
    first, second = await alga.install("tenant-a"), await alga.install("tenant-b")
    assert len(archives(root)) == 2

    assert (await alga.admin("DELETE", first.admin_path)).status_code == 204

    [left] = archives(root)
    assert left.is_relative_to(root / "tenants" / second.tenant)


async def test_publishing_again_brings_a_lost_copy_back(alga: Alga, root: Path, installed: Any) -> None:
    archives(root)[0].unlink()

    await alga.publish()

    assert has_bundle(root, installed)


async def test_a_refused_install_leaves_no_bundle_and_takes_none(
    alga: Alga, root: Path, installed: Any
) -> None:
    body = {"extensionId": installed.extension}
    again = await alga.admin("POST", "/api/admin/tenants/tenant-a/installs", json=body)
    undeclared = await alga.admin(
        "POST", "/api/admin/tenants/tenant-b/installs", json={**body, "grants": ["cap:secrets.get"]}
    )

    assert (again.status_code, undeclared.status_code) == (409, 400)
    assert has_bundle(root, installed)
    assert len(archives(root)) == 1


async def test_an_install_whose_bundle_cannot_be_written_is_taken_back(
    alga: Alga, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extension = (await alga.publish())["extensionId"]

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    refused = await alga.admin(
        "POST", "/api/admin/tenants/tenant-a/installs", json={"extensionId": extension}
    )
    listed = await alga.admin("GET", "/api/admin/tenants/tenant-a/installs")

    assert (refused.status_code, refused.json()["code"]) == (503, "bundle_store_unavailable")
    assert refused.json()["error"] == "The bundle store cannot be written: No space left on device"
    assert listed.json() == {"installs": []}
    assert archives(root) == []


async def test_uninstalling_succeeds_even_if_the_file_stays(
    alga: Alga, root: Path, installed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stuck(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", stuck)

    assert (await alga.admin("DELETE", installed.admin_path)).status_code == 204
    assert len(archives(root)) == 1


async def test_installs_and_uninstalls_at_once_end_with_exactly_the_bundles_of_what_is_installed(
    alga: Alga, root: Path
) -> None:
    """Uninstall and install again race for the same file."""
    extension = (await alga.publish())["extensionId"]

    async def churn(tenant: str, rounds: int) -> None:
        for _ in range(rounds):
            made = await alga.admin(
                "POST", f"/api/admin/tenants/{tenant}/installs", json={"extensionId": extension}
            )
            if made.status_code == 201:
                path = f"/api/admin/tenants/{tenant}/installs/{made.json()['installId']}"
                assert len(archives(root / "tenants" / tenant)) in (0, 1)
                await alga.admin("DELETE", path)

    async with anyio.create_task_group() as tasks:
        for tenant in ("tenant-a", "tenant-b"):
            for _ in range(3):
                tasks.start_soon(churn, tenant, 5)
    assert archives(root) == []

    await alga.install("tenant-a")
    assert len(archives(root)) == 1


async def test_a_start_writes_the_bundles_that_are_missing(
    root: Path, database_url: str, settings: ServerSettings
) -> None:
    kept = settings.model_copy(update={"database_url": database_url})
    headers = {"authorization": f"Bearer {settings.admin_token.get_secret_value()}"}  # type: ignore[union-attr]
    async with Server(kept) as server:
        transport = httpx.ASGITransport(server.app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://server", headers=headers
        ) as client:
            extension = (await client.post("/api/admin/extensions", content=ARCHIVE)).json()["extensionId"]
            for tenant in ("tenant-a", "tenant-b"):
                path = f"/api/admin/tenants/{tenant}/installs"
                assert (await client.post(path, json={"extensionId": extension})).status_code == 201
    lost, short = archives(root)
    lost.unlink()
    short.write_bytes(b"")

    async with Server(kept):
        restored = [path.read_bytes() for path in archives(root)]

    assert restored == [ARCHIVE, ARCHIVE]


async def test_without_a_store_no_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = ServerSettings(admin_token="an-admin-token")
    async with Server(settings, clock=ManualClock()) as server:
        transport = httpx.ASGITransport(server.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            headers = {"authorization": "Bearer an-admin-token"}
            made = await client.post("/api/admin/extensions", content=ARCHIVE, headers=headers)
            body = {"extensionId": made.json()["extensionId"]}
            made = await client.post("/api/admin/tenants/t/installs", json=body, headers=headers)

    assert made.status_code == 201
    assert files(tmp_path) == []
