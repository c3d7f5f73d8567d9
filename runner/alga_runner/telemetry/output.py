"""Where log lines go in a process of the runner's own: stderr, as JSON for machines or as sentences for a terminal."""

from __future__ import annotations

import logging
import os
import select
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import TextIO

import msgspec

from alga_common import logging as common
from alga_common.time import rfc3339_of

from .lines import Line, LineHandler, entry


class JsonHandler(LineHandler):
    """Writes JSON lines; lines of the runner's own, which come by the hundred, by a shorter way.

    One of several ``worker`` processes signs each with its number and process id.
    """

    def __init__(self, stream: TextIO, worker: int | None = None) -> None:
        super().__init__(stream)
        self._worker, self._pid = worker, None if worker is None else os.getpid()
        self.setFormatter(common.JsonLines(None if worker is None else {"worker": worker, "pid": self._pid}))

    def encoded(self, logger: str, lines: list[Line]) -> Sequence[bytes]:
        """``lines`` as ``JsonLines`` writes them, in one piece where no other process writes to the same place.

        Raises ``ValueError`` if one holds half of a surrogate pair.
        """
        entries = list(map(entry, lines))
        latest, time = -1, ""
        for line, written in zip(lines, entries, strict=True):
            if latest != (latest := int(line.created * 1000)):  # many lines have the same one
                time = rfc3339_of(line.created)
            written.time, written.level, written.logger = time, _LEVELS[line.level], logger
        if self._worker is None:
            return (_encoder.encode_lines(entries),)
        for written in entries:
            written.worker, written.pid = self._worker, self._pid
        return tuple(_whole([_encoder.encode(written) + b"\n" for written in entries]))

    def write_pieces(self, pieces: Sequence[bytes]) -> None:
        """Write ``pieces``, each in one write."""
        with self.lock or nullcontext():
            for piece in pieces:
                self.stream.write(piece.decode())
                self.flush()


_encoder = msgspec.json.Encoder()
_LEVELS = {level: logging.getLevelName(level).lower() for level in (10, 20, 30, 40, 50)}


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
    handler = common.stream_handler(stream, worker) if stream.isatty() else JsonHandler(stream, worker)
    common.configure_logging("alga_runner", level, handler)
