"""Guests with debug information, and the means to write some by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from alga_runner.debuginfo import LineTable, read_lines
from alga_runner.frames import Frame

ROOT = Path(__file__).parents[3]
CODE_START = 0x64
CODE_BYTES = 0x64


@pytest.fixture(scope="session")
def c_guest() -> Callable[[int], bytes]:
    """tests/guests/crash.c, built with that version of DWARF."""
    return lambda version: (ROOT / f"tests/guests/crash-dwarf{version}.wasm").read_bytes()


@pytest.fixture(scope="session")
def assemblyscript_guest() -> tuple[bytes, bytes]:
    """guest-abi/assemblyscript/tests/crash.ts and its source map."""
    wasm = ROOT / "guest-abi/assemblyscript/tests/crash.wasm"
    return wasm.read_bytes(), wasm.with_suffix(".wasm.map").read_bytes()


@pytest.fixture(scope="session")
def table_of() -> Callable[..., LineTable]:
    """The table of a module."""
    return lambda wasm, source_map=b"": LineTable(read_lines(wasm, source_map))


@pytest.fixture(scope="session")
def place() -> Callable[[LineTable, int], str]:
    """``file:line:column`` of an offset in the code section, or the offset in the module."""
    return lambda table, offset: table.locate(Frame("f", CODE_START + offset)).place


@pytest.fixture(scope="session")
def module() -> Callable[[Mapping[bytes, bytes]], bytes]:
    """A module with 0x64 bytes of code 0x64 bytes into it, and custom sections."""

    def build(sections: Mapping[bytes, bytes]) -> bytes:
        before = CODE_START - 8 - 2
        wasm = (
            b"\0asm\1\0\0\0"
            + _section(0, b"\4fill".ljust(before - 2, b"\0"))
            + _section(10, bytes(CODE_BYTES))
        )
        return wasm + b"".join(_section(0, _leb(len(name)) + name + data) for name, data in sections.items())

    return build


def _leb(value: int) -> bytes:
    """An unsigned LEB128 integer."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _section(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + _leb(len(content)) + content
