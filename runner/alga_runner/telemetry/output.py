"""Where log lines go in a process of the runner's own: stderr, as JSON for machines or as sentences for a terminal."""

from __future__ import annotations

import logging
import os
import select
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import TextIO

from pydantic_core import to_json

from alga_common import logging as common
from alga_common.time import rfc3339_of

from .lines import Entry, EntryHandler


class JsonHandler(EntryHandler):
    """Writes JSON lines; entries of the runner's own, which come by the hundred, by a shorter way."""

    def __init__(self, stream: TextIO, signature: dict[str, object] | None = None) -> None:
        super().__init__(stream)
        self._signature = signature or {}
        self.setFormatter(common.JsonLines(signature))

    def write_entries(self, logger: str, entries: list[Entry]) -> None:
        """Write ``entries`` as ``JsonLines`` would, in one write where no other process writes to the same place."""
        lines = [to_json(self._line(logger, entry), fallback=str) + b"\n" for entry in entries]
        with self.lock or nullcontext():
            for piece in _whole(lines) if self._signature else [b"".join(lines)]:
                self.stream.write(piece.decode())
                self.flush()

    def _line(self, logger: str, entry: Entry) -> dict[str, object]:
        line: dict[str, object] = {
            "time": rfc3339_of(entry.created),
            "level": logging.getLevelName(entry.level).lower(),
            "logger": logger,
            "message": entry.sentence,
            **self._signature,
        }
        for name, value in entry.fields.items():
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


def configure_logging(level: str, stream: TextIO | None = None, *, worker: int | None = None) -> None:
    """Write the runner's log lines from ``level`` up, and other libraries' warnings, to ``stream`` (stderr).

    A terminal gets text, anything else JSON. One of several workers adds its number and process id to its
    lines. For the program's main; a library leaves logging alone.
    """
    stream = stream or sys.stderr
    if stream.isatty():
        handler = common.stream_handler(stream, worker)
    else:
        handler = JsonHandler(stream, {} if worker is None else {"worker": worker, "pid": os.getpid()})
    common.configure_logging("alga_runner", level, handler)
