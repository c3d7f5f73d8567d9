"""From a folder to a signed bundle, and what goes wrong on the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alga_runner.bundles import read_bundle


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: empty, but for a bundle and a key that is trusted."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def signed(run, sample: str, work: Path) -> Path:
    assert run("pack", sample, "-o", "b.tar.zst").exit_code == 0
    assert run("keygen", "Acme releases", "--key", "acme.key", "--trust", "trusted").exit_code == 0
    assert run("sign", "b.tar.zst", "--key", "acme.key").exit_code == 0
    return work


def test_a_folder_is_packed_under_its_own_name(run, sample: str, work: Path) -> None:
    document = json.loads(run("pack", sample, "--json").stdout)

    archive = work / "com.alga.sample.scheduler-demo-1.0.0.tar.zst"
    assert document["bundle"] == archive.name
    assert document["bytes"] == archive.stat().st_size
    assert read_bundle(archive).content_hash == document["contentHash"] == read_bundle(sample).content_hash
    assert [path.name for path in work.iterdir()] == [archive.name]


def test_a_name_that_is_no_file_s_is_made_one(run, extension, work: Path) -> None:
    path = extension(
        manifest={"name": "../../a b", "version": "1.0.0", "runtime": "wasm-wat@1"}, wat="(module)"
    )

    assert json.loads(run("pack", path, "--json").stdout)["bundle"] == "a-b-1.0.0.tar.zst"


def test_what_is_no_extension_is_not_packed(run, work: Path) -> None:
    result = run("pack", str(work), "-o", "b.tar.zst")

    assert result.exit_code == 1
    assert "has no manifest.json" in result.stderr
    assert list(work.iterdir()) == []


def test_a_bundle_that_cannot_be_written_leaves_nothing(run, sample: str, work: Path) -> None:
    (work / "file").touch()

    result = run("pack", sample, "-o", "file/b.tar.zst")

    assert result.exit_code == 1
    assert "error[bundle_invalid]: file/b.tar.zst cannot be written: " in result.stderr


def test_a_signed_bundle_names_its_signer(run, signed: Path) -> None:
    result = run("verify", "b.tar.zst", "--trust", "trusted")

    assert result.exit_code == 0
    assert "signer        Acme releases\n" in result.stdout


def test_the_trust_bundle_of_the_environment_counts(
    run, signed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Give --trust FILE, or set SIGNING_TRUST_BUNDLE" in run("verify", "b.tar.zst").stderr
    monkeypatch.setenv("SIGNING_TRUST_BUNDLE", "trusted")

    assert json.loads(run("verify", "b.tar.zst", "--json").stdout)["signer"] == "Acme releases"


def test_a_bundle_that_was_packed_again_with_other_files_is_not_verified(
    run, signed: Path, extension
) -> None:
    run("pack", extension(wat="(module)"), "-o", "b.tar.zst")

    result = run("verify", "b.tar.zst", "--trust", "trusted")

    assert result.exit_code == 1
    assert "error[bundle_signature_invalid]: The signature next to the bundle" in result.stderr


def test_an_unsigned_bundle_is_not_verified(run, signed: Path) -> None:
    (signed / "b.tar.zst.SIGNATURE").unlink()

    result = run("verify", "b.tar.zst", "--trust", "trusted")

    assert result.exit_code == 1
    assert "error[bundle_unsigned]: b.tar.zst has no signature" in result.stderr


def test_a_signer_that_is_not_trusted_is_not_verified(run, signed: Path) -> None:
    run("keygen", "Other", "--key", "other.key", "--trust", "others")

    result = run("verify", "b.tar.zst", "--trust", "others")

    assert result.exit_code == 1
    assert "which is not trusted" in result.stderr


def test_a_second_key_joins_the_trust_bundle_on_a_line_of_its_own(run, signed: Path) -> None:
    (signed / "trusted").write_text((signed / "trusted").read_text().rstrip("\n"))

    run("keygen", "Backup", "--key", "backup.key", "--trust", "trusted")

    names = [line.split(" ", 2)[2] for line in (signed / "trusted").read_text().splitlines()]
    assert names == ["Acme releases", "Backup"]


def test_a_key_is_never_written_over(run, signed: Path) -> None:
    before = (signed / "acme.key").read_bytes()

    result = run("keygen", "Acme", "--key", "acme.key")

    assert result.exit_code == 1
    assert "error[signing_key_unusable]: There is a file at acme.key already." in result.stderr
    assert (signed / "acme.key").read_bytes() == before


def test_the_private_key_is_never_printed(run, work: Path) -> None:
    result = run("keygen", "Acme", "--key", "acme.key", "--json")

    secret = (work / "acme.key").read_text().splitlines()[1]
    assert secret not in result.stdout + result.stderr
    assert json.loads(result.stdout)["trustLine"].endswith(" Acme")


def test_a_key_that_others_can_read_is_pointed_out(run, signed: Path) -> None:
    (signed / "acme.key").chmod(0o644)

    result = run("sign", "b.tar.zst", "--key", "acme.key")

    assert result.exit_code == 0
    assert "warning: Everyone on this machine can open acme.key" in result.stderr


def test_what_is_no_bundle_is_not_signed(run, signed: Path) -> None:
    (signed / "c.tar.zst").write_text("no archive")

    result = run("sign", "c.tar.zst", "--key", "acme.key")

    assert result.exit_code == 1
    assert not (signed / "c.tar.zst.SIGNATURE").exists()
