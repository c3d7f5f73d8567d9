"""Log lines, taken off the hot path: tuples in a bounded queue that one daemon thread writes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import NamedTuple

MAX_QUEUED_LINES = 10_000
"""Lines that wait to be written; what comes on top is dropped and counted."""

MAX_FIELD_CHARACTERS = 256
"""Characters of one field: identifiers come from requests, so a line bounds them."""

MAX_GUEST_CHARACTERS = 2_000
"""Characters of what a guest logged."""


class Line(NamedTuple):
    """One line before it is formatted. ``duration_s`` is in seconds; ``detail`` says why, for operators only."""

    level: int
    action: str
    operation: str | None
    status: str
    duration_s: float
    tenant: str | None
    install: str | None
    extension: str | None
    version: str | None
    request_id: str | None
    detail: str | None


class LineWriter:
    """Hands lines to ``logger`` from a daemon thread, which starts with the first line.

    ``on_drop`` is told of every line that was lost: the queue was full, the writer closed, or a filter or
    handler of ``logger`` raised.
    """

    def __init__(
        self, logger: logging.Logger, on_drop: Callable[[], None], *, capacity: int = MAX_QUEUED_LINES
    ) -> None:
        self._logger = logger
        self._on_drop = on_drop
        self._capacity = capacity
        self._queue: SimpleQueue[Line | threading.Event | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._lock = threading.Lock()

    def wanted(self, level: int) -> bool:
        """Whether ``logger`` wants lines of this level: others need not be made."""
        return self._logger.isEnabledFor(level)

    def write(self, line: Line) -> None:
        """Queue one line; never blocks."""
        if self._closed or self._queue.qsize() >= self._capacity:
            self._on_drop()
            return
        self._queue.put(line)
        if self._thread is None:
            self._start()

    def flush(self) -> None:
        """Return once every line queued before is written."""
        with self._lock:
            if self._thread is None:
                return
            written = threading.Event()
            self._queue.put(written)
        written.wait()

    def close(self) -> None:
        """Write what is queued and end the thread. Later lines are dropped. May be called again."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
            if thread is not None:
                self._queue.put(None)
        if thread is not None:
            thread.join()
        while not self._queue.empty():  # what slipped in behind the end
            item = self._queue.get()
            if isinstance(item, threading.Event):
                item.set()
            elif item is not None:
                self._on_drop()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="alga-runner-log", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
                continue
            try:
                self._emit(item)
            except Exception:  # noqa: BLE001 - someone's log handler must not end the log
                self._on_drop()

    def _emit(self, line: Line) -> None:
        if line.action == "guest_log":
            self._emit_guest(line)
            return
        duration_ms = round(line.duration_s * 1000, 3)
        fields = {
            "action": line.action,
            "tenant": _tame(line.tenant),
            "install": _tame(line.install),
            "extension": _tame(line.extension),
            "version": _tame(line.version),
            "request_id": _tame(line.request_id),
            "operation": line.operation,
            "status": line.status,
            "duration_ms": duration_ms,
        }
        sentence = f"{_what(line, fields['extension'])} after {duration_ms} ms"
        if line.detail:
            fields["detail"] = detail = _tame(line.detail)
            sentence = f"{sentence}: {detail}"
        self._logger.log(line.level, "%s", sentence, extra=fields)

    def _emit_guest(self, line: Line) -> None:
        fields = {
            "action": line.action,
            "tenant": _tame(line.tenant),
            "install": _tame(line.install),
            "extension": _tame(line.extension),
            "version": _tame(line.version),
            "request_id": _tame(line.request_id),
            "detail": _tame(line.detail, MAX_GUEST_CHARACTERS),
        }
        sentence = f"Extension {fields['extension']} says: {fields['detail']}"
        self._logger.log(line.level, "%s", sentence, extra=fields)


def _what(line: Line, extension: object) -> str:
    if line.action == "http_request":
        caller = f" for extension {extension}" if extension else ""
        return f"Request to {line.operation}{caller} was answered {line.status}"
    what = f"Host call {line.operation}" if line.operation else "Execution"
    outcome = "succeeded" if line.status == "ok" else f"ended with {line.status}"
    return f"{what} of extension {extension} {outcome}"


def _tame(text: str | None, limit: int = MAX_FIELD_CHARACTERS) -> str | None:
    """``text`` on one line and bounded, so that nobody forges a log line with an identifier."""
    if text is None:
        return None
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
