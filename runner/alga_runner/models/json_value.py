"""Values that travel as JSON and must survive the trip exactly."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain
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
_KINDS = (str, int, float, list, dict, tuple, bytes, bytearray)
_CONTAINERS = (list, dict, tuple)
_FEW = 16
_TEXT = {str}
_HALF_A_PAIR = "holds half of a surrogate pair"


def json_fault(value: Any, levels: int = MAX_PAYLOAD_DEPTH) -> str | None:
    """Why some part could not read ``value`` as it is, or ``None`` if all can. It may nest ``levels`` deep.

    It goes level by level: a guest chooses how many containers there are, and looking at each by itself takes six times
    as long.
    """
    if type(value) in _FAULTLESS:
        return None
    level: Sequence[Any] = (value,)
    while level:
        inner: list[Iterable[Any]] = []
        kinds = dict.fromkeys(map(type, level))
        for kind in kinds:
            if kind in _FAULTLESS:
                continue
            members: Sequence[Any] = level
            if len(kinds) > 1:
                members = [member for member in level if type(member) is kind]
            base = kind if kind in _KINDS else next(filter(partial(issubclass, kind), _KINDS), object)
            if fault := _fault_of(base, kind, members):
                return fault
            if base in _CONTAINERS:
                if levels <= 0:
                    return f"nests deeper than {MAX_PAYLOAD_DEPTH} levels"
                # One view after the other: as many as there are maps have the garbage collector visit everything.
                inner.append(chain.from_iterable(map(dict.values, members) if base is dict else members))
        level = tuple(chain.from_iterable(inner))
        levels -= 1
    return None


def _fault_of(base: type, kind: type, members: Sequence[Any]) -> str | None:
    """The fault of one of ``members``, which are of the type ``kind``, by themselves."""
    fault: str | None = None
    if base is str:
        fault = _text_fault(members)
    elif base is int:
        if max(members) > MAX_SAFE_INTEGER or min(members) < -MAX_SAFE_INTEGER:
            fault = "holds an integer beyond 2^53"
    elif base is float:
        if not all(map(math.isfinite, members)):
            fault = "holds a number that is not finite"
    elif base is dict:
        keys = list(chain.from_iterable(members))
        texts = set(map(type, keys)) <= _TEXT or all(isinstance(key, str) for key in keys)
        fault = _text_fault(keys) if texts else "has a key that is not a string"
    elif base in {bytes, bytearray}:
        fault = "holds binary data, which JSON has no form for"
    elif base is object:
        fault = f"holds a {kind.__name__}, which JSON has no form for"
    return fault


def _text_fault(texts: Sequence[str]) -> str | None:
    if all(map(str.isascii, texts)) or is_unicode("".join(texts)):
        return None
    return _HALF_A_PAIR


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


def _is_plain(value: Any) -> bool:
    """Whether ``value`` is a map of few simple members, as most payloads are. ``json_fault`` takes ten times longer."""
    if type(value) is not dict or len(value) > _FEW:
        return False
    for key, member in value.items():
        if type(key) is not str or not key.isascii():
            return False
        kind = type(member)
        if kind is str:
            if not member.isascii():
                return False
        elif kind is int:
            if not -MAX_SAFE_INTEGER <= member <= MAX_SAFE_INTEGER:
                return False
        elif kind not in _FAULTLESS:
            return False
    return True


def _check(value: Any) -> Any:
    if not _is_plain(value) and (fault := json_fault(value)):
        raise PydanticCustomError("json_value", "{fault}", {"fault": fault})
    return value


JSON_SCHEMA = {"$comment": "any JSON value"}
"""In a JSON schema: a value of any form, which ``guest-abi/schema`` describes."""

JsonValue = Annotated[Any, AfterValidator(_check), WithJsonSchema(JSON_SCHEMA)]
"""A payload of a request: refused with ``json_fault``."""

ReadableJson = Annotated[Any, AfterValidator(readable), WithJsonSchema(JSON_SCHEMA)]
"""A payload of an answer: read as ``readable`` makes it."""
