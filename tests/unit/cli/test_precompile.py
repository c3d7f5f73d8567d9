"""Compiled ahead of time: the ready modules, the refused ones, and that a runner finds them."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from wasmtime import wat2wasm

from alga_runner.bundles import FolderBundles, read_bundle
from alga_runner.models import pack
from tests.support.patience import PATIENCE_S
from tests.support.processes import is_alive

MARKED = '(module (func (export "alga_abi_v1")))'


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that is still empty."""
    folder = tmp_path / "code"
    monkeypatch.setenv("ALGA_RUNNER_CODE_CACHE", str(folder))
    return folder


@pytest.fixture
def store(tmp_path: Path, sample: str) -> Path:
    """A bundle store in which two tenants have the sample."""
    bundle = read_bundle(sample)
    for tenant in ("acme", "globex"):
        place = tmp_path / "store" / FolderBundles.key(tenant, "ext", bundle.content_hash)
        place.parent.mkdir(parents=True)
        place.write_bytes(pack(bundle.files))
    return tmp_path / "store"


def document(result: Any) -> list[dict[str, Any]]:
    return json.loads(result.stdout)["modules"]


def test_an_extension_is_compiled_into_the_cache(run, sample: str, cache: Path) -> None:
    result = run("precompile", sample)

    assert result.exit_code == 0
    assert len(list(cache.glob("*.cwasm"))) == 1
    assert result.stdout.splitlines()[-1] == "1 module: 1 compiled, 0 there already."


def test_what_is_there_already_is_left_as_it_is(run, sample: str, cache: Path) -> None:
    run("precompile", sample)
    before = [path.stat().st_ino for path in cache.iterdir()]

    result = run("precompile", sample)

    assert result.stdout.splitlines()[-1] == "1 module: 0 compiled, 1 there already."
    assert [path.stat().st_ino for path in cache.iterdir()] == before


def test_a_runner_finds_what_was_compiled(run, sample: str, cache: Path) -> None:
    run("precompile", sample)
    before = {path: path.stat().st_mtime_ns for path in cache.glob("*.cwasm")}

    assert run("invoke", sample, "POST", "/setup", "--grant", "scheduler.manage").exit_code == 0

    after = {path: path.stat().st_mtime_ns for path in cache.glob("*.cwasm")}
    assert after.keys() == before.keys()
    assert all(after[path] > before[path] for path in before)


def test_a_bundle_store_is_compiled_whole_each_module_once(run, store: Path, extension, cache: Path) -> None:
    other = read_bundle(extension())
    place = store / FolderBundles.key("acme", "other", other.content_hash)
    place.parent.mkdir(parents=True)
    place.write_bytes(pack(other.files))

    modules = document(run("precompile", str(store), "--json"))

    assert sorted(module["copies"] for module in modules) == [1, 2]
    assert [module["compiled"] for module in modules] == [True, True]
    assert len(list(cache.glob("*.cwasm"))) == 2


def test_a_module_that_stands_in_several_places_is_compiled_once(run, sample: str, tmp_path: Path) -> None:
    archive = tmp_path / "bundle.tar.zst"
    archive.write_bytes(pack(read_bundle(sample).files))
    paths = [sample, str(archive), f"{sample}/dist/main.wasm"]

    (module,) = document(run("precompile", *paths, "--json"))

    assert sorted(module["paths"]) == sorted(paths)
    assert module["copies"] == 3


def test_an_empty_store_is_no_failure(run, tmp_path: Path) -> None:
    (tmp_path / "store" / "tenants").mkdir(parents=True)

    result = run("precompile", str(tmp_path / "store"))

    assert result.exit_code == 0
    assert result.stdout == "0 modules: 0 compiled, 0 there already.\n"


@pytest.mark.parametrize(
    ("wasm", "code"),
    [
        pytest.param(b"not wasm", "not_wasm", id="not wasm"),
        pytest.param(b"\0asm\1\0\0\0garbage", "module_unsupported", id="garbage"),
        pytest.param(bytes(wat2wasm(MARKED)), "export_missing", id="no guest"),
    ],
)
def test_a_module_that_no_runner_would_run_is_told_with_the_others(
    run, sample: str, tmp_path: Path, wasm: bytes, code: str
) -> None:
    place = tmp_path / "bad.wasm"
    place.write_bytes(wasm)

    result = run("precompile", str(place), sample, "--json")

    assert result.exit_code == 1
    bad, good = document(result)
    assert (bad["ready"], bad["error"]["code"]) == (False, code)
    assert good["ready"]
    assert f"error[{code}]: " in result.stderr
    assert f"(module {place})" in result.stderr


def test_a_module_that_takes_too_much_is_told(run, tmp_path: Path, monkeypatch, slow_module) -> None:
    monkeypatch.setenv("ALGA_RUNNER_MAX_COMPILE_CPU_MS", "50")
    place = tmp_path / "slow.wasm"
    place.write_bytes(slow_module(500))

    result = run("precompile", str(place))

    assert result.exit_code == 1
    assert "  compile_timeout  " in result.stdout
    assert "error[compile_timeout]: Compiling the module takes more than 0.05 s of CPU time." in result.stderr


def test_a_damaged_archive_of_a_store_is_told(run, store: Path) -> None:
    for archive in store.rglob("*.zst"):
        archive.write_bytes(archive.read_bytes() + b"!")

    result = run("precompile", str(store))

    assert result.exit_code == 1
    assert "error[bundle_hash_mismatch]" in result.stderr


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_a_path_without_anything_to_compile_is_told(run, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()

    result = run("precompile", str(tmp_path / name))

    assert result.exit_code == 1
    assert "error[bundle_not_found]" in result.stderr
    assert "hint: " in result.stderr


def test_nothing_to_compile_is_bad_usage(run) -> None:
    assert run("precompile").exit_code == 2


@pytest.mark.parametrize(
    ("mode", "fault"),
    [(0o755, "is open to others (mode 0755)"), (0o500, "cannot be used: Read-only file system")],
)
def test_a_cache_that_cannot_be_used_is_told_before_anything_is_compiled(
    run, sample: str, cache: Path, mode: int, fault: str
) -> None:
    cache.mkdir()
    cache.chmod(mode)

    result = run("precompile", sample)

    assert result.exit_code == 1
    assert "error[code_cache_unusable]" in result.stderr
    assert fault in result.stderr
    assert result.stdout == ""


def test_a_cache_that_is_off_is_told(run, sample: str) -> None:
    result = run("precompile", sample, "--code-cache", "off")

    assert result.exit_code == 1
    assert "error[code_cache_unusable]: There is no code cache to compile into." in result.stderr


def test_a_cache_too_small_for_the_code_is_told(run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("ALGA_RUNNER_MAX_CODE_CACHE_MB", "1")
    data = "x" * 1_100_000
    place = tmp_path / "large.wasm"
    handler = '(func (export "alga_handle") (param i32)) (memory (export "memory") 1)'
    place.write_bytes(
        bytes(wat2wasm(f'(module (func (export "alga_abi_v1")) {handler} (data (i32.const 0) "{data}"))'))
    )

    result = run("precompile", str(place))

    assert result.exit_code == 1
    assert "The compiled code is larger than the code cache may be." in result.stderr


def test_the_option_names_the_cache(run, sample: str, tmp_path: Path, cache: Path) -> None:
    run("precompile", sample, "--code-cache", str(tmp_path / "elsewhere"))

    assert not cache.exists()
    assert len(list((tmp_path / "elsewhere").glob("*.cwasm"))) == 1


def test_in_a_pipe_every_module_is_told_on_a_plain_line(process, sample: str, tmp_path: Path) -> None:
    shutil.copy(f"{sample}/dist/main.wasm", tmp_path / "copy.wasm")

    ended = process("precompile", sample, str(tmp_path / "copy.wasm"), "--jobs", "1")

    assert ended.returncode == 0
    lines = ended.stderr.splitlines()
    assert lines[0].startswith(f"1 of 2: {sample}: compiled after ")
    assert lines[1] == f"2 of 2: {tmp_path}/copy.wasm: nothing new to compile"
    assert "\x1b" not in ended.stdout + ended.stderr


def test_ctrl_c_leaves_no_process_and_no_half_entry(
    tmp_path: Path, cache: Path, slow_module: Callable[[int], bytes]
) -> None:
    place = tmp_path / "slow.wasm"
    place.write_bytes(slow_module(3_000))
    program = "from alga_runner.cli import main; main(prog_name='alga-runner')"
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program, "precompile", str(place)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        while not (jobs := [job for child in children(started.pid) for job in children(child)]):
            assert started.poll() is None
        started.send_signal(signal.SIGINT)
        shown, said = started.communicate()

    assert (started.returncode, shown, said) == (130, "", "")
    assert [path.name for path in cache.iterdir()] == ["key"]
    until = monotonic() + PATIENCE_S
    while is_alive(
        jobs[0]
    ):  # where its parent takes more than two seconds to end, the system ends it, soon after
        assert monotonic() < until


def children(pid: int) -> list[int]:
    """Of all threads of a process."""
    pids: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            pids += map(int, (thread / "children").read_text().split())
    return pids


def test_pages_alone_have_nothing_to_compile(run, pages: str, store: Path) -> None:
    bundle = read_bundle(pages)
    place = store / FolderBundles.key("acme", "pages", bundle.content_hash)
    place.parent.mkdir(parents=True)
    place.write_bytes(pack(bundle.files))

    result = run("precompile", str(store))

    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "1 module: 1 compiled, 0 there already."
