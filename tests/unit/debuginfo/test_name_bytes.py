"""How many bytes of names a module has, before anything compiles it."""

from __future__ import annotations

import pytest
from wasmtime import wat2wasm

from alga_runner.debuginfo import name_bytes
from tests.support.guests import component_of

CORE, COMPONENT = b"\0asm\x01\0\0\0", b"\0asm\x0d\0\x01\0"
TEN_BYTES_OF_EXPORTS = b"\x07\x0a" + b"x" * 10


def test_imports_and_exports_count_and_nothing_else() -> None:
    wasm = wat2wasm(
        '(module (import "m" "n" (func)) (memory (export "memory") 1) (func (result i32) i32.const 7))'
    )

    assert name_bytes(bytes(wasm)) == len(b"\x01\x01m\x01n\x00\x00") + len(b"\x01\x06memory\x02\x00")


def test_the_modules_of_a_component_count_together() -> None:
    inner = component_of(CORE + TEN_BYTES_OF_EXPORTS)
    nested = COMPONENT + b"\x04" + bytes([len(inner)]) + inner

    assert name_bytes(inner) == 10
    assert name_bytes(nested + inner[8:]) == 20


@pytest.mark.parametrize("size", range(len(CORE + TEN_BYTES_OF_EXPORTS)))
def test_a_file_that_is_cut_off_has_none_beyond_the_cut(size: int) -> None:
    assert name_bytes((CORE + TEN_BYTES_OF_EXPORTS)[:size]) == 0


def test_names_after_very_many_sections_are_not_missed() -> None:
    wasm = CORE + b"\0\x01\0" * 20_000 + TEN_BYTES_OF_EXPORTS

    assert name_bytes(wasm) >= 10


def test_names_nested_very_deep_are_not_missed() -> None:
    wasm = component_of(CORE + TEN_BYTES_OF_EXPORTS)
    for _ in range(9):
        wasm = COMPONENT + b"\x04" + len(wasm).to_bytes(1, "little") + wasm

    assert name_bytes(wasm) >= 10
