"""What it costs to read a module's sections, debug information and names grows with their size, in any shape."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings

from alga_runner.debuginfo import MAX_TABLE_BYTES, LineTable, has_debug_info, name_bytes, read_lines
from alga_runner.debuginfo.demangle import readable
from alga_runner.engine.component.stderr import read_reason
from tests.support.cost import assert_bounded, assert_linear, shapes

END = b"\0\1\1"
HEADER = struct.pack("<BBBbBB", 1, 1, 1, -5, 14, 13) + bytes([0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 255])


def leb(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def section(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + leb(len(content)) + content


def module(**custom: bytes) -> bytes:
    """A module with 100 bytes of code, and custom sections."""
    sections = [section(0, leb(len(name)) + name.encode() + content) for name, content in custom.items()]
    return b"\0asm\1\0\0\0" + section(10, bytes(100)) + b"".join(sections)


def program(instructions: bytes, names: bytes = b"\0a\0\0\0\0\0") -> bytes:
    """A line program of DWARF 4, whose tables of directories and files are ``names``."""
    header = HEADER + names
    content = struct.pack("<HI", 4, len(header)) + header + instructions
    return struct.pack("<I", len(content)) + content


def program_5(names: bytes) -> bytes:
    header = HEADER + names
    content = struct.pack("<HBBI", 5, 4, 0, len(header)) + header
    return struct.pack("<I", len(content)) + content


def in_texts(count: int, *, directories: bool = False) -> bytes:
    """A table of ``count`` entries, all of which are the first text of ``.debug_str``."""
    table = b"\1\1\x0e" + leb(count) + bytes(4 * count)
    return table + b"\0\0" if directories else b"\0\0" + table


AT_10 = b"\0\5\2" + struct.pack("<I", 10)
PROGRAMS: dict[str, Callable[[int], bytes]] = {
    "rows": lambda size: program(AT_10 + b"\x20" * size),
    "sequences": lambda size: program((AT_10 + b"\1" + END) * (size // 11)),
    "sequences-of-nothing": lambda size: program(END * (size // 3)),
    "unknown-instructions": lambda size: program((b"\x0c" + bytes(255)) * (size // 256)),
    "long-instructions": lambda size: program((b"\0\x10" + bytes(16)) * (size // 18)),
    "one-instruction": lambda size: program(b"\0" + leb(size) + bytes(size)),
    "numbers": lambda size: program((b"\2" + b"\xff" * 9 + b"\0") * (size // 11)),
    "programs-of-nothing": bytes,
    "programs": lambda size: program(b"") * (size // 40),
    "directories": lambda size: program(b"", b"a\0" * (size // 2) + b"\0\0"),
    "files": lambda size: program(b"", b"\0" + b"a\0\0\0\0" * (size // 5) + b"\0"),
    "one-file": lambda size: program(b"", b"\0" + b"a" * size),
    "files-5": lambda size: program_5(in_texts(size // 4)),
    "directories-5": lambda size: program_5(in_texts(size // 4, directories=True)),
}


@pytest.mark.parametrize("shape", PROGRAMS)
def test_reading_line_programs_costs_their_size(shape: str) -> None:
    def made(size: int) -> bytes:
        return module(**{".debug_line": PROGRAMS[shape](size), ".debug_str": b"\xff" * 1000 + b"\0"})

    assert_linear(read_lines, made, [2048])


INSTRUCTIONS = (
    AT_10,
    b"\1",
    END,
    b"\x20",
    b"\x0c",
    b"\2\xff\x7f",
    b"\3\x7f",
    b"\4\1",
    b"\5\1",
    b"\0\0",
    b"\xff",
    b"\0\5",
)


@given(shape=shapes(*INSTRUCTIONS))
@settings(max_examples=12)
def test_reading_a_line_program_of_any_shape_costs_its_size(shape: Callable[[int], bytes]) -> None:
    """Instructions cost as much as a row at most. Where rows begin late, twice the size costs more than twice."""
    hostile = module(**{".debug_line": program(shape(1024))})

    assert_bounded(read_lines, hostile, steps=30 * 1024, peak_bytes=1024 * 1024)


@pytest.mark.parametrize("directories", [False, True])
def test_a_small_module_cannot_name_gigabytes_of_paths(directories: bool) -> None:
    """Each entry of four bytes is a path of a thousand bytes, four thousand when a character in it is wide."""
    text = "\U0001f600".encode() + b"\xff" * 996
    names = in_texts(5_000, directories=directories)
    hostile = module(**{".debug_line": program_5(names), ".debug_str": text + b"\0"})

    assert_bounded(read_lines, hostile, steps=500_000, peak_bytes=18 * 1024 * 1024)
    assert len(read_lines(hostile)) <= MAX_TABLE_BYTES


def source_map(**members: Any) -> bytes:
    return json.dumps({"sources": ["a.ts"], "mappings": "AAAA", **members}).encode()


MAPS: dict[str, Callable[[int], bytes]] = {
    "segments": lambda size: source_map(mappings="CAAA," * (size // 5)),
    "segments-of-nothing": lambda size: source_map(mappings="AAAA" + "," * size),
    "one-segment": lambda size: source_map(mappings="A" * size),
    "one-number": lambda size: source_map(mappings="g" * size),
    "sources": lambda size: source_map(sources=[str(number) for number in range(size // 8)]),
    "sources-of-nothing": lambda size: source_map(sources=[0] * (size // 3)),
    "blanks": lambda size: b"{" + b" " * size + b"}",
    "arrays": lambda size: b"[" * size,
    "objects": lambda size: b"[" + b"{}," * (size // 3) + b"{}]",
}


@pytest.mark.parametrize("shape", MAPS)
def test_reading_a_source_map_costs_its_size(shape: str) -> None:
    assert_linear(
        lambda text: read_lines(module(sourceMappingURL=b"\x0bmain.wasm.map"), text), MAPS[shape], [2048]
    )


MODULES: dict[str, Callable[[int], bytes]] = {
    "sections-of-nothing": lambda size: b"\0asm\1\0\0\0" + b"\5\0" * (size // 2),
    "custom-sections": lambda size: b"\0asm\1\0\0\0" + b"\0\2\1a" * (size // 4),
    "imports": lambda size: b"\0asm\1\0\0\0" + b"\2\0" * (size // 2),
    "modules": lambda size: b"\0asm\x0d\0\1\0" + b"\1\x08\0asm\1\0\0\0" * (size // 10),
    "components": lambda size: b"\0asm\x0d\0\1\0" + b"\4\x08\0asm\x0d\0\1\0" * (size // 10),
    "lengths": lambda size: b"\0asm\1\0\0\0" + b"\xff" * size,
}


@pytest.mark.parametrize("shape", MODULES)
@pytest.mark.parametrize("read", [name_bytes, has_debug_info, read_lines])
def test_reading_sections_costs_their_size(read: Callable[[bytes], object], shape: str) -> None:
    assert_linear(read, MODULES[shape], [2048])


@pytest.mark.parametrize("size", [0, 1, 3])
def test_reading_a_table_of_another_process_costs_its_size(size: int) -> None:
    assert_linear(
        lambda content: len(LineTable(content)), lambda count: struct.pack("=I", size) * count, [2048]
    )


NAMES = [
    "_RNvCs_",
    "_RINvC1a1b",
    "_RNvNvNvC1a1b1c",
    "_RC4000",
    "_RNvC1aTB2_B2_B2_B2_E",
    "_RNvMs_C1aTTTTTT",
    "_RNvXC1aRRRRRR",
    "_RNvC1aFG___",
    "_ZN1a1b",
    "_ZN99999",
    "_ZN3$LT$GT$..",
    "::h0123456789abcdef",
]


@pytest.mark.parametrize("name", NAMES)
def test_reading_a_function_s_name_costs_its_size(name: str) -> None:
    """A name's first thousand bytes are read."""
    assert_linear(readable, lambda size: name + name[-2:] * (size // 2), [1000])
    assert_bounded(readable, name + name[-4:] * 250, steps=40_000, peak_bytes=1024 * 1024)


@given(shape=shapes(*NAMES, "B_", "E", "T", "I", "s_", "1a", "u3a_b", "K", "p", "Lj0_", "$u20$"))
@settings(max_examples=12)
def test_reading_a_name_of_any_shape_costs_its_size(shape: Callable[[int], str]) -> None:
    assert_bounded(
        lambda size: readable(("_R" + shape(size))[:1000]), 1000, steps=40_000, peak_bytes=1024 * 1024
    )


PANIC = "thread 'main' panicked at a.rs:1:\n"
WORDS = [
    PANIC,
    "\nthread '",
    "Failed to call 'x': Value(",
    PANIC + "Failed to call 'x': Value(String(Ok(\"",
    'Exception(Exception { message: Some("\\"',
    "Traceback (most recent call last):\n",
    '  File "a"\n',
    "panic: ",
    "\n\ngoroutine 1 ",
    "\nStack:\n",
    "\n",
    "fatal error: ",
    "note: run with `RUST_BACKTRACE=1`",
]


@given(shape=shapes(*WORDS, "a", '"', "\\", "'", ")", "(", ": ", ", value: ", ", traceback: "))
@settings(max_examples=12)
def test_reading_an_end_of_any_shape_costs_its_size(shape: Callable[[int], str]) -> None:
    assert_linear(read_reason, lambda size: PANIC + shape(size), [2048])


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("filler", ["", "a", "\n"])
def test_reading_why_a_guest_died_costs_the_size_of_what_it_wrote(word: str, filler: str) -> None:
    assert_linear(read_reason, lambda size: PANIC + (word + filler * 4) * (size // (len(word) + 4)), [2048])
