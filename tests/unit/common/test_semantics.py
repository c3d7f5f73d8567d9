"""Ids from outside, as headers can hold them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alga_common.http.semantics import clean_id, is_header_value, is_id


@pytest.mark.parametrize("text", ["request-1", "!~", "x" * 128])
def test_an_id_that_a_header_holds_stays(text: str) -> None:
    assert clean_id(text) == text


@pytest.mark.parametrize("text", ["", " ", "\t\r\n"])
def test_a_blank_id_is_no_id(text: str) -> None:
    assert clean_id(text) is None


@given(st.text(st.characters(), max_size=200))
@settings(max_examples=50)
def test_any_id_becomes_one_that_a_header_holds(text: str) -> None:
    cleaned = clean_id(text)

    assert cleaned is None or (is_id(cleaned) and is_header_value(cleaned))
    assert cleaned is None or clean_id(cleaned) == cleaned


def test_what_fits_can_still_be_read_and_two_ids_stay_two() -> None:
    ids = ["a\tb", "a b", "a_b", "aüb", "x" * 129, "x" * 130, "\udc80"]
    cleaned = [clean_id(text) or "" for text in ids]

    assert len(set(cleaned)) == len(ids)
    assert cleaned[0].startswith("a_b-")
