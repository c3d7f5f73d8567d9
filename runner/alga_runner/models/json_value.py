"""Values that travel as JSON and must survive the trip exactly."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

MAX_DEPTH = 32
"""Containers nested deeper than this are refused (guest ABI, "Refusals")."""

MAX_SAFE_INTEGER = 2**53
"""Integers beyond this lose digits in a JavaScript number (guest ABI, "Refusals")."""


_FAULTLESS = frozenset({type(None), str, bool})


def json_fault(value: Any, depth: int = 0) -> str | None:
    """Why ``value`` cannot become JSON and come back the same, or ``None`` if it can."""
    fault: str | None = None
    if type(value) in _FAULTLESS or isinstance(value, str):
        pass
    elif isinstance(value, int):
        if abs(value) > MAX_SAFE_INTEGER:
            fault = "holds an integer beyond 2^53"
    elif isinstance(value, float):
        if not math.isfinite(value):
            fault = "holds a number that is not finite"
    elif isinstance(value, list | tuple | dict):
        fault = _container_fault(value, depth + 1)
    elif isinstance(value, bytes | bytearray):
        fault = "holds binary data, which JSON has no form for"
    else:
        fault = f"holds a {type(value).__name__}, which JSON has no form for"
    return fault


def _container_fault(value: list[Any] | tuple[Any, ...] | dict[Any, Any], depth: int) -> str | None:
    if depth > MAX_DEPTH:
        return f"nests deeper than {MAX_DEPTH} levels"
    members: Any = value
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                return "has a key that is not a string"
        members = value.values()
    for member in members:
        if type(member) not in _FAULTLESS and (fault := json_fault(member, depth)):
            return fault
    return None


def _check(value: Any) -> Any:
    if fault := json_fault(value):
        raise PydanticCustomError("json_value", "{fault}", {"fault": fault})
    return value


JsonValue = Annotated[Any, AfterValidator(_check)]
"""Any value that survives a trip through JSON: see ``json_fault``."""
