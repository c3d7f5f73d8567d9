"""Values into ``wasmtime_component_val_t`` trees, built in memory of our own.

The C API copies the arguments of a call as the call begins, and a host function's result is handed over by one
``wasmtime_component_val_clone`` of the whole tree. So nothing is allocated or freed value by value, and the memory is
used again. Values are those of ``lift``.

Text that is not Unicode (a lone surrogate) and characters that are none would abort the process inside wasmtime
(docs/design/components.md, Hazards): surrogates are replaced, and a character is a ``str`` of one.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeAlias
from weakref import WeakValueDictionary

from . import _capi
from .lift import BYTES_AT_A_TIME, PAYLOADS
from .types import ValueType

_SMALL = 16 * 1024
_MOST_KEPT = 4 * 1024 * 1024
"""Bytes of expanded ``list<u8>`` that an arena keeps for the next tree: those of a body of 128 KB."""

_LEAST_EXPANDED = 4096
_VAL = _capi.VAL_SIZE
_U8 = bytes([_capi.KINDS["u8"]])
_SURROGATE_REPLACED = "replace"

_NO_ITEMS = (0, 8)
"""Size and address of an empty vector: the address is not read, yet may not be null."""


class Unlowerable(ValueError):
    """A value that does not fit its type, which the message names."""


class Arena:
    """Memory that one tree is built in, in chunks that never move. Only after ``reset`` may the next be."""

    __slots__ = (
        "_base",
        "_chunks",
        "_expanded",
        "_expanded_base",
        "_expanded_used",
        "_size",
        "_used",
        "_view",
        "bytes",
        "handles",
    )

    def __init__(self) -> None:
        self.handles: list[int] = []
        """Addresses of the resource handles in the tree, to be freed when it was copied."""
        self.bytes = 0
        """Of text and ``list<u8>`` in the tree."""
        self._chunks: list[Any] = []
        self._add_chunk(_SMALL)
        self._expanded: memoryview | None = None
        self._expanded_base = self._expanded_used = 0

    def reset(self) -> None:
        """Forget the tree that was built, and free what only a large one needs."""
        if len(self._chunks) > 1:
            self._use_chunk(self._chunks[0])
            del self._chunks[1:]
        expanded = self._expanded
        if expanded is not None and len(expanded) > _MOST_KEPT:
            self._expanded = None
            _free_pages(expanded)
        self._used = self._expanded_used = self.bytes = 0

    def put(self, data: bytes) -> int:
        """Copy ``data`` in, aligned for values; returns its address."""
        start = self._used
        end = start + len(data)
        if end > self._size:
            self._add_chunk(max(len(data), 2 * self._size))
            start, end = 0, len(data)
        self._view[start:end] = data
        self._used = (end + 7) & ~7
        return self._base + start

    def put_u8s(self, data: bytes) -> int:
        """Write ``data`` as values of kind u8; returns the address of the first.

        Only every 32nd byte is written: the kinds are there already.
        """
        start, length = self._expanded_used, len(data)
        self.bytes += length
        if self._expanded is None or _VAL * (start + length) > len(self._expanded):
            self._add_expanded(length)
            start = 0
        assert self._expanded is not None  # noqa: S101 - it was just made
        for done in range(0, length, BYTES_AT_A_TIME):  # between two pieces, other threads may run
            piece, first = data[done : done + BYTES_AT_A_TIME], _VAL * (start + done)
            self._expanded[first + _capi.VAL_OF : first + _VAL * len(piece) : _VAL] = piece
        self._expanded_used = start + length
        return self._expanded_base + _VAL * start

    def _add_chunk(self, size: int) -> None:
        chunk = ctypes.create_string_buffer(size)
        self._chunks.append(chunk)
        self._use_chunk(chunk)

    def _use_chunk(self, chunk: Any) -> None:
        self._view, self._base = memoryview(chunk).cast("B"), ctypes.addressof(chunk)
        self._size, self._used = len(chunk), 0

    def _add_expanded(self, length: int) -> None:
        room = max(_LEAST_EXPANDED, length, 2 * len(self._expanded or b"") // _VAL)
        if self._expanded is not None:
            self._chunks.append(self._expanded)  # its values are part of the tree
        pages = mmap.mmap(-1, _VAL * room, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._expanded = memoryview(pages)
        for first in range(0, room, BYTES_AT_A_TIME):  # as above
            count = min(BYTES_AT_A_TIME, room - first)
            self._expanded[_VAL * first : _VAL * (first + count) : _VAL] = _U8 * count
        self._expanded_base = ctypes.addressof(ctypes.c_char.from_buffer(pages))
        self._expanded_used = 0


def _free_pages(view: memoryview) -> None:
    """Free the memory behind ``view`` in pieces: to unmap 32 MiB in one takes 4 ms, with the GIL."""
    pages = view.obj
    assert isinstance(pages, mmap.mmap)  # noqa: S101 - the arena made it
    for start in range(0, len(pages), _VAL * BYTES_AT_A_TIME):
        pages.madvise(mmap.MADV_DONTNEED, start, min(_VAL * BYTES_AT_A_TIME, len(pages) - start))


_MAX_SPARE = 16
_spare: list[Arena] = []


def take_arena() -> Arena:
    """An arena without a tree, to be given back once the tree was copied."""
    try:
        return _spare.pop()
    except IndexError:
        return Arena()


def give_arena_back(arena: Arena) -> None:
    """Keep an arena for the next tree, unless enough are kept."""
    arena.reset()
    if len(_spare) < _MAX_SPARE:
        _spare.append(arena)


class ResourceOut(Protocol):
    """Makes the handles of the resources that the host gives."""

    def __call__(self, value: int, arena: Arena, *, owned: bool) -> int:
        """The address of a ``wasmtime_component_resource_any_t`` for ``value``, which joins ``arena.handles``."""


Lower: TypeAlias = Callable[[Any, Arena], int]
"""Writes a value; returns its address."""

_shared: WeakValueDictionary[ValueType, Lower] = WeakValueDictionary()

_Write: TypeAlias = Callable[[Any, Arena], Iterable[Any]]
"""Writes what a value refers to; returns the numbers of its payload."""


def lowerer(of: ValueType, resource: ResourceOut | None = None) -> Lower:
    """A function that lowers values of type ``of``, and raises ``Unlowerable`` for any other.

    Components share those of equal types that hold no resource.
    """
    if resource is not None:
        return _make(of, resource)
    return _shared.get(of) or _shared.setdefault(of, _make(of, None))


def _make(of: ValueType, resource: ResourceOut | None) -> Lower:
    write = _writer(of, resource)
    pack, number = struct.Struct("<B7x" + PAYLOADS[of.kind]).pack, _kind(of)

    def lower(value: Any, arena: Arena) -> int:
        try:
            return arena.put(pack(number, *write(value, arena)))
        except Unlowerable:
            raise
        except (struct.error, LookupError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise Unlowerable(f"{type(value).__name__} does not fit {of}: {error}"[:500]) from None

    return lower


def pack_arguments(addresses: Iterable[int], arena: Arena) -> int:
    """The values at ``addresses``, one after the other; returns the address of the first."""
    return arena.put(b"".join([ctypes.string_at(address, _VAL) for address in addresses]))


def _kind(of: ValueType) -> int:
    return _capi.KINDS["resource" if of.kind in {"own", "borrow"} else of.kind]


def _static(names: Iterable[str]) -> tuple[dict[str, tuple[int, int]], Any]:
    """Size and address of each name, and the buffer that holds them all, for the caller to keep."""
    encoded = {name: name.encode() for name in names}
    buffer = ctypes.create_string_buffer(b"".join(encoded.values()))
    places, address = {}, ctypes.addressof(buffer)
    for name, data in encoded.items():
        places[name] = len(data), address
        address += len(data)
    return places, buffer


def _writer(of: ValueType, resource: ResourceOut | None) -> _Write:
    make = _WRITERS.get(of.kind)
    return _write_number if make is None else make(of, resource)


def _write_number(value: Any, _arena: Arena) -> tuple[Any]:
    return (value,)


def _write_char(value: str, _arena: Arena) -> tuple[int]:
    return (ord(value.encode("utf-8", _SURROGATE_REPLACED).decode()),)


def _write_bytes(value: bytes, arena: Arena) -> tuple[int, int]:
    return (len(value), arena.put_u8s(value)) if value else _NO_ITEMS


def _write_text(value: str, arena: Arena) -> tuple[int, int]:
    try:
        data = value.encode()
    except UnicodeEncodeError:
        data = value.encode("utf-8", _SURROGATE_REPLACED)
    arena.bytes += len(data)
    return len(data), arena.put(data)


def _enum_writer(of: ValueType, _resource: ResourceOut | None) -> _Write:
    places, buffer = _static(of.names)

    def write_enum(value: Any, _arena: Arena, _kept: Any = buffer) -> tuple[int, int]:
        return places[value]

    return write_enum


def _write_f32(value: float, _arena: Arena) -> tuple[float]:
    try:
        struct.pack("<f", value)
    except OverflowError:
        return (float("inf") if value > 0 else float("-inf"),)
    return (value,)


def _optional(of: ValueType | None, resource: ResourceOut | None) -> Lower:
    return lowerer(of, resource) if of is not None else lambda _value, _arena: 0


def _list_writer(of: ValueType, resource: ResourceOut | None) -> _Write:
    element = of.element
    assert element is not None  # noqa: S101 - a list has one
    if element.kind == "u8":
        return _write_bytes
    write, number = _writer(element, resource), _kind(element)
    pack = struct.Struct("<B7x" + PAYLOADS[element.kind]).pack

    def write_list(value: Any, arena: Arena) -> tuple[int, int]:
        if not value:
            return _NO_ITEMS
        return len(value), arena.put(b"".join([pack(number, *write(one, arena)) for one in value]))

    return write_list


def _option_writer(of: ValueType, resource: ResourceOut | None) -> _Write:
    lower = _optional(of.element, resource)
    return lambda value, arena: (0 if value is None else lower(value, arena),)


def _resource_writer(of: ValueType, resource: ResourceOut | None) -> _Write:
    if resource is None:
        raise ValueError("a resource needs something that makes its handle")
    owned = of.kind == "own"
    return lambda value, arena: (resource(value, arena, owned=owned),)


def _record_writer(of: ValueType, resource: ResourceOut | None) -> _Write:
    layout = struct.Struct("<" + "".join("QQB7x" + PAYLOADS[member.kind] for _, member in of.fields))
    places, buffer = _static(name for name, _ in of.fields)
    writers = [
        (name, (*places[name], _kind(member)), _writer(member, resource)) for name, member in of.fields
    ]
    pack, count = layout.pack, len(writers)

    def write_record(value: Any, arena: Arena, _kept: Any = buffer) -> tuple[int, int]:
        numbers: list[Any] = []
        for name, in_front, write in writers:
            numbers += in_front
            numbers += write(value[name], arena)
        return count, arena.put(pack(*numbers))

    return write_record


def _tuple_writer(of: ValueType, resource: ResourceOut | None) -> _Write:
    layout = struct.Struct("<" + "".join("B7x" + PAYLOADS[member.kind] for _, member in of.fields))
    writers = [(_kind(member), _writer(member, resource)) for _, member in of.fields]
    pack, count = layout.pack, len(writers)

    def write_tuple(value: Any, arena: Arena) -> tuple[int, int]:
        if len(value) != count:
            raise TypeError(f"it has {len(value)} elements")
        numbers: list[Any] = []
        for (number, write), one in zip(writers, value, strict=True):
            numbers.append(number)
            numbers += write(one, arena)
        return count, arena.put(pack(*numbers))

    return write_tuple


def _result_writer(of: ValueType, resource: ResourceOut | None) -> _Write:
    ok, error = _optional(of.element, resource), _optional(of.error, resource)

    def write_result(value: Any, arena: Arena) -> tuple[bool, int]:
        tag, payload = value
        if tag not in {"ok", "err"}:
            raise TypeError(f"its tag is {tag!r}")
        return tag == "ok", (ok if tag == "ok" else error)(payload, arena)

    return write_result


def _variant_writer(of: ValueType, resource: ResourceOut | None) -> _Write:
    places, buffer = _static(name for name, _ in of.members)
    cases = {name: (places[name], _optional(case, resource)) for name, case in of.members}

    def write_variant(value: Any, arena: Arena, _kept: Any = buffer) -> tuple[int, int, int]:
        name, payload = value
        (length, address), lower = cases[name]
        return length, address, lower(payload, arena)

    return write_variant


def _flags_writer(of: ValueType, _resource: ResourceOut | None) -> _Write:
    places, buffer = _static(of.names)

    def write_flags(value: Any, arena: Arena, _kept: Any = buffer) -> tuple[int, int]:
        if not value:
            return _NO_ITEMS
        numbers = [number for name in sorted(value) for number in places[name]]
        return len(value), arena.put(struct.pack(f"<{len(numbers)}Q", *numbers))

    return write_flags


_WRITERS: dict[str, Callable[[ValueType, ResourceOut | None], _Write]] = {
    "char": lambda *_: _write_char,
    "f32": lambda *_: _write_f32,
    "string": lambda *_: _write_text,
    "enum": _enum_writer,
    "flags": _flags_writer,
    "list": _list_writer,
    "record": _record_writer,
    "tuple": _tuple_writer,
    "option": _option_writer,
    "result": _result_writer,
    "variant": _variant_writer,
    "own": _resource_writer,
    "borrow": _resource_writer,
}
"""What makes the writer of each kind that is not a plain number."""
