"""A command that takes long shows what it does, in a terminal and nowhere else."""

from __future__ import annotations

import io
import sys

import pytest

from alga_common.cli.progress import ProgressLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_what_is_done_and_for_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())

    with ProgressLine("Compiling [red]a\x1b]0;b\x07") as line:
        line.update("Compiling the next")

    shown = terminal.getvalue()
    assert line.shown
    assert "Compiling the next" in shown
    assert "0:00:00" in shown
    assert "\x1b]0;" not in shown


def test_nothing_is_shown_where_stderr_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", file := io.StringIO())

    with ProgressLine("Compiling") as line:
        line.update("Compiling the next")

    assert not line.shown
    assert file.getvalue() == ""
