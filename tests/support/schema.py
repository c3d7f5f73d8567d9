"""The schema of the guest ABI: ``guest-abi/schema``, and documents as it has them."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema_rs import Draft202012Validator

FOLDER = Path(__file__).parents[2] / "guest-abi" / "schema"

MESSAGES: dict[str, Any] = json.loads((FOLDER / "messages.json").read_text("utf-8"))
DEFINITIONS: dict[str, dict[str, Any]] = MESSAGES["$defs"]
INDEX: dict[str, Any] = json.loads((FOLDER / "operations.json").read_text("utf-8"))
OPERATIONS: dict[str, dict[str, Any]] = {operation["name"]: operation for operation in INDEX["operations"]}


def definition_of(reference: str) -> str:
    """``ScheduleRef`` of ``messages.json#/$defs/ScheduleRef``, of the index, or of a reference within the file."""
    return reference.rpartition("/")[2]


@cache
def validator(definition: str) -> Draft202012Validator:
    """Checks documents against one definition."""
    return Draft202012Validator({"$ref": f"#/$defs/{definition}", "$defs": DEFINITIONS})


def members(definition: str) -> dict[str, bool]:
    """The members of a definition, each with whether it is required."""
    schema = DEFINITIONS[definition]
    return {name: name in schema.get("required", ()) for name in schema["properties"]}


def as_json(value: Any) -> Any:
    """A document in JSON, with the tagged forms that guest-abi/vectors/README.md explains."""
    if isinstance(value, dict):
        return {key: as_json(member) for key, member in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    if isinstance(value, bytes):
        return {"$bin": value.hex()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(value)}
    if isinstance(value, int) and abs(value) > 2**53:
        return {"$int": str(value)}
    return value


def sample(definition: str, *, whole: bool = True) -> dict[str, Any]:
    """A document of ``definition``: with every member, or with those that it must have."""
    return {
        name: _sample(name, of, whole)
        for name, of in DEFINITIONS[definition]["properties"].items()
        if whole or members(definition)[name]
    }


def _sample(name: str, schema: dict[str, Any], whole: bool) -> Any:
    """A value of a member."""
    shape = next((one for one in schema.get("anyOf", ()) if one != {"type": "null"}), schema)
    if "$ref" in shape:
        parts: dict[str, Any] = {"Binary": b"\0\xff", "Json": {name: [1, -0.5, None, "ü"]}}
        reference = definition_of(shape["$ref"])
        return parts[reference] if reference in parts else sample(reference, whole=whole)
    kinds = [shape.get("type", "enum")] if isinstance(shape.get("type", "enum"), str) else shape["type"]
    kind = next(kind for kind in kinds if kind != "null")
    scalars = {"string": f"{name} ü", "boolean": True, "number": 1234.5, "enum": shape.get("enum", [None])[0]}
    if kind in scalars:
        return scalars[kind]
    if kind == "integer":
        return min(shape.get("maximum", 70_000), 70_000)
    if kind == "array":
        return [_sample(name, shape["items"], whole)] * 2
    return {name: _sample(name, shape.get("additionalProperties") or {"type": "string"}, whole)}
