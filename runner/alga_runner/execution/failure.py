"""Completes an execution's error: files and lines, the guest's activity at the deadline, extension and request."""

from __future__ import annotations

import math
from dataclasses import replace

import anyio

from ..capabilities import Execution
from ..errors import AlgaError, DeadlineExceeded, ExecutionError, GuestAbort, GuestTrap
from ..frames import Frame, stack_line
from ..hints import HINTS
from .margin import NO_MARGIN, Margin
from .programs import Programs

LOADING = "It was waiting for its module to be loaded."
"""``DeadlineExceeded.doing`` of an execution whose guest has not started."""

_BUILD_WITH_LINES = (
    "Build with debug information to see files and lines: -g, or --debug --sourceMap for AssemblyScript."
)


async def add_context(
    error: AlgaError,
    handler: tuple[str, str],
    execution: Execution,
    programs: Programs | None,
    *,
    timeout_s: float,
    margin: Margin = NO_MARGIN,
) -> AlgaError:
    """``error``, or one in its place, that names extension, version, ``handler`` and request, and no secret.

    ``handler`` is the request's method and its path without the query. The execution had ``timeout_s``, less
    ``margin``. Lines of a stack that take longer than half the time left for the answer are not waited for.
    """
    context = execution.context
    if isinstance(error, ExecutionError) and error.frames and programs is not None:
        bundle = (context.tenant_id, context.extension_id, context.content_hash)
        with anyio.move_on_after(margin.answer_s / 2 if isinstance(error, DeadlineExceeded) else None):
            error.frames = await programs.located(*bundle, error.frames)
        if isinstance(error, GuestAbort):
            error.frames = _with_position(error)
    if isinstance(error, GuestTrap) and error.frames and not any(frame.file for frame in error.frames):
        error.hint = _BUILD_WITH_LINES if error.hint == HINTS[error.code] else error.hint
    if isinstance(error, DeadlineExceeded):
        error = _too_late(error, execution, timeout_s, margin)
    error.args = tuple(map(execution.secrets.hide, error.args))
    return error.at(
        extension=context.extension_id,
        version=context.version_id,
        handler=" ".join(handler),
        request_id=context.request_id,
    )


def log_detail(error: AlgaError) -> str | None:
    """What the log adds to the error's code: trap, host call and stack; no text of a request or a guest."""
    parts = []
    if isinstance(error, GuestTrap) and error.trap_code:
        parts.append(f"trap {error.trap_code}")
    if "host_call" in error.where:
        parts.append(f"host call {error.where['host_call']}")
    if isinstance(error, ExecutionError) and error.frames:
        parts.append(f"in {stack_line(error.frames)}")
    return ", ".join(parts) or None


def _with_position(error: GuestAbort) -> tuple[Frame, ...]:
    """The stack of an abort, which gave the innermost position itself: compilers leave it out of debug information."""
    innermost, *rest = error.frames
    if innermost.file is None:
        innermost = replace(innermost, file=error.file, line=error.line, column=error.column)
    return (innermost, *rest)


def _too_late(
    error: DeadlineExceeded, execution: Execution, timeout_s: float, margin: Margin
) -> DeadlineExceeded:
    """The deadline's error, with the host call that the guest waited for, or else its stack."""
    last = execution.host_calls[-1] if execution.host_calls else None
    operation = last.operation if last is not None and last.status == "cancelled" else None
    waited_for = operation or error.where.get("host_call")
    did = "waiting for its host call" if waited_for else "computing"
    doing = f"It was {did} in {error.frames[0]}." if error.frames else error.doing
    hint = "Raise limits.timeout_ms, or let the guest do less: no host call was under way."
    if waited_for:
        hint = "Raise limits.timeout_ms, or see why the host call was not answered."
    elif error.doing == LOADING:
        hint = "Loading goes on: try again in a while. `alga-runner precompile` compiles ahead."
    less = f", less {math.ceil(margin.total_s * 1000)} ms for transport" if margin.total_s else ""
    return DeadlineExceeded(
        f"The execution did not finish within {round(timeout_s * 1000)} ms{less}. {doing}".rstrip(),
        frames=error.frames,
        doing=error.doing,
        hint=hint,
    ).at(host_call=waited_for)
