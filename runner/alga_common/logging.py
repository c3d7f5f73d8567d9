"""Log lines of a process on its stderr: JSON for a collector, plain text in a terminal."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from typing import TextIO

from .environment import variable
from .text import escape_controls
from .time import rfc3339_of

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"asctime", "color_message", "message", "taskName"}
"""Attributes of every log record; the others are fields of the line."""


FIELDS = frozenset(
    {
        # One call, execution or run: who, what, how it ended.
        *("action", "tenant_id", "install_id", "extension_id", "version_id", "request_id"),
        *("operation", "status", "duration_ms", "detail", "http_status", "error_code"),
        # The host calls of an execution, summed.
        *("host_calls", "host_calls_failed", "host_calls_ms"),
        # Who signed the bundle that was executed.
        "signer",
        # A call of the gateway.
        *("endpoint", "caller_request_id"),
        # A schedule's run, and what reconciling changed.
        *("schedule_id", "run_id", "trigger", "nominal_time", "attempt", "reason", "missed"),
        *("discrepancy", "repaired"),
        # A worker process of the runner.
        *("worker", "pid", "why"),
        # Who acted: the admin's token by its name, or the user of this machine; the program's version.
        *("token_name", "os_user", "version"),
        # The database's schema.
        *("from_revision", "to_revision"),
    }
)
"""Every field of a log line, in the runner and in the server. An operator can search both logs by one name."""


_encode = json.JSONEncoder(default=str).encode


class JsonLines(logging.Formatter):
    """Formats a record as a line of JSON: ``time`` (RFC 3339, UTC), ``level``, ``logger``, ``message``, its fields.

    ``signature`` are fields of every line.
    """

    def __init__(self, signature: dict[str, object] | None = None) -> None:
        super().__init__()
        self._signature = signature or {}

    def format(self, record: logging.LogRecord) -> str:
        """Format ``record``, in ASCII."""
        line: dict[str, object] = {
            "time": rfc3339_of(record.created),
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
        return _encode(line)


class TextLines(logging.Formatter):
    """Formats a record for a terminal: ``12:30:05 warning  message``, times in UTC, then a traceback if there is one.

    One of several workers puts its number before its messages.
    """

    def __init__(self, worker: int | None = None) -> None:
        super().__init__()
        self._prefix = "" if worker is None else f"[{worker}] "

    def format(self, record: logging.LogRecord) -> str:
        """Format ``record``, with every character escaped that a terminal would obey."""
        time = rfc3339_of(record.created)[11:19]
        line = f"{time} {record.levelname.lower():<8} {self._prefix}{escape_controls(record.getMessage())}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


ACCEPT_LINES_EVERY_S = 60.0
"""How long after a line about a connection that could not be accepted there is no other: asyncio writes thousands."""


class _FewAcceptLines(logging.Filter):
    """Passes one line in ``ACCEPT_LINES_EVERY_S`` about connections that could not be accepted, without traceback."""

    def __init__(self) -> None:
        super().__init__()
        self._next = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:
        if not str(record.msg).startswith("socket.accept() out of system resource"):
            return True
        if record.created < self._next:
            return False
        self._next = record.created + ACCEPT_LINES_EVERY_S
        record.msg, record.args, record.exc_info = "Out of files or memory for connections", (), None
        return True


def configure_logging(logger: str, level: str, handler: logging.Handler) -> None:
    """Write ``logger``'s lines from ``level`` up, and other libraries' warnings, with ``handler``.

    From then on no record of this process names a thread, a process or a place in the code: no line shows them, and to
    find them takes as long as to write the line (Python's "Logging HOWTO", "Optimization").
    """
    for name in ("logThreads", "logProcesses", "logMultiprocessing", "logAsyncioTasks", "_srcfile"):
        setattr(logging, name, None)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger(logger).setLevel(level.upper())
    asyncio_logger = logging.getLogger("asyncio")
    if not any(isinstance(one, _FewAcceptLines) for one in asyncio_logger.filters):
        asyncio_logger.addFilter(_FewAcceptLines())


def warn_of_ignored(logger: logging.Logger, variables: Sequence[str]) -> None:
    """Log one warning that names those of ``variables`` that are set, although they have no effect here."""
    ignored = [name for name in variables if variable(name) is not None]
    if ignored:
        logger.warning(
            "Ignored: these variables of Alga's environment have no effect here: %s",
            ", ".join(ignored),
            extra={"action": "variables_ignored"},
        )


def stream_handler(stream: TextIO | None = None, worker: int | None = None) -> logging.Handler:
    """Return a handler for ``stream`` (stderr): text in a terminal, else JSON."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(TextLines(worker) if handler.stream.isatty() else JsonLines())
    return handler
