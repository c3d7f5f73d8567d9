"""Generated MessagePack documents in every form of the specification, each with what the guest ABI makes of it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from hypothesis import strategies as st


class Form(NamedTuple):
    """A document's bytes, the value in them, and whether the document keeps the rules for messages."""

    data: bytes
    value: Any
    legal: bool = True


_INTEGERS = {
    0xCC: ">B",
    0xCD: ">H",
    0xCE: ">I",
    0xCF: ">Q",
    0xD0: ">b",
    0xD1: ">h",
    0xD2: ">i",
    0xD3: ">q",
}
_NAN = struct.pack(">f", float("nan"))
_TEXTS = (b"", b"a", b"b", b"x" * 31, b"x" * 32, b"\0", "\ufffe\U0010ffff".encode(), "é".encode())
_NOT_TEXTS = (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\xe2\x82")


def _integer_forms(number: int) -> list[bytes]:
    """Every way to write ``number``, the shortest and all longer ones."""
    forms = [struct.pack(">b", number)] if -32 <= number <= 127 else []
    for head, layout in _INTEGERS.items():
        try:
            forms.append(bytes([head]) + struct.pack(layout, number))
        except struct.error:
            continue
    return forms


def _sized(heads: dict[int, int], short: Callable[[int], bytes | None]) -> Callable[[int], list[bytes]]:
    """Every way to announce a count: in the first byte where ``short`` has one, or in so many bytes after a head."""

    def forms(count: int) -> list[bytes]:
        fits = {head: width for head, width in heads.items() if count < 1 << 8 * width}
        written = [bytes([head]) + count.to_bytes(width, "big") for head, width in fits.items()]
        brief = short(count)
        return written if brief is None else [brief, *written]

    return forms


_text_heads = _sized({0xD9: 1, 0xDA: 2, 0xDB: 4}, lambda count: bytes([0xA0 | count]) if count < 32 else None)
_binary_heads = _sized({0xC4: 1, 0xC5: 2, 0xC6: 4}, lambda _: None)
_extension_heads = _sized({0xC7: 1, 0xC8: 2, 0xC9: 4}, {1: b"\xd4", 2: b"\xd5", 4: b"\xd6", 8: b"\xd7"}.get)
_array_heads = _sized({0xDC: 2, 0xDD: 4}, lambda count: bytes([0x90 | count]) if count < 16 else None)
_map_heads = _sized({0xDE: 2, 0xDF: 4}, lambda count: bytes([0x80 | count]) if count < 16 else None)


def _all(
    contents: Iterable[bytes], heads: Callable[[int], list[bytes]], value: Callable[[bytes], Any]
) -> list[Form]:
    return [Form(head + content, value(content)) for content in contents for head in heads(len(content))]


_EDGES = {
    edge + step
    for bits in (0, 5, 7, 8, 15, 16, 31, 32, 63, 64)
    for edge in (1 << bits, -(1 << bits))
    for step in (-1, 0, 1)
}
INTEGERS = [
    Form(data, number)
    for number in sorted(_EDGES)
    if -(1 << 63) <= number < 1 << 64
    for data in _integer_forms(number)
]
TEXTS = _all(_TEXTS, _text_heads, bytes.decode)
BROKEN_TEXTS = [form._replace(legal=False) for form in _all(_NOT_TEXTS, _text_heads, lambda _: None)]
BINARY = _all([b"", b"a", b"\xff" * 40], _binary_heads, bytes)
CONSTANTS = [Form(b"\xc0", None), Form(b"\xc2", False), Form(b"\xc3", True)]
EXTENSIONS = [
    Form(head + bytes([kind]) + b"\1" * length, None, legal=False)
    for kind in (0, 5, 127, 128, 254)
    for length in (1, 2, 3, 4, 8, 12, 16)
    for head in _extension_heads(length)
]
TIMESTAMPS = [
    Form(data, None, legal=False)
    for data in (
        b"\xd6\xff\0\0\0\1",
        b"\xd7\xff" + b"\0" * 7 + b"\1",
        b"\xc7\x0c\xff" + b"\0" * 11 + b"\1",
        b"\xd7\xff" + b"\xff" * 8,  # more nanoseconds than a second has
    )
]


def _one_of(forms: list[Form]) -> st.SearchStrategy[Form]:
    """One of many forms: ``sampled_from`` would spell them all out in messages."""
    return st.integers(0, len(forms) - 1).map(lambda index: forms[index])


floats_32 = (st.binary(min_size=4, max_size=4) | st.sampled_from([b"\0\0\0\0", b"\x80\0\0\0", _NAN])).map(
    lambda bits: Form(b"\xca" + bits, struct.unpack(">f", bits)[0])
)
floats_64 = st.floats().map(lambda number: Form(b"\xcb" + struct.pack(">d", number), number))
legal_scalars = _one_of(CONSTANTS + INTEGERS + TEXTS + BINARY) | floats_32 | floats_64
scalars = legal_scalars | _one_of(BROKEN_TEXTS + EXTENSIONS + TIMESTAMPS)


def _array(items: list[Form]) -> st.SearchStrategy[Form]:
    data = b"".join(item.data for item in items)
    value, legal = [item.value for item in items], all(item.legal for item in items)
    return st.sampled_from(_array_heads(len(items))).map(lambda head: Form(head + data, value, legal))


def map_of(members: list[tuple[Form, Form]]) -> st.SearchStrategy[Form]:
    """A map with these members, in their order; keys may be doubled, or not be strings."""
    data = b"".join(key.data + value.data for key, value in members)
    keys = [key.value if key.legal else None for key, _ in members]
    legal = all(key.legal and value.legal for key, value in members)
    legal &= all(type(key) is str for key in keys) and len(set(map(repr, keys))) == len(keys)
    value = {str(key.value): value.value for key, value in members} if legal else None
    return st.sampled_from(_map_heads(len(members))).map(lambda head: Form(head + data, value, legal))


_NAMES = [form for form in TEXTS if form.value in {"a", "b", "", "\0"}]
names = _one_of(_NAMES)
keys = names | legal_scalars | _one_of(BROKEN_TEXTS)
_SHORT = [Form(bytes([0xA1]) + letter, letter.decode()) for letter in (b"a", b"b", b"c")]
_PLAIN = [Form(b"\x01", 1), Form(b"\xcc\x80", 128), Form(b"\xca\x3f\x80\0\0", 1.0), Form(b"\xa0", "")]


def _legal_containers(inner: st.SearchStrategy[Form]) -> st.SearchStrategy[Form]:
    members = st.lists(st.tuples(names, inner), max_size=4, unique_by=lambda member: member[0].value)
    return st.lists(inner, max_size=17).flatmap(_array) | members.flatmap(map_of)


def _containers(inner: st.SearchStrategy[Form]) -> st.SearchStrategy[Form]:
    return (
        st.lists(inner, max_size=6).flatmap(_array)
        | st.lists(st.tuples(names, inner), max_size=4).flatmap(map_of)
        | st.lists(st.tuples(keys, inner), max_size=3).flatmap(map_of)
    )


lookalikes = st.lists(st.tuples(_one_of(_SHORT), _one_of(_PLAIN)), min_size=1, max_size=17).flatmap(map_of)
"""Maps in which what a doubled key loses may be as long as what a float of 32 bits gains."""

documents: st.SearchStrategy[Form] = (
    lookalikes
    | st.recursive(legal_scalars, _legal_containers, max_leaves=8)
    | st.recursive(scalars, _containers, max_leaves=8)
)
"""Documents in any form, legal or not; none nests deeper than messages may."""


def written(*values: object) -> st.SearchStrategy[Form]:
    """One of ``values``, each a scalar, in any of its forms."""
    forms: list[Form] = []
    for value in values:
        if isinstance(value, str):
            forms += _all([value.encode()], _text_heads, bytes.decode)
        elif isinstance(value, bytes):
            forms += _all([value], _binary_heads, bytes)
        elif isinstance(value, int) and not isinstance(value, bool):
            forms += [Form(data, value) for data in _integer_forms(value)]
        else:
            forms += [form for form in CONSTANTS if form.value is value]
    return _one_of(forms)


def arrays_of(items: st.SearchStrategy[Form]) -> st.SearchStrategy[Form]:
    """Arrays of up to three ``items``."""
    return st.lists(items, max_size=3).flatmap(_array)


def text_form(text: str) -> Form:
    """``text`` in its shortest form."""
    content = text.encode()
    return Form(_text_heads(len(content))[0] + content, text)
