"""Tables in a terminal: nothing is cut that a reader would copy."""

from __future__ import annotations

import io

import pytest

from alga_common.cli.page import Page

ID = "0f6f1c1e-7c57-4a0e-9c39-2f3d5a1b7e60"
OTHER = "9c39d3a1-7c57-4a0e-9c39-2f3d5a1b7e61"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    return Terminal()


def test_a_long_text_is_wrapped_between_words_and_an_id_is_whole(terminal: Terminal) -> None:
    why = "The handler POST /sync answered 502, which is neither a success nor a reason to try again"

    Page(terminal).table(["RUN", "WHY"], [[ID, why]])

    lines = terminal.getvalue().splitlines()
    assert ID in lines[1]
    assert max(map(len, lines)) <= 80
    assert " ".join(" ".join(lines[1:]).replace(ID, "").split()) == why


def test_two_ids_and_a_name_that_do_not_fit_become_blocks(terminal: Terminal) -> None:
    Page(terminal).table(["INSTALL", "RUN", "NAME"], [[ID, OTHER, "Hourly"], [OTHER, ID, None]])

    assert terminal.getvalue().splitlines() == [
        f"INSTALL  {ID}",
        f"RUN      {OTHER}",
        "NAME     Hourly",
        "",
        f"INSTALL  {OTHER}",
        f"RUN      {ID}",
        "NAME     -",
    ]


def test_a_fact_wider_than_the_terminal_stays_on_its_line(terminal: Terminal) -> None:
    digest = "sha256:" + "0123456789abcdef" * 5

    Page(terminal).table(["", ""], [["content hash", digest]], indent=2)

    assert terminal.getvalue().splitlines() == [f"  content hash  {digest}"]


def test_a_pipe_gets_each_row_on_one_line() -> None:
    stream = io.StringIO()

    Page(stream).table(["INSTALL", "RUN", "NAME"], [[ID, OTHER, "x" * 200]])

    assert stream.getvalue().splitlines()[1].split() == [ID, OTHER, "x" * 200]


def test_wide_characters_and_control_characters_keep_the_columns(terminal: Terminal) -> None:
    Page(terminal).table(["NAME", "RUN"], [["同期", ID], ["a\x1b[31m", OTHER]])

    _, first, second = terminal.getvalue().splitlines()
    assert (first, second) == (f"同期       {ID}", f"a\\x1b[31m  {OTHER}")
