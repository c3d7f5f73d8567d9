"""What it costs to read a text of HTTP, or a field of a schedule, grows with its size, in any shape."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers

from alga_common import routing
from alga_common.bundle_layout import path_fault, unwrapped
from alga_common.http.request_body import ChunkedBody
from alga_common.http.request_head import may_become_head, read_head
from alga_common.http.response import ResponseReader
from alga_common.http.semantics import clean_id, origin_form
from alga_common.text import body_text, escape_controls, one_line, replace_surrogates
from alga_common.time import parse_duration, parse_instant
from alga_runner.egress.message import checked_headers, content_coding, unpacked
from alga_runner.egress.rules import parse_url
from alga_runner.service.ui.paths import clean_path
from alga_server.http.gateway import headers
from alga_server.http.gateway.location import is_own
from alga_server.schedules.cron import check_cron, check_zone
from alga_server.schedules.endpoint_ref import Selector
from tests.support.cost import assert_bounded, assert_linear, shapes

TEXTS = [
    "a",
    "/",
    "./",
    "../",
    " ",
    "\t",
    "%2e",
    "%zz",
    "%",
    ";",
    ",",
    ":",
    "é",
    "\u0301",
    "\ud800",
    "\x01",
    "0",
    "1h",
    "[",
    ".",
]

READERS: dict[str, Callable[[str], Any]] = {
    "origin_form": lambda text: origin_form("https://" + text),
    "clean_id": clean_id,
    "split_path": lambda text: routing.split_path(text.encode("utf-8", "replace")),
    "join_path": lambda text: routing.join_path(text.split("/")),
    "quoted_query": lambda text: routing.quoted_query(text.encode("utf-8", "replace")),
    "path_of_a_page": clean_path,
    "path_of_a_file": path_fault,
    "path_of_a_folder": lambda text: unwrapped({text: b"", text + "/manifest.json": b""}),
    "url": lambda text: parse_url("https://a/" + text),
    "host": lambda text: parse_url("https://" + text),
    "name_of_a_header": lambda text: checked_headers([(text, "a")], "host", 0),
    "value_of_a_header": lambda text: checked_headers([("a", text)], "host", 0),
    "content_coding": lambda text: content_coding([text]),
    "location": lambda text: is_own(text[:500], "/api/ext/x/" + text, "/api/ext/x"),
    "header_of_a_caller": lambda text: headers.for_guest(
        Headers(raw=[(b"accept", text.encode("utf-8", "replace"))] * 4), "id"
    ),
    "header_of_a_guest": lambda text: headers.for_caller([("vary", text), ("location", text)], "/a", "/a"),
    "instant": parse_instant,
    "duration": parse_duration,
    "cron": check_cron,
    "zone": check_zone,
    "selector": Selector.parse,
    "escape_controls": escape_controls,
    "one_line": lambda text: one_line(text, 200),
    "surrogates": replace_surrogates,
    "body": lambda text: body_text(("[" + text).encode("utf-8", "replace")),
}


@pytest.mark.parametrize("reader", READERS)
def test_reading_a_text_costs_its_size(reader: str) -> None:
    for text in TEXTS:
        assert_linear(READERS[reader], lambda size, text=text: text * (size // 2) + "!", [512])


@given(reader=st.sampled_from(list(READERS)), shape=shapes(*TEXTS))
@settings(max_examples=20)
def test_reading_a_text_of_any_shape_costs_its_size(reader: str, shape: Callable[[int], str]) -> None:
    assert_linear(READERS[reader], shape, [1024])


@pytest.mark.parametrize("one", ["*,", "0-59,", "0-59/1,", "*/1,", "999999999-", "9", "JAN,", "L,", "1#1,"])
@pytest.mark.parametrize("field", range(5))
def test_a_cron_expression_costs_little_however_it_is_written(one: str, field: int) -> None:
    fields = ["0", "0", "*", "*", "*"]
    fields[field] = (one * 60)[:110].rstrip(",")

    assert_bounded(check_cron, " ".join(fields), steps=20_000, peak_bytes=256 * 1024)


ANSWERS: dict[str, Callable[[int], bytes]] = {
    "headers": lambda size: b"HTTP/1.1 200 OK\r\n" + b"a:b\r\n" * (size // 5) + b"\r\n",
    "one-header": lambda size: b"HTTP/1.1 200 OK\r\na:" + b" " * size + b"\x01\r\n\r\n",
    "connection": lambda size: b"HTTP/1.1 200 OK\r\nconnection:" + b"," * size + b"\r\n\r\n",
    "interim": lambda size: b"HTTP/1.1 100 OK\r\n\r\n" * (size // 20),
    "chunks": lambda size: (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding:chunked\r\n\r\n" + b"1\r\na\r\n" * (size // 6)
    ),
    "bare": lambda size: b"HTTP/1.1 200 OK\r\n\r\n" + b"\r\n" * (size // 2),
}


@pytest.mark.parametrize("piece", [1, 7, 10_000])
@pytest.mark.parametrize("shape", ANSWERS)
def test_reading_an_answer_costs_its_size_in_any_pieces(shape: str, piece: int) -> None:
    def read(answer: bytes) -> None:
        reader = ResponseReader(1024 * 1024)
        for start in range(0, len(answer), piece):
            reader.feed(answer[start : start + piece])

    assert_linear(read, ANSWERS[shape], [1024])


HEADS: dict[str, Callable[[int], bytes]] = {
    "headers": lambda size: b"a:b\r\n" * (size // 5),
    "one-header": lambda size: b"a:" + b" " * size + b"\x01\r\n",
    "a-header-of-blanks": lambda size: b"a:" + b" \t" * (size // 2) + b"\r\n",
    "connection": lambda size: b"connection:" + b"," * size + b"\r\n",
    "one-name": lambda size: b"a" * size,
    "folded-lines": lambda size: b"a:b\r\n " * (size // 6),
    "line-feeds": lambda size: b"\n" * size,
}


@pytest.mark.parametrize("shape", HEADS)
def test_reading_a_request_s_head_costs_its_size(shape: str) -> None:
    def made(size: int) -> bytes:
        return b"GET /" + b"a" * size + b" HTTP/1.1\r\nhost:a\r\n" + HEADS[shape](size) + b"\r\n"

    assert_linear(read_head, made, [1024])
    assert_linear(lambda head: may_become_head(head[:1], head), made, [1024])


@pytest.mark.parametrize("piece", [1, 7, 10_000])
@pytest.mark.parametrize(
    "part", [b"1\r\na\r\n", b"1;" + b"a" * 200 + b"\r\na\r\n", b"0\r\na:b\r\n", b"0" * 20]
)
def test_reading_a_request_s_body_costs_its_size_in_any_pieces(part: bytes, piece: int) -> None:
    def read(body: bytes) -> None:
        chunked = ChunkedBody()
        for start in range(0, len(body), piece):
            chunked.feed(body[start : start + piece])

    assert_linear(read, lambda size: part * (size // len(part)), [1024])


@pytest.mark.parametrize(
    ("coding", "member"), [("gzip", gzip.compress(b"")), ("deflate", b"\x03\x00")], ids=["gzip", "deflate"]
)
def test_unpacking_an_answer_costs_its_size_and_no_more_than_may_come_out(coding: str, member: bytes) -> None:
    assert_linear(lambda body: unpacked(body, coding, 10_000), lambda size: member * (size // 20), [2048])
    assert_bounded(
        lambda body: unpacked(body, coding, 10_000),
        gzip.compress(bytes(10_000_000)),
        steps=100,
        peak_bytes=256 * 1024,
    )
