"""The cases of ``guest-abi/conformance``, and what a host made of one (guest-abi/conformance/README.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Protocol

_PACKAGE = Path(__file__).parents[2]
PLACES = (_PACKAGE / "conformance", _PACKAGE.parents[1] / "guest-abi" / "conformance")
"""Where the kit is: in an installed package, in the repository."""

_CUSTOM_SECTION = b"\0"
_LENGTH_BYTES = 5


@dataclass(frozen=True, slots=True)
class Case:
    """One case: a module, how it is executed, and what must come of it.

    ``rule`` is in the words of ABI.md, ``section`` the heading above it.
    """

    name: str
    section: str
    rule: str
    module: Path
    grants: Sequence[str]
    request: Mapping[str, Any]
    answers: Mapping[str, Any]
    """By operation what answers it, ``{"ok": ...}`` or ``{"err": ...}``."""
    limits: Mapping[str, int]
    expect: Mapping[str, Any]
    asked: Sequence[Mapping[str, Any]]
    log: Sequence[Sequence[str]] | None
    """``None`` where it is not compared."""
    times: int = 1
    slow: bool = False
    padded_to: int | None = None
    """Bytes that the module is to have: a custom section fills it up."""

    def wasm(self) -> bytes:
        """The module."""
        wasm = self.module.read_bytes()
        if self.padded_to is None:
            return wasm
        size = self.padded_to - len(wasm) - 1 - _LENGTH_BYTES
        length = bytes(size >> shift & 0x7F | (0x80 if shift < 28 else 0) for shift in range(0, 35, 7))
        return wasm + _CUSTOM_SECTION + length + b"\1x" + bytes(size - 2)


@dataclass(slots=True)
class Result:
    """What a host made of a case: one of the first three, the host calls that were carried out, and the log."""

    refused: str | bool | None = None
    """Why the module did not load; ``True`` if the host has no code for that."""
    ending: str | None = None
    response: Mapping[str, Any] | None = None
    message: str = ""
    """That of the refusal or the ending."""
    asked: Sequence[Mapping[str, Any]] = ()
    log: Sequence[Sequence[str]] = ()
    broken: str = ""
    """Why there is no result at all."""
    seconds: float = field(default=0.0, compare=False)


class Host(Protocol):
    """Something that executes guests of ABI v1."""

    async def carry_out(self, case: Case) -> Result:
        """Execute the case's module once. Raises nothing that a guest can cause."""


@cache
def load_cases() -> tuple[Case, ...]:
    """Every case, in the kit's order. Raises ``FileNotFoundError`` when there is no kit."""
    folder = next((place for place in PLACES if (place / "cases.json").is_file()), PLACES[-1])
    document = json.loads((folder / "cases.json").read_text("utf-8"))
    elsewhere = document["elsewhere"]
    return tuple(_case(folder, one, document["defaults"], elsewhere) for one in document["cases"])


def pick(cases: Sequence[Case], pattern: str | None) -> list[Case]:
    """The cases whose names fit ``pattern``: part of a name, or a pattern with ``*``."""
    if pattern is None:
        return list(cases)
    whole = pattern if "*" in pattern else f"*{pattern}*"
    return [case for case in cases if fnmatchcase(case.name, whole)]


def _case(
    folder: Path, given: Mapping[str, Any], defaults: Mapping[str, Any], elsewhere: Mapping[str, str]
) -> Case:
    asked = given.get("request", {})
    request = {
        **defaults["request"],
        **asked,
        "context": {**defaults["request"]["context"], **asked.get("context", {})},
        "http": {**defaults["request"]["http"], **asked.get("http", {})},
    }
    if (size := given.get("bodyPaddedTo")) is not None:
        digits = request["http"]["body"]["$bin"]
        request["http"]["body"] = {"$bin": digits.ljust(2 * size, "0")}
    module = folder / given["module"]
    return Case(
        name=given["name"],
        section=given["section"],
        rule=given["rule"],
        module=module if module.exists() else (folder / elsewhere[given["module"]]).resolve(),
        grants=given.get("grants", defaults["grants"]),
        request=request,
        answers=given.get("answers", defaults["answers"]),
        limits=given.get("limits", defaults["limits"]),
        expect=given["expect"],
        asked=given.get("asked", defaults["asked"]),
        log=given.get("log", defaults["log"]),
        times=given.get("times", 1),
        slow=given.get("slow", False),
        padded_to=given.get("paddedTo"),
    )


def plain(value: Any) -> Any:
    """``value`` with what its tagged forms mean: bytes, large integers, numbers that are not finite."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    match value:
        case {"$bin": str(text)}:
            return bytes.fromhex(text)
        case {"$int": str(text)}:
            return int(text)
        case {"$float": str(text)}:
            return float(text)
        case {}:
            return {key: plain(member) for key, member in value.items()}
    return value


def tagged(value: Any) -> Any:
    """``value`` in JSON: the contrary of ``plain``."""
    if isinstance(value, bytes):
        return {"$bin": value.hex()}
    if isinstance(value, list | tuple):
        return [tagged(item) for item in value]
    if isinstance(value, dict):
        return {str(key): tagged(member) for key, member in value.items()}
    if isinstance(value, float) and not float("-inf") < value < float("inf"):
        return {"$float": str(value)}
    if isinstance(value, int) and abs(value) > 2**53:
        return {"$int": str(value)}
    return value
