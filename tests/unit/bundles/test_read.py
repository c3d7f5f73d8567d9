"""Bundles from an extension's folder and from an archive."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from alga_runner.bundles import Bundle, read_bundle
from alga_runner.errors import BundleHashMismatch, BundleInvalid, BundleNotFound, ManifestInvalid, NoHandler
from alga_runner.models import content_hash, pack

MANIFEST = b'{"name": "demo", "version": "1.0.0", "runtime": "wasm-js@1"}'
PAGES = {"name": "pages", "version": "1.0.0", "ui": {"type": "iframe", "entry": "ui/index.html"}}
FILES = {"manifest.json": MANIFEST, "dist/main.wasm": b"\0asm", "ui/index.html": b"<p>", "ui/js/a.js": b"1"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "extension"
    for path, content in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return root


def test_a_folder_gives_the_layout_and_nothing_else(folder: Path) -> None:
    for stray in ["package.json", "src/secret.ts", "dist/other.wasm", "ui/.env", "ui/.git/config"]:
        (folder / stray).parent.mkdir(parents=True, exist_ok=True)
        (folder / stray).write_text("stray")

    assert dict(read_bundle(folder).files) == FILES


def test_a_folder_and_its_archive_are_the_same_bundle(folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "bundle.tar.zst"
    archive.write_bytes(pack(FILES))

    assert read_bundle(folder) == read_bundle(archive)
    assert read_bundle(str(folder)).content_hash == content_hash(archive.read_bytes())


def test_a_bundle_gives_its_module_and_manifest(folder: Path) -> None:
    bundle = read_bundle(folder)

    assert (bundle.wasm, bundle.manifest.name) == (b"\0asm", "demo")


def test_a_folder_without_ui_is_a_bundle(folder: Path) -> None:
    for file in ["ui/index.html", "ui/js/a.js"]:
        (folder / file).unlink()

    assert sorted(read_bundle(folder).files) == ["dist/main.wasm", "manifest.json"]


def test_nothing_there_says_what_was_looked_for_and_where(tmp_path: Path) -> None:
    with pytest.raises(BundleNotFound, match=r"no bundle at .*/missing: neither a folder nor a file"):
        read_bundle(tmp_path / "missing")


def test_a_folder_without_a_manifest_says_so(folder: Path) -> None:
    (folder / "manifest.json").unlink()

    with pytest.raises(BundleNotFound, match=r"extension has no manifest\.json"):
        read_bundle(folder)


@pytest.mark.parametrize(
    ("changes", "needs"),
    [
        ({"runtime": "wasm-js@1"}, "runtime wasm-js@1 needs"),
        ({"api": {"endpoints": [{"method": "GET", "path": "/a", "handler": "a"}]}}, "endpoints need"),
    ],
)
def test_an_extension_that_is_not_built_says_how_to_build_it(
    folder: Path, tmp_path: Path, changes: dict[str, object], needs: str
) -> None:
    (folder / "dist/main.wasm").unlink()
    manifest = {"runtime": "other-1", **PAGES, **changes}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    archive = tmp_path / "bundle.tar.zst"
    archive.write_bytes(pack({"manifest.json": json.dumps(manifest).encode(), "ui/index.html": b"<p>"}))

    for place in (folder, archive):
        with pytest.raises(BundleInvalid, match=rf"{place} is not built.*main\.wasm.*{needs}") as missing:
            read_bundle(place)
        assert "make samples" in (missing.value.hint or "")


@pytest.mark.parametrize("changes", [{}, {"runtime": "pages@1"}])
def test_an_extension_of_pages_alone_is_a_bundle_without_a_module(
    folder: Path, changes: dict[str, object]
) -> None:
    (folder / "dist/main.wasm").unlink()
    (folder / "manifest.json").write_text(json.dumps({**PAGES, **changes}))

    bundle = read_bundle(folder)

    assert sorted(bundle.files) == ["manifest.json", "ui/index.html", "ui/js/a.js"]
    assert not bundle.manifest.has_handler
    with pytest.raises(NoHandler, match=r"holds no dist/main\.wasm, so the extension has no handler"):
        _ = bundle.wasm


def test_pages_with_a_module_need_a_runtime(folder: Path) -> None:
    (folder / "manifest.json").write_text(json.dumps(PAGES))

    with pytest.raises(ManifestInvalid, match=r"runtime is required: .* holds dist/main\.wasm"):
        read_bundle(folder)


@pytest.mark.parametrize("manifest", [PAGES, {**PAGES, "runtime": "pages@1", "ui": None}])
def test_neither_module_nor_pages_is_refused(tmp_path: Path, manifest: dict[str, object]) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))

    with pytest.raises(BundleInvalid, match=r"holds neither dist/main\.wasm nor pages"):
        read_bundle(tmp_path)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        (b"na\xefve.png", "name that is not UTF-8: byte 0xEF after 5 bytes"),
        (b"bell\x07.png", r"control character in its name: U\+0007, character 8 of its path"),
    ],
)
def test_a_file_whose_name_cannot_be_packed_is_named(folder: Path, name: bytes, fault: str) -> None:
    (folder / "ui" / os.fsdecode(name)).touch()

    with pytest.raises(BundleInvalid, match=fault):
        read_bundle(folder)


def test_a_file_named_by_a_desktop_is_taken(folder: Path) -> None:
    (folder / "ui" / "Screenshot 3.14.15\u202fPM.png").write_bytes(b"1")

    assert read_bundle(folder).files["ui/Screenshot 3.14.15\u202fPM.png"] == b"1"


@pytest.mark.parametrize("file", ["manifest.json", "dist/main.wasm"])
def test_a_file_of_the_folder_for_the_folder_is_told_the_folder(folder: Path, file: str) -> None:
    with pytest.raises(BundleInvalid, match=f"{file} is not a packed bundle") as refused:
        read_bundle(folder / file)

    assert refused.value.hint == f"Give the extension's folder: {folder}."


def test_a_file_of_another_kind_is_told_what_is_taken(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("notes")

    with pytest.raises(BundleInvalid, match=r"notes\.txt is not a packed bundle") as refused:
        read_bundle(tmp_path / "notes.txt")
    assert ".tar.zst" in (refused.value.hint or "")


def test_an_archive_that_is_damaged_further_on_says_where(folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "bundle.tar.zst"
    archive.write_bytes(pack(FILES)[:-5])

    with pytest.raises(BundleInvalid, match="truncated"):
        read_bundle(archive)


def test_a_broken_manifest_is_refused(folder: Path) -> None:
    (folder / "manifest.json").write_text("{}")

    with pytest.raises(ManifestInvalid, match="name is required"):
        read_bundle(folder)


@pytest.mark.parametrize("path", ["manifest.json", "dist/main.wasm", "ui/index.html"])
def test_a_link_that_leads_outside_is_refused(folder: Path, tmp_path: Path, path: str) -> None:
    outside = tmp_path / "secret"
    outside.write_text("secret")
    (folder / path).unlink()
    (folder / path).symlink_to(outside)

    with pytest.raises(BundleInvalid, match="leads out of the extension's folder"):
        read_bundle(folder)


def test_a_linked_ui_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (folder / "ui/more").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(BundleInvalid, match="link to a folder"):
        read_bundle(folder)


def test_a_link_within_the_folder_is_a_file(folder: Path) -> None:
    (folder / "ui/copy.html").symlink_to("index.html")

    assert read_bundle(folder).files["ui/copy.html"] == b"<p>"


def test_a_pipe_is_refused_and_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "ui/pipe")

    with pytest.raises(BundleInvalid, match="not a regular file"):
        read_bundle(folder)


def test_a_dangling_link_is_refused(folder: Path) -> None:
    (folder / "ui/gone").symlink_to("nowhere")

    with pytest.raises(BundleNotFound, match="gone cannot be read"):
        read_bundle(folder)


def test_an_archive_with_a_broken_manifest_still_has_its_module() -> None:
    bundle = Bundle.from_archive(pack({"manifest.json": b"{}", "dist/main.wasm": b"\0asm"}))

    assert bundle.wasm == b"\0asm"
    with pytest.raises(ManifestInvalid):
        _ = bundle.manifest


def test_an_archive_without_a_manifest_names_itself() -> None:
    bundle = Bundle.from_archive(pack({"dist/main.wasm": b"\0asm"}))

    with pytest.raises(ManifestInvalid, match=bundle.content_hash):
        _ = bundle.manifest


def test_a_hash_that_does_not_match_is_told_in_the_contract_words() -> None:
    archive = pack(FILES)
    actual = content_hash(archive).removeprefix("sha256:")

    with pytest.raises(BundleHashMismatch) as mismatch:
        Bundle.from_archive(archive, "0" * 64)
    assert str(mismatch.value) == f"archive hash mismatch: expected {'0' * 64}, got {actual}"


def test_the_hash_is_compared_before_anything_is_unpacked() -> None:
    with pytest.raises(BundleHashMismatch):
        Bundle.from_archive(b"not an archive", "0" * 64)


def test_a_bundle_cannot_be_changed() -> None:
    bundle = Bundle.from_files(FILES)

    with pytest.raises(TypeError):
        bundle.files["ui/index.html"] = b"other"  # type: ignore[index]
