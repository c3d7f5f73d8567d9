"""Log lines, taken off the hot path: tuples in a bounded queue that one daemon thread writes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from typing import NamedTuple, TextIO

from msgspec import Struct

from alga_common.text import cut, escape_controls

MAX_QUEUED_LINES = 10_000
"""Lines that wait to be written; further ones are dropped and counted."""

MAX_FIELD_CHARACTERS = 256
"""Characters of one field: identifiers come from requests, so a line bounds them."""

_GATHER_S = 0.02
"""How long the first line waits for others, in seconds."""

MAX_GUEST_CHARACTERS = 2_000
"""Characters of what a guest logged."""

MAX_NOTICE_CHARACTERS = 1_000
"""Characters of the detail of a line about no execution in particular."""

_NOTICES = {
    "compilation": "Compilation of a module ended with {status} after {duration_ms} ms: {detail}",
    "code_cache": "Code cache: {status}: {detail}",
    "server_fault": "The Alga server is not usable: {status}: {detail}",
}
"""Sentences of lines about no execution in particular, by action."""


class Line(NamedTuple):
    """One line before it is formatted. ``duration_s`` is in seconds; ``detail`` is the reason, for operators only."""

    created: float
    """Seconds since 1970."""
    level: int
    action: str
    operation: str | None
    status: str
    duration_s: float
    tenant_id: str | None
    install_id: str | None
    extension_id: str | None
    version_id: str | None
    request_id: str | None
    detail: str | None
    endpoint: str | None = None
    signer: str | None = None
    host_calls: int = 0
    host_calls_failed: int = 0
    host_calls_s: float = 0.0


class Entry(Struct, omit_defaults=True, gc=False):
    """One line as it is written: a sentence, and fields whose names are stable, in the order of JSON lines.

    ``time``, ``level`` and ``logger`` are a handler's to fill in, where no record of ``logging`` has them.
    """

    time: str
    level: str
    logger: str
    message: str
    worker: int | None = None
    pid: int | None = None
    action: str = ""
    tenant_id: str | None = None
    install_id: str | None = None
    extension_id: str | None = None
    version_id: str | None = None
    request_id: str | None = None
    status: str | None = None
    duration_ms: float | None = None
    operation: str | None = None
    endpoint: str | None = None
    signer: str | None = None
    host_calls: int | None = None
    host_calls_ms: float | None = None
    host_calls_failed: int | None = None
    detail: str | None = None

    def fields(self) -> dict[str, object]:
        """The fields that the line has, by name."""
        values = ((name, getattr(self, name)) for name in _FIELDS)
        return {name: value for name, value in values if value is not None}


_FIELDS = Entry.__struct_fields__[Entry.__struct_fields__.index("action") :]


def entry(line: Line) -> Entry:
    """``line`` in words: on one line, and bounded."""
    (
        _, _, action, operation, status, duration_s, tenant_id, install_id, extension_id, version_id, request_id,
        detail, endpoint, signer, host_calls, calls_failed, calls_s,
    ) = line  # fmt: skip
    if action in _NOTICES:
        return _notice(line)
    together = f"{tenant_id}{install_id}{extension_id}{version_id}{request_id}"
    if len(together) > MAX_FIELD_CHARACTERS or not together.isprintable():
        tenant_id, install_id, extension_id = _safe(tenant_id), _safe(install_id), _safe(extension_id)
        version_id, request_id = _safe(version_id), _safe(request_id)
    if action == "guest_log":
        said = _safe(detail, MAX_GUEST_CHARACTERS)
        return Entry(
            "", "", "", f"Extension {extension_id} logged: {said}", None, None,
            action, tenant_id, install_id, extension_id, version_id, request_id, detail=said,
        )  # fmt: skip
    if endpoint or signer or detail:
        endpoint, signer, detail = _safe(endpoint or None), _safe(signer or None), _safe(detail or None)
    duration_ms = round(duration_s * 1e6) / 1000  # a third of the time that rounding to three digits takes
    if action == "http_request":
        caller = f" for extension {extension_id}" if extension_id else ""
        outcome = f"Request to {operation}{caller} was answered {status}"
    else:
        what = f"Host call {operation}" if operation else "Execution"
        version = f" (version {version_id})" if action == "execution" and version_id else ""
        handler = f", {endpoint}," if endpoint else ""
        ended = "succeeded" if status == "ok" else f"ended with {status}"
        outcome = f"{what} of extension {extension_id}{version}{handler} {ended}"
    sentence = f"{outcome} after {duration_ms} ms"
    calls_ms: float | None = None
    if host_calls:
        calls_ms = round(calls_s * 1e6) / 1000
        calls = "1 host call" if host_calls == 1 else f"{host_calls} host calls"
        failed = f" ({calls_failed} failed)" if calls_failed else ""
        sentence = f"{sentence}, {calls}{failed} in {calls_ms} ms"
    if detail:
        sentence = f"{sentence}: {detail}"
    return Entry(
        "", "", "", sentence, None, None,
        action, tenant_id, install_id, extension_id, version_id, request_id,
        status, duration_ms, operation or None, endpoint, signer,
        host_calls or None, calls_ms, calls_failed or None, detail,
    )  # fmt: skip


def _notice(line: Line) -> Entry:
    duration_ms, detail = round(line.duration_s * 1000, 3), _safe(line.detail, MAX_NOTICE_CHARACTERS)
    known = {"status": line.status, "duration_ms": duration_ms, "detail": detail}
    sentence = _NOTICES[line.action].format_map(known)
    return Entry(
        "", "", "", sentence, action=line.action, status=line.status, duration_ms=duration_ms, detail=detail
    )


class LogQueue:
    """Hands lines to ``logger`` from a daemon thread, which starts with the first line.

    Lines are gathered for a moment and written together: a thread that woke for each would take the interpreter from
    the event loop each time. ``on_drop`` is called for every lost line: the queue was full, the writer closed, or a
    filter or handler of ``logger`` raised.
    """

    def __init__(
        self, logger: logging.Logger, on_drop: Callable[[], None], *, capacity: int = MAX_QUEUED_LINES
    ) -> None:
        self._logger = logger
        self.wanted: Callable[[int], bool] = logger.isEnabledFor
        """Whether ``logger`` wants lines of this level: others need not be made."""
        self._on_drop = on_drop
        self._capacity = capacity
        self._queue: SimpleQueue[Line | threading.Event | None] = SimpleQueue()
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._lock = threading.Lock()

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
            self._hurry.set()
        written.wait()

    def close(self) -> None:
        """Write the queued lines and end the thread. Later lines are dropped. May be called again."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
            if thread is not None:
                self._queue.put(None)
                self._hurry.set()
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
        ends = False
        while not ends:
            item = self._queue.get()
            if isinstance(item, Line):
                self._hurry.wait(_GATHER_S)
            self._hurry.clear()
            lines: list[Line] = []
            asked: list[threading.Event] = []
            for queued in self._gathered(item):
                if queued is None:
                    ends = True
                elif isinstance(queued, Line):
                    lines.append(queued)
                else:
                    asked.append(queued)
            self._write_all(lines)
            for written in asked:
                written.set()

    def _gathered(self, first: Line | threading.Event | None) -> Iterator[Line | threading.Event | None]:
        yield first
        for _ in range(self._queue.qsize()):
            yield self._queue.get()

    def _write_all(self, lines: list[Line]) -> None:
        handler = only_handler(self._logger)
        if not isinstance(handler, LineHandler) or not self._write_together(handler, lines):
            self._write_each(lines)

    def _write_together(self, handler: LineHandler, lines: list[Line]) -> bool:
        """Write ``lines``, or drop them; ``False`` if one has no form, and none was written."""
        severe = [line for line in lines if line.level >= handler.level]
        try:
            pieces = handler.encoded(self._logger.name, severe)
        except Exception:  # noqa: BLE001 - the lines are tried one by one
            return False
        try:
            handler.write_pieces(pieces)
        except Exception:  # noqa: BLE001 - a stream that cannot be written must not end the log
            for _ in severe:
                self._on_drop()
        return True

    def _write_each(self, lines: list[Line]) -> None:
        for line in lines:
            try:
                self._hand_over(line)
            except Exception:  # noqa: BLE001 - someone's log handler must not end the log
                self._on_drop()

    def _hand_over(self, line: Line) -> None:
        written = entry(line)
        record = self._logger.makeRecord(
            self._logger.name,
            line.level,
            "",
            0,
            "%s",
            (written.message,),
            None,
            extra=written.fields(),
        )
        record.created, record.msecs = line.created, line.created % 1 * 1000
        self._logger.handle(record)


class LineHandler(logging.StreamHandler[TextIO]):
    """A handler that can write many lines together, without a ``LogRecord`` for every one."""

    def encoded(self, logger: str, lines: list[Line]) -> Sequence[bytes]:
        """``lines`` of ``logger`` in pieces to write. Raises an error if one of them has no such form."""
        raise NotImplementedError

    def write_pieces(self, pieces: Sequence[bytes]) -> None:
        """Write what ``encoded`` gave."""
        raise NotImplementedError


def only_handler(logger: logging.Logger) -> logging.Handler | None:
    """The one handler that ``logger``'s records reach, unfiltered; ``None`` where there are more, or none."""
    handlers: list[logging.Handler] = []
    at: logging.Logger | None = logger
    while at is not None:
        handlers += [handler for handler in at.handlers if not isinstance(handler, logging.NullHandler)]
        at = at.parent if at.propagate else None
    if len(handlers) != 1 or logger.filters or handlers[0].filters:
        return None
    return handlers[0]


def _safe(text: str | None, limit: int = MAX_FIELD_CHARACTERS) -> str | None:
    """Bound ``text`` and escape its control characters, so that no identifier can forge a log line."""
    return None if text is None else escape_controls(cut(text, limit))
