"""Values that travel as JSON and must survive the trip exactly."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from alga_common.text import is_unicode, replace_surrogates

MAX_DEPTH = 32
"""Containers in a message nested deeper than this are refused (guest ABI, "Refusals")."""

MAX_PAYLOAD_DEPTH = MAX_DEPTH - 4
"""A payload nests no deeper than this: the reply of ``scheduler.list`` has it inside four containers of its own."""

MAX_SAFE_INTEGER = 2**53
"""Integers beyond this lose digits in a JavaScript number (guest ABI, "Refusals")."""


_FAULTLESS = frozenset({type(None), bool})
_HALF_A_PAIR = "holds half of a surrogate pair"


def json_fault(value: Any, levels: int = MAX_PAYLOAD_DEPTH) -> str | None:
    """Why some part could not read ``value`` as it is, or ``None`` if all can. It may nest ``levels`` deep."""
    fault: str | None = None
    if type(value) in _FAULTLESS:
        pass
    elif isinstance(value, str):
        fault = None if is_unicode(value) else _HALF_A_PAIR
    elif isinstance(value, int):
        if abs(value) > MAX_SAFE_INTEGER:
            fault = "holds an integer beyond 2^53"
    elif isinstance(value, float):
        if not math.isfinite(value):
            fault = "holds a number that is not finite"
    elif isinstance(value, list | tuple | dict):
        fault = _container_fault(value, levels)
    elif isinstance(value, bytes | bytearray):
        fault = "holds binary data, which JSON has no form for"
    else:
        fault = f"holds a {type(value).__name__}, which JSON has no form for"
    return fault


def _container_fault(value: list[Any] | tuple[Any, ...] | dict[Any, Any], levels: int) -> str | None:
    if levels <= 0:
        return f"nests deeper than {MAX_PAYLOAD_DEPTH} levels"
    members: Any = value
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                return "has a key that is not a string"
            if not key.isascii() and not is_unicode(key):
                return _HALF_A_PAIR
        members = value.values()
    for member in members:
        kind = type(member)
        if kind is str:
            if not member.isascii() and not is_unicode(member):
                return _HALF_A_PAIR
        elif kind not in _FAULTLESS and (fault := json_fault(member, levels - 1)):
            return fault
    return None


def readable(value: Any, levels: int = MAX_PAYLOAD_DEPTH) -> Any:
    """``value``, which another program wrote, so that ``json_fault`` finds nothing in it.

    Half of a surrogate pair becomes U+FFFD and an integer beyond 2^53 the nearest float; a number that is not finite, a
    container nested too deeply and a value that JSON has no form for become ``None``.
    """
    return value if json_fault(value, levels) is None else _replaced(value, levels)


def _replaced(value: Any, levels: int) -> Any:
    if isinstance(value, str):
        return replace_surrogates(value)
    if isinstance(value, dict) and levels > 0:
        return {replace_surrogates(str(key)): _replaced(member, levels - 1) for key, member in value.items()}
    if isinstance(value, list | tuple) and levels > 0:
        return [_replaced(member, levels - 1) for member in value]
    if isinstance(value, int) and abs(value) > MAX_SAFE_INTEGER:
        try:
            return float(value)
        except OverflowError:
            return None
    return value if json_fault(value, levels) is None else None


def _check(value: Any) -> Any:
    if fault := json_fault(value):
        raise PydanticCustomError("json_value", "{fault}", {"fault": fault})
    return value


JSON_SCHEMA = {"$comment": "any JSON value"}
"""In a JSON schema: a value of any form, which ``guest-abi/schema`` describes."""

JsonValue = Annotated[Any, AfterValidator(_check), WithJsonSchema(JSON_SCHEMA)]
"""A payload of a request: refused with ``json_fault``."""

ReadableJson = Annotated[Any, AfterValidator(readable), WithJsonSchema(JSON_SCHEMA)]
"""A payload of an answer: read as ``readable`` makes it."""
