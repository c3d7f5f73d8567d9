"""Reading any bytes a guest sends ends in a value, a refusal or a breach, and framing is judged right."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from alga_runner.errors import AlgaError, BrokenFraming, HostCallError, InvalidResponse
from alga_runner.guests import http, messages
from alga_runner.guests.http import decode_response
from tests.support.msgpack_forms import Form, arrays_of, documents, floats_32, map_of, written

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "50"))

DEEPEST = 500
"""Deeper documents are refused in any case, so their framing is not judged."""


LENGTH_GIVEN = {
    **{0xC4 + power: (1 << power, 0) for power in range(3)},  # bin
    **{0xC7 + power: (1 << power, 1) for power in range(3)},  # ext
    **{0xD9 + power: (1 << power, 0) for power in range(3)},  # str
}
COUNT_GIVEN = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}
LENGTH_FIXED = {
    **{0xCA + power: 4 << power for power in range(2)},  # float
    **{0xCC + power: 1 << power for power in range(4)},  # uint
    **{0xD0 + power: 1 << power for power in range(4)},  # int
    **{0xD4 + power: (1 << power) + 1 for power in range(5)},  # fixext
}


class Broken(Exception):
    """The bytes are not one document."""


def end_of_document(data: bytes) -> int | None:
    """Where the document that starts ``data`` ends, by the MessagePack specification alone; ``None``: too deep."""
    position = 0
    open_members = [1]

    def take(count: int) -> bytes:
        nonlocal position
        if position + count > len(data):
            raise Broken
        position += count
        return data[position - count : position]

    def size(width: int) -> int:
        return int.from_bytes(take(width), "big")

    while open_members:
        if open_members[-1] == 0:
            open_members.pop()
            continue
        open_members[-1] -= 1
        first = take(1)[0]
        if first == 0xC1:
            raise Broken
        if first in LENGTH_GIVEN:
            width, more = LENGTH_GIVEN[first]
            take(size(width) + more)
        elif first in COUNT_GIVEN:
            width, members_per_item = COUNT_GIVEN[first]
            open_members.append(members_per_item * size(width))
        elif 0x80 <= first <= 0x9F:
            open_members.append((first & 0x0F) * (2 if first < 0x90 else 1))
        elif 0xA0 <= first <= 0xBF:
            take(first & 0x1F)
        else:
            take(LENGTH_FIXED.get(first, 0))
        if len(open_members) > DEEPEST:
            return None
    return position


def is_one_document(data: bytes) -> bool | None:
    try:
        end = end_of_document(data)
    except Broken:
        return False
    return None if end is None else end == len(data)


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=40)
    | st.binary(max_size=300)
    | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=20))
    | st.builds(msgpack.Timestamp, st.integers(-(2**63), 2**63 - 1), st.integers(0, 10**9 - 1))
)
keys = st.text(max_size=5) | st.integers(-200, 70_000) | st.booleans() | st.binary(max_size=3)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(keys, inner, max_size=20),
    max_leaves=40,
)


@st.composite
def damaged(draw: Any) -> bytes:
    """A document of which some bytes were changed, cut or added."""
    data = bytearray(msgpack.packb(draw(values)))
    for _ in range(draw(st.integers(0, 3))):
        position = draw(st.integers(0, len(data)))
        edit = draw(st.sampled_from(("replace", "insert", "delete", "cut")))
        if edit == "insert":
            data[position:position] = draw(st.binary(min_size=1, max_size=5))
        elif edit == "replace":
            data[position : position + 1] = bytes([draw(st.integers(0, 255))])
        elif edit == "delete":
            del data[position : position + 1]
        else:
            del data[position:]
    return bytes(data)


@pytest.mark.parametrize("max_items", [10_000, 8])
@settings(max_examples=2 * EXAMPLES, database=None)
@given(data=damaged() | st.binary(max_size=200))
@example(data=b"\x91" * 900 + b"\xd6\xff\0\0\0\0")
@example(data=b"\x91" * 5_000)
@example(data=b"\xdc\x27\x10" * 2_000)
@example(data=b"\xdd\xff\xff\xff\xff")
@example(data=b"\xdf\xff\xff\xff\xff")
@example(data=b"\xc9\xff\xff\xff\xff\xff")
@example(data=b"\x81\x90\x01")
@example(data=b"\x81\x81\x90\x01\x02")
@example(data=b"\xc7\x05\xff" + b"\0" * 5)
@example(data=b"\xd7\xff" + b"\xff" * 8)
@example(data=b"\xc7\x0c\xff" + struct.pack(">Iq", 2**32 - 1, -(2**63)))
def test_reading_ends_in_a_value_a_refusal_or_a_breach(data: bytes, max_items: int) -> None:
    framed = is_one_document(data)
    try:
        messages.decode(data, max_items=max_items)
    except BrokenFraming:
        assert framed is not True
    except HostCallError:
        assert framed is not False
    else:
        assert framed is not False


def outcome(decode: Callable[[], object]) -> str:
    """The outcome, in words: a value by its literal, which differs for 1, True and 1.0."""
    try:
        return repr(decode())
    except AlgaError as error:
        return f"{error.code}: {error}"


def nested(depth: int) -> list[object]:
    value: list[object] = [1]
    for _ in range(depth - 1):
        value = [value]
    return value


def verdict(decode: Callable[[bytes], object], data: bytes) -> str:
    """The value by its literal, or the code of the refusal."""
    try:
        return repr(decode(data))
    except HostCallError as error:
        return error.host_code.value


@settings(max_examples=EXAMPLES, database=None)
@given(form=documents)
@example(form=Form(b"\x83\xa1a\xca\x3f\x80\0\0\xa1b\xcc\x80\xa1b\xcc\x81", None, legal=False))
@example(form=Form(b"\x91\x83\xa1b\xcc\x80\xa1b\xcc\x81\xa1a\xca\x3f\x80\0\0", None, legal=False))
@example(form=Form(b"\x82\xa1a\x01\xa1a\x02", None, legal=False))
@example(form=Form(b"\x81\xa1a\xca\x3f\x80\0\0", {"a": 1.0}))
@example(form=Form(b"\x91" * 31 + b"\x01", nested(31)))
@example(form=Form(b"\x91" * 33 + b"\x01", None, legal=False))
def test_every_form_of_every_value_is_read_as_that_value_and_every_breach_of_a_rule_is_refused(
    form: Form,
) -> None:
    for document in (form, framed_in_long_text(form)):
        for decode in (messages.decode, messages.look_closer):
            expected = repr(document.value) if document.legal else "validation-failed"
            assert verdict(decode, document.data) == expected


def framed_in_long_text(form: Form) -> Form:
    """The document in an array after a text, so long that it is decoded rule by rule."""
    text = "x" * 3_000
    head = b"\x92\xda" + struct.pack(">H", len(text))
    return Form(head + text.encode() + form.data, [text, form.value], form.legal)


@pytest.mark.parametrize("max_items", [10_000, 8])
@settings(max_examples=EXAMPLES, database=None)
@given(data=documents.map(lambda form: form.data) | damaged() | st.binary(max_size=60))
@example(data=b"\x83\xa1a\xca\x3f\x80\0\0\xa1b\xcc\x80\xa1b\xcc\x81")
@example(data=b"\x82\xa1a\x01\xa1a\x02")
@example(data=b"\x81\xa1a\x82\xa1b\x01\xa1b\xcc\x80")
@example(data=b"\x81\xc4\x01a\x01")
@example(data=b"\x81\xa1a\xd6\xff\0\0\0\0")
@example(data=b"\x91" * 33 + b"\x01")
def test_a_quick_look_and_a_closer_one_come_to_the_same(data: bytes, max_items: int) -> None:
    quick = outcome(lambda: messages.decode(data, max_items=max_items))
    assert quick == outcome(lambda: messages.look_closer(data, max_items=max_items))


header_members = st.tuples(
    written("name", "value", "name", "value", "more"),
    written("a", "A", "", "a b", "b\r\nc", "\0", "é", 1, None) | floats_32,
)
header_lists = arrays_of(st.lists(header_members, max_size=3).flatmap(map_of))
many_headers = st.integers(255, 257).map(
    lambda count: Form(
        b"\xdc" + struct.pack(">H", count) + msgpack.packb({"name": "n", "value": "v"}) * count, None
    )
)
responses = st.lists(
    st.one_of(
        st.tuples(written("status"), written(200, 99, 100, 599, 600, True, None, "200", -1) | floats_32),
        st.tuples(written("headers"), header_lists | written(None, "x") | many_headers),
        st.tuples(written("body"), written(b"", b"x" * 10, b"x" * 101, None, "x")),
        st.tuples(written("more", "status"), documents),
    ),
    max_size=5,
).flatmap(map_of)
"""Responses, most of them wrong, with members in every form and order, some of them twice."""


def response(*members: tuple[str, object]) -> Form:
    packed = b"".join(msgpack.packb(part) for member in members for part in member)
    return Form(bytes([0x80 | len(members)]) + packed, None)


@pytest.mark.parametrize("max_items", [10_000, 4])
@settings(max_examples=2 * EXAMPLES, database=None)
@given(form=responses)
@example(form=response(("status", 200)))
@example(form=response(("status", 200), ("body", None)))
@example(form=response(("body", b"x"), ("status", 200)))
@example(form=response(("status", 200), ("headers", None), ("body", b"x")))
@example(form=response(("status", 200), ("status", 201)))
@example(
    form=response(("status", 200), ("headers", [{"name": "a", "value": "b"}, {"name": "a", "value": "c"}]))
)
@example(form=response(("status", 200), ("headers", [{"name": "a", "value": "b", "more": 1}])))
def test_a_response_is_read_alike_at_a_quick_look_and_at_a_closer_one(form: Form, max_items: int) -> None:
    data = form.data

    def read() -> object:
        return decode_response(data, max_body_bytes=100, max_items=max_items)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(http, "_plain_response", lambda *_, **__: None)
        patched.setattr(messages, "decode", messages.look_closer)
        closer = outcome(read)
    assert outcome(read) == closer


@settings(max_examples=2 * EXAMPLES, database=None)
@given(data=damaged() | st.binary(max_size=200))
def test_a_response_of_any_bytes_is_taken_or_invalid(data: bytes) -> None:
    messages.bytes_without_binary(data)
    try:
        decode_response(data, max_body_bytes=100, max_items=100)
    except InvalidResponse:
        return
