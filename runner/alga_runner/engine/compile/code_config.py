"""The configuration that modules are compiled with, the same in the runner's process and in the compiler's.

Every engine of ``EngineConfig`` loads code that was compiled with it, with a pool of any size.
"""

from __future__ import annotations

import os

import wasmtime
from wasmtime import _ffi

_FORBIDDEN_PROPOSALS = (
    "threads",
    "memory64",
    "multi_memory",
    "custom_page_sizes",
    "gc",
    "function_references",
    "exceptions",
    "stack_switching",
)
"""Proposals that would let a guest past the limits counted here, or that the guest ABI has no use for."""

_BACKTRACE_DETAILS = "WASMTIME_BACKTRACE_DETAILS"


def _plain_config() -> wasmtime.Config:
    """Wasmtime's defaults, without regard to ``WASMTIME_BACKTRACE_DETAILS``.

    With it, wasmtime reads a module's debug information whenever it makes a trap, without bounds: a module of 60 KB,
    made for it, takes seconds and half a gigabyte. The C API has no other switch. ``debuginfo`` reads it with care.
    """
    asked = os.environ.pop(_BACKTRACE_DETAILS, None)
    try:
        return wasmtime.Config()
    finally:
        if asked is not None:
            os.environ[_BACKTRACE_DETAILS] = asked


def code_config() -> wasmtime.Config:
    """A new configuration."""
    native = _plain_config()
    native.epoch_interruption = True
    pointer = native.ptr()
    for proposal in _FORBIDDEN_PROPOSALS:
        getattr(_ffi, f"wasmtime_config_wasm_{proposal}_set")(pointer, False)
    _ffi.wasmtime_config_memory_may_move_set(pointer, False)
    return native
