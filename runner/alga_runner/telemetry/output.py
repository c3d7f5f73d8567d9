"""Where log lines go in a process of the runner's own: stderr, as JSON for machines or as sentences for a terminal."""

from __future__ import annotations

import json
import logging
import os
import select
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TextIO

from pydantic_core import to_json

from .lines import Entry, EntryHandler

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"asctime", "color_message", "message", "taskName"}
"""What every record carries; the rest are a line's own fields."""


class JsonLines(logging.Formatter):
    """One record as one line of JSON: ``time`` (RFC 3339, UTC), ``level``, ``logger``, ``message``, then its fields.

    ``signature`` are fields of every line.
    """

    def __init__(self, signature: dict[str, object] | None = None) -> None:
        super().__init__()
        self._signature = signature or {}

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, object] = {
            "time": _utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._signature,
        }
        line |= {
            name: value for name, value in vars(record).items() if name not in _STANDARD and value is not None
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class JsonHandler(EntryHandler):
    """Writes JSON lines; entries of the runner's own, which come by the hundred, by a shorter way."""

    def __init__(self, stream: TextIO, signature: dict[str, object] | None = None) -> None:
        super().__init__(stream)
        self._signature = signature or {}
        self.setFormatter(JsonLines(signature))

    def write_entries(self, logger: str, entries: list[Entry]) -> None:
        """Write ``entries`` as ``JsonLines`` would, in one go where nobody else writes to the same place."""
        lines = [to_json(self._line(logger, each), fallback=str) + b"\n" for each in entries]
        with self.lock or nullcontext():
            for piece in _whole(lines) if self._signature else [b"".join(lines)]:
                self.stream.write(piece.decode())
                self.flush()

    def _line(self, logger: str, each: Entry) -> dict[str, object]:
        line: dict[str, object] = {
            "time": _utc(each.created),
            "level": logging.getLevelName(each.level).lower(),
            "logger": logger,
            "message": each.sentence,
            **self._signature,
        }
        for name, value in each.fields.items():
            if value is not None:
                line[name] = value
        return line


def _whole(lines: Iterable[bytes]) -> Iterator[bytes]:
    """``lines`` in pieces that a pipe takes whole or not at all, so that no other process' line gets into one of them.

    A line that is longer than that is a piece by itself.
    """
    piece = b""
    for line in lines:
        if piece and len(piece) + len(line) > select.PIPE_BUF:
            yield piece
            piece = b""
        piece += line
    yield piece


class Sentences(logging.Formatter):
    """One record as a sentence behind its time of day and level, and the number of the worker that says it."""

    def __init__(self, worker: int | None = None) -> None:
        who = "" if worker is None else f"[{worker}] "
        super().__init__(f"%(asctime)s %(levelname)-7s {who}%(message)s", "%H:%M:%S")


def configure_logging(level: str, stream: TextIO | None = None, *, worker: int | None = None) -> None:
    """Write the runner's log lines from ``level`` up, and other libraries' warnings, to ``stream`` (stderr).

    A terminal gets sentences, anything else JSON. One of several workers signs its lines with its number and process
    id. For the program's main; a library leaves logging alone.
    """
    stream = stream or sys.stderr
    handler: logging.Handler
    if stream.isatty():
        handler = logging.StreamHandler(stream)
        handler.setFormatter(Sentences(worker))
    else:
        handler = JsonHandler(stream, {} if worker is None else {"worker": worker, "pid": os.getpid()})
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("alga_runner").setLevel(level.upper())


def _utc(created: float) -> str:
    """RFC 3339 with milliseconds of seconds since 1970."""
    return datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
