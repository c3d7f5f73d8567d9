"""How the service's own log is written: JSON lines, many together, the same as if each were written alone."""

from __future__ import annotations

import io
import json
import logging
import os

import pytest

from alga_common.logging import JsonLines
from alga_runner.models import ExecutionContext
from alga_runner.telemetry import Telemetry
from alga_runner.telemetry.lines import Line, LogQueue
from alga_runner.telemetry.output import JsonHandler

WHO = ExecutionContext(
    tenant_id="acme", extension_id="ext", version_id="v1", request_id="r\n1", content_hash=""
)


class Gone(io.StringIO):
    """A stream whose other end was closed."""

    def write(self, text: str, /) -> int:
        raise BrokenPipeError


@pytest.fixture
def logger() -> logging.Logger:
    logger = logging.Logger("alga_runner", logging.INFO)
    logger.propagate = False
    return logger


def report(telemetry: Telemetry) -> None:
    telemetry.host_call("scheduler.create", "ok", 0.0125, WHO)
    telemetry.execution("guest_trap", 0.5, WHO, detail="unreachable")
    telemetry.guest_line("debug", "below the logger's level", WHO)
    telemetry.guest_line("warn", "careful", WHO)


def written(logger: logging.Logger, handler: logging.Handler, stream: io.StringIO) -> list[dict[str, object]]:
    logger.addHandler(handler)
    telemetry = Telemetry(logger)
    report(telemetry)
    telemetry.close()
    logger.removeHandler(handler)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_lines_written_together_are_what_each_would_be_alone(logger: logging.Logger):
    together, alone = io.StringIO(), io.StringIO()
    plain = logging.StreamHandler(alone)
    plain.setFormatter(JsonLines())

    first = written(logger, JsonHandler(together), together)
    second = written(logger, plain, alone)

    for line in (*first, *second):
        assert str(line.pop("time")).endswith("Z")
    assert first == second
    assert [line["action"] for line in first] == ["host_call", "execution", "guest_log"]


def test_each_line_of_a_worker_has_its_number_and_process_id(logger: logging.Logger):
    stream = io.StringIO()

    lines = written(logger, JsonHandler(stream, worker=2), stream)

    assert [(line["worker"], line["pid"]) for line in lines] == 3 * [(2, os.getpid())]
    assert [line["level"] for line in lines] == ["info", "warning", "warning"]


def test_a_handler_s_own_level_counts(logger: logging.Logger):
    stream = io.StringIO()
    handler = JsonHandler(stream)
    handler.setLevel(logging.WARNING)

    assert [line["level"] for line in written(logger, handler, stream)] == ["warning", "warning"]


@pytest.fixture
def filtered(logger: logging.Logger) -> io.StringIO:
    stream = io.StringIO()
    handler = JsonHandler(stream)
    handler.addFilter(lambda record: record.levelno > logging.INFO)
    logger.addHandler(handler)
    return stream


def test_a_filter_on_the_handler_is_asked_for_each_line(logger: logging.Logger, filtered: io.StringIO):
    telemetry = Telemetry(logger)
    report(telemetry)
    telemetry.close()

    actions = [json.loads(line)["action"] for line in filtered.getvalue().splitlines()]
    assert actions == ["execution", "guest_log"]


def test_lines_for_a_stream_that_is_gone_are_dropped_and_counted(logger: logging.Logger):
    logger.addHandler(JsonHandler(Gone()))
    telemetry = Telemetry(logger)
    report(telemetry)
    telemetry.close()

    assert b"alga_runner_log_lines_dropped_total 3.0" in telemetry.render()


@pytest.mark.parametrize("worker", [None, 2])
@pytest.mark.parametrize(
    ("odd", "dropped", "written_statuses"),
    [
        ({"status": "\ud800"}, 0, ["first", "\ud800", "last"]),
        ({"duration_s": float("nan")}, 1, ["first", "last"]),
    ],
    ids=["half of a surrogate pair", "no number"],
)
def test_a_line_that_cannot_be_written_with_others_takes_none_along(
    logger: logging.Logger,
    worker: int | None,
    odd: dict[str, object],
    dropped: int,
    written_statuses: list[str],
):
    stream, drops = io.StringIO(), list[None]()
    logger.addHandler(JsonHandler(stream, worker))
    line = Line(1.0, logging.INFO, "execution", None, "first", 0.5, "acme", None, "ext", None, None, None)
    queue = LogQueue(logger, lambda: drops.append(None))
    for changed in (line, line._replace(**odd), line._replace(status="last")):
        queue.write(changed)
    queue.close()

    lines = [json.loads(text) for text in stream.getvalue().splitlines()]
    assert [line["status"] for line in lines] == written_statuses
    assert len(drops) == dropped
