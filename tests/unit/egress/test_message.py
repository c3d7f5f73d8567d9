"""Heads that are not sent, and bodies that are not what they claim."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from alga_common.http.response import AnswerTooLarge, HttpProtocolError
from alga_runner.egress.message import (
    MAX_MEMBERS,
    HeadRefused,
    checked_headers,
    checked_method,
    content_coding,
    unpacked,
)


@pytest.mark.parametrize(
    "header",
    [
        ("x-a", "b\r\nx-c: d"),
        ("x-a", "b\nc"),
        ("x-a", "b\0c"),
        ("x-a\r\nx-b", "c"),
        ("x a", "b"),
        ("x-a:", "b"),
        ("", "b"),
        ("x-ä", "b"),
        ("x-a", "ä"),
        ("Host", "internal.example"),
        ("Content-Length", "7"),
        ("content-length", "5, 5"),
        ("Transfer-Encoding", "chunked"),
        ("TE", "trailers"),
        ("Trailer", "x-a"),
        ("Connection", "keep-alive, x-a"),
        ("Upgrade", "websocket"),
        ("Proxy-Authorization", "Basic x"),
        ("Expect", "100-continue"),
    ],
)
def test_headers_that_are_not_the_guests_to_set_are_refused(header: tuple[str, str]) -> None:
    with pytest.raises(HeadRefused) as refused:
        checked_headers([header], "api.example", 5)

    assert not header[1] or header[1] not in str(refused.value)


def test_a_header_that_says_what_is_sent_anyway_is_left_out() -> None:
    given = [("Host", "API.example"), ("content-length", "5"), ("X-A", " b "), ("x-a", "c")]

    assert checked_headers(given, "api.example", 5) == [("X-A", "b"), ("x-a", "c")]


@pytest.mark.parametrize("headers", [[("a", "b")] * 257, [("a", "b" * 40_000)] * 2])
def test_headers_are_bounded(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(HeadRefused):
        checked_headers(headers, "api.example", 0)


@pytest.mark.parametrize("method", ["", "GET /", "GET\r\n", "CONNECT", "trace", "É", "A" * 33])
def test_a_method_that_cannot_be_sent_is_refused(method: str) -> None:
    with pytest.raises(HeadRefused):
        checked_method(method)


TEXT = b"hello " * 100
DEFLATE = zlib.compress(TEXT)


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (gzip.compress(TEXT, mtime=0), "gzip"),
        (gzip.compress(TEXT[:99], mtime=0) + gzip.compress(TEXT[99:], mtime=0), "gzip"),
        (DEFLATE, "deflate"),
        (DEFLATE[2:-4], "deflate"),
    ],
)
def test_a_body_is_unpacked(body: bytes, coding: str) -> None:
    assert unpacked(body, coding, len(TEXT)) == TEXT


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_no_more_is_unpacked_than_allowed(coding: str) -> None:
    body = gzip.compress(TEXT, mtime=0) if coding == "gzip" else DEFLATE

    with pytest.raises(AnswerTooLarge):
        unpacked(body, coding, len(TEXT) - 1)


def test_a_bomb_is_never_in_memory() -> None:
    bomb = gzip.compress(bytes(5_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(AnswerTooLarge):
            unpacked(bomb, "gzip", 10_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 500_000


def test_members_of_gzip_are_bounded_together() -> None:
    with pytest.raises(AnswerTooLarge):
        unpacked(gzip.compress(TEXT, mtime=0) * 3, "gzip", 2 * len(TEXT))


@pytest.mark.parametrize(
    "body", [b"plain", gzip.compress(TEXT, mtime=0)[:-9], gzip.compress(TEXT, mtime=0) + b"more"]
)
def test_a_body_that_is_not_compressed_as_it_claims_is_refused(body: bytes) -> None:
    with pytest.raises(HttpProtocolError):
        unpacked(body, "gzip", 10_000)


@pytest.mark.parametrize("values", [["br"], ["gzip, gzip"], ["gzip", "deflate"]])
def test_codings_that_were_not_requested_are_refused(values: list[str]) -> None:
    with pytest.raises(HttpProtocolError):
        content_coding(values)


def test_identity_is_no_coding() -> None:
    assert content_coding(["identity"]) is None


def test_a_body_of_many_empty_members_is_refused_before_their_cost_grows() -> None:
    with pytest.raises(HttpProtocolError, match="more than 100 compressed members"):
        unpacked(gzip.compress(b"", mtime=0) * (MAX_MEMBERS + 1), "gzip", 10_000)
