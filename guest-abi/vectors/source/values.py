"""Every form of MessagePack as a document of its own, and documents that are not MessagePack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .writing import (
    FALSE,
    NIL,
    TRUE,
    Vector,
    array,
    binary,
    breach,
    document,
    double,
    integer,
    mapping,
    nested,
    raw_text,
    refused,
    text,
    valid,
    write,
)


def vectors() -> Iterator[Vector]:
    """Every form of MessagePack, as a document of its own."""
    for value in (
        0,
        1,
        127,
        128,
        255,
        256,
        65535,
        65536,
        2**32 - 1,
        2**32,
        2**53,
        2**63 - 1,
        2**63,
        2**64 - 1,
    ):
        yield valid(f"integer {value}", integer(value), value, "a positive integer in its shortest form")
    for value in (-1, -32, -33, -128, -129, -32768, -32769, -(2**31), -(2**31) - 1, -(2**53), -(2**63)):
        yield valid(f"integer {value}", integer(value), value, "a negative integer in its shortest form")
    for name, data, value in (
        ("uint8 for 1", "cc01", 1),
        ("uint16 for 1", "cd0001", 1),
        ("uint32 for 1", "ce00000001", 1),
        ("uint64 for 1", "cf0000000000000001", 1),
        ("int8 for 1", "d001", 1),
        ("int16 for -1", "d1ffff", -1),
        ("int32 for -1", "d2ffffffff", -1),
        ("int64 for -1", "d3ffffffffffffffff", -1),
    ):
        yield valid(
            name,
            bytes.fromhex(data),
            value,
            "an integer in a longer form than it needs",
            canonical=integer(value).hex(),
        )
    yield valid("nil", NIL, None, "nil")
    yield valid("false", FALSE, False, "false")
    yield valid("true", TRUE, True, "true")
    for number in (0.0, -0.0, 1.5, -2.25, 1e300, 5e-324, float("inf"), float("-inf"), float("nan")):
        yield valid(f"float64 {number}", double(number), number, "a float of 64 bits")
    yield valid(
        "float32 1.5", bytes.fromhex("ca3fc00000"), 1.5, "a float of 32 bits", canonical=double(1.5).hex()
    )
    yield from _values_with_length()
    yield from _refused_values()
    yield from _broken_values()


def _values_with_length() -> Iterator[Vector]:
    for sample, meaning in (
        ("", "the empty string"),
        ("a" * 31, "the longest string with its length in the first byte"),
        ("a" * 32, "str8"),
        ("a" * 255, "the longest str8"),
        ("a" * 256, "str16"),
        ("Zürich, Москва, 東京, 🎉", "characters of two, three and four bytes"),
        ("e\u0301 \u200d\ufeff", "combining and invisible characters stay as they are"),
        ("a\x00b", "a string with a zero byte"),
        ("\ud7ff\ue000\U0010ffff", "the edges of what UTF-8 can say"),
    ):
        yield valid(f"string of {len(sample.encode())} bytes: {meaning}", text(sample), sample, meaning)
    for name, head in (("str8", "d901"), ("str16", "da0001"), ("str32", "db00000001")):
        yield valid(
            f"{name} for one character",
            bytes.fromhex(head) + b"a",
            "a",
            "a string with a longer head than it needs",
            canonical=text("a").hex(),
        )
    yield valid("bin8, empty", bytes.fromhex("c400"), b"", "no bytes are not nil")
    yield valid("bin8", binary(b"\x00\xff\xfe"), b"\x00\xff\xfe", "bytes that are not text")
    yield valid("bin16", binary(b"\x07" * 256), b"\x07" * 256, "256 bytes")
    for name, head in (("bin16", "c50001"), ("bin32", "c600000001")):
        yield valid(
            f"{name} for one byte",
            bytes.fromhex(head) + b"\x2a",
            b"\x2a",
            "bytes with a longer head than they need",
            canonical=binary(b"\x2a").hex(),
        )
    yield valid("empty array", array(), [], "an empty array is not nil")
    yield valid("array of 15", array(*[integer(1)] * 15), [1] * 15, "the longest fixarray")
    yield valid("array16 of 16", array(*[integer(1)] * 16), [1] * 16, "array16")
    yield valid("empty map", mapping(), {}, "an empty map is not nil")
    sixteen = {f"k{number}": number for number in range(16)}
    yield valid("map16 of 16", write(sixteen), sixteen, "map16")
    mixed = {"": [None, {"a": {}}], "b": [[], b"\x01", 1.5]}
    yield valid("map with the empty key", write(mixed), mixed, "any string is a key; containers mix")
    for name, data, value in (
        ("array16 for one item", "dc000101", [1]),
        ("array32 for one item", "dd0000000101", [1]),
        ("map16 for one pair", "de0001a16101", {"a": 1}),
        ("map32 for one pair", "df00000001a16101", {"a": 1}),
        ("map32 for no pair", "df00000000", {}),
        ("a key as str8", "81d9016101", {"a": 1}),
    ):
        yield valid(
            name,
            bytes.fromhex(data),
            value,
            "a container with a longer head than it needs",
            canonical=write(value).hex(),
        )
    deep: Any = None
    for _ in range(32):
        deep = [deep]
    yield valid("depth 32", nested(32), deep, "as deep as containers may nest")


def _refused_values() -> Iterator[Vector]:
    for name, key in (
        ("integer", integer(1)),
        ("bin", binary(b"a")),
        ("nil", NIL),
        ("boolean", TRUE),
        ("float", double(1.0)),
        ("array", array()),
        ("map", mapping()),
    ):
        yield refused(f"{name} key", mapping((key, integer(1))), "keys are strings", rule="key")
    for name, data in (
        ("fixext1", "d40100"),
        ("fixext2", "d5010000"),
        ("fixext4", "d60100000000"),
        ("fixext8", "d7010000000000000000"),
        ("fixext16", "d801" + "00" * 16),
        ("ext8", "c70101" + "00"),
        ("ext8, empty", "c70001"),
        ("ext16", "c8000101" + "00"),
        ("ext32", "c90000000101" + "00"),
        ("timestamp of 4 bytes", "d6ff00000000"),
        ("timestamp of 8 bytes", "d7ff0000000000000000"),
        ("timestamp of 12 bytes", "c70cff" + "00" * 12),
        ("timestamp of 4 bytes as ext8", "c704ff00000000"),
        ("timestamp of 8 bytes as ext8", "c708ff" + "00" * 8),
        ("timestamp of 12 bytes as ext16", "c8000cff" + "00" * 12),
        ("timestamp of 4 bytes as ext32", "c900000004ff00000000"),
        ("timestamp of an unknown length", "d4ff00"),
    ):
        yield refused(
            name, bytes.fromhex(data), "extension types and timestamps have no place", rule="extension"
        )
    yield refused(
        "timestamp in a map in an array",
        array(document(at=bytes.fromhex("d6ff00000000"))),
        "at any depth",
        rule="extension",
    )
    yield refused("depth 33", nested(33), "containers nest deeper than 32", rule="depth")
    yield refused(
        "depth 33 in maps",
        (b"\x81" + text("a")) * 33 + NIL,
        "containers of any kind nest deeper than 32",
        rule="depth",
    )
    yield refused("depth 2000", nested(2000), "a decoder must not overflow its stack", rule="depth")
    yield refused(
        "duplicate key",
        mapping((text("a"), integer(1)), (text("b"), integer(2)), (text("a"), integer(3))),
        "a map has a key twice",
        rule="duplicate",
    )
    yield refused(
        "duplicate key in two forms",
        mapping((text("a"), integer(1)), (bytes.fromhex("d90161"), integer(1))),
        "a key is its characters, not its encoding",
        rule="duplicate",
    )
    for name, data in (
        ("a stray continuation byte", "80"),
        ("a byte that never occurs", "ff"),
        ("a sequence cut off", "e282"),
        ("an overlong form of /", "c0af"),
        ("an overlong form of three bytes", "e080af"),
        ("a lone surrogate", "eda080"),
        ("a pair of surrogates", "eda080edb080"),
        ("above U+10FFFF", "f4908080"),
    ):
        raw = raw_text(bytes.fromhex(data))
        yield refused(f"{name}, in a value", document(a=raw), "strings are UTF-8", rule="utf8")
    yield refused(
        "invalid UTF-8 in a key", mapping((raw_text(b"\xff"), NIL)), "keys are UTF-8 too", rule="utf8"
    )


def _broken_values() -> Iterator[Vector]:
    yield breach("empty", b"", "no document")
    yield breach("0xc1", b"\xc1", "the byte that MessagePack never uses")
    yield breach("0xc1 inside", array(NIL, b"\xc1"), "it is not MessagePack, at any place")
    yield breach("two documents", NIL + NIL, "bytes follow the document")
    yield breach("trailing zero byte", mapping() + b"\x00", "bytes follow the document")
    yield breach(
        "a refusal and trailing bytes", bytes.fromhex("d40100") + NIL, "framing is judged before rules"
    )
    for name, data in (
        ("uint8", "cc"),
        ("uint16", "cd00"),
        ("uint32", "ce000000"),
        ("uint64", "cf00000000000000"),
        ("float32", "ca000000"),
        ("float64", "cb00000000000000"),
        ("fixstr", "a261"),
        ("str8 without a length", "d9"),
        ("str8", "d90261"),
        ("str16", "da000261"),
        ("str32", "db7fffffff61"),
        ("str32 of 4 GiB", "dbffffffff"),
        ("bin8", "c40200"),
        ("bin16", "c5000200"),
        ("bin32", "c6ffffffff00"),
        ("fixarray", "9201"),
        ("array16", "dc000201"),
        ("array32 of 4 Gi items", "ddffffffff"),
        ("fixmap without its value", "81a161"),
        ("fixmap without its second pair", "82a16101"),
        ("map16", "de0002a16101"),
        ("map32 of 4 Gi pairs", "dfffffffff"),
        ("fixext1", "d401"),
        ("timestamp", "d6ff0000"),
        ("ext8", "c7"),
        ("ext32 of 4 GiB", "c9ffffffff01"),
    ):
        yield breach(f"truncated {name}", bytes.fromhex(data), "the document is cut off")
