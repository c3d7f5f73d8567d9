"""Whether a result is what a case expects (guest-abi/conformance/README.md, "What must come")."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack

from .kit import Case, Result, plain, tagged

_RESULT, _ASKED, _SHOWN = range(3)
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which a result is not the expected one."""

    what: str
    expected: Any
    got: Any


def faults(case: Case, result: Result) -> list[Fault]:
    """Every way in which ``result`` is not what ``case`` expects; empty for a host that keeps the rule."""
    return list(_faults(case, result))


def _faults(case: Case, result: Result) -> Iterator[Fault]:
    if result.broken:
        yield Fault("the host", "a result", result.broken)
        return
    expect, code = case.expect, case.expect.get("refused") or case.expect.get("ending")
    if (code is None) != (result.response is not None):
        yield Fault("the outcome", f"{code}" if code else "a response", _outcome(result))
        return
    if code is not None:
        got = result.refused or result.ending
        if got != code and not (got is True and "refused" in expect):
            yield Fault("the ending", code, _outcome(result))
        for name in expect.get("names", ()):
            if name not in result.message:
                yield Fault("the message", f"a text with {name!r}", result.message)
        if len(result.message) > expect.get("longest", len(result.message)):
            yield Fault("the message", f"{expect['longest']} characters at most", f"{len(result.message)}")
    elif result.response is not None:
        yield from _response(expect, result.response)
    yield from _list("host calls carried out", case.asked, result.asked, nil_is_absent=False)
    if case.log is not None:
        yield from _list("lines of log", case.log, result.log, nil_is_absent=False)


def _outcome(result: Result) -> str:
    if result.response is not None:
        return f"a response with status {result.response.get('status')}"
    return f"{result.refused or result.ending}: {result.message}"


def _list(what: str, expected: Sequence[Any], got: Sequence[Any], *, nil_is_absent: bool) -> Iterator[Fault]:
    fits = len(expected) == len(got) and all(
        matches(one, other, nil_is_absent=nil_is_absent) for one, other in zip(expected, got, strict=True)
    )
    if not fits:
        yield Fault(what, expected, tagged(list(got)))


def _response(expect: Mapping[str, Any], response: Mapping[str, Any]) -> Iterator[Fault]:
    body = plain(response.get("body"))
    if "transcript" in expect:
        if response.get("status") != 200 or body is None:
            yield Fault("the response", "status 200, and a transcript", tagged(dict(response)))
        else:
            yield from _transcript(expect["transcript"], body)
        return
    expected = expect["response"]
    if response.get("status") != expected["status"]:
        yield Fault("the status", expected["status"], response.get("status"))
    if "headers" in expected:
        yield from _list("headers", expected["headers"], response.get("headers", ()), nil_is_absent=False)
    match expected.get("body", _ABSENT):
        case {"message": pattern}:
            yield from _message("the body", pattern, body)
        case {"length": int(length)}:
            if body is None or len(body) != length:
                yield Fault("the body", f"{length} bytes", "none" if body is None else f"{len(body)} bytes")
        case pattern if pattern is not _ABSENT and plain(pattern) != body:
            yield Fault("the body", pattern, tagged(body))


def _message(what: str, pattern: Any, data: bytes | None) -> Iterator[Fault]:
    try:
        document = msgpack.unpackb(data, strict_map_key=False)
    except Exception as error:  # noqa: BLE001 - of any host
        yield Fault(what, pattern, f"{tagged(data)}, which is no MessagePack: {error}")
    else:
        if not matches(pattern, document):
            yield Fault(what, pattern, tagged(document))


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: int
    result: int
    data: bytes


def _entries(data: bytes) -> list[_Entry]:
    """What a probe noted. Raises ``struct.error`` or ``IndexError`` for what it did not write."""
    entries: list[_Entry] = []
    at = 0
    while at < len(data):
        kind, number = data[at], struct.unpack_from("<I", data, at + 1)[0]
        at += 5
        length = number if kind == _SHOWN else 0
        if kind == _ASKED:
            length = struct.unpack_from("<I", data, at)[0]
            at += 4
        entries.append(_Entry(kind, number, data[at : at + length]))
        at += length
    return entries


def _transcript(expected: Sequence[Mapping[str, Any]], data: bytes) -> Iterator[Fault]:
    try:
        entries = _entries(data)
    except (struct.error, IndexError):
        yield Fault("the transcript", "what a probe writes", tagged(data))
        return
    if len(entries) != len(expected):
        yield Fault("the transcript", f"{len(expected)} entries", f"{len(entries)}")
        return
    for number, (pattern, entry) in enumerate(zip(expected, entries, strict=True), 1):
        what = f"entry {number} of the transcript"
        if "result" in pattern and not matches(pattern["result"], entry.result):
            yield Fault(f"{what}, a result", pattern["result"], entry.result)
        if "as" in pattern and entries[pattern["as"]].result != entry.result:
            yield Fault(f"{what}, a length", entries[pattern["as"]].result, entry.result)
        if "bytes" in pattern and bytes.fromhex(pattern["bytes"]) != entry.data:
            yield Fault(f"{what}, memory", pattern["bytes"], entry.data.hex())
        if "differs" in pattern and bytes.fromhex(pattern["differs"]) == entry.data:
            yield Fault(f"{what}, memory", f"other bytes than {pattern['differs']}", entry.data.hex())
        if "reply" in pattern:
            if entry.result != len(entry.data):
                yield Fault(f"{what}, a length", f"what fits, for {pattern['reply']}", entry.result)
            else:
                yield from _message(f"{what}, a document", pattern["reply"], entry.data)


def matches(pattern: Any, value: Any, *, nil_is_absent: bool = True) -> bool:
    """Whether ``value`` fits ``pattern``. Of a map, members that the pattern does not name may be there."""
    absent = value is _ABSENT or (nil_is_absent and value is None)
    match pattern:
        case {"$any": True}:
            fits = value is not _ABSENT
        case {"$text": True}:
            fits = isinstance(value, str)
        case {"$absent": True}:
            fits = absent
        case {"$atLeast": int(least)}:
            fits = _is_number(value) and value >= least
        case {"$bin": _} | {"$int": _} | {"$float": _}:
            fits = repr(plain(pattern)) == repr(plain(value))
        case {}:
            fits = isinstance(value, Mapping) and all(
                matches(member, value.get(name, _ABSENT), nil_is_absent=nil_is_absent)
                for name, member in pattern.items()
            )
        case [*items]:
            fits = (
                isinstance(value, list | tuple)
                and len(items) == len(value)
                and all(
                    matches(one, other, nil_is_absent=nil_is_absent)
                    for one, other in zip(items, value, strict=True)
                )
            )
        case None:
            fits = value is None or absent
        case _ if _is_number(pattern):
            fits = _is_number(value) and pattern == value
        case _:
            fits = type(pattern) is type(value) and pattern == value
    return bool(fits)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
