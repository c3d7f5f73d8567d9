"""A source map gives the line that a guest was at where there is no DWARF; of a broken one, the part before counts."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alga_runner.debuginfo import has_debug_info
from alga_runner.debuginfo.source_map import MAX_BYTES
from alga_runner.debuginfo.table import MAX_ROWS
from alga_runner.frames import Frame

BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
NAMED = {b"sourceMappingURL": b"\x0fmain.wasm.map\0\0"}


def vlq(*numbers: int) -> str:
    text = ""
    for number in numbers:
        value = abs(number) << 1 | (number < 0)
        while True:
            digit, value = value & 31, value >> 5
            text += BASE64[digit | (32 if value else 0)]
            if not value:
                break
    return text


def source_map(*segments: str, sources: tuple[object, ...] = ("a.ts", "b.ts"), **members: object) -> bytes:
    document = {"version": 3, "sources": sources, "names": [], "mappings": ",".join(segments), **members}
    return json.dumps(document).encode()


@pytest.fixture
def places(module, table_of, place):
    """The places that a map next to the module gives some offsets in the code section."""

    def read(text: bytes, *offsets: int) -> list[str]:
        table = table_of(module(NAMED), text)
        return [place(table, offset) for offset in offsets]

    return read


def test_the_compiler_s_own_map_gives_the_line_of_a_call(assemblyscript_guest, table_of) -> None:
    wasm, text = assemblyscript_guest
    table = table_of(wasm, text)

    places = {table.locate(Frame("f", offset)).place for offset in range(len(wasm))}

    assert {"tests/crash.ts:21:10", "tests/crash.ts:32:26"} <= places


def test_a_module_that_names_a_map_has_debug_information(assemblyscript_guest) -> None:
    assert has_debug_info(assemblyscript_guest[0])


def test_a_segment_reaches_up_to_the_next(places) -> None:
    text = source_map(vlq(100 + 10, 0, 4, 2), vlq(3, 1, -2, 5, 0), vlq(2), vlq(5, -1, 0, -7))

    assert places(text, 9, 10, 12, 13, 15, 20, 99, 100) == [
        "offset 0x6d",
        "a.ts:5:3",
        "a.ts:5:3",
        "b.ts:3:8",
        "offset 0x73",
        "a.ts:3:1",
        "a.ts:3:1",
        "offset 0xc8",
    ]


def test_the_map_may_be_inside_the_module(module, table_of, place) -> None:
    url = b"data:application/json;base64," + base64.b64encode(source_map(vlq(110, 0, 4, 2)))
    table = table_of(module({b"sourceMappingURL": bytes([len(url) & 127 | 128, len(url) >> 7]) + url}))

    assert place(table, 10) == "a.ts:5:3"


def test_the_sources_that_it_quotes_are_skipped(places) -> None:
    quoted = ['"mappings": "AAAA"', "\\", '\\"', "end", None, "½\n"]

    assert places(source_map(vlq(110, 0, 4, 2), sourcesContent=quoted), 10) == ["a.ts:5:3"]


def test_dwarf_is_asked_first(c_guest, table_of) -> None:
    table = table_of(c_guest(4), source_map(vlq(0, 0, 4, 2)))

    assert table.locate(Frame("f", 1)).file is None


def test_a_source_without_a_name_is_no_file(places) -> None:
    text = source_map(vlq(110, 0, 4, 2), vlq(2, 1, 0, 0), vlq(2, 8, 0, 0), sources=(None, "x" * 2_000))

    assert places(text, 10, 12, 14) == ["offset 0x6e", "offset 0x70", "offset 0x72"]


def test_mappings_before_the_break_count(places) -> None:
    assert places(source_map(vlq(110, 0, 4, 2), "!"), 10) == ["a.ts:5:3"]


def test_a_column_that_is_none_is_left_out(places) -> None:
    assert places(source_map(vlq(110, 0, 4, -9)), 10) == ["a.ts:5"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"version": 3, "sections": [{}]}', id="in pieces"),
        pytest.param(b'{"mappings": {}, "sources": []}', id="an object for mappings"),
        pytest.param(b'{"mappings": "' + b"A" * 100 + b'", "sources": "a.ts"}', id="one text for sources"),
        pytest.param(b'{"mappings": "AAAA", "sources": ["\\ud8"]}', id="a broken text"),
        pytest.param(b'{"mappings": "AAAA', id="an endless text"),
        pytest.param(source_map("A" * 1_000), id="an endless segment"),
        pytest.param(source_map("g" * 49 + "A"), id="an endless number"),
        pytest.param(source_map(vlq(-5, 0, 0, 0)), id="before the module"),
        pytest.param(source_map(vlq(1 << 33, 0, 0, 0)), id="behind every module"),
        pytest.param(source_map(vlq(110, 0, -5, 0)), id="a negative line"),
        pytest.param(source_map(vlq(110, 0, -1, 9)), id="line 0"),
        pytest.param(source_map(";" + vlq(110, 0, 4, 2)), id="a second line"),
        pytest.param(b" " * (MAX_BYTES + 1), id="too large"),
        pytest.param(b"[" * 100_000, id="deep"),
    ],
)
def test_a_text_without_sense_gives_no_line(places, text: bytes) -> None:
    assert places(text, 10) == ["offset 0x6e"]


@pytest.mark.parametrize(
    "url", [b"\x20data:application/json;base64,!!!", b"\x1dhttps://example.com/main.map", b""]
)
def test_an_address_is_not_followed(module, table_of, place, url: bytes) -> None:
    assert place(table_of(module({b"sourceMappingURL": url})), 10) == "offset 0x6e"


def test_rows_are_bounded(module, table_of) -> None:
    table = table_of(module(NAMED), source_map(*[vlq(0, 0, 0, 0)] * (MAX_ROWS + 10)))

    assert 0 < len(table) <= MAX_ROWS


@settings(max_examples=200)
@given(st.data())
def test_a_map_with_damaged_bytes_breaks_nothing(assemblyscript_guest, table_of, data) -> None:
    wasm, text = assemblyscript_guest
    damaged = bytearray(text)
    for position in data.draw(st.lists(st.integers(0, 1_500), min_size=1, max_size=20)):
        damaged[position] = data.draw(st.integers(0, 255))

    table = table_of(wasm, bytes(damaged))

    assert table.locate(Frame("f", 0x120)).function == "f"
