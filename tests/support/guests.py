"""Guests written where they are tested, and modules that are expensive to compile."""

from __future__ import annotations

import struct

import msgpack
from wasmtime import wat2wasm

LIST_IMPORT = '(import "alga:scheduler" "list" (func $list (param i32 i32 i32 i32) (result i32)))'
"""For ``guest_wat``'s ``imports``: the host function that lists the schedules."""


def guest_wat(
    handler: str = "(call $respond (i32.const 0) (global.get $ok))",
    *,
    imports: str = "",
    module: str = "",
    data: bytes = b"",
    pages: int = 1,
) -> str:
    """The text of a guest of ABI v1 with this body of its handler.

    Memory: the reply ``{status: 200}`` is at 0 and is ``$ok`` bytes long; ``data`` is at 1024.
    """
    ok = msgpack.packb({"status": 200})
    return f"""(module
      (import "alga:abi" "respond" (func $respond (param i32 i32)))
      {imports}
      (memory (export "memory") {pages})
      (global $ok i32 (i32.const {len(ok)}))
      (data (i32.const 0) "{_escape(ok)}")
      (data (i32.const 1024) "{_escape(data)}")
      (func (export "alga_abi_v1"))
      {module}
      (func (export "alga_handle") (param $length i32) {handler}))"""


def compile_wat(guest: str | bytes) -> bytes:
    """The module for a text; a module given as bytes is returned as it is."""
    return guest if isinstance(guest, bytes) else bytes(wat2wasm(guest))


def slow_module(functions: int) -> bytes:
    """A module that takes the compiler about 20 ms for each function: ten bytes declare 50,000 vectors."""
    return _module([b"\x60\0\0"], [b"\x01" + _unsigned(50_000) + b"\x7b\x0b"] * functions)


def greedy_module() -> bytes:
    """Nine KiB that take the compiler 10 GiB: each of its loops passes on a thousand values."""
    thousand = _unsigned(1_000) + b"\x7f" * 1_000
    loops = b"\x03\x01\x41\0\x0d\0\x0b" * 600
    body = b"\0" + b"\x41\0" * 1_000 + loops + b"\x1a" * 1_000 + b"\x0b"
    return _module([b"\x60\0\0", b"\x60" + thousand + thousand], [body])


def component_of(module: bytes) -> bytes:
    """A component that contains ``module`` and nothing else."""
    return b"\0asm\x0d\0\x01\0\x01" + _unsigned(len(module)) + module


def assemblyscript_string(text: str) -> bytes:
    """A string as AssemblyScript lays it out: its size in bytes, then UTF-16."""
    data = text.encode("utf-16-le")
    return struct.pack("<I", len(data)) + data


def _escape(data: bytes) -> str:
    return "".join(f"\\{byte:02x}" for byte in data)


def _module(types: list[bytes], bodies: list[bytes]) -> bytes:
    """A module of functions without arguments, all of the first of ``types``."""
    sections = (
        (1, types),
        (3, [b"\0"] * len(bodies)),
        (10, [_unsigned(len(body)) + body for body in bodies]),
    )
    wasm = b"\0asm\1\0\0\0"
    for number, members in sections:
        content = _unsigned(len(members)) + b"".join(members)
        wasm += bytes([number]) + _unsigned(len(content)) + content
    return wasm


def _unsigned(number: int) -> bytes:
    """In LEB128."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])
