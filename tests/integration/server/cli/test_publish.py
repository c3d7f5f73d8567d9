"""Publishing a folder or an archive."""

from __future__ import annotations

import json
import os
from pathlib import Path

import httpx
import pytest

from alga_runner.bundles.signatures import new_key, signature_document
from alga_runner.models import content_hash, unpack
from alga_server.cli.extension_files import read_archive
from tests.support.server_cli import NAME, Run, document, done, refused, write_manifest


def test_publishing_a_folder_says_what_was_published(alga: Run, folder: Path) -> None:
    shown = done(alga("publish", str(folder)))

    assert shown.startswith(f"Published {NAME} 1.0.0.\n")
    assert "cap:scheduler.manage, cap:storage.kv" in shown


def test_publishing_again_changes_nothing_and_says_so(alga: Run, folder: Path) -> None:
    first = document(alga("publish", str(folder), "--json"))
    again = document(alga("publish", str(folder), "--json"))

    assert (first.pop("created"), again.pop("created")) == (True, False)
    assert first == again
    assert done(alga("publish", str(folder))).startswith(
        f"{NAME} 1.0.0 was published before; nothing changed."
    )


def with_warmup(**members: object) -> httpx.AsyncBaseTransport:
    """A server that publishes, and whose runner answers so."""
    warmup = {"status": "ready", "durationMs": 0, "code": None, "message": None, "hint": None, **members}
    published = {"name": NAME, "version": "1.0.0", "extensionId": "e", "contentHash": "sha256:0"}
    document = {**published, "versionId": "v", "capabilities": [], "endpoints": [], "warmup": warmup}
    return httpx.MockTransport(lambda _: httpx.Response(201, json=document))


def test_publishing_shows_how_long_the_runner_compiled(alga: Run, folder: Path) -> None:
    shown = done(alga("publish", str(folder), transport=with_warmup(durationMs=11_240)))

    assert "  compiled      ready on the runner, after 11.2 s\n" in shown


def test_publishing_without_a_runner_succeeds_and_shows_why_it_is_not_compiled(
    alga: Run, folder: Path
) -> None:
    transport = with_warmup(
        status="unavailable", code="runner_unavailable", message="The runner cannot be reached"
    )

    shown = done(alga("publish", str(folder), transport=transport))

    assert (
        "  compiled      not yet; the first execution waits for it."
        " The runner cannot be reached. (runner_unavailable)\n"
    ) in shown


def test_a_version_that_the_runner_refuses_is_published_with_a_warning(alga: Run, folder: Path) -> None:
    transport = with_warmup(
        status="refused", code="abi_marker_missing", message="It has no marker.", hint="Add it."
    )

    result = alga("publish", str(folder), "--id", transport=transport)

    assert (result.exit_code, result.stdout) == (0, "e\n")
    assert result.stderr == (
        "warning: The runner cannot execute this version: It has no marker.\nhint: Add it.\n"
    )


def test_a_server_without_a_store_shows_nothing_of_compiling(alga: Run, folder: Path) -> None:
    assert "compiled" not in done(alga("publish", str(folder)))


def test_a_bundle_is_published_as_it_is(alga: Run, folder: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "sync.tar.zst"
    bundle.write_bytes(read_archive(folder))

    of_folder = document(alga("publish", str(folder), "--json"))
    assert document(alga("publish", str(bundle), "--json"))["contentHash"] == of_folder["contentHash"]


def test_a_bundle_is_published_with_the_signature_next_to_it(alga: Run, folder: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "sync.tar.zst"
    bundle.write_bytes(read_archive(folder))
    signature = tmp_path / "sync.tar.zst.SIGNATURE"
    signature.write_bytes(signature_document(new_key(), content_hash(bundle.read_bytes())))

    done(alga("publish", str(bundle)))
    assert "was published before; its signature is stored." in done(alga("publish", str(bundle)))

    signature.write_text("{}")
    assert "The signature is not one of this bundle." in refused(
        alga("publish", str(bundle)), "bundle_invalid"
    )


def test_only_manifest_module_and_ui_are_packed_and_nothing_hidden(folder: Path) -> None:
    for name in (
        "ui/index.html",
        "ui/deep/app.js",
        "ui/.DS_Store",
        "ui/.git/config",
        "secret.env",
        "src/a.ts",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)

    packed = unpack(read_archive(folder))

    assert sorted(packed) == ["dist/main.wasm", "manifest.json", "ui/deep/app.js", "ui/index.html"]


def test_other_content_under_a_published_version_is_refused(alga: Run, folder: Path) -> None:
    alga("publish", str(folder))
    (folder / "dist" / "main.wasm").write_bytes(b"\0asm\1")

    assert "versions never change" in refused(alga("publish", str(folder)), "version_exists")


def test_a_bad_manifest_is_refused_in_the_server_s_words(alga: Run, folder: Path) -> None:
    write_manifest(folder, version="one")

    assert "version" in refused(alga("publish", str(folder)), "bundle_invalid")


def test_nothing_at_a_path_is_a_sentence(alga: Run, tmp_path: Path) -> None:
    assert "hint: Give an extension's folder" in refused(
        alga("publish", str(tmp_path / "nothing")), "extension_not_found"
    )


def test_a_missing_manifest_is_named(alga: Run, folder: Path) -> None:
    (folder / "manifest.json").unlink()

    assert "has no manifest.json." in refused(alga("publish", str(folder)), "extension_not_found")


def test_a_missing_module_is_named(alga: Run, folder: Path) -> None:
    (folder / "dist" / "main.wasm").unlink()

    assert "not built: it holds no dist/main.wasm" in refused(alga("publish", str(folder)), "bundle_invalid")


def test_pages_alone_are_published_and_installed(alga: Run, tmp_path: Path) -> None:
    folder = tmp_path / "pages"
    (folder / "ui").mkdir(parents=True)
    (folder / "ui" / "index.html").write_text("<p>")
    (folder / "ui" / "Screenshot 3.14.15\u202fPM \U0001f468\u200d\U0001f469.png").write_bytes(b"1")
    name = "Zeit\u00fcbersicht\u202f\U0001f468\u200d\U0001f469"
    manifest = {"name": name, "version": "1.0.0", "ui": {"type": "iframe", "entry": "ui/index.html"}}
    (folder / "manifest.json").write_text(json.dumps(manifest))

    published = document(alga("publish", str(folder), "--json"))
    installed = document(alga("install", name, "--tenant", "acme", "--json"))

    assert (published["name"], published["endpoints"]) == (name, [])
    assert (installed["extensionName"], installed["contentHash"]) == (name, published["contentHash"])


@pytest.mark.parametrize(
    ("name", "place"),
    [(b"na\xefve.png", "byte 0xEF after 5 bytes"), (b"a\x07.png", "U+0007, character 5")],
)
def test_a_name_that_cannot_be_packed_is_named(alga: Run, folder: Path, name: bytes, place: str) -> None:
    (folder / "ui").mkdir()
    (folder / "ui" / os.fsdecode(name)).touch()

    assert place in refused(alga("publish", str(folder)), "extension_unusable")


def test_one_name_in_two_normal_forms_is_refused(alga: Run, folder: Path) -> None:
    (folder / "ui").mkdir()
    for name in ("caf\u00e9", "cafe\u0301"):
        (folder / "ui" / name).touch()

    assert "Unicode's normal forms" in refused(alga("publish", str(folder)), "extension_unusable")


def test_a_link_out_of_the_folder_is_not_followed(alga: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (folder / "ui").mkdir()
    (folder / "ui" / "link.js").symlink_to(tmp_path / "secret")

    refused(alga("publish", str(folder)), "extension_unusable")


def test_a_linked_folder_is_not_followed(alga: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "ui").mkdir()
    (folder / "ui" / "more").symlink_to(tmp_path)

    refused(alga("publish", str(folder)), "extension_unusable")


def test_extensions_lists_every_version(alga: Run, folder: Path) -> None:
    assert done(alga("extensions")) == "Nothing is published.\n"
    alga("publish", str(folder))
    write_manifest(folder, version="1.1.0")
    alga("publish", str(folder))

    lines = done(alga("extensions")).splitlines()
    extensions = document(alga("extensions", "--name", NAME, "--json"))["extensions"]

    assert lines[0].split()[:3] == ["NAME", "VERSION", "CAPABILITIES"]
    assert [line.split()[:2] for line in lines[1:]] == [[NAME, "1.0.0"], [NAME, "1.1.0"]]
    assert [row["version"] for row in extensions[0]["versions"]] == ["1.0.0", "1.1.0"]
    assert document(alga("extensions", "--name", "other", "--json")) == {"extensions": []}
