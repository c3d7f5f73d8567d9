"""How the pieces of a document are written, and what a vector looks like."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

Vector = dict[str, Any]

NIL, FALSE, TRUE = b"\xc0", b"\xc2", b"\xc3"


# How the pieces of a document are written: the shortest form of each.


def integer(value: int) -> bytes:
    """An integer of up to 64 bits."""
    if 0 <= value < 0x80 or -32 <= value < 0:
        return struct.pack(">B", value & 0xFF)
    unsigned = ((0xCC, "B"), (0xCD, "H"), (0xCE, "I"), (0xCF, "Q"))
    signed = ((0xD0, "b"), (0xD1, "h"), (0xD2, "i"), (0xD3, "q"))
    for tag, form in unsigned if value >= 0 else signed:
        try:
            return struct.pack(">B" + form, tag, value)
        except struct.error:
            continue
    raise ValueError(value)


def double(value: float) -> bytes:
    """A float of 64 bits."""
    return b"\xcb" + struct.pack(">d", value)


def raw_text(data: bytes) -> bytes:
    """A string of exactly these bytes, UTF-8 or not."""
    if len(data) < 32:
        return bytes([0xA0 | len(data)]) + data
    if len(data) < 0x100:
        return struct.pack(">BB", 0xD9, len(data)) + data
    return struct.pack(">BH", 0xDA, len(data)) + data


def text(value: str) -> bytes:
    """A string."""
    return raw_text(value.encode())


def binary(data: bytes) -> bytes:
    """Bytes."""
    if len(data) < 0x100:
        return struct.pack(">BB", 0xC4, len(data)) + data
    return struct.pack(">BH", 0xC5, len(data)) + data


def array(*items: bytes) -> bytes:
    """An array of items already written."""
    head = bytes([0x90 | len(items)]) if len(items) < 16 else struct.pack(">BH", 0xDC, len(items))
    return head + b"".join(items)


def mapping(*pairs: tuple[bytes, bytes]) -> bytes:
    """A map of pairs already written, duplicate or odd keys included."""
    head = bytes([0x80 | len(pairs)]) if len(pairs) < 16 else struct.pack(">BH", 0xDE, len(pairs))
    return head + b"".join(key + value for key, value in pairs)


def document(**members: bytes) -> bytes:
    """A map with these text keys, in this order."""
    return mapping(*((text(key), value) for key, value in members.items()))


def nested(levels: int, inner: bytes = NIL) -> bytes:
    """``inner`` inside so many arrays."""
    return b"\x91" * levels + inner


def payload_of_depth(levels: int) -> dict[str, Any]:
    """A map with so many containers inside one another, itself included."""
    inner: Any = 1
    for _ in range(levels - 1):
        inner = [inner]
    return {"a": inner}


def write(value: Any) -> bytes:
    """Any plain value."""
    writers: dict[type, Callable[[Any], bytes]] = {
        type(None): lambda _: NIL,
        bool: lambda flag: TRUE if flag else FALSE,
        int: integer,
        float: double,
        str: text,
        bytes: binary,
        list: lambda items: array(*map(write, items)),
        dict: lambda members: mapping(*((text(key), write(member)) for key, member in members.items())),
    }
    return writers[type(value)](value)


# What a vector looks like.


def shown(value: Any) -> Any:
    """``value`` in JSON, with the tagged forms that README.md explains."""
    if isinstance(value, bytes):
        return {"$bin": value.hex()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(value)}
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53:
        return {"$int": str(value)}
    if isinstance(value, list):
        return [shown(item) for item in value]
    if isinstance(value, dict):
        return {key: shown(member) for key, member in value.items()}
    return value


def valid(name: str, data: bytes, value: Any, meaning: str, **more: Any) -> Vector:
    """Bytes that must be accepted, and the value they are."""
    return {
        "name": name,
        "kind": "valid",
        **more,
        "hex": data.hex(),
        "meaning": meaning,
        "value": shown(value),
    }


def refused(name: str, data: bytes, meaning: str, code: str = "validation-failed", **more: Any) -> Vector:
    """Bytes that are one document, but against a rule."""
    return {"name": name, "kind": "refused", **more, "code": code, "hex": data.hex(), "meaning": meaning}


def breach(name: str, data: bytes, meaning: str, **more: Any) -> Vector:
    """Bytes that are not one MessagePack document."""
    return {"name": name, "kind": "breach", **more, "hex": data.hex(), "meaning": meaning}
