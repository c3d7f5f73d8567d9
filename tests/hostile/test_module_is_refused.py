"""A module that cannot be a guest is refused before any of it runs, with what keeps it from being one."""

from __future__ import annotations

import pytest
from wasmtime import wat2wasm

pytestmark = pytest.mark.anyio

MARKER = '(func (export "alga_abi_v1"))'
HANDLE = '(func (export "alga_handle") (param i32))'
MEMORY = '(memory (export "memory") 1)'


async def refusal(observe, guest):
    observation = await observe(guest)

    assert observation.error is not None
    assert observation.host_calls == ()
    return observation.error


@pytest.mark.parametrize(
    ("wasm", "code"),
    [
        pytest.param(b"", "not_wasm", id="nothing"),
        pytest.param(b"#!/bin/sh\n", "not_wasm", id="a script"),
        pytest.param(b"\0asm", "module_unsupported", id="magic alone"),
        pytest.param(b"\0asm\x0d\0\x01\0", "export_missing", id="a component without a handler"),
        pytest.param(b"\0asm\x0d\0\x01\0\xff\xff", "module_unsupported", id="a component with garbage"),
        pytest.param(b"\0asm\x0e\0\x01\0", "module_unsupported", id="a component of another version"),
        pytest.param(b"\0asm\x01\0\0\0\xff\xff\xff", "module_unsupported", id="garbage sections"),
    ],
)
async def test_bytes_that_are_no_extension(observe, wasm: bytes, code: str):
    error = await refusal(observe, wasm)

    assert error.code == code
    assert error.hint


async def test_a_truncated_module(observe, guest_wat):
    wasm = bytes(wat2wasm(guest_wat()))

    assert (await refusal(observe, wasm[:-10])).code == "module_unsupported"


@pytest.mark.parametrize(
    ("parts", "code", "fragment"),
    [
        pytest.param((HANDLE, MEMORY), "abi_marker_missing", "alga_abi_v1", id="no marker"),
        pytest.param(
            (MARKER, '(func (export "alga_abi_v2"))', HANDLE, MEMORY),
            "abi_marker_conflict",
            "alga_abi_v1, alga_abi_v2",
            id="two markers",
        ),
        pytest.param(
            ('(func (export "alga_abi_v2"))', HANDLE, MEMORY),
            "abi_marker_missing",
            "alga_abi_v2",
            id="a later ABI",
        ),
        pytest.param(
            ('(global (export "alga_abi_v1") i32 (i32.const 1))', HANDLE, MEMORY),
            "export_mistyped",
            "alga_abi_v1 is a global",
            id="marker not a function",
        ),
        pytest.param((MARKER, MEMORY), "export_missing", "alga_handle (i32) -> ()", id="no handler"),
        pytest.param(
            (MARKER, '(func (export "alga_handle") (param i64))', MEMORY),
            "export_mistyped",
            "alga_handle has type (i64) -> ()",
            id="handler mistyped",
        ),
        pytest.param(
            (MARKER, '(func (export "alga_handle") (param i32) (result i32) (i32.const 0))', MEMORY),
            "export_mistyped",
            "(i32) -> (i32)",
            id="handler with a result",
        ),
        pytest.param(
            (MARKER, HANDLE, MEMORY, '(func (export "_initialize") (param i32))'),
            "export_mistyped",
            "_initialize",
            id="_initialize mistyped",
        ),
        pytest.param((MARKER, HANDLE), "export_missing", "memory", id="no memory"),
        pytest.param(
            (MARKER, HANDLE, '(func (export "memory"))'),
            "export_mistyped",
            "memory is a function",
            id="no real memory",
        ),
        pytest.param(
            ('(import "env" "memory" (memory 1)) (export "memory" (memory 0))', MARKER, HANDLE),
            "import_unknown",
            "memory env memory",
            id="imported memory",
        ),
        pytest.param(
            (
                '(import "alga:scheduler" "remove" (func (param i32 i32 i32 i32) (result i32)))',
                MARKER,
                HANDLE,
                MEMORY,
            ),
            "import_unknown",
            "alga:scheduler remove",
            id="unknown operation",
        ),
        pytest.param(
            ('(import "evil" "system" (func (param i32)))', MARKER, HANDLE, MEMORY),
            "import_unknown",
            "evil system",
            id="unknown module",
        ),
        pytest.param(
            (
                '(import "alga:scheduler" "create" (func (param i32 i32) (result i32)))',
                MARKER,
                HANDLE,
                MEMORY,
            ),
            "import_mistyped",
            "(i32, i32, i32, i32) -> (i32)",
            id="mistyped operation",
        ),
        pytest.param(
            ('(import "env" "seed" (func (result externref)))', MARKER, HANDLE, MEMORY),
            "import_mistyped",
            "(reference)",
            id="mistyped with a reference",
        ),
        pytest.param(
            (MARKER, HANDLE, MEMORY, "(memory 1)"), "module_unsupported", "memories", id="two memories"
        ),
        pytest.param(
            (MARKER, HANDLE, '(memory (export "memory") i64 1)'), "module_unsupported", "64", id="memory64"
        ),
        pytest.param(
            (MARKER, HANDLE, '(memory (export "memory") 1 1 shared)'),
            "module_unsupported",
            "",
            id="shared memory",
        ),
    ],
)
async def test_a_module_against_the_abi(observe, parts: tuple[str, ...], code: str, fragment: str):
    error = await refusal(observe, f"(module {' '.join(parts)})")

    assert error.code == code
    assert fragment in str(error)


@pytest.mark.parametrize(
    ("imported", "nearest"),
    [
        ("alga:scheduler getEndpoints", "alga:scheduler get-endpoints"),
        ("alga:schedulers list", "alga:scheduler list"),
        ("wasi_unstable fd_write", "wasi_snapshot_preview1 fd_write"),
    ],
)
async def test_the_error_of_an_unknown_import_names_the_nearest_known_one(
    observe, imported: str, nearest: str
):
    module, name = imported.split()

    error = await refusal(observe, f'(module (import "{module}" "{name}" (func)) {MARKER} {HANDLE} {MEMORY})')

    assert error.hint == f"The nearest one is {nearest}."


@pytest.mark.parametrize(
    ("parts", "hint"),
    [
        pytest.param(
            ('(import "env" "parse_json" (func))', MARKER, HANDLE, MEMORY),
            "A linker puts a function that it finds nowhere into env: define it, or name its import module.",
            id="undefined at link time",
        ),
        pytest.param(
            ('(import "alga:abi" "respond" (func (param i32)))', MARKER, HANDLE, MEMORY),
            "Declare it with that type. See guest-abi/ABI.md, Imports.",
            id="import mistyped",
        ),
        pytest.param(
            (MARKER, '(func (export "alga_handler") (param i32))', MEMORY),
            "The nearest one is alga_handler. See guest-abi/ABI.md, Exports.",
            id="handler misspelled",
        ),
        pytest.param((MARKER, MEMORY), "See guest-abi/ABI.md, Exports.", id="no handler"),
        pytest.param((MARKER, HANDLE), "Define one and export it as memory.", id="no memory"),
        pytest.param(
            ('(func (export "alga_abi_v1") (result i32) (i32.const 1))', HANDLE, MEMORY),
            "See guest-abi/ABI.md, Exports.",
            id="marker mistyped",
        ),
    ],
)
async def test_a_refusal_names_the_next_step(observe, parts: tuple[str, ...], hint: str):
    assert (await refusal(observe, f"(module {' '.join(parts)})")).hint == hint


COMMAND = '(func (export "_start"))'


@pytest.mark.parametrize("parts", [(MARKER, HANDLE, MEMORY), (MEMORY,)])
async def test_a_module_built_as_a_command_is_told_how_to_build_a_reactor(observe, parts: tuple[str, ...]):
    error = await refusal(observe, f"(module {COMMAND} {' '.join(parts)})")

    assert error.code == "export_missing"
    assert "built as a command" in str(error)
    assert "-mexec-model=reactor" in error.hint


async def test_a_reactor_may_have_a_command_too(observe, guest_wat):
    guest = guest_wat(module=f'{COMMAND} (func (export "_initialize"))')

    assert (await observe(guest)).response is not None


@pytest.mark.parametrize("parts", [(MARKER, HANDLE, MEMORY), (MEMORY,)])
@pytest.mark.parametrize(
    ("imported", "fragment"),
    [
        ('"env" "emscripten_memcpy_js"', "-sSTANDALONE_WASM"),
        ('"env" "invoke_vi"', "-sSTANDALONE_WASM"),
        ('"env" "__cxa_throw"', "-sSTANDALONE_WASM"),
        ('"a" "b"', "-sSTANDALONE_WASM"),
        ('"teavm" "currentTimeMillis"', "target WASI"),
        ('"teavmMath" "sin"', "target WASI"),
        ('"gojs" "runtime.wasmExit"', "GOOS=wasip1"),
        ('"__wbindgen_placeholder__" "__wbindgen_throw"', "wasm-bindgen"),
        ('"wbg" "__wbg_new"', "wasm-bindgen"),
    ],
)
async def test_a_module_that_needs_javascript_is_told_how_to_build_without(
    observe, imported: str, fragment: str, parts: tuple[str, ...]
):
    error = await refusal(observe, f"(module (import {imported} (func)) {' '.join(parts)})")

    assert fragment in error.hint


async def test_a_refusal_is_not_remembered(observe, guest_wat):
    await refusal(observe, b"")

    observation = await observe(guest_wat())

    assert observation.response is not None
