"""Where log lines go in a process of the runner's own: stderr, as JSON for machines or as sentences for a terminal."""

from __future__ import annotations

import logging
import os
import select
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import TextIO

import msgspec

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
        lines = [_encode(_line(logger, entry, self._signature)) + b"\n" for entry in entries]
        with self.lock or nullcontext():
            for piece in _whole(lines) if self._signature else [b"".join(lines)]:
                self.stream.write(piece.decode())
                self.flush()


_encode = msgspec.json.Encoder(enc_hook=str).encode
_LEVELS = {level: logging.getLevelName(level).lower() for level in (10, 20, 30, 40, 50)}


def _line(logger: str, entry: Entry, signature: dict[str, object]) -> dict[str, object]:
    return {
        "time": rfc3339_of(entry.created),
        "level": _LEVELS[entry.level],
        "logger": logger,
        "message": entry.sentence,
        **signature,
        **entry.fields,
    }


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
