"""MessagePack documents, read as the guest ABI demands (guest ABI, "Refusals").

No MessagePack library makes these refusals by itself, so each has its own check here. A document whose framing is
broken is a breach of the contract; one that is well formed but against a rule is refused, and the guest may go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import msgpack
import msgspec
from msgpack import Timestamp

from alga_common.text import replace_surrogates

from ..errors import BrokenFraming, HostCallCode, HostCallError
from ..models import MAX_DEPTH
from ..models.members import MAX_MEMBERS

MAX_ITEMS = MAX_MEMBERS
"""Containers in one document, and members of each, unless the settings say otherwise."""

_SMALL_BYTES = 2048
"""A message this small is decoded without a check of its framing first: a container that announces no more members than
the message has bytes takes a few MiB at most."""

_SUSPICIOUS = object()
_SCALARS = frozenset({type(None), bool, int, float, str, bytes})
_PLAIN = _SCALARS | {list, dict}
_KEYS = frozenset({str})

_BINARY = (0xC4, 0xC5, 0xC6)
"""First bytes of bin8, bin16 and bin32."""

_TIMESTAMP = "it holds a timestamp, which is an extension type"
"""msgpack decodes one past the extension hook, so members are looked at."""

_TOO_DEEP = f"it nests deeper than {MAX_DEPTH} levels"

_COUNT = "Check the length that was given, and how many members each map and array announces."
_NAMES = {
    type(None): "nil",
    bool: "a boolean",
    int: "an integer",
    float: "a float",
    str: "a string",
    bytes: "binary",
    list: "an array",
    dict: "a map",
}


def kind(value: object) -> str:
    """The type of a decoded value, in MessagePack's words and with an article: ``a map``, ``binary``."""
    return _NAMES.get(type(value), "an extension type")


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode

_Scalar = None | bool | int | float | str
_Flat = _Scalar | list[_Scalar] | dict[str, _Scalar]
_decode_simple = msgspec.msgpack.Decoder(dict[str, _Scalar | list[_Flat] | dict[str, _Flat]]).decode
"""Decodes a map of three levels at most, made of JSON's types alone: as most requests of host calls are."""


def encode(document: Any) -> bytes:
    """``document`` as one MessagePack document. Half of a surrogate pair, which UTF-8 cannot hold, becomes U+FFFD."""
    try:
        return _encode(document)
    except UnicodeEncodeError:
        return _encode(_with_replacements(msgspec.to_builtins(document, builtin_types=(bytes,))))


Written = msgspec.Raw
"""A part of a document, in bytes already."""


def written(value: Any) -> Written:
    """``value`` as a part of a document that ``encode`` writes."""
    return Written(encode(value))


def _with_replacements(value: Any) -> Any:
    if isinstance(value, str):
        return replace_surrogates(value)
    if isinstance(value, dict):
        return {_with_replacements(key): _with_replacements(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return list(map(_with_replacements, value))
    return value


def decode(data: bytes, *, max_items: int = MAX_ITEMS) -> Any:
    """The one document in ``data``.

    Raises ``BrokenFraming`` when ``data`` is not exactly one MessagePack document, ``HostCallError`` with
    ``validation-failed`` or ``too-large`` when it is one that breaks a rule.
    """
    if len(data) <= _SMALL_BYTES and len(data) <= max_items:  # then it has fewer containers than it may have
        try:
            simple = _decode_simple(data)
            if _encode(simple) == data:
                return simple
        except Exception:  # noqa: BLE001, S110 - it may hold binary, or nest deeper
            pass
        try:
            document = _decode(data)
            if _is_plain(document, MAX_DEPTH) and _encode(document) == data:
                return document
        except Exception:  # noqa: BLE001, S110 - look_closer meets the same fault
            pass
    else:
        _check_framing(data)  # first: then a container has the bytes for the members it announces
        document = _unsuspicious(data, max_items)
        if document is not _SUSPICIOUS:
            return document
    return look_closer(data, max_items=max_items)


def look_closer(data: bytes, *, max_items: int = MAX_ITEMS) -> Any:
    """Decode as ``decode`` does, checking one rule after the other."""
    if len(data) > _SMALL_BYTES:
        _check_framing(data)  # first: then a container has the bytes for the members it announces
    reader = _Reader(max_items)
    try:
        document = _unpack(data, reader, min(max_items, len(data)))
    except Exception:  # noqa: BLE001 - a slower look finds the fault
        return _decode_broken(data, max_items)
    return _checked(document, reader)


def _unsuspicious(data: bytes, max_items: int) -> Any:
    """The document in ``data`` if it plainly breaks no rule; otherwise ``_SUSPICIOUS``, for ``look_closer``."""
    try:
        document = _decode(data)
        if _is_large_plain(document, max_items) and (is_encoding_of(data, document) or _keys_differ(data)):
            return document
    except Exception:  # noqa: BLE001, S110 - look_closer meets the same fault
        pass
    return _SUSPICIOUS


def is_encoding_of(data: bytes, document: object) -> bool:
    """Whether ``data`` is, byte for byte, how this host writes ``document``, which was decoded from it.

    Then ``data`` holds nothing that decoding loses: a key given twice, an unknown member. Its length alone would not
    do: a float of 32 bits is written longer than it came, and makes up for a part that is lost.
    """
    return _encode(document) == data


def _keys_differ(data: bytes) -> bool:
    """Whether no map in ``data``, which was decoded before, has a key twice.

    For messages of many containers that are not as the host writes them, such as with floats of 32 bits.
    """
    differ = True

    def on_map(pairs: list[tuple[Any, Any]]) -> None:
        nonlocal differ
        differ = differ and len(dict(pairs)) == len(pairs)

    msgpack.unpackb(
        data,
        strict_map_key=False,
        object_pairs_hook=on_map,
        max_array_len=len(data),
        max_map_len=len(data),
    )
    return differ


def _is_plain(value: object, levels: int) -> bool:
    """Whether ``value`` is made of JSON's types and binary, and nests no deeper than ``levels``."""
    if type(value) is dict:
        for key, member in value.items():
            if type(key) is not str:
                return False
            if type(member) not in _SCALARS and not _is_plain(member, levels - 1):
                return False
        return levels > 0
    if type(value) is list:
        for item in value:
            if type(item) not in _SCALARS and not _is_plain(item, levels - 1):
                return False
        return levels > 0
    return type(value) in _SCALARS


def _is_large_plain(document: object, max_items: int) -> bool:
    """``_is_plain``, level by level, which takes a quarter of the time where there is much; and counts containers."""
    level: Sequence[Any] = (document,)
    left = max_items
    for _ in range(MAX_DEPTH + 1):
        kinds = set(map(type, level))
        if kinds <= _SCALARS:
            return True
        if not kinds <= _PLAIN:
            return False
        maps = [member for member in level if type(member) is dict]
        arrays = [member for member in level if type(member) is list]
        left -= len(maps) + len(arrays)
        if left < 0 or max(map(len, chain(maps, arrays))) > max_items:
            return False
        if not set(map(type, chain.from_iterable(maps))) <= _KEYS:
            return False
        level = tuple(chain(chain.from_iterable(arrays), chain.from_iterable(map(dict.values, maps))))
    return False


def _decode_broken(data: bytes, max_items: int) -> Any:
    """Raise the error of a document that could not be decoded."""
    _check_framing(data)
    reader = _Reader(max_items)
    try:
        document = _unpack(data, reader, max_items)
    except UnicodeDecodeError:
        raise _refusal("a text is not valid UTF-8") from None
    except (ValueError, msgpack.UnpackException) as error:
        raise _unreadable(error) from None
    return _checked(document, reader)


def _unpack(data: bytes, reader: _Reader, max_members: int) -> Any:
    return msgpack.unpackb(
        data,
        strict_map_key=False,
        object_pairs_hook=reader.on_map,
        list_hook=reader.on_array,
        ext_hook=reader.on_extension,
        max_array_len=max_members,
        max_map_len=max_members,
    )


def _checked(document: Any, reader: _Reader) -> Any:
    """``document``, decoded by ``reader``. Raises ``HostCallError`` for the first rule it breaks."""
    fault = reader.fault
    # A document cannot nest deeper than it has containers: most need no walk.
    if reader.containers > MAX_DEPTH and _depth(document) > MAX_DEPTH:
        fault = _TOO_DEEP
    if fault is None and type(document) is Timestamp:
        fault = _TIMESTAMP
    if fault is not None:
        raise _refusal(fault)
    return document


class _Reader:
    """The hooks of one decoding: remembers the first rule broken, gives up when there are too many containers."""

    __slots__ = ("_max_items", "containers", "fault")

    def __init__(self, max_items: int) -> None:
        self._max_items = max_items
        self.containers = 0
        self.fault: str | None = None

    def _too_many(self) -> HostCallError:
        return HostCallError(
            HostCallCode.TOO_LARGE, f"The message holds more than {self._max_items} maps and arrays."
        )

    def on_map(self, pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
        self.containers += 1
        if self.containers > self._max_items:
            raise self._too_many()
        try:
            members = dict(pairs)
        except TypeError:
            self.fault = self.fault or "a map's key is not a string"
            return {}
        if len(members) != len(pairs):
            self.fault = self.fault or "a map has the same key twice"
        for key, value in members.items():
            if type(key) is not str:
                self.fault = self.fault or "a map's key is not a string"
            if type(value) is Timestamp:
                self.fault = self.fault or _TIMESTAMP
        return members

    def on_array(self, items: list[Any]) -> list[Any]:
        self.containers += 1
        if self.containers > self._max_items:
            raise self._too_many()
        for item in items:
            if type(item) is Timestamp:
                self.fault = self.fault or _TIMESTAMP
        return items

    def on_extension(self, code: int, _data: bytes) -> None:
        self.fault = self.fault or f"it holds the extension type {code}"


def _refusal(fault: str) -> HostCallError:
    return HostCallError(HostCallCode.VALIDATION_FAILED, f"The message breaks a rule: {fault}.")


def _unreadable(error: Exception) -> HostCallError:
    """The error for what a decoder raises about a well-framed document."""
    if "exceeds max_" in str(error):
        return HostCallError(
            HostCallCode.TOO_LARGE, "The message has a map or an array with too many members."
        )
    return _refusal("it holds a value that cannot be read")


def _check_framing(data: bytes) -> None:
    """Raise ``BrokenFraming`` unless ``data`` is exactly one document, with any content. Builds nothing."""
    if not data:
        raise BrokenFraming("The message is empty.", hint="A map without members is the byte 0x80.")
    unpacker = msgpack.Unpacker(max_buffer_size=max(len(data), 1))
    unpacker.feed(data)
    try:
        unpacker.skip()
    except msgpack.OutOfData:
        raise _cut(data) from None
    except msgpack.StackError:
        raise _refusal(_TOO_DEEP) from None  # too deep to say more
    except (ValueError, msgpack.UnpackException) as error:
        if "exceeds max_" in str(error):  # it claims more members than it has bytes
            raise _cut(data) from None
        raise BrokenFraming("The message is not MessagePack.") from None
    if unpacker.tell() != len(data):
        looks_like_json = data[:1] in {b"{", b"["} and data[-1:] in {b"}", b"]"}
        raise BrokenFraming(
            f"Bytes follow the message, which ends at byte {unpacker.tell()} of {len(data)}.",
            hint="It looks like JSON; messages are MessagePack." if looks_like_json else _COUNT,
        )


def _cut(data: bytes) -> BrokenFraming:
    return BrokenFraming(f"The message ends in the middle, after {len(data)} bytes.", hint=_COUNT)


def bytes_without_binary(data: bytes) -> int:
    """Bytes of a well-framed document apart from the binary members of its outermost map.

    They are what decoding multiplies: a byte can become a hundred, while binary is copied as it is.
    """
    unpacker = msgpack.Unpacker(max_buffer_size=max(len(data), 1))
    unpacker.feed(data)
    count = len(data)
    try:
        members = min(unpacker.read_map_header(), MAX_ITEMS)
        for _ in range(members):
            unpacker.skip()
            start = unpacker.tell()
            unpacker.skip()
            if data[start] in _BINARY:
                count -= unpacker.tell() - start
    except (ValueError, msgpack.UnpackException):
        pass  # not a map, or broken: the decoder raises the error
    return count


def _depth(value: Any) -> int:
    """How many containers deep ``value`` nests, counted no further than one past the limit."""
    level = [value] if isinstance(value, dict | list) else []
    depth = 0
    while level and depth <= MAX_DEPTH:
        depth += 1
        level = [
            member
            for container in level
            for member in (container.values() if isinstance(container, dict) else container)
            if isinstance(member, dict | list)
        ]
    return depth
