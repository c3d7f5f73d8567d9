"""The notes that pytest shows below a failure: where it happened, the hint, the guest's log and host calls."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from ..capabilities import HostCallRecord, LogLine
from ..errors import AlgaError, ExecutionError
from ..frames import stack_lines

_SHOWN = 20
_WIDTH = 160

_OMITTED = frozenset({"extension", "version", "handler", "request_id"})
"""Fields of ``AlgaError.where`` that the call names in an author's words."""


def add_notes(
    error: AlgaError,
    call: str = "",
    log: Sequence[LogLine] = (),
    host_calls: Sequence[HostCallRecord] = (),
) -> AlgaError:
    """Add notes to ``error``, unless it has some, and drop its traceback. ``call`` names the call, in words."""
    if not getattr(error, "__notes__", None):
        for note in _notes(error, call, log, host_calls):
            error.add_note(note)
    return error.with_traceback(None)


def _notes(
    error: AlgaError, call: str, log: Sequence[LogLine], host_calls: Sequence[HostCallRecord]
) -> Iterator[str]:
    if call:
        yield f"in {call}"
    for key, value in error.where.items():
        if key not in _OMITTED:
            yield f"{key.replace('_', ' ')}: {value}"
    if isinstance(error, ExecutionError) and error.frames:
        yield "the guest's stack:"
        yield from _first(stack_lines(error.frames))
    yield f"hint: {error.hint}"
    if log:
        yield "the guest's log:"
        yield from _last([f"{line.level}: {line.message}" for line in log])
    if host_calls:
        yield "its host calls:"
        yield from _last([_line(call) for call in host_calls])


def _first(lines: Sequence[str]) -> Iterator[str]:
    """The first lines, indented and cut."""
    yield from (f"  {_cut(line)}" for line in lines[:_SHOWN])
    if len(lines) > _SHOWN:
        yield f"  ... {len(lines) - _SHOWN} more"


def _last(lines: Sequence[str]) -> Iterator[str]:
    """The last lines, indented and cut."""
    if len(lines) > _SHOWN:
        yield f"  ... {len(lines) - _SHOWN} before"
    yield from (f"  {_cut(line)}" for line in lines[-_SHOWN:])


def _cut(line: str) -> str:
    flat = " ".join(line.split())
    return flat if len(flat) <= _WIDTH else flat[: _WIDTH - 3] + "..."


def _line(call: HostCallRecord) -> str:
    arguments = f" {json.dumps(call.arguments, default=repr)}" if call.arguments else ""
    message = ""
    if isinstance(call.reply, dict) and "err" in call.reply:
        message = f": {call.reply['err']['message']}"
    return f"{call.number}. {call.operation}{arguments} -> {call.status}{message}"
