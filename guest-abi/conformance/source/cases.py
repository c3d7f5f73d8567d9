"""What a case looks like, and how a script for a probe is written."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack

from . import guests
from .guests import ABI, FREE, MAGIC, Function

Case = dict[str, Any]
GUEST_ABI = Path(__file__).parents[2]

ANY, TEXT, ABSENT = {"$any": True}, {"$text": True}, {"$absent": True}
"""Patterns: any value, any text, a member that is absent."""

NOTHING = 0xFFFFFFFF
REPLY_AT, REPLY_CAPACITY = 0x10000, 0x8000
"""Where scripts have replies copied."""


def operations() -> list[dict[str, Any]]:
    """The operations of the schema that are host calls with a message each way."""
    index = json.loads((GUEST_ABI / "schema/operations.json").read_text("utf-8"))
    return [one for one in index["operations"] if len(one["parameters"]) == 4]


def definitions() -> dict[str, Any]:
    """The documents of the schema."""
    documents: dict[str, Any] = json.loads((GUEST_ABI / "schema/messages.json").read_text("utf-8"))["$defs"]
    return documents


def vectors(name: str) -> list[dict[str, Any]]:
    """The vectors of one file."""
    read: list[dict[str, Any]] = json.loads((GUEST_ABI / "vectors" / f"{name}.json").read_text("utf-8"))
    return read


def at_least(number: int) -> dict[str, int]:
    """The pattern of a number that is no less."""
    return {"$atLeast": number}


def binary(data: bytes) -> dict[str, str]:
    """``data`` in JSON."""
    return {"$bin": data.hex()}


# ---- Probes and their scripts


def probe_functions(group: str) -> tuple[Function, ...]:
    """What the probe of a group of host calls imports."""
    of_group = [one for one in operations() if one["module"] == f"alga:{group}"]
    return (*ABI, *(Function(one["module"], one["function"], "iiii", "i") for one in of_group))


class Script:
    """The steps of a probe, one method each. A probe answers with what they showed, unless they end it.

    ``expect`` collects what the transcript must have.
    """

    def __init__(self, functions: tuple[Function, ...]) -> None:
        self._numbers = {str(function): number for number, function in enumerate(functions)}
        self.steps: list[list[Any]] = []
        self.transcript: list[Any] = []
        self._data = bytearray(MAGIC)

    def _add(self, kind: int, step: list[Any], *numbers: int, data: bytes = b"") -> Script:
        self._data += bytes([kind]) + struct.pack(f"<{len(numbers)}I", *(n & NOTHING for n in numbers)) + data
        self.steps.append(step)
        return self

    def _called(self, kind: int, word: str, name: str, arguments: tuple[int, ...]) -> Script:
        self._data += bytes([kind, self._numbers[name], len(arguments)])
        self._data += struct.pack(f"<{len(arguments)}I", *(argument & NOTHING for argument in arguments))
        self.steps.append([word, name, *arguments])
        return self

    def call(self, name: str, *arguments: int, gives: Any = ANY) -> Script:
        """Call a function; the transcript has its result, 0 for none."""
        self.transcript.append({"result": gives})
        return self._called(guests.CALL, "call", name, arguments)

    def ask(self, name: str, *arguments: int, **expected: Any) -> Script:
        """Call a function whose last two arguments are a buffer; the transcript has the copied bytes, too."""
        self.transcript.append(expected)
        return self._called(guests.ASK, "ask", name, arguments)

    def host_call(
        self, name: str, request: Any, reply: Any, *, at: int = FREE, capacity: int = REPLY_CAPACITY
    ) -> Script:
        """Write a request, call the operation, and expect the reply; bytes are written as they are."""
        data = request if isinstance(request, bytes) else msgpack.packb(request)
        self.write(at, data)
        return self.ask(name, at, len(data), REPLY_AT, capacity, reply=reply)

    def show(self, at: int, length: int, shows: bytes) -> Script:
        """Show a range of memory."""
        self.transcript.append({"bytes": shows.hex()})
        return self._add(guests.SHOW, ["show", at, length], at, length)

    def differs(self, at: int, length: int, data: bytes) -> Script:
        """Show a range of memory, which must not be ``data``."""
        self.transcript.append({"differs": data.hex()})
        return self._add(guests.SHOW, ["show", at, length], at, length)

    def write(self, at: int, data: bytes) -> Script:
        """Write ``data``."""
        return self._add(guests.WRITE, ["write", at, data.hex()], at, len(data), data=data)

    def fill(self, at: int, length: int, byte: int) -> Script:
        """Fill a range with one byte."""
        return self._add(guests.FILL, ["fill", at, length, byte], at, length, byte)

    def grow(self, pages: int, gives: Any = ANY) -> Script:
        """Grow memory; the transcript has what the instruction gave."""
        self.transcript.append({"result": gives})
        return self._add(guests.GROW, ["grow", pages], pages)

    def grow_table(self, elements: int, gives: Any = ANY) -> Script:
        """Grow the table, which has one element."""
        self.transcript.append({"result": gives})
        return self._add(guests.GROW_TABLE, ["growTable", elements], elements)

    def repeat(self, times: int) -> Script:
        """Make the call that follows so often; the transcript has the last one."""
        return self._add(guests.REPEAT, ["repeat", times], times)

    def recurse(self, levels: int) -> Script:
        """Call a function that calls itself so many times, with 480 bytes of values alive in each."""
        return self._add(guests.RECURSE, ["recurse", levels], levels)

    def spin(self) -> Script:
        """Loop for ever."""
        return self._add(guests.SPIN, ["spin"])

    def trap(self) -> Script:
        """Execute ``unreachable``."""
        return self._add(guests.TRAP, ["trap"])

    def leave(self) -> Script:
        """Return from the handler."""
        return self._add(guests.RETURN, ["return"])

    @property
    def body(self) -> bytes:
        """The script as the probe finds it in the request's body."""
        return bytes(self._data) + bytes([guests.FINISH])


def run(name: str, section: str, rule: str, group: str, script: Script, **members: Any) -> Case:
    """A case of a probe, which ends as in ``expect``, or answers with the transcript that its script expects."""
    expect = members.pop("expect", None) or {"transcript": script.transcript}
    http = {**members.pop("http", {})}
    http["body"] = binary(script.body + http.pop("tail", b""))
    request = {**members.pop("request", {}), "http": http}
    module = members.pop("module", f"modules/probe-{group}.wasm")
    shown = [step if len(str(step)) < 400 else [*step[:-1], "..."] for step in script.steps]
    return {
        **case(name, section, rule, module, expect, **members),
        "request": request,
        "script": shown,
    }


def case(name: str, section: str, rule: str, module: str, expect: Any, **members: Any) -> Case:
    """A case of any module. ``rule`` is a part of ABI.md, in its words; ``section`` the heading above it."""
    return {"name": name, "section": section, "rule": rule, "module": module, **members, "expect": expect}


def ends(code: str, *names: str, **more: Any) -> dict[str, Any]:
    """Expect that the execution ends with an error, whose text has ``names``."""
    return {"ending": code, **({"names": list(names)} if names else {}), **more}


ANSWERS = {"status": 200}


def unbase64(text: str) -> bytes:
    """The bytes of base64."""
    return base64.b64decode(text)


Cases = Iterator[Case]
