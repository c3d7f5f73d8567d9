"""A guest of any size, of functions that no two are alike, as a compiler for a large program would make them."""

from __future__ import annotations

import random

import msgpack

_I32 = b"\x7f"
_LOCALS = 7
_RESPOND, _MARKER, _HANDLE, _BULK = range(4)
_END = b"\x0b"


def large_module(size: int, seed: int = 1) -> bytes:
    """A module of about ``size`` bytes that speaks the guest ABI and answers every request with status 200."""
    chance = random.Random(seed)  # noqa: S311 - the same module every time
    reply = msgpack.packb({"status": 200})
    respond = b"\0\x41\0\x41" + _number(len(reply)) + b"\x10\0" + _END
    bodies = [b"\0" + _END, respond]
    kinds = [_MARKER, _HANDLE]
    made = 0
    while made < size:
        body = _function(chance, len(bodies))
        bodies.append(body)
        kinds.append(_BULK)
        made += len(body)
    sections = {
        1: [_type(2, 0), _type(0, 0), _type(1, 0), _type(1, 1)],
        2: [_name("alga:abi") + _name("respond") + b"\0" + bytes([_RESPOND])],
        3: [bytes([kind]) for kind in kinds],
        5: [b"\0\1"],
        7: [
            _name("memory") + b"\2\0",
            _name("alga_abi_v1") + b"\0\1",
            _name("alga_handle") + b"\0\2",
        ],
        10: [_number(len(body)) + body for body in bodies],
        11: [b"\0\x41\0" + _END + _number(len(reply)) + reply],
    }
    return b"\0asm\1\0\0\0" + b"".join(_section(number, members) for number, members in sections.items())


def _function(chance: random.Random, earlier: int) -> bytes:
    """Arithmetic, memory, branches, loops and calls of ``earlier`` functions, mixed."""
    body = b"\1\6" + _I32
    for _ in range(chance.randrange(10, 60)):
        a, b, c = (b"\x20" + bytes([chance.randrange(_LOCALS)]) for _ in range(3))
        into = b"\x21" + c[1:]
        body += chance.choice(
            (
                a + b + b"\x6a" + into,
                a + b"\x41\xff\7\x71" + b + b"\x36\2\0",
                a + b"\x41\xff\7\x71\x28\2\0" + into,
                a + b"\4\x40" + b + b"\x41\3\x6c" + into + b"\5" + b + into + _END,
                b"\3\x40" + a + b"\x41\1\x6b\x22" + a[1:] + b"\x0d\0" + _END,
                a + b"\x10" + _number(chance.randrange(3, earlier + 1)) + into if earlier > 2 else a + into,
            )
        )
    return body + b"\x20\1" + _END


def _type(parameters: int, results: int) -> bytes:
    return b"\x60" + _number(parameters) + _I32 * parameters + _number(results) + _I32 * results


def _name(text: str) -> bytes:
    return _number(len(text)) + text.encode()


def _section(number: int, members: list[bytes]) -> bytes:
    content = _number(len(members)) + b"".join(members)
    return bytes([number]) + _number(len(content)) + content


def _number(value: int) -> bytes:
    """In LEB128, as WebAssembly has its sizes."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
