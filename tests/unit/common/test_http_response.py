from __future__ import annotations

from itertools import pairwise
from weakref import ref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alga_common.http.response import MAX_HEAD_BYTES, HttpProtocolError, ResponseReader

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Thing:  a b \r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2;name=value\r\nlo\r\n0\r\n\r\n"


def read(*parts: bytes, limit: int = 1_000, end: bool = False) -> ResponseReader:
    reader = ResponseReader(limit)
    for part in parts:
        reader.feed(part)
    if end:
        reader.end()
    return reader


@pytest.mark.parametrize("message", [PLAIN, CHUNKED])
def test_a_response_is_read_whole(message: bytes) -> None:
    reader = read(message)

    assert (reader.complete, reader.reusable, reader.status, bytes(reader.body)) == (
        True,
        True,
        200,
        b"hello",
    )


def test_a_response_does_not_stay_until_garbage_is_collected() -> None:
    reader = read(PLAIN)
    freed = ref(reader)

    del reader

    assert freed() is None


def test_header_names_are_lower_cased_and_values_trimmed() -> None:
    assert read(PLAIN).headers == [(b"content-length", b"5"), (b"x-thing", b"a b")]


@given(message=st.sampled_from([PLAIN, CHUNKED]), cuts=st.lists(st.integers(0, 200)))
def test_how_a_response_is_cut_into_pieces_makes_no_difference(message: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(message)) for cut in cuts), len(message)]
    reader = read(*(message[start:stop] for start, stop in pairwise(edges)))

    assert (reader.complete, bytes(reader.body)) == (True, b"hello")


@given(st.binary(max_size=400))
def test_no_bytes_raise_anything_else_than_a_broken_answer(data: bytes) -> None:
    for message in (data, b"HTTP/1.1 200 OK\r\n" + data, CHUNKED[:49] + data):
        reader = ResponseReader(1_000)
        try:
            reader.feed(message)
            reader.end()
        except HttpProtocolError:
            assert not reader.complete


def test_an_interim_response_is_passed_over() -> None:
    reader = read(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + PLAIN)

    assert (reader.status, bytes(reader.body)) == (200, b"hello")


def test_interim_responses_do_not_go_on_for_ever() -> None:
    with pytest.raises(HttpProtocolError):
        read(b"HTTP/1.1 100 Continue\r\n\r\n" * 10)


def test_a_body_without_a_length_ends_with_its_connection() -> None:
    reader = read(b"HTTP/1.0 200 OK\r\n\r\nhel", b"lo", end=True)

    assert (reader.complete, reader.reusable, bytes(reader.body)) == (True, False, b"hello")


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(PLAIN.replace(b"1.1", b"1.0"), id="HTTP/1.0"),
        pytest.param(PLAIN.replace(b"X-Thing:  a b", b"Connection: x, Close"), id="close"),
        pytest.param(PLAIN + b"H", id="a byte too many"),
        pytest.param(CHUNKED + b"\r\n", id="a line too many"),
    ],
)
def test_a_doubtful_connection_is_not_used_again(message: bytes) -> None:
    reader = read(message)

    assert (reader.complete, reader.reusable) == (True, False)


@pytest.mark.parametrize("message", [PLAIN, CHUNKED])
def test_every_cut_of_a_response_is_a_broken_answer(message: bytes) -> None:
    for length in range(len(message)):
        with pytest.raises(HttpProtocolError):
            read(message[:length], end=True)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"content-length: 5\r\ncontent-length: 5", id="two lengths"),
        pytest.param(b"content-length: 5\r\ntransfer-encoding: chunked", id="length and chunks"),
        pytest.param(b"transfer-encoding: gzip, chunked", id="another coding"),
        pytest.param(b"transfer-encoding: identity", id="an unknown coding"),
        pytest.param(b"content-length: +5", id="a signed length"),
        pytest.param(b"content-length: 5, 5", id="a list of lengths"),
        pytest.param(b"content-length:", id="no length"),
        pytest.param(b"content-length: 1001", id="too long"),
        pytest.param(b"x: a\r\n folded: b", id="a folded line"),
        pytest.param(b"x : a", id="a space before the colon"),
        pytest.param(b"x: a\nb: c", id="a bare line feed"),
        pytest.param(b"x: a\0", id="a NUL"),
        pytest.param(b"no colon", id="no colon"),
    ],
)
def test_a_doubtful_head_is_a_broken_answer(head: bytes) -> None:
    with pytest.raises(HttpProtocolError):
        read(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\nhello")


@pytest.mark.parametrize(
    "line",
    [b"HTTP/2 200 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1  200 OK", b"HTTP/1.1 101 Switching", b"http/1.1 200 OK"],
)
def test_a_doubtful_status_line_is_a_broken_answer(line: bytes) -> None:
    with pytest.raises(HttpProtocolError):
        read(line + b"\r\ncontent-length: 5\r\n\r\nhello")


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(b"5\nhello\r\n", id="a bare line feed"),
        pytest.param(b"5\r\nhello!\r\n", id="longer than announced"),
        pytest.param(b"0x5\r\nhello\r\n", id="a prefix"),
        pytest.param(b"-5\r\nhello\r\n", id="negative"),
        pytest.param(b"3e9\r\nhello\r\n", id="too large"),
        pytest.param(b"1f4\r\n" + b"x" * 500 + b"\r\n1f5\r\n", id="too large together"),
        pytest.param(b"0\r\nx-trailer: 1\r\n\r\n", id="trailers"),
        pytest.param(b"5;" + b"x" * 300, id="an endless extension"),
    ],
)
def test_a_doubtful_chunk_is_a_broken_answer(chunks: bytes) -> None:
    with pytest.raises(HttpProtocolError):
        read(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunks)


def test_a_head_without_end_is_refused_when_it_is_too_long() -> None:
    with pytest.raises(HttpProtocolError):
        read(b"HTTP/1.1 200 OK\r\nx: " + b"y" * MAX_HEAD_BYTES)


def test_a_body_without_a_length_is_bounded() -> None:
    with pytest.raises(HttpProtocolError, match="larger than 1000 bytes"):
        read(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 600, b"x" * 600)
