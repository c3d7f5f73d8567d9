"""What it costs to read a guest's message grows with its size, in any shape."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alga_runner.guests.http import decode_response
from alga_runner.guests.messages import bytes_without_binary, decode
from alga_runner.models.json_value import json_fault, readable
from tests.support.cost import assert_linear, shapes
from tests.support.garbage import no_collection

MESSAGES: dict[str, Callable[[int], bytes]] = {
    "arrays-in-arrays": lambda size: b"\x91" * size,
    "maps-in-maps": lambda size: b"\x81\xa1a" * (size // 3),
    "arrays-of-nothing": lambda size: b"\xdc" + (size).to_bytes(2, "big") + b"\x90" * size,
    "maps-of-nothing": lambda size: b"\xdc" + (size).to_bytes(2, "big") + b"\x80" * size,
    "numbers": lambda size: b"\xdc" + (size).to_bytes(2, "big") + b"\x01" * size,
    "one-key": lambda size: b"\xde" + (size // 3).to_bytes(2, "big") + b"\xa1a\x01" * (size // 3),
    "keys": lambda size: msgpack.packb({str(number): 1 for number in range(size // 5)}),
    "keys-that-are-numbers": lambda size: msgpack.packb(dict.fromkeys(range(size // 4), 1)),
    "announced-members": lambda size: b"\xdd\x7f\xff\xff\xff" * (size // 5),
    "text": lambda size: msgpack.packb("a" * size),
    "broken-text": lambda size: msgpack.packb(b"\xff" * size).replace(b"\xc5", b"\xda", 1),
    "extensions": lambda size: b"\xdc" + (size // 3).to_bytes(2, "big") + b"\xd4\5a" * (size // 3),
    "several": lambda size: b"\x80" * size,
    "headers": lambda size: msgpack.packb(
        {"status": 200, "headers": [{"name": "a", "value": "b"}] * (size // 16)}
    ),
}


@pytest.mark.parametrize("shape", MESSAGES)
def test_reading_a_message_costs_its_size(shape: str) -> None:
    assert_linear(decode, MESSAGES[shape], [1024, 4096])
    assert_linear(bytes_without_binary, MESSAGES[shape], [4096])


@pytest.mark.parametrize("shape", MESSAGES)
def test_reading_a_response_costs_its_size(shape: str) -> None:
    assert_linear(
        lambda data: decode_response(data, max_body_bytes=10_000, max_items=10_000),
        MESSAGES[shape],
        [1024, 4096],
    )


PARTS = (
    b"\x91",
    b"\x81\xa1a",
    b"\x80",
    b"\xdc\0\2",
    b"\xde\0\1",
    b"\xa1a",
    b"\x01",
    b"\xc4\1a",
    b"\xd4\5a",
    b"\xd6\xff\0\0\0\0",
    b"\xc1",
)


@given(shape=shapes(*PARTS), members=st.integers(0, 2000))
@settings(max_examples=20)
def test_reading_a_message_of_any_shape_costs_its_size(shape: Callable[[int], bytes], members: int) -> None:
    assert_linear(decode, lambda size: b"\xdc" + members.to_bytes(2, "big") + shape(size), [4096])


def nested(one: Callable[[Any], Any]) -> Callable[[int], Any]:
    def made(size: int) -> Any:
        value: Any = "a"
        for _ in range(24):
            value = one(value)
        return [value] * (size // 24)

    return made


VALUES: dict[str, Callable[[int], Any]] = {
    "arrays": nested(lambda value: [value]),
    "maps": nested(lambda value: {"a": value}),
    "halves-of-pairs": lambda size: ["\ud800"] * size,
    "a-long-text": lambda size: "é" * size + "\ud800",
    "large-numbers": lambda size: [10**20] * size,
    "keys": lambda size: {f"{number}\ud800": None for number in range(size)},
}


@pytest.mark.parametrize("shape", VALUES)
def test_judging_a_value_costs_its_size(shape: str) -> None:
    assert_linear(json_fault, VALUES[shape], [1024])
    assert_linear(readable, VALUES[shape], [1024])


CONTAINERS = 9_000
FEW_CALLS = 600
"""Functions that may be called for a message of many containers: some for each level, none for each member."""

CROWDS: dict[str, Any] = {
    "arrays": [[]] * CONTAINERS,
    "maps": [{"a": 1}] * CONTAINERS,
    "deep-arrays": nested(lambda value: [value])(CONTAINERS),
    "deep-maps": nested(lambda value: {"a": value})(CONTAINERS),
}


def calls_of(work: Callable[[], object]) -> int:
    """How many functions ``work`` calls."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    with no_collection():
        sys.setprofile(count)
        try:
            work()
        finally:
            sys.setprofile(None)
    return calls


@pytest.mark.parametrize("crowd", CROWDS)
def test_a_message_of_many_containers_is_read_and_judged_level_by_level(crowd: str) -> None:
    data = msgpack.packb({"payload": CROWDS[crowd]})

    assert calls_of(lambda: decode(data)) < FEW_CALLS
    assert calls_of(lambda: json_fault(CROWDS[crowd])) < FEW_CALLS


@pytest.mark.parametrize("place", ["first", "last"])
def test_a_fault_is_seen_wherever_it_is(place: str) -> None:
    crowd: list[Any] = [[{"a": [1.5, "x", None]}] for _ in range(50)]
    crowd[0 if place == "first" else -1][0]["a"][0] = float("nan")

    assert json_fault(crowd) == "holds a number that is not finite"
