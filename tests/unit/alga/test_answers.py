"""What a foreign Alga server stored is read so that a guest can read it, too."""

from __future__ import annotations

import json
import math
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import from_json

from alga_common.http.exchange import Answer
from alga_runner.alga import answers, json_pieces
from alga_runner.alga.calls import CALLS
from alga_runner.errors import HostCallError
from alga_runner.guests import messages
from alga_runner.models import MAX_DEPTH, json_fault, readable

SCHEDULE = {
    "id": "s",
    "endpointPath": "/sync",
    "endpointMethod": "POST",
    "cron": "0 * * * *",
    "timezone": "UTC",
    "enabled": True,
}


def read(body: str) -> Any:
    return answers.document(Answer(200, httpx.Headers(), body.encode()), CALLS["scheduler.list"])


def listed(payload: str, **members: str) -> Any:
    """The payload and the name of the one schedule in an answer, as a guest reads them."""
    text = json.dumps({**SCHEDULE, **members})
    [schedule] = answers.schedules(read(f'{{"schedules":[{text[:-1]},"payload":{payload}}}]}}'))
    return messages.decode(messages.encode({"ok": [schedule.model_dump()]}))["ok"][0]


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (r'["\ud800"]', ["\ufffd"]),
        (r'["a\udc00b"]', ["a\ufffdb"]),
        (r'{"\ud800":1}', {"\ufffd": 1}),
        (r'["\ud83d\ude00"]', ["\N{GRINNING FACE}"]),
        (r'["\ud800","\ud83d\ude00"]', ["\ufffd", "\N{GRINNING FACE}"]),
        ("[9007199254740993]", [9007199254740992.0]),
        ("[-100000000000000000000]", [-1e20]),
        ("[1" + "0" * 400 + "]", [None]),
        ("[1e400,-1e400]", [None, None]),
        (nested(28), json.loads(nested(28))),
        (nested(29), json.loads("[" * 28 + "null" + "]" * 28)),
        (nested(400), json.loads("[" * 28 + "null" + "]" * 28)),
        (r'["\u0000\ufffe"]', ["\0\ufffe"]),
        ('{"a":1,"a":2}', {"a": 2}),
    ],
)
def test_a_payload_that_no_request_could_have_is_read_with_replacements(written: str, expected: Any) -> None:
    assert repr(listed(written)["payload"]) == repr(expected)


def test_half_of_a_surrogate_pair_in_a_name_is_replaced_too() -> None:
    assert listed("null", name="a\ud800")["name"] == "a\ufffd"


def test_half_of_a_surrogate_pair_in_a_refusal_is_replaced_too() -> None:
    body = rb'{"error":"No \ud800","code":"NOT_FOUND"}'
    with pytest.raises(HostCallError, match=r"^No \ufffd$"):
        answers.document(Answer(404, httpx.Headers(), body), CALLS["scheduler.get"])


@pytest.mark.parametrize("body", ["", "{", '{"schedules":NaN}', '{"a":"\\ud8"}', "[" * 100_000, '{"a":"\n"}'])
def test_text_that_is_not_json_is_no_answer(body: str) -> None:
    with pytest.raises(HostCallError, match="is not an answer of"):
        read(body)


def test_bytes_that_are_not_utf_8_are_no_answer() -> None:
    with pytest.raises(HostCallError, match="is not an answer of"):
        answers.document(
            Answer(200, httpx.Headers(), b'{"schedules":["\\ud800\xed\xa0\x80"]}'), CALLS["scheduler.list"]
        )


text = st.text(st.characters(exclude_categories=()), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(-(10**400), 10**400) | st.floats() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50, database=None)
@given(value=values)
def test_a_value_without_a_fault_stays_and_any_other_has_none_once_it_is_read(value: Any) -> None:
    seen = readable(value)

    assert json_fault(seen) is None
    assert repr(messages.decode(messages.encode(seen))) == repr(seen)
    if json_fault(value) is None:
        assert seen is value


@settings(max_examples=50, database=None)
@given(value=values.filter(lambda value: not isinstance(value, float) or math.isfinite(value)))
def test_the_strict_parser_reads_what_the_lenient_one_reads(value: Any) -> None:
    for ascii_only in (True, False):
        try:
            body = json.dumps(value, ensure_ascii=ascii_only, allow_nan=False).encode()
            strict = from_json(body, allow_inf_nan=False)
        except ValueError:
            continue
        assert repr(readable(strict, MAX_DEPTH)) == repr(json_pieces._with_replacements(body))
