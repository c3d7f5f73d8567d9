"""The lines of a program's start and end, and of a command without a server."""

from __future__ import annotations

import json
import logging
import os
from typing import Any

import pytest

from alga_common.audit import log_command, os_user, program_log

logger = logging.getLogger("audit-of-the-test")


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [vars(record) for record in caplog.records]


def test_start_and_end_of_a_program_name_user_process_version_and_exit_status(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)

    with program_log(logger, "alga-server") as program:
        program.started("http://127.0.0.1:1")
        program.status = 0

    started, stopped = lines(caplog)
    assert (started["action"], stopped["action"]) == ("program_started", "program_stopped")
    assert started["message"].endswith(" started at http://127.0.0.1:1")
    assert stopped["message"] == "alga-server stopped with exit status 0"
    for line in (started, stopped):
        assert (line["os_user"], line["pid"]) == (os_user(), os.getpid())
        assert line["version"]
    assert [line["levelno"] for line in lines(caplog)] == [logging.INFO, logging.INFO]


@pytest.mark.parametrize("failure", [OSError, KeyboardInterrupt])
def test_a_program_that_fails_says_so(caplog: pytest.LogCaptureFixture, failure: type[BaseException]) -> None:
    caplog.set_level(logging.INFO)

    def run() -> None:
        with program_log(logger, "alga-runner") as program:
            program.started("http://127.0.0.1:1")
            raise failure

    with pytest.raises(failure):
        run()

    assert lines(caplog)[-1]["message"] == f"alga-runner stopped with exit status 1: {failure.__name__}"
    assert lines(caplog)[-1]["levelno"] == logging.WARNING


def test_a_program_that_never_answered_has_no_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    with pytest.raises(OSError, match="in use"), program_log(logger, "alga-runner"):
        raise OSError("in use")

    assert lines(caplog) == []


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_123)

    assert os_user() == "4000000123"


def test_a_command_leaves_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    log_command(logger, "migrate", from_revision=None, to_revision="0002")

    [line] = capsys.readouterr().err.splitlines()
    document = json.loads(line)
    assert (document["action"], document["operation"], document["to_revision"]) == (
        "command",
        "migrate",
        "0002",
    )
    assert document["message"] == f"Command migrate by {os_user()}: success"
