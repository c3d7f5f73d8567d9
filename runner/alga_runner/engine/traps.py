"""Turns wasmtime's traps and errors into the runner's errors."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from wasmtime import TrapCode

from ..debuginfo.demangle import readable
from ..errors import (
    AlgaError,
    EngineUnavailable,
    ExecutionError,
    GuestTrap,
    MemoryLimit,
    Overloaded,
    StackLimit,
)
from ..frames import Frame
from . import _capi

_MAX_FRAMES = 64
_MAX_NAME_BYTES = 1_000
_MAX_NAME_CHARACTERS = 200
_NO_OFFSET = (1 << 64) - 1
_vector = ctypes.c_size_t * 2


def take_text(read: Callable[..., Any], pointer: int) -> str:
    """Text of a trap or error; the vector it came in is freed."""
    vector = _vector()
    read(pointer, ctypes.addressof(vector))
    text = ctypes.string_at(vector[1], vector[0]).decode("utf-8", "replace").rstrip("\0")
    _capi.byte_vec_delete(ctypes.addressof(vector))
    return text


def take_frames(error: int) -> tuple[Frame, ...]:
    """The guest's stack, innermost first, when ``error``, a ``wasmtime_error_t``, ended it; the error is deleted.

    For a guest that its owner stopped, knowing why.
    """
    frames = read_frames(_capi.error_trace, error)
    _capi.error_delete(error)
    return frames


def read_frames(read: Callable[..., Any], pointer: int) -> tuple[Frame, ...]:
    """The guest's stack, innermost first; functions without a name are called by their index."""
    vector = _vector()
    read(pointer, ctypes.addressof(vector))
    count, data = vector[0], vector[1]
    frames = tuple(
        _frame(ctypes.c_void_p.from_address(data + 8 * position).value)
        for position in range(min(count, _MAX_FRAMES))
    )
    _capi.frame_vec_delete(ctypes.addressof(vector))
    return frames


def _frame(pointer: int | None) -> Frame:
    offset = _capi.frame_module_offset(pointer)
    name = _capi.frame_func_name(pointer)
    if name:
        text = _vector.from_address(name)
        written = ctypes.string_at(text[1], min(text[0], _MAX_NAME_BYTES)).decode("utf-8", "replace")
        function = readable(written)[:_MAX_NAME_CHARACTERS]
    else:
        function = f"function {_capi.frame_func_index(pointer)}"
    return Frame(function, None if offset == _NO_OFFSET else offset)


_SENTENCES = {
    TrapCode.STACK_OVERFLOW: "its calls nested deeper than its stack",
    TrapCode.MEMORY_OUT_OF_BOUNDS: "it touched memory outside its bounds",
    TrapCode.HEAP_MISALIGNED: "it made a misaligned atomic access",
    TrapCode.TABLE_OUT_OF_BOUNDS: "it touched a table outside its bounds",
    TrapCode.INDIRECT_CALL_TO_NULL: "it called an empty table entry",
    TrapCode.BAD_SIGNATURE: "it called a function through a pointer of another type",
    TrapCode.INTEGER_OVERFLOW: "an integer operation overflowed",
    TrapCode.INTEGER_DIVISION_BY_ZERO: "it divided an integer by zero",
    TrapCode.BAD_CONVERSION_TO_INTEGER: "it converted a number that is not an integer's",
    TrapCode.UNREACHABLE: "it reached code marked unreachable",
    TrapCode.INTERRUPT: "it was interrupted",
}


def take_trap(trap: int) -> ExecutionError:
    """The error for a ``wasm_trap_t`` that a call returned; the trap is deleted."""
    number = ctypes.c_uint8(255)
    known = _capi.trap_code(trap, ctypes.addressof(number))
    frames = read_frames(_capi.trap_trace, trap)
    message = take_text(_capi.trap_message, trap)
    _capi.trap_delete(trap)
    try:
        code = TrapCode(number.value) if known else None
    except ValueError:
        code = None
    if code is TrapCode.STACK_OVERFLOW:
        return StackLimit(
            "The guest's calls nested deeper than its stack.",
            frames=frames,
            hint="Look for unbounded recursion.",
        )
    reason = _SENTENCES[code] if code in _SENTENCES else message.partition("\n")[0]
    return GuestTrap(
        f"The guest trapped: {reason}.", trap_code=code.name.lower() if code else None, frames=frames
    )


def take_error(error: int) -> AlgaError:
    """The error for a ``wasmtime_error_t`` that a call returned; the error is deleted."""
    message = take_text(_capi.error_message, error)
    _capi.error_delete(error)
    return explain(message)


def explain(message: str) -> AlgaError:
    """The error that wasmtime's ``message`` about an instantiation means."""
    line = message.strip().partition("\n")[0]
    lowered = message.lower()
    if "maximum concurrent" in lowered:
        return Overloaded("Every slot for guests is taken.", hint="Try again shortly, or raise max_guests.")
    if "memory" in lowered and ("exceeds" in lowered or "limit" in lowered):
        return MemoryLimit(f"The guest cannot start within its memory limit: {line}.")
    if "cannot allocate memory" in lowered:
        return no_map_left("another guest")
    return EngineUnavailable(f"wasmtime could not run the guest: {line}.")


def no_map_left(purpose: str) -> Overloaded:
    """The error where the system has no memory map or address space left for ``purpose``."""
    return Overloaded(
        f"The operating system has no memory map left for {purpose}.",
        hint="Raise vm.max_map_count with sysctl, or lower max_guests.",
    )
