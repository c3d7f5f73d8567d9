"""What an extension is, read without running it; refused ones are described as far as possible."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
import zstandard
from wasmtime import wat2wasm

from alga_runner.bundles import read_bundle
from alga_runner.models import pack

IMPORT_LIST = '(import "alga:scheduler" "list" (func (param i32 i32 i32 i32) (result i32)))'


def inspected(run, path: str, exit_code: int = 0) -> dict:
    result = run("inspect", path, "--json")
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


def test_the_sample_is_described_in_full(run, sample: str) -> None:
    result = run("inspect", sample)

    assert result.exit_code == 0
    assert result.stderr == ""
    for said in (
        "com.alga.sample.scheduler-demo 1.0.0\n",
        f"content hash  {read_bundle(sample).content_hash}\n",
        "guest ABI     alga_abi_v1\n",
        "  POST  /setup      dist/main  can be scheduled\n",
        "cap:scheduler.manage  declared         for alga:scheduler create, delete, get, get-endpoints, list, update",
        "    create         (i32, i32, i32, i32) -> (i32)  needs cap:scheduler.manage\n",
        "  env  (AssemblyScript's runtime library)\n",
        "  alga_handle  function  (i32) -> ()\n",
        "\nA runner would load it.\n",
    ):
        assert said in result.stdout


def test_nothing_of_the_guest_runs(run, extension) -> None:
    trapping = '(func $boom unreachable) (start $boom) (func (export "_initialize") unreachable)'
    path = extension(module=trapping)

    assert run("inspect", path).exit_code == 0
    assert "error[guest_trap]" in run("invoke", path, "POST", "/go").stderr


def test_a_bundle_is_described_with_the_hash_of_its_own_bytes(run, sample: str, tmp_path: Path) -> None:
    archive = tmp_path / "bundle.tar.zst"
    archive.write_bytes(pack(read_bundle(sample).files))

    document = inspected(run, str(archive))

    assert document["kind"] == "bundle"
    assert document["contentHash"] == read_bundle(archive).content_hash


def test_entries_that_are_skipped_are_listed(
    run, sample: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "bundle.tar.zst"
    packed = zstandard.decompress(pack(read_bundle(sample).files), max_output_size=1 << 24)
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    archive.write_bytes(zstandard.compress(link.tobuf() + packed))

    assert "is a link" in run("inspect", str(archive)).stderr
    monkeypatch.setenv("ALGA_RUNNER_BUNDLE_ENTRIES", "skip")
    result = run("inspect", str(archive))

    assert result.exit_code == 0
    assert "\nSkipped entries\n  The bundle's entry 'link' is a link" in result.stdout
    [sentence] = inspected(run, str(archive))["skippedEntries"]
    assert sentence.startswith("The bundle's entry 'link' is a link")


def test_a_bare_module_is_described_without_a_manifest(run, sample: str) -> None:
    document = inspected(run, f"{sample}/dist/main.wasm")

    assert document["kind"] == "module"
    assert document["manifest"] is None
    assert document["contentHash"] is None
    assert "cap:scheduler.manage" in document["capabilities"]["needed"]


def test_a_needed_capability_that_is_not_declared_is_named(run, extension) -> None:
    path = extension(imports=IMPORT_LIST)

    assert inspected(run, path)["capabilities"]["undeclared"] == ["cap:scheduler.manage"]
    assert "  Undeclared: cap:scheduler.manage." in run("inspect", path).stdout


def test_a_declared_capability_that_nothing_needs_is_named(run, extension) -> None:
    path = extension(capabilities=["cap:storage.kv", "cap:log.emit"])

    assert inspected(run, path)["capabilities"]["unused"] == ["cap:storage.kv"]
    assert "  Unused: cap:storage.kv." in run("inspect", path).stdout


def test_unknown_imports_are_marked_each_and_refused_once(run, extension) -> None:
    path = extension(
        imports="""
          (import "alga:schedule" "list" (func))
          (import "env" "fopen" (func))
          (import "env" "table" (table 1 funcref))"""
    )

    result = run("inspect", path)

    assert result.exit_code == 1
    assert "list  () -> ()  REFUSED: unknown; the nearest is alga:scheduler list" in result.stdout
    assert "fopen  () -> ()  REFUSED: unknown" in result.stdout
    assert "REFUSED: a table; the host offers functions only" in result.stdout
    assert "A runner would refuse it." in result.stdout
    assert result.stderr.count("error[import_unknown]") == 1


def test_an_import_of_another_type_is_marked_with_the_host_s(run, extension) -> None:
    result = run("inspect", extension(imports='(import "alga:scheduler" "list" (func (param i64)))'))

    assert "REFUSED: the host's type is (i32, i32, i32, i32) -> (i32)" in result.stdout
    assert "error[import_mistyped]" in result.stderr


def test_wasi_imports_are_noted_as_the_host_s_own(run, extension) -> None:
    path = extension(imports='(import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))')

    assert "wasi_snapshot_preview1  (WASI preview 1, the host's own)" in run("inspect", path).stdout


@pytest.mark.parametrize(
    ("wasm", "code"),
    [
        pytest.param(b"not wasm", "not_wasm", id="not wasm"),
        pytest.param(b"", "not_wasm", id="empty"),
        pytest.param(b"\0asm\x0d\0\1\0", "export_missing", id="component without a handler"),
        pytest.param(b"\0asm\x0e\0\1\0", "module_unsupported", id="unknown version"),
        pytest.param(b"\0asm\1\0\0\0garbage", "module_unsupported", id="garbage after the magic"),
        pytest.param(bytes(wat2wasm("(module)")), "abi_marker_missing", id="no marker"),
        pytest.param(
            bytes(wat2wasm('(module (func (export "alga_abi_v1")))')), "export_missing", id="no handler"
        ),
    ],
)
def test_a_refused_module_is_described_with_its_manifest_and_the_reason(run, extension, wasm, code) -> None:
    result = run("inspect", extension(wasm=wasm))

    assert result.exit_code == 1
    assert "com.example.test 1.2.3" in result.stdout
    assert "POST  /go" in result.stdout
    assert f"error[{code}]: " in result.stderr
    assert "Traceback" not in result.output


def test_a_broken_manifest_does_not_hide_the_module(run, extension) -> None:
    path = extension(manifest={"name": "x"}, imports=IMPORT_LIST)

    document = inspected(run, path, 1)

    assert document["manifest"] is None
    assert document["loads"] is False
    assert [refusal["code"] for refusal in document["refusals"]] == ["manifest_invalid"]
    assert "cap:scheduler.manage" in document["capabilities"]["needed"]


def test_two_faults_are_both_told(run, extension) -> None:
    document = inspected(run, extension(manifest={"name": "x"}, wat="(module)"), 1)

    assert [refusal["code"] for refusal in document["refusals"]] == ["manifest_invalid", "abi_marker_missing"]


def test_a_bundle_with_a_broken_manifest_is_described(run, extension, tmp_path: Path, sample: str) -> None:
    archive = tmp_path / "bundle.tar.zst"
    archive.write_bytes(pack({"manifest.json": b"{}", "dist/main.wasm": read_bundle(sample).wasm}))

    document = inspected(run, str(archive), 1)

    assert document["kind"] == "bundle"
    assert document["imports"]
    assert [refusal["code"] for refusal in document["refusals"]] == ["manifest_invalid"]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        pytest.param("nothing", None, "bundle_not_found", id="nothing there"),
        pytest.param("text", b"hello", "bundle_invalid", id="a text file"),
        pytest.param("guest.wat", b"(module)", "not_wasm", id="the text form"),
    ],
)
def test_what_is_no_extension_is_told(
    run, tmp_path: Path, name: str, content: bytes | None, code: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)

    result = run("inspect", str(tmp_path / name))

    assert result.exit_code == 1
    assert f"error[{code}]: " in result.stderr
    assert "hint: " in result.stderr or code == "bundle_invalid"


def test_an_empty_folder_is_told(run, tmp_path: Path) -> None:
    result = run("inspect", str(tmp_path))

    assert result.exit_code == 1
    assert "has no manifest.json" in result.stderr


def test_a_module_past_the_runner_s_limits_is_refused_as_a_runner_would(run, extension, monkeypatch) -> None:
    path = extension(pages=32)
    monkeypatch.setenv("ALGA_RUNNER_MAX_MEMORY_MB", "1")
    assert [refusal["code"] for refusal in inspected(run, path, 1)["refusals"]] == ["memory_limit"]

    monkeypatch.setenv("ALGA_RUNNER_MAX_MODULE_BYTES", "10")
    assert [refusal["code"] for refusal in inspected(run, path, 1)["refusals"]] == ["module_too_large"]


def test_pages_alone_are_described(run, pages: str) -> None:
    result = run("inspect", pages)
    document = inspected(run, pages)

    assert "none: it has pages alone, and no handler" in result.stdout
    assert "It has no handler for a runner to execute." in result.stdout
    assert (document["module"], document["imports"], document["refusals"]) == (None, None, [])


def test_a_packed_bundle_without_the_module_it_needs_is_refused(run, tmp_path: Path) -> None:
    archive = tmp_path / "bundle.tar.zst"
    manifest = {"name": "demo", "version": "1.0.0", "runtime": "wasm-js@1"}
    archive.write_bytes(pack({"manifest.json": json.dumps(manifest).encode()}))

    document = inspected(run, str(archive), 1)

    assert [refusal["code"] for refusal in document["refusals"]] == ["bundle_invalid"]
