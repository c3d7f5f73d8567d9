"""Values of every type cross a component's border unchanged, in both directions, and within bounds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alga_runner.engine import Component, LinkedComponent, ValueType
from alga_runner.engine.component import lift, lower
from alga_runner.engine.component.lower import Unlowerable
from alga_runner.errors import HostFunctionMissing, MessageLimit
from tests.support import garbage
from tests.support.component_relay import relay, same, value_types, values
from tests.support.components import call, component_engine, instance, linked

TEXT, BYTES = ValueType("string"), ValueType("list", element=ValueType("u8"))
NUMBERS = ValueType("list", element=ValueType("u32"))
RECORD = ValueType("record", (("name", TEXT), ("age", ValueType("u8"))))


def relayed(
    *types: ValueType, answer: Any = lambda _, value: value, suspends: bool = False
) -> LinkedComponent:
    return linked(Component(component_engine(), relay(types)), answer, suspends=suspends)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(types=st.lists(value_types(), min_size=4, max_size=6), data=st.data(), suspends=st.booleans())
def test_a_value_of_any_type_arrives_as_it_was_sent(
    types: list[ValueType], data: st.DataObject, suspends: bool
) -> None:
    seen: list[object] = []

    def answer(_: object, value: object) -> object:
        seen.append(value)
        return value

    with instance(relayed(*types, answer=answer, suspends=suspends)) as guest:
        for number, of in enumerate(types):
            value = data.draw(values(of))

            returned = call(guest, f"f{number}", value)

            assert same(seen.pop(), value)
            assert same(returned, value)


@pytest.mark.parametrize("size", [0, 1, 32 * 1024, 32 * 1024 + 1, 300_000])
def test_bytes_of_any_size_arrive_as_they_were_sent(size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)

    with instance(relayed(BYTES)) as guest:
        assert call(guest, "f0", data) == data


def test_a_text_that_is_not_unicode_is_sent_with_its_surrogates_replaced() -> None:
    with instance(relayed(TEXT, ValueType("char"))) as guest:
        assert call(guest, "f0", "a\ud800b") == "a?b"
        assert call(guest, "f1", "\udfff") == "?"


@pytest.mark.parametrize("answer", [{"name": "x"}, {"name": "x", "age": 256}, {"name": 1, "age": 2}, None])
def test_an_answer_that_does_not_fit_its_type_ends_the_guest_with_the_function(answer: object) -> None:
    of = relayed(RECORD, answer=lambda *_: answer, suspends=True)

    with instance(of) as guest, pytest.raises(HostFunctionMissing, match="test:relay/host f0"):
        call(guest, "f0", {"name": "x", "age": 1})


def test_components_share_what_reads_and_writes_their_values_and_free_it_with_the_last() -> None:
    with garbage.of_its_own() as collect:
        before = len(lift._shared), len(lower._shared)

        first, second = relayed(RECORD), relayed(RECORD)

        (one,), (other,) = first.functions, second.functions
        assert one.lower is other.lower
        assert one.lifts == other.lifts
        del first, second, one, other
        collect()
        assert (len(lift._shared), len(lower._shared)) == before


def test_an_argument_that_does_not_fit_its_type_is_refused_before_anything_runs() -> None:
    with instance(relayed(RECORD)) as guest, pytest.raises(Unlowerable, match="age"):
        guest.call("f0", {"name": "x"})


def test_a_list_of_more_items_than_allowed_ends_the_guest() -> None:
    with instance(relayed(NUMBERS), max_items=3) as guest:
        assert call(guest, "f0", [1, 2, 3]) == [1, 2, 3]
        with pytest.raises(MessageLimit, match="more than 3 items"):
            call(guest, "f0", [1, 2, 3, 4])


def test_items_of_all_lists_in_one_call_count_together() -> None:
    nested = ValueType("list", element=NUMBERS)

    with instance(relayed(nested), max_items=5) as guest:
        assert call(guest, "f0", [[1], [2, 3]]) == [[1], [2, 3]]
        with pytest.raises(MessageLimit, match="more than 5 items"):
            call(guest, "f0", [[1, 2], [3, 4]])


def test_bytes_and_text_are_counted_in_both_directions() -> None:
    with instance(relayed(TEXT, BYTES)) as guest:
        call(guest, "f0", "x" * 10)
        assert (guest.last_bytes, guest.all_bytes) == (10, 30)
        call(guest, "f1", bytes(1000))
        assert (guest.last_bytes, guest.all_bytes) == (1000, 3030)


def test_more_bytes_than_wasmtime_passes_in_one_call_are_a_limit_of_the_guest() -> None:
    with instance(relayed(BYTES)) as guest, pytest.raises(MessageLimit, match="in one call"):
        call(guest, "f0", bytes(2_900_000))


@pytest.mark.parametrize(
    ("text", "seen"), [("x" * 12, "x" * 10), ("é" * 6, "é" * 5), ("é" * 5 + "x", "é" * 5)]
)
def test_text_beyond_what_is_read_is_cut_between_characters_and_counted(text: str, seen: str) -> None:
    given: list[str] = []

    def answer(_session: object, value: str) -> str:
        given.append(value)
        return ""

    with instance(relayed(ValueType("string"), answer=answer)) as guest:
        guest.max_text = 10
        call(guest, "f0", text)

        assert given == [seen]
        assert guest.last_bytes == len(text.encode())


def test_all_text_of_a_call_together_is_what_is_read() -> None:
    given: list[list[str]] = []
    texts = ValueType("list", element=ValueType("string"))

    def answer(_session: object, value: list[str]) -> list[str]:
        given.append(value)
        return []

    with instance(relayed(texts, answer=answer)) as guest:
        guest.max_text = 10
        call(guest, "f0", ["x" * 6, "y" * 6, "z" * 6])

    assert given == [["x" * 6, "y" * 4, ""]]


def test_a_result_with_more_text_than_is_read_ends_the_guest() -> None:
    with instance(relayed(ValueType("string"), answer=lambda *_: "x" * 11)) as guest:
        guest.max_text = 10
        with pytest.raises(MessageLimit, match="11 bytes"):
            call(guest, "f0", "")
