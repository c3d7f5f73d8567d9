"""A payload of a request is judged the same, whether it is looked at quickly or closely."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from alga_runner.models import json_fault
from alga_runner.models.json_value import MAX_SAFE_INTEGER, JsonValue

PAYLOAD: TypeAdapter[Any] = TypeAdapter(JsonValue)
MEMBERS = (
    st.none()
    | st.booleans()
    | st.sampled_from([MAX_SAFE_INTEGER, -MAX_SAFE_INTEGER, MAX_SAFE_INTEGER + 1, -MAX_SAFE_INTEGER - 1])
    | st.floats()
    | st.sampled_from(["text", "ü", "\ud800", b"binary"])
    | st.lists(st.none(), max_size=2)
)
KEYS = st.sampled_from(["a", "b", "ü", "\ud800"]) | st.integers(0, 1)


def refusal(value: object) -> str | None:
    try:
        PAYLOAD.validate_python(value)
    except ValidationError as error:
        return str(error.errors(include_url=False)[0]["ctx"]["fault"])
    return None


@settings(max_examples=50, deadline=None, database=None)
@given(st.dictionaries(KEYS, MEMBERS, max_size=3))
def test_a_small_map_is_refused_for_what_a_closer_look_finds(value: dict[Any, Any]) -> None:
    assert refusal(value) == json_fault(value)


@pytest.mark.parametrize(
    "value",
    [
        {"a": MAX_SAFE_INTEGER + 1},
        {"a": -MAX_SAFE_INTEGER - 1},
        {"a": "\ud800"},
        {"\ud800": None},
        {1: None},
        {"a": b"binary"},
        {"a": float("nan")},
        {**dict.fromkeys("abcdefghijklmnopqrstuvwxyz"), "a": b"binary"},
    ],
)
def test_a_small_map_with_a_fault_is_refused(value: dict[Any, Any]) -> None:
    assert refusal(value)
