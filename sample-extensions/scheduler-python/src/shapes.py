"""What the sample answers: schedules and refusals as JSON, with names as the other samples have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from alga_extension import ExecuteResponse, WriteResult, json_response


def camel(value: object) -> Any:
    """Turn dataclasses into objects with camelCase members; those that are ``None`` are left out."""
    if is_dataclass(value) and not isinstance(value, type):
        members = {_camel_case(name): member for name, member in asdict(value).items()}
        return {name: member for name, member in members.items() if member is not None}
    if isinstance(value, list | tuple):
        return [camel(item) for item in value]
    return value


def refusal(result: WriteResult) -> dict[str, Any]:
    """A write that did not succeed: its message and field errors."""
    errors: Mapping[str, Any] = {"fieldErrors": result.field_errors} if result.field_errors else {}
    return {"error": {"message": result.error, **errors}}


def problem(status: int, message: str) -> ExecuteResponse:
    """A response that is an error."""
    return json_response({"error": {"message": message}}, status)


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)
