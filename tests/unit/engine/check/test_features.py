"""Which features of WebAssembly a module may use: those of guest-abi/ABI.md, and how each is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import wasmtime

from alga_runner.engine import Engine, Module
from alga_runner.engine.check.features import REFUSED
from alga_runner.errors import ModuleUnsupported

ABI = (Path(__file__).parents[4] / "guest-abi" / "ABI.md").read_text()

ALLOWED = {
    "multi-value": "(func (result i32 i32) i32.const 1 i32.const 2)",
    "bulk memory": "(memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0)))",
    "sign extension": "(func (result i32) (i32.extend8_s (i32.const 1)))",
    "saturating conversions": "(func (result i32) (i32.trunc_sat_f32_s (f32.const 1)))",
    "mutable globals": '(global (export "g") (mut i32) (i32.const 1))',
    "reference types": "(table 1 externref) (func (result externref) (ref.null extern))",
    "fixed-width SIMD": "(func (result v128) (v128.const i64x2 1 2))",
    "tail calls": "(func $f (return_call $f))",
    "extended constant expressions": "(global i32 (i32.add (i32.const 1) (i32.const 2)))",
}

FORBIDDEN = {
    "threads, shared memory, atomics": [
        "(memory 1 1 shared)",
        "(memory 1) (func (drop (i32.atomic.load (i32.const 0))))",
    ],
    "memory64": ["(memory i64 1)", "(table i64 1 funcref)"],
    "multiple memories": ["(memory 1) (memory 1)"],
    "custom page sizes": ["(memory 1 (pagesize 1))"],
    "garbage collection": [
        "(type (struct (field i32)))",
        "(func (result i31ref) (ref.i31 (i32.const 0)))",
    ],
    "typed function references": ["(type $f (func)) (func (param (ref $f)) (call_ref $f (local.get 0)))"],
    "exceptions": ["(tag)", "(func try end)"],
    "stack switching": ["(type $f (func)) (type $c (cont $f))"],
    "relaxed SIMD": [
        "(func (param v128 v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 1)))"
    ],
    "wide arithmetic": ["(func (result i64 i64) (i64.mul_wide_s (i64.const 1) (i64.const 2)))"],
}


@pytest.mark.parametrize("name", ALLOWED)
def test_an_allowed_feature_compiles(engine: Engine, name: str) -> None:
    assert Module(engine, wasmtime.wat2wasm(f"(module {ALLOWED[name]})"))


@pytest.mark.parametrize(
    ("name", "wat"), [(name, wat) for name, examples in FORBIDDEN.items() for wat in examples]
)
def test_a_module_with_a_forbidden_feature_is_refused_by_its_name(
    engine: Engine, name: str, wat: str
) -> None:
    with pytest.raises(ModuleUnsupported) as refused:
        Module(engine, wasmtime.wat2wasm(f"(module {wat})"))

    (feature,) = [feature for feature in REFUSED if feature.name == name]
    assert str(refused.value).startswith(f"The module uses {name}, which the runner does not allow: ")
    assert refused.value.hint == feature.hint


def test_a_module_that_is_wrong_in_another_way_gets_no_hint_about_features(engine: Engine) -> None:
    with pytest.raises(ModuleUnsupported) as refused:
        Module(engine, wasmtime.wat2wasm("(module (func (result i32)))"))

    assert str(refused.value).startswith("The module does not validate: ")
    assert refused.value.hint is not None
    assert refused.value.hint not in {feature.hint for feature in REFUSED}


def test_the_table_of_the_abi_lists_each_feature() -> None:
    section = ABI.partition("## WebAssembly")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| ([^|]+) \| (yes|no) \| [^|]+ \|$", section, re.MULTILINE))

    assert rows == dict.fromkeys(ALLOWED, "yes") | dict.fromkeys(FORBIDDEN, "no")
    assert [feature.name for feature in REFUSED] == list(FORBIDDEN)
