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
