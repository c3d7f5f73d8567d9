"""The options that decide how modules are compiled, shared by the runner's process and the compiler's.

Every engine can load code that was compiled with this configuration; the pool's options make no difference.
"""

from __future__ import annotations

import os

import wasmtime
from wasmtime import _ffi

from ..check.features import REFUSED

_BACKTRACE_DETAILS = "WASMTIME_BACKTRACE_DETAILS"


def _plain_config() -> wasmtime.Config:
    """Wasmtime's defaults, regardless of ``WASMTIME_BACKTRACE_DETAILS``.

    With that variable wasmtime reads a module's debug information for each trap, without bounds: a crafted module of
    60 KB takes seconds and half a gigabyte. The C API has no other switch. ``debuginfo`` reads it within bounds.
    """
    setting = os.environ.pop(_BACKTRACE_DETAILS, None)
    try:
        return wasmtime.Config()
    finally:
        if setting is not None:
            os.environ[_BACKTRACE_DETAILS] = setting


def code_config() -> wasmtime.Config:
    """Return a new configuration."""
    native = _plain_config()
    native.epoch_interruption = True
    pointer = native.ptr()
    for feature in REFUSED:
        getattr(_ffi, f"wasmtime_config_wasm_{feature.option}_set")(pointer, False)
    _ffi.wasmtime_config_memory_may_move_set(pointer, False)
    return native


def component_code_config() -> wasmtime.Config:
    """Return a new configuration for components.

    wasmtime's adapters between the modules inside a component have two memories: without ``multi_memory``, compiling
    one aborts the process. ``component_model_async`` brings streams and futures, at which the C API aborts. With
    ``concurrency_support`` a host call that is given two borrowed resources, such as a poll of two timers, traps.
    """
    native = code_config()
    pointer = native.ptr()
    _ffi.wasmtime_config_wasm_multi_memory_set(pointer, True)
    _ffi.wasmtime_config_wasm_component_model_set(pointer, True)
    _ffi.wasmtime_config_wasm_component_model_async_set(pointer, False)
    _ffi.wasmtime_config_concurrency_support_set(pointer, False)
    return native
