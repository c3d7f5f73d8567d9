"""The headers of a request, by name; anyone may send as many as fit into a head."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from alga_runner.service.http import Exchange, Message


class Headers(list[tuple[bytes, bytes]]):
    """Headers that count the passes over them."""

    passes = 0

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        self.passes += 1
        return super().__iter__()


async def nothing() -> Message:
    raise AssertionError("nothing is read")


def exchange(headers: list[tuple[bytes, bytes]]) -> Exchange:
    return Exchange("GET", "/healthz", headers, nothing)


@pytest.mark.parametrize("repeated", [[], [(b"x-0", b"again")]], ids=["each once", "one twice"])
def test_many_headers_are_gone_through_as_often_as_few(repeated: list[tuple[bytes, bytes]]) -> None:
    few, many = (
        Headers([*((b"x-%d" % number, b"") for number in range(count)), *repeated]) for count in (2, 1000)
    )
    exchange(few)
    exchange(many)

    assert many.passes == few.passes


def test_the_values_of_a_header_that_is_there_twice_are_joined_in_their_order() -> None:
    asked = exchange([(b"x-a", b" 1 "), (b"x-b", b"2\t"), (b"x-a", b""), (b"x-a", b"3")])

    assert asked.repeats
    assert asked.by_name == {b"x-a": b"1, , 3", b"x-b": b"2"}
    assert [asked.values(name) for name in (b"x-a", b"x-b", b"x-c")] == [[b"1", b"", b"3"], [b"2"], []]
    assert (asked.value(b"x-a"), asked.value(b"x-c")) == (b"1, , 3", b"")


def test_headers_that_are_there_once_have_one_value_each() -> None:
    asked = exchange([(b"x-a", b" 1 "), (b"x-b", b"")])

    assert not asked.repeats
    assert [tuple(asked.values(name)) for name in (b"x-a", b"x-b", b"x-c")] == [(b"1",), (b"",), ()]
