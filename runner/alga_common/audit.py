"""The lines that tell who did what to a program on this machine: its start, its end, its commands."""

from __future__ import annotations

import logging
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from .logging import stream_handler


def os_user() -> str:
    """Return the name of the user that this process belongs to, or its number if it has no name."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


class Program:
    """A program under way; ``status`` is its exit status, set before it ends."""

    def __init__(self, logger: logging.Logger, name: str) -> None:
        self._logger = logger
        self._name = name
        self._running = False
        self.status = 1

    def started(self, url: str) -> None:
        """Log that it answers at ``url``."""
        self._running = True
        self._log("program_started", "success", f"{self._name} {version('alga-runner')} started at {url}")

    def stopped(self, why: str | None) -> None:
        """Log that it ends: by itself, or for the exception named ``why``. One that never answered ends silently."""
        if self._running:
            sentence = f"{self._name} stopped with exit status {self.status}"
            self._log("program_stopped", why or str(self.status), f"{sentence}: {why}" if why else sentence)

    def _log(self, action: str, status: str, sentence: str) -> None:
        self._logger.log(
            logging.INFO if status in {"success", "0"} else logging.WARNING,
            sentence,
            extra={
                "action": action,
                "status": status,
                "os_user": os_user(),
                "pid": os.getpid(),
                "version": version("alga-runner"),
            },
        )


@contextmanager
def program_log(logger: logging.Logger, name: str) -> Iterator[Program]:
    """Log the start of the program ``name``, when it is reported, and its end.

    with program_log(logger, "alga-server") as program:
        program.status = serve(ready=lambda: program.started(url))
    """
    program = Program(logger, name)
    try:
        yield program
    except BaseException as error:
        program.stopped(type(error).__name__)
        raise
    program.stopped(None)


def log_command(logger: logging.Logger, operation: str, status: str = "success", **fields: object) -> None:
    """Write the line of a command that changed something without a server, to stderr; logging need not be set up.

    ``fields`` are of ``logging.FIELDS``.
    """
    user = os_user()
    record = logger.makeRecord(
        logger.name,
        logging.INFO,
        "",
        0,
        "Command %s by %s: %s",
        (operation, user, status),
        None,
        extra={
            "action": "command",
            "operation": operation,
            "status": status,
            "os_user": user,
            "pid": os.getpid(),
            "version": version("alga-runner"),
            **fields,
        },
    )
    stream_handler().handle(record)
