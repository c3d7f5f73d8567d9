"""Types that members of documents share, each with its range or its limit (guest ABI, "Messages")."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from alga_common.time import parse_instant, rfc3339

from .json_value import MAX_SAFE_INTEGER

MAX_TEXT = 64 * 1024
"""Characters of a text, unless its member allows fewer: as many as a host call's request has bytes."""

MAX_MEMBERS = 10_000
"""Members of a map, and of an array (guest ABI, "Refusals")."""

MAX_ID = 64
MAX_URL = 1024 * 1024
"""Characters of a request's URL: room for the largest payload, percent-encoded."""


def whole(value: Any) -> Any:
    """``value``, as an integer if it is a float with an integral value: guests in JavaScript may write no other."""
    return int(value) if type(value) is float and value.is_integer() else value


def _utc(text: str) -> str:
    try:
        return rfc3339(parse_instant(text, zone=None))
    except ValueError:
        raise PydanticCustomError(
            "instant", "must be RFC 3339 with an offset, such as 2026-03-29T01:00:00Z"
        ) from None


Text = Annotated[str, Field(max_length=MAX_TEXT)]
"""Text that another program judges; here only its length is bounded."""

CutText = Annotated[
    str,
    Field(max_length=MAX_TEXT),
    BeforeValidator(lambda text: text[:MAX_TEXT] if isinstance(text, str) else text),
]
"""Text of an answer, of any length in its source; the end is cut off."""

TextMap = Annotated[dict[Text, Text], Field(max_length=MAX_MEMBERS)]

RecordId = Annotated[str, Field(max_length=MAX_ID)]
"""Of something that the Alga server stores: a UUID, as a rule, which it judges."""

ScheduleId = RecordId

FROM_FLOAT = BeforeValidator(whole)

Whole = Annotated[int, Field(ge=-MAX_SAFE_INTEGER, le=MAX_SAFE_INTEGER), FROM_FLOAT]
"""A whole number that JSON holds without loss; a float with an integral value counts as one."""

Number = Annotated[float, Field(ge=-MAX_SAFE_INTEGER, le=MAX_SAFE_INTEGER, allow_inf_nan=False)]
"""A number that need not be whole."""

Natural = Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER), FROM_FLOAT]

Counter = Annotated[int, Field(ge=1, le=2**31 - 1), FROM_FLOAT]
"""Counts from 1."""

UtcTime = Annotated[str, Field(max_length=64), AfterValidator(_utc)]
"""An instant, written in UTC with milliseconds and ``Z``; it may arrive with any offset."""
