"""Turns the errors that a component's call returns into the runner's.

The C API gives no trap code for a component, only wasmtime's text; for a breach of the canonical ABI no stack either.
"""

from __future__ import annotations

import re

from ...errors import (
    AlgaError,
    CanonicalAbiBreach,
    EngineUnavailable,
    GuestTrap,
    MemoryLimit,
    MessageLimit,
    ResourceLimit,
    StackLimit,
    TableLimit,
)
from .. import _capi as core
from .. import traps

_CAUSE = re.compile(r"(?m)^\s+(?:\d+: )?(\S.*)$")
_MAX_REASON_CHARACTERS = 300

_TRAPS = (
    ("call stack exhausted", "stack_overflow", ""),
    ("`unreachable` instruction", "unreachable", "it reached code marked unreachable"),
    ("out of bounds memory access", "memory_out_of_bounds", "it touched memory outside its bounds"),
    ("out of bounds table access", "table_out_of_bounds", "it touched a table outside its bounds"),
    ("uninitialized element", "indirect_call_to_null", "it called an empty table entry"),
    (
        "indirect call type mismatch",
        "bad_signature",
        "it called a function through a pointer of another type",
    ),
    ("integer overflow", "integer_overflow", "an integer operation overflowed"),
    ("integer divide by zero", "integer_division_by_zero", "it divided an integer by zero"),
    (
        "invalid conversion to integer",
        "bad_conversion_to_integer",
        "it converted a number that is not an integer's",
    ),
)
"""Words of wasmtime's text, the name of the trap's code, and the sentence for it."""

_LINK = "Link its modules into one before it becomes a component."

_LIMITS: tuple[tuple[str, type[AlgaError], str, str | None], ...] = (
    (
        "fuel allocated for hostcalls",
        MessageLimit,
        "The guest passed more across its border in one call than the host takes: about 2.6 MB of bytes",
        "Pass it in several calls.",
    ),
    ("memory minimum size", MemoryLimit, "The guest cannot start within its memory limit", None),
    (
        "table minimum size",
        TableLimit,
        "The guest cannot start within its limit on tables",
        None,
    ),
    (
        "resource limit exceeded: table",
        TableLimit,
        "The guest has more tables than it may",
        _LINK,
    ),
    (
        "resource limit exceeded: memor",
        MemoryLimit,
        "The guest has more memories than it may",
        _LINK,
    ),
    (
        "resource limit exceeded: instance",
        ResourceLimit,
        "The guest has more core instances than it may",
        _LINK,
    ),
    (
        "handle limit exceeded",
        ResourceLimit,
        "The guest holds more handles of resources than it may",
        None,
    ),
)
"""Words of wasmtime's text, the error, its sentence, and a hint that is better than that of its code."""

_BREACHES = (
    "realloc return",
    "not aligned",
    "out of bounds of memory",
    "pointer out of bounds",
    "invalid utf-8",
    "invalid utf-16",
    "unpaired surrogate",
    "out of range",
    "discriminant",
    "cannot enter component instance",
    "cannot leave component instance",
    "unknown handle index",
    "used with the wrong type",
    "mismatched resource types",
    "while borrowed",
    "from a borrow",
    "borrow handles still remain",
    "converted integer to invalid `char`",
    "invalid `char`",
)
"""Words of wasmtime's text where the guest broke the canonical ABI."""


def take_failure(error: int) -> AlgaError:
    """The error for a ``wasmtime_error_t`` that a component's call returned; it is deleted."""
    frames = traps.read_frames(core.error_trace, error)
    text = traps.take_text(core.error_message, error)
    core.error_delete(error)
    # The stack is in front of the cause, and the guest chose the names in it.
    cause = text.rpartition("Caused by:")[2] if "Caused by:" in text else ""
    causes = _CAUSE.findall(cause)
    reason = (causes[-1] if causes else text.strip().partition("\n")[0])[:_MAX_REASON_CHARACTERS]
    cause = cause or text
    for words, code, sentence in _TRAPS:
        if words in reason:
            if code == "stack_overflow":
                return StackLimit(
                    "The guest's calls nested deeper than its stack.",
                    frames=frames,
                    hint="Look for unbounded recursion.",
                )
            return GuestTrap(f"The guest trapped: {sentence}.", trap_code=code, frames=frames)
    for words, kind, sentence, hint in _LIMITS:
        if words in cause:
            return kind(f"{sentence} ({reason}).", hint=hint)
    if any(words in cause for words in _BREACHES):
        return _breach(reason)
    if frames:
        return GuestTrap(f"The guest trapped: {reason}.", frames=frames)
    explained = traps.explain(text)
    return _breach(reason) if isinstance(explained, EngineUnavailable) else explained


def _breach(reason: str) -> CanonicalAbiBreach:
    return CanonicalAbiBreach(
        f"The guest broke the canonical ABI: {reason}.",
        hint="Build it again with a current binding generator.",
    )
