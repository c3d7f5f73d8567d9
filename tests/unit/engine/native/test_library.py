"""The native helper is taken where it fits, and what does not fit is refused with a sentence."""

from __future__ import annotations

import ctypes
import logging
from pathlib import Path

import pytest
from wasmtime import _ffi

from alga_runner import Runner, Settings
from alga_runner.engine import EngineConfig, build_native, engine_context, native_fault
from alga_runner.engine.guest import SCRATCH_SIZE
from alga_runner.engine.native import build, library
from alga_runner.errors import EngineUnavailable

built = pytest.mark.skipif(not build.LIBRARY.exists(), reason="`make test-native` builds the helper first")


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path: Path) -> Path:
    """Where the helper is looked for; it has none yet."""
    path = tmp_path / "alga_engine.so.1"
    monkeypatch.setattr(build, "LIBRARY", path)
    library.load.cache_clear()
    yield path
    library.load.cache_clear()


def test_without_a_library_guests_run_in_python():
    assert library.choose("auto") is None
    assert native_fault() is None


def test_an_engine_that_requires_the_helper_is_not_made_without_one():
    config = EngineConfig(max_guests=1, max_memory_bytes=1 << 20, native="required")

    with pytest.raises(EngineUnavailable, match="was not built") as caught:
        engine_context.engine(config)

    assert "alga-runner native" in str(caught.value.hint)


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"no library"])
def test_a_file_that_is_no_library_is_refused(elsewhere: Path, content: bytes):
    elsewhere.write_bytes(content)

    assert library.choose("auto") is None
    with pytest.raises(EngineUnavailable, match="cannot be used"):
        library.choose("required")
    assert "cannot be used" in str(native_fault())


def test_another_library_is_refused(elsewhere: Path):
    elsewhere.symlink_to(str(_ffi.filename))

    with pytest.raises(EngineUnavailable, match="alga_source") as caught:
        library.choose("required")

    assert "Build it again" in str(caught.value.hint)


@built
def test_a_library_of_another_version_s_source_is_refused(monkeypatch):
    monkeypatch.undo()
    library.load.cache_clear()
    monkeypatch.setattr(build, "digest", lambda: "0" * 64)

    with pytest.raises(EngineUnavailable, match="built from another version of its source"):
        library.choose("required")
    assert library.choose("auto") is None


@built
def test_a_library_that_takes_other_functions_is_refused(monkeypatch):
    monkeypatch.undo()
    library.load.cache_clear()
    monkeypatch.setattr(library, "_FUNCTIONS", library._FUNCTIONS[:-1])

    with pytest.raises(EngineUnavailable, match="does not take 19 functions"):
        library.choose("required")


@built
def test_the_struct_of_the_helper_is_a_guest_s_buffer(monkeypatch):
    monkeypatch.undo()
    helper = library.load()

    assert ctypes.CDLL(str(helper.path)).alga_guest_size() == SCRATCH_SIZE


@built
def test_off_is_off_though_the_library_is_there(monkeypatch):
    monkeypatch.undo()

    assert library.choose("off") is None
    assert library.choose("auto") is not None


@pytest.mark.parametrize(
    ("given", "mode"), [(None, "auto"), ("off", "off"), ("required", "required"), ("?", "auto")]
)
def test_the_environment_decides_for_engines_without_settings(monkeypatch, given: str | None, mode: str):
    if given is None:
        monkeypatch.delenv(library.VARIABLE)
    else:
        monkeypatch.setenv(library.VARIABLE, given)

    assert library.default_mode() == mode
    assert EngineConfig().native == mode


def test_the_variable_is_the_setting_s():
    assert Settings.variables("native_engine")[0] == library.VARIABLE


def test_without_a_compiler_the_helper_is_not_built(monkeypatch, elsewhere: Path):
    monkeypatch.setattr(library, "find_spec", lambda _name: None)

    with pytest.raises(EngineUnavailable, match="ziglang") as caught:
        build_native()

    assert "pip install 'alga-runner[native]'" in str(caught.value.hint)
    assert not elsewhere.exists()


def test_what_the_compiler_says_is_in_the_error(monkeypatch, elsewhere: Path):
    monkeypatch.setattr(library, "find_spec", lambda _name: object())
    monkeypatch.setattr(build, "ZIG", ("-c", "import sys; sys.exit('no such target')"))

    with pytest.raises(EngineUnavailable, match="cannot be compiled: no such target"):
        build_native()

    assert not elsewhere.exists()


@pytest.fixture
def unusable(elsewhere: Path) -> None:
    elsewhere.write_bytes(b"of another machine")


@pytest.mark.anyio
async def test_a_runner_warns_of_a_library_that_it_cannot_use(unusable, caplog):
    with caplog.at_level(logging.WARNING):
        async with Runner(Settings(max_guests=1, max_memory_mb=1, native_engine="auto")):
            pass

    assert [record.getMessage() for record in caplog.records if "cannot be used" in record.getMessage()] != []
