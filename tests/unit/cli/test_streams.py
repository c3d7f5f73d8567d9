"""Standard streams that cannot be written, in this process."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import pytest

from alga_common.cli.commands import say
from alga_common.cli.streams import announce, hold_standard_streams, settle_standard_streams


@pytest.fixture
def full() -> Iterator[TextIO]:
    """A text stream on a disk that is full."""
    stream = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115 - a failing close is the test's point
    yield stream
    with suppress(OSError):
        stream.close()


def test_a_server_announces_itself_in_its_log_when_stdout_is_full(
    full: TextIO, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "stdout", full)

    announce(logging.getLogger("alga_runner"), "http://127.0.0.1:1", lambda: full.write("listening"))

    [record] = caplog.records
    assert record.getMessage().endswith("No space left on device. Listening on http://127.0.0.1:1")
    assert vars(record)["action"] == "output_lost"
    full.write("more")
    full.flush()  # goes nowhere, and raises nothing


def test_an_error_that_cannot_be_printed_is_lost(full: TextIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", full)

    say("error[any]", "It failed.")


def test_what_a_full_stream_still_holds_is_dropped_at_the_end(
    full: TextIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", full)
    full.write("unwritten")

    settle_standard_streams()

    full.flush()


def test_streams_that_someone_put_in_their_place_are_left_alone() -> None:
    before = sys.stdin, sys.stdout, sys.stderr

    hold_standard_streams()

    assert (sys.stdin, sys.stdout, sys.stderr) == before
