"""A large document is read in pieces, and is then what it would be in one piece."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alga_runner.alga.json_pieces import PIECE_CHARACTERS, JsonPieces, Replaced, read_json
from alga_runner.models import MAX_DEPTH, readable
from tests.support.cost import assert_linear


def read(body: bytes) -> object:
    pieces = JsonPieces(body)
    while pieces.step():
        assert pieces.content is None, "nothing is shown before its end, which may show that it is no JSON"
    return pieces.content


text = st.text(st.characters(exclude_categories=()), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(-(10**400), 10**400) | st.floats() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50, database=None)
@given(
    value=values | st.dictionaries(text, st.lists(values, max_size=3)),
    ascii_only=st.booleans(),
    indent=st.none() | st.integers(0, 2),
)
def test_pieces_and_one_piece_give_the_same(value: Any, ascii_only: bool, indent: int | None) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode(errors="surrogatepass")

    assert repr(readable(read(body), MAX_DEPTH)) == repr(readable(read_json(body), MAX_DEPTH))


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "{,}",
        '{"a"}',
        '{"a":}',
        '{"a":1,}',
        '{"a":1 "b":2}',
        "{1:2}",
        '{["a"]:2}',
        '{"a":[}',
        '{"a":[1,]}',
        '{"a":[,1]}',
        '{"a":[1 2]}',
        '{"a":[1]',
        '{"a":[1',
        '{"a":[1}}',
        '{"a":[1]} x',
        '{"a":[1]}{}',
        '{"a":[NaN]}',
        '{"a":[-Infinity]}',
        '{"a":["\n"]}',
        '{"a":["\\x"]}',
        '\ufeff{"a":[1]}',
        '{"a":[\u00a01]}',
        '{"a":[' + "[" * 100_000,
        "{" * 100_000,
    ],
)
def test_what_is_no_json_in_one_piece_is_none_in_pieces(body: str) -> None:
    assert read_json(body.encode()) is None
    assert read(body.encode()) is None


def test_bytes_that_are_not_utf_8_are_no_json() -> None:
    assert read(b'{"a":["\xed\xa0\x80"]}') is None


def test_an_item_that_is_replaced_leaves_the_others_as_they_are() -> None:
    content = read(rb'{"a":["\ud800",{"b":"\ud83d\ude00"},9007199254740993]}')

    assert isinstance(content, Replaced)
    assert content == {"a": ["\ufffd", {"b": "\N{GRINNING FACE}"}, 9007199254740993]}


def test_an_item_is_replaced_from_the_depth_at_which_one_piece_is() -> None:
    body = b'{"a":[' + b"[" * 300 + b"]" * 300 + b"]}"

    assert read(body) == read_json(body)


def test_no_piece_reads_more_items_than_reach_its_size() -> None:
    item = b"[" + b"[]," * 1_000 + b"[]]"
    count = 200
    pieces = JsonPieces(b'{"a":[' + b",".join([item] * count) + b"]}")

    steps = 1
    while pieces.step():
        steps += 1

    assert steps > count * len(item) / (PIECE_CHARACTERS + len(item))


@pytest.mark.parametrize("item", [b"1", b'""', b"[]", b"{}", b" 1 ", b'"\\ud800"', b"[", b"x"])
def test_reading_in_pieces_costs_its_size(item: bytes) -> None:
    def document(size: int) -> bytes:
        return b'{"a":[' + b",".join([item] * (size // (len(item) + 1))) + b"]}"

    assert_linear(read, document, [4096])


def test_a_list_of_many_small_items_has_few_pieces() -> None:
    body = b'{"a":[' + b",".join([b"1"] * 100_000) + b"]}"
    pieces = JsonPieces(body)

    steps = 1
    while pieces.step():
        steps += 1

    assert steps <= len(body) / PIECE_CHARACTERS + 2
