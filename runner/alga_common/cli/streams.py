"""The standard streams of a command: closed ones, full ones, and pipes whose reader is gone."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO


class OutputFault(OSError):
    """Standard output could not be written. Raised in place of the system's error, which could be any file's."""


class _Output(io.FileIO):
    """Descriptor 1."""

    def __init__(self) -> None:
        super().__init__(1, "wb", closefd=False)

    def write(self, data: Any, /) -> int:
        """Write some of ``data``. Raises ``OutputFault``."""
        try:
            return super().write(data)
        except OSError as error:
            raise OutputFault(error.errno, why(error)) from None


def hold_standard_streams() -> None:
    """Occupy the descriptors 0 to 2 that are closed, and have failed writes to stdout raise ``OutputFault``.

    A socket or a database that is opened later would get a closed one's number, and be written to as if it were a log.
    Reading a closed stdin and writing to a closed stdout still fail; text for a closed stderr is dropped.
    """
    for descriptor, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, flags)  # the lowest free number, which is this one
            os.set_inheritable(opened, True)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    stdout = sys.stdout
    if stdout is None:
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(_Output()), encoding="utf-8", newline="\n")
    elif stdout is sys.__stdout__ and isinstance(stdout, io.TextIOWrapper):
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(_Output()),
            encoding=stdout.encoding,
            errors=stdout.errors,
            newline="\n",
            line_buffering=stdout.line_buffering or stdout.write_through,
        )


def settle_standard_streams() -> None:
    """Flush both outputs, and drop the rest of one that cannot be written: the interpreter flushes again at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            _divert(stream)


def announce(logger: logging.Logger, url: str, show: Callable[[], None]) -> None:
    """Print with ``show`` where a server listens. One whose stdout cannot be written goes on, and logs that."""
    try:
        show()
        sys.stdout.flush()
    except OSError as error:
        _divert(sys.stdout)
        logger.warning(
            "Standard output cannot be written: %s. Listening on %s",
            error.strerror,
            url,
            extra={"action": "output_lost"},
        )


def why(error: OSError) -> str:
    """Why a stream could not be read or written; of one that was closed from the start, that it is."""
    return "it is closed" if error.errno == errno.EBADF else error.strerror or str(error)


def is_left_reader(error: BaseException) -> bool:
    """Whether the reader of stdout left early, as ``head`` does."""
    return isinstance(error, OutputFault) and error.errno == errno.EPIPE


def _divert(stream: TextIO) -> None:
    """Send what ``stream`` still holds, and all that follows, nowhere."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
        stream.flush()
