"""Values out of ``wasmtime_component_val_t`` trees.

Each type becomes functions once, which then read addresses: a record is one copy and one ``unpack``, regardless of how
many fields it has. Nothing is freed here: a tree belongs to wasmtime, or is deleted as a whole by the caller.

WIT's values are Python's: records are dictionaries, tuples and lists are themselves (``list<u8>`` is ``bytes``),
options are the value or ``None``, enums are their case's name, flags are a frozenset of names, results are
``("ok", value)`` or ``("err", value)``, variants ``(case, value)``, resources their number.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias
from weakref import WeakValueDictionary

from ...errors import MessageLimit
from . import _capi
from .types import ValueType

PAYLOADS = {
    "bool": "?23x",
    "s8": "b23x",
    "u8": "B23x",
    "s16": "h22x",
    "u16": "H22x",
    "s32": "i20x",
    "u32": "I20x",
    "s64": "q16x",
    "u64": "Q16x",
    "f32": "f20x",
    "f64": "d16x",
    "char": "I20x",
    "string": "QQ8x",
    "list": "QQ8x",
    "record": "QQ8x",
    "tuple": "QQ8x",
    "variant": "QQQ",
    "enum": "QQ8x",
    "option": "Q16x",
    "result": "?7xQ8x",
    "flags": "QQ8x",
    "own": "Q16x",
    "borrow": "Q16x",
}
"""Layout of the 24 bytes after a value's kind: numbers, or sizes and addresses."""

_NUMBERS = {
    kind: sum(letter.isalpha() and letter != "x" for letter in payload.replace("?", "B"))
    for kind, payload in PAYLOADS.items()
}
"""How many numbers each layout unpacks to."""

BYTES_AT_A_TIME = 32 * 1024
"""Bytes of a ``list<u8>`` that are copied in one piece; its values take 32 times as much."""

string_at = ctypes.string_at

_shared: WeakValueDictionary[tuple[ValueType, ResourceIn | None], Lift] = WeakValueDictionary()


UNBOUNDED = 1 << 62


class Crossing:
    """One set of values on its way out of a guest: how many more list items it may hold, and its bytes of text so far.

    ``bytes`` counts text and ``list<u8>``, which is what values are made of that can be large. Text beyond ``max_text``
    bytes of either is cut: it is refused by its size, and to copy it first takes a millisecond a megabyte.
    """

    __slots__ = ("_items_left", "_max_items", "bytes", "max_text")

    def __init__(self, max_items: int, max_text: int = UNBOUNDED) -> None:
        self._items_left = self._max_items = max_items
        self.max_text = max_text
        self.bytes = 0

    def take_items(self, count: int) -> None:
        """Count the items of a list before they are read. Raises ``MessageLimit``."""
        self._items_left -= count
        if self._items_left < 0:
            raise MessageLimit(
                f"The guest passed lists of more than {self._max_items} items.", hint="See max_items."
            )


class ResourceIn(Protocol):
    """Resolves the resources that a guest gives."""

    def __call__(self, handle: int, /) -> int:
        """The number, ``rep``, of the host's resource behind ``handle``."""


Lift: TypeAlias = Callable[[int, Crossing], Any]
"""Lifts the value at an address."""

_Read: TypeAlias = Callable[[Sequence[Any], int, Crossing], Any]
"""Reads one value from unpacked payloads, starting at a place."""


def lifter(of: ValueType, resource: ResourceIn | None = None) -> Lift:
    """A function that lifts values of type ``of``; ``resource`` is needed if it holds any.

    Components share those of equal types: most import the same functions.
    """
    key = of, resource
    return _shared.get(key) or _shared.setdefault(key, _make(of, resource))


def _make(of: ValueType, resource: ResourceIn | None) -> Lift:
    read, unpack = _reader(of, resource), struct.Struct("<8x" + PAYLOADS[of.kind]).unpack

    def lift(address: int, crossing: Crossing) -> Any:
        return read(unpack(string_at(address, _capi.VAL_SIZE)), 0, crossing)

    return lift


def _reader(of: ValueType, resource: ResourceIn | None) -> _Read:
    make = _READERS.get(of.kind)
    return _read_number if make is None else make(of, resource)


def _read_number(values: Sequence[Any], place: int, _crossing: Crossing) -> Any:
    return values[place]


def _read_char(values: Sequence[Any], place: int, _crossing: Crossing) -> str:
    return chr(values[place])


def _present(of: ValueType | None) -> ValueType:
    assert of is not None  # noqa: S101 - every list and option has an element
    return of


def _read_text(values: Sequence[Any], place: int, crossing: Crossing) -> str:
    length = values[place]
    crossing.bytes += length
    if crossing.bytes > crossing.max_text:
        left = max(0, crossing.max_text - crossing.bytes + length)
        return string_at(values[place + 1], left).decode("utf-8", "ignore")
    return string_at(values[place + 1], length).decode() if length else ""


def _read_bytes(values: Sequence[Any], place: int, crossing: Crossing) -> bytes:
    length, address = values[place], values[place + 1]
    crossing.bytes += length
    if length <= BYTES_AT_A_TIME:
        return string_at(address, 32 * length)[8::32] if length else b""
    return b"".join(
        string_at(address + 32 * done, 32 * min(BYTES_AT_A_TIME, length - done))[8::32]
        for done in range(0, length, BYTES_AT_A_TIME)
    )


def _read_flags(values: Sequence[Any], place: int, crossing: Crossing) -> frozenset[str]:
    count = values[place]
    if not count:
        return frozenset()
    names = struct.iter_unpack("<QQ", string_at(values[place + 1], 16 * count))
    return frozenset(string_at(address, length).decode() for length, address in names)


def _list_reader(of: ValueType, resource: ResourceIn | None) -> _Read:
    element = _present(of.element)
    if element.kind == "u8":
        return _read_bytes
    read = _reader(element, resource)
    iter_unpack = struct.Struct("<8x" + PAYLOADS[element.kind]).iter_unpack

    def read_list(values: Sequence[Any], place: int, crossing: Crossing) -> list[Any]:
        count = values[place]
        if not count:
            return []
        crossing.take_items(count)
        packed = string_at(values[place + 1], _capi.VAL_SIZE * count)
        return [read(one, 0, crossing) for one in iter_unpack(packed)]

    return read_list


def _option_reader(of: ValueType, resource: ResourceIn | None) -> _Read:
    lift = lifter(_present(of.element), resource)
    return lambda values, place, crossing: lift(values[place], crossing) if values[place] else None


def _resource_reader(_of: ValueType, resource: ResourceIn | None) -> _Read:
    if resource is None:
        raise ValueError("a resource needs something that resolves it")
    return lambda values, place, _: resource(values[place])


def _record_reader(of: ValueType, resource: ResourceIn | None) -> _Read:
    layout, readers = _members(
        of, resource, "24x"
    )  # in front of a payload: the name's size and address, the kind
    unpack, size = layout.unpack, layout.size

    def read_record(values: Sequence[Any], place: int, crossing: Crossing) -> dict[str, Any]:
        inner = unpack(string_at(values[place + 1], size))
        return {name: read(inner, at, crossing) for name, read, at in readers}

    return read_record


def _tuple_reader(of: ValueType, resource: ResourceIn | None) -> _Read:
    layout, readers = _members(of, resource, "8x")
    unpack, size = layout.unpack, layout.size

    def read_tuple(values: Sequence[Any], place: int, crossing: Crossing) -> tuple[Any, ...]:
        inner = unpack(string_at(values[place + 1], size))
        return tuple([read(inner, at, crossing) for _, read, at in readers])

    return read_tuple


def _members(
    of: ValueType, resource: ResourceIn | None, in_front: str
) -> tuple[struct.Struct, list[tuple[str, _Read, int]]]:
    """The layout of all members, and for each how it is read and where its numbers start."""
    layout, readers, numbers = "<", [], 0
    for name, member in of.fields:
        layout += in_front + PAYLOADS[member.kind]
        readers.append((name, _reader(member, resource), numbers))
        numbers += _NUMBERS[member.kind]
    return struct.Struct(layout), readers


def _result_reader(of: ValueType, resource: ResourceIn | None) -> _Read:
    ok = lifter(of.element, resource) if of.element else None
    error = lifter(of.error, resource) if of.error else None

    def read_result(values: Sequence[Any], place: int, crossing: Crossing) -> tuple[str, Any]:
        succeeded, address = values[place], values[place + 1]
        lift = ok if succeeded else error
        return ("ok" if succeeded else "err"), lift(address, crossing) if lift else None

    return read_result


def _variant_reader(of: ValueType, resource: ResourceIn | None) -> _Read:
    lifts = {name: lifter(case, resource) if case else None for name, case in of.members}

    def read_variant(values: Sequence[Any], place: int, crossing: Crossing) -> tuple[str, Any]:
        name = string_at(values[place + 1], values[place]).decode()
        lift = lifts[name]
        return name, lift(values[place + 2], crossing) if lift else None

    return read_variant


_READERS: dict[str, Callable[[ValueType, ResourceIn | None], _Read]] = {
    "char": lambda *_: _read_char,
    "string": lambda *_: _read_text,
    "enum": lambda *_: _read_text,
    "flags": lambda *_: _read_flags,
    "list": _list_reader,
    "record": _record_reader,
    "tuple": _tuple_reader,
    "option": _option_reader,
    "result": _result_reader,
    "variant": _variant_reader,
    "own": _resource_reader,
    "borrow": _resource_reader,
}
"""What makes the reader of each kind that is not a number."""
