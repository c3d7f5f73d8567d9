"""Where log lines go in a process of the runner's own: stderr, as JSON for machines or as sentences for a terminal."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TextIO

from pydantic_core import to_json

from .lines import Entry, EntryHandler

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"asctime", "color_message", "message", "taskName"}
"""What every record carries; the rest are a line's own fields."""


class JsonLines(logging.Formatter):
    """One record as one line of JSON: ``time`` (RFC 3339, UTC), ``level``, ``logger``, ``message``, then its fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, object] = {
            "time": _utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {
            name: value for name, value in vars(record).items() if name not in _STANDARD and value is not None
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class JsonHandler(EntryHandler):
    """Writes JSON lines; entries of the runner's own, which come by the hundred, by a shorter way."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.setFormatter(JsonLines())

    def write_entries(self, logger: str, entries: list[Entry]) -> None:
        """Write ``entries`` as ``JsonLines`` would, in one go."""
        lines = [to_json(_line(logger, each), fallback=str).decode() for each in entries]
        with self.lock or nullcontext():
            self.stream.write("".join(f"{line}\n" for line in lines))
            self.flush()


def _line(logger: str, each: Entry) -> dict[str, object]:
    line: dict[str, object] = {
        "time": _utc(each.created),
        "level": logging.getLevelName(each.level).lower(),
        "logger": logger,
        "message": each.sentence,
    }
    for name, value in each.fields.items():
        if value is not None:
            line[name] = value
    return line


class Sentences(logging.Formatter):
    """One record as a sentence behind its time of day and level."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")


def configure_logging(level: str, stream: TextIO | None = None) -> None:
    """Write the runner's log lines from ``level`` up, and other libraries' warnings, to ``stream`` (stderr).

    A terminal gets sentences, anything else JSON. For the program's main; a library leaves logging alone.
    """
    stream = stream or sys.stderr
    handler: logging.Handler
    if stream.isatty():
        handler = logging.StreamHandler(stream)
        handler.setFormatter(Sentences())
    else:
        handler = JsonHandler(stream)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("alga_runner").setLevel(level.upper())


def _utc(created: float) -> str:
    """RFC 3339 with milliseconds of seconds since 1970."""
    return datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
