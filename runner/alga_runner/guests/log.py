"""Logs the lines a guest writes, however its language does it: ``alga:log``, stdout, the console."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from anyio.lowlevel import checkpoint

from ..capabilities import OPERATIONS, Gate, Operation
from ..capabilities.log import LEVELS
from ..errors import LogLimit
from .session import LogSession, Session

EMIT = "alga:log emit"
_STDERR = 2
STDERR_KEPT_BYTES = 8 * 1024
"""Of what a guest wrote to stderr last."""
_LONGEST_CHARACTER = 4
_LINES_A_SLICE = 100
"""Lines of one write that are logged before the event loop does something else."""


class _LogCodec:
    """Passes the input on, which the host itself made, and drops the reply, which no guest reads."""

    def decode(self, request: Mapping[str, object], /) -> object:
        return request

    def encode(self, _reply: Mapping[str, object], /) -> bytes:
        return b""

    def piece(self, item: object, /) -> object:
        return item


class GuestLog:
    """Takes the guest's lines through the gate."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._operation: Operation[Any, Any] = OPERATIONS["log.emit"]
        self._codec = _LogCodec()

    async def line(self, session: LogSession, level: str, message: str) -> None:
        """Log one line, cut if it is too long. Raises ``LogLimit``."""
        request: Mapping[str, object] = {"level": level, "message": message}
        await self._gate.call(session.execution, self._operation, request, self._codec)

    async def emit(self, session: Session, level: int, offset: int, length: int) -> None:
        """Answer ``alga:log emit``: UTF-8 text, invalid bytes replaced (guest ABI, "Imports")."""
        session.count_call()
        session.check_range(EMIT, offset, length)
        enough = session.execution.log_limits.line_bytes + _LONGEST_CHARACTER
        data = session.read(EMIT, offset, min(length, enough))
        name = LEVELS[level] if level < len(LEVELS) else "info"
        await self.line(session, name, data.decode("utf-8", "replace"))

    async def stream(self, session: LogSession, descriptor: int, data: bytes) -> None:
        """Log the lines in ``data``, written to stdout or stderr; an unfinished line is kept until it ends."""
        if descriptor == _STDERR:
            session.stderr = (session.stderr + data)[-STDERR_KEPT_BYTES:]
        *lines, rest = (session.unfinished.pop(descriptor, b"") + data).split(b"\n")
        if len(rest) > session.execution.log_limits.line_bytes:
            lines, rest = [*lines, rest], b""
        session.unfinished[descriptor] = rest
        for position, line in enumerate(lines, 1):
            await self._stream_line(session, descriptor, line)
            if position % _LINES_A_SLICE == 0:
                await checkpoint()

    async def finish(self, session: LogSession) -> None:
        """Log the unfinished lines of stdout and stderr, as far as the log's limit goes."""
        unfinished, session.unfinished = session.unfinished, {}
        with suppress(LogLimit):  # the guest has ended: its outcome stays
            for descriptor, line in unfinished.items():
                if line:
                    await self._stream_line(session, descriptor, line)

    async def _stream_line(self, session: LogSession, descriptor: int, line: bytes) -> None:
        level, stream = ("error", "stderr") if descriptor == _STDERR else ("info", "stdout")
        line = line[: session.execution.log_limits.line_bytes + _LONGEST_CHARACTER]
        session.execution.log_stream = stream
        try:
            await self.line(session, level, line.decode("utf-8", "replace"))
        finally:
            session.execution.log_stream = "log"
