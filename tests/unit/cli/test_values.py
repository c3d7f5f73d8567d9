"""Values of guests as text that is safe and bounded."""

from __future__ import annotations

import io
import json
import math

import pytest

from alga_common.cli.page import Page
from alga_common.text import body_text, escape_controls, one_line, plain, shortened, size


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, \N{SNOWMAN}", "plain text, \N{SNOWMAN}"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("a\rb\x00", "a\\rb\\x00"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}", "\\u202e"),
        ("\x9b31m", "\\x9b31m"),
        ("\udcff", "\\udcff"),
    ],
)
def test_nothing_that_a_terminal_obeys_is_left(text: str, shown: str) -> None:
    assert escape_controls(text) == shown


def test_line_ends_stay_where_lines_are_shown() -> None:
    assert escape_controls("a\nb\tc\r\x1b", keep_lines=True) == "a\nb\tc\\r\\x1b"


def test_any_value_of_a_guest_is_json() -> None:
    value = {"a": [b"\x00", math.nan, math.inf, None, True, 2**60], 1: (object,)}

    assert json.loads(json.dumps(plain(value), allow_nan=False)) == {
        "a": [{"base64": "AA=="}, "nan", "inf", None, True, 2**60],
        "1": ["<class 'object'>"],
    }


def test_a_long_value_says_how_much_is_missing() -> None:
    assert shortened("x" * 12, 10) == "xxxxxxxxxx... (2 more characters)"
    assert one_line("x" * 10, 12) == '"xxxxxxxxxx"'


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"", "(no body)"),
        (b'{"a":1}', '{\n  "a": 1\n}'),
        (b"{not json", "{not json"),
        (b"[" * 100_000, "[" * 100_000),
        (b"text\nmore", "text\nmore"),
        (b"\xff" * 40, "(40 bytes, not UTF-8: " + " ".join(["ff"] * 32) + " ...)"),
    ],
)
def test_a_body_is_shown_as_what_it_is(body: bytes, shown: str) -> None:
    assert body_text(body) == shown


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (5 * 2**30, "5 GiB")]
)
def test_sizes_are_in_powers_of_1024(count: int, shown: str) -> None:
    assert size(count) == shown


def test_a_page_shows_markup_and_emoji_codes_literally() -> None:
    stream = io.StringIO()

    page = Page(stream)
    page.line("[red]x[/red] :smile:")
    page.table(("NAME", ""), [("[b]", ":smile:"), ("\x1b", "")], indent=2)

    assert stream.getvalue() == "[red]x[/red] :smile:\n  NAME\n  [b]   :smile:\n  \\x1b\n"


def test_a_heading_at_the_top_has_no_line_above() -> None:
    stream = io.StringIO()

    page = Page(stream)
    page.heading("first")
    page.heading("second")

    assert stream.getvalue() == "first\n\nsecond\n"
