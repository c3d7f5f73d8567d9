"""Documents made from the schema: one with every member, one with the required members alone, and wrong ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .cases import definitions

DEFINITIONS = definitions()
_TIME = "2026-03-29T01:00:00.000Z"


def name_of(reference: str) -> str:
    """``ScheduleRef`` of ``messages.json#/$defs/ScheduleRef``."""
    return reference.rpartition("/")[2]


def members(name: str) -> dict[str, dict[str, Any]]:
    """The members of a definition, each with its schema."""
    properties: dict[str, dict[str, Any]] = DEFINITIONS[name].get("properties", {})
    return properties


def required(name: str) -> list[str]:
    """The names of its members that are required."""
    return list(DEFINITIONS[name].get("required", ()))


def example(name: str, *, whole: bool = True) -> dict[str, Any]:
    """A document of a definition, with every member or the required ones alone. Bytes are in their tagged form."""
    needed = required(name)
    return {
        member: value(schema, whole=whole)
        for member, schema in members(name).items()
        if whole or member in needed
    }


def kind(schema: dict[str, Any]) -> str:
    """``string``, ``integer``, ``Binary``, ``Json``, the name of another definition, ...; nil aside."""
    if "anyOf" in schema:
        return kind(next(one for one in schema["anyOf"] if one.get("type") != "null"))
    if "$ref" in schema:
        return name_of(schema["$ref"])
    if "enum" in schema or "const" in schema:
        return "string"
    types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    return str(next(one for one in types if one != "null"))


def value(schema: dict[str, Any], *, whole: bool = True) -> Any:
    """A value that fits."""
    if "anyOf" in schema:
        return value(next(one for one in schema["anyOf"] if one.get("type") != "null"), whole=whole)
    name = kind(schema)
    of_each = schema.get("additionalProperties")
    plain: dict[str, Callable[[], Any]] = {
        "string": lambda: _text(schema),
        "integer": lambda: max(1, schema.get("minimum", 1)),
        "number": lambda: max(1, schema.get("minimum", 1)),
        "boolean": lambda: True,
        "array": lambda: [value(schema.get("items", {"type": "string"}), whole=whole)],
        "object": lambda: {"key": value(of_each, whole=whole)} if isinstance(of_each, dict) else {},
        "Binary": lambda: {"$bin": "00ff"},
        "Json": lambda: {"full": False},
    }
    return plain[name]() if name in plain else example(name, whole=whole)


def _text(schema: dict[str, Any]) -> str:
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return str(schema["enum"][0])
    return _TIME if schema.get("pattern", "").startswith("^[0-9]{4}-") else "text"


def wrong_values(schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Values of other types, and ones beyond a bound, each with what it is. Bytes are bytes."""
    match kind(schema):
        case "string":
            yield "an integer", 5
            yield "bytes", b"text"
            longest = schema.get("maxLength", 1 << 30)
            if longest <= 4096 and "pattern" not in schema:
                yield f"{longest + 1} characters", "x" * (longest + 1)
        case "integer":
            yield "a text", "5"
            yield "a fraction", 5.5
            yield "a boolean", True
            if schema.get("minimum", -(2**53)) > -(2**53):
                yield "too small", schema["minimum"] - 1
            if schema.get("maximum", 2**53) <= 2**53:
                yield "too large", schema["maximum"] + 1
        case "boolean":
            yield "an integer", 1
            yield "a text", "true"
        case "array":
            yield "a map", {}
        case "object":
            yield "an array", []
        case "Binary":
            yield "a text", "text"
        case "Json":
            yield "bytes", b"\0"
        case _:
            yield "an array", []
