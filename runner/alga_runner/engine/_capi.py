"""The functions of wasmtime's C API that the engine calls, typed, in one place.

wasmtime's Python package ships the C library and loads it; its own wrappers keep a process-wide last exception, which
would give one tenant's failure to another (docs/design/engine.md, Hazards, 1), so guests run on the C API itself.
Pointers are plain integers, and ``None`` is a null pointer.

Everything declared here is called with the GIL held. That is right for calls of a microsecond, and for polling a guest
on the event loop too: the native ticker ends its slice without needing the GIL (docs/design/engine.md,
Interruption).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import c_bool, c_char_p, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from importlib import metadata
from typing import Any

from wasmtime import _bindings, _ffi

from ..errors import EngineUnavailable
from .check.interpreter import require_interpreter

WASMTIME_MAJOR = 50
"""The C API is not stable across major versions; ``pyproject.toml`` pins the same one."""

VAL_SIZE = 32
VAL_OF = 8
RAW_VAL_SIZE = 16
EXTERN_SIZE = 32
EXTERN_OF = 8
INSTANCE_SIZE = 16
FUNC_SIZE = 16
MEMORY_SIZE = 24
EXTERN_FUNC = 0
EXTERN_MEMORY = 3
"""Sizes and offsets of the C structs, in bytes, checked against wasmtime's bindings when this module is imported."""

DECLARED: set[str] = set()
"""Names of the C functions declared here."""

_library = ctypes.PyDLL(str(_ffi.filename))


def check_sizes(expected: dict[str, tuple[int, int]]) -> None:
    """Raise ``EngineUnavailable`` unless each number here, the first of a pair, is the one of wasmtime's bindings."""
    for name, (ours, theirs) in expected.items():
        if ours != theirs:
            version = metadata.version("wasmtime")
            raise EngineUnavailable(f"wasmtime {version} lays out {name} as {theirs}, not {ours}.")


def _check_layout() -> None:
    version = metadata.version("wasmtime")
    if int(version.partition(".")[0]) != WASMTIME_MAJOR:
        raise EngineUnavailable(
            f"The engine needs wasmtime {WASMTIME_MAJOR}; version {version} is installed.",
            hint="Install the versions of requirements/runtime.txt.",
        )
    check_sizes(
        {
            "wasmtime_val_t": (VAL_SIZE, ctypes.sizeof(_bindings.wasmtime_val_t)),
            "wasmtime_val_t.of": (VAL_OF, _bindings.wasmtime_val_t.of.offset),
            "wasmtime_val_raw_t": (RAW_VAL_SIZE, ctypes.sizeof(_bindings.wasmtime_val_raw_t)),
            "wasmtime_extern_t": (EXTERN_SIZE, ctypes.sizeof(_bindings.wasmtime_extern_t)),
            "wasmtime_extern_t.of": (EXTERN_OF, _bindings.wasmtime_extern_t.of.offset),
            "wasmtime_instance_t": (INSTANCE_SIZE, ctypes.sizeof(_bindings.wasmtime_instance_t)),
            "wasmtime_func_t": (FUNC_SIZE, ctypes.sizeof(_bindings.wasmtime_func_t)),
            "wasmtime_memory_t": (MEMORY_SIZE, ctypes.sizeof(_bindings.wasmtime_memory_t)),
            "WASMTIME_EXTERN_FUNC": (EXTERN_FUNC, int(_ffi.WASMTIME_EXTERN_FUNC.value)),
            "WASMTIME_EXTERN_MEMORY": (EXTERN_MEMORY, int(_ffi.WASMTIME_EXTERN_MEMORY.value)),
        }
    )


def declare(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """The C function ``name``, typed. Raises ``EngineUnavailable`` if the library has none."""
    try:
        function = _library[name]
    except AttributeError:
        raise EngineUnavailable(
            f"The installed wasmtime has no {name}.", hint="Install the versions of requirements/runtime.txt."
        ) from None
    function.restype = result
    function.argtypes = arguments
    DECLARED.add(name)
    return function


require_interpreter()
_check_layout()

engine_clone = declare("wasmtime_engine_clone", c_void_p, c_void_p)

# Stores: everything of one guest. Deleting one frees its instance; never before its futures.
store_new = declare("wasmtime_store_new", c_void_p, c_void_p, c_void_p, c_void_p)
store_context = declare("wasmtime_store_context", c_void_p, c_void_p)
store_delete = declare("wasmtime_store_delete", None, c_void_p)
store_limiter = declare("wasmtime_store_limiter", None, c_void_p, c_int64, c_int64, c_int64, c_int64, c_int64)
set_epoch_deadline = declare("wasmtime_context_set_epoch_deadline", None, c_void_p, c_uint64)
epoch_yield_and_update = declare(
    "wasmtime_context_epoch_deadline_async_yield_and_update", None, c_void_p, c_uint64
)

epoch_deadline_callback = declare(
    "wasmtime_store_epoch_deadline_callback", None, c_void_p, c_void_p, c_void_p, c_void_p
)

# Futures: a started fiber. Polled by one thread at a time, never once it is done.
instantiate_async = declare(
    "wasmtime_instance_pre_instantiate_async", c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p
)
call_async = declare(
    "wasmtime_func_call_async",
    c_void_p,
    c_void_p,
    c_void_p,
    c_void_p,
    c_size_t,
    c_void_p,
    c_size_t,
    c_void_p,
    c_void_p,
)
future_poll = declare("wasmtime_call_future_poll", c_bool, c_void_p)
future_delete = declare("wasmtime_call_future_delete", None, c_void_p)

# The same without the GIL, for the CPU thread: other threads run Python while a guest computes there, or while its
# memory is freed.
_library_without_gil = ctypes.CDLL(str(_ffi.filename))

future_poll_without_gil = _library_without_gil["wasmtime_call_future_poll"]
future_poll_without_gil.restype = c_bool
future_poll_without_gil.argtypes = (c_void_p,)

future_delete_without_gil = _library_without_gil["wasmtime_call_future_delete"]
future_delete_without_gil.restype = None
future_delete_without_gil.argtypes = (c_void_p,)

store_delete_without_gil = _library_without_gil["wasmtime_store_delete"]
store_delete_without_gil.restype = None
store_delete_without_gil.argtypes = (c_void_p,)

# What a guest exports.
instance_export_get = declare(
    "wasmtime_instance_export_get", c_bool, c_void_p, c_void_p, c_char_p, c_size_t, c_void_p
)
caller_context = declare("wasmtime_caller_context", c_void_p, c_void_p)
context_get_data = declare("wasmtime_context_get_data", c_void_p, c_void_p)
caller_export_get = declare("wasmtime_caller_export_get", c_bool, c_void_p, c_char_p, c_size_t, c_void_p)
memory_data = declare("wasmtime_memory_data", c_void_p, c_void_p, c_void_p)
memory_data_size = declare("wasmtime_memory_data_size", c_size_t, c_void_p, c_void_p)

# Host functions.
_definition = (c_void_p, c_char_p, c_size_t, c_char_p, c_size_t, c_void_p, c_void_p, c_void_p, c_void_p)
linker_define_async_func = declare("wasmtime_linker_define_async_func", c_void_p, *_definition)
linker_define_func_unchecked = declare("wasmtime_linker_define_func_unchecked", c_void_p, *_definition)

# Why a guest stopped. A trap or an error that a call returned belongs to the caller, who deletes it.
trap_new = declare("wasmtime_trap_new", c_void_p, c_char_p, c_size_t)
trap_code = declare("wasmtime_trap_code", c_bool, c_void_p, c_void_p)
trap_message = declare("wasm_trap_message", None, c_void_p, c_void_p)
trap_trace = declare("wasm_trap_trace", None, c_void_p, c_void_p)
trap_delete = declare("wasm_trap_delete", None, c_void_p)
error_new = declare("wasmtime_error_new", c_void_p, c_char_p)
error_message = declare("wasmtime_error_message", None, c_void_p, c_void_p)
error_trace = declare("wasmtime_error_wasm_trace", None, c_void_p, c_void_p)
error_delete = declare("wasmtime_error_delete", None, c_void_p)
byte_vec_delete = declare("wasm_byte_vec_delete", None, c_void_p)
frame_func_name = declare("wasmtime_frame_func_name", c_void_p, c_void_p)
frame_func_index = declare("wasm_frame_func_index", c_uint32, c_void_p)
frame_module_offset = declare("wasm_frame_module_offset", c_size_t, c_void_p)
frame_vec_delete = declare("wasm_frame_vec_delete", None, c_void_p)

ASYNC_CALLBACK = ctypes.CFUNCTYPE(
    None, c_void_p, c_void_p, c_void_p, c_size_t, c_void_p, c_size_t, c_void_p, c_void_p
)
"""``wasmtime_func_async_callback_t``: env, caller, args, nargs, results, nresults, trap_ret, continuation_ret."""

UNCHECKED_CALLBACK = ctypes.CFUNCTYPE(c_size_t, c_void_p, c_void_p, c_void_p, c_size_t)
"""``wasmtime_func_unchecked_callback_t``: env, caller, values both ways, how many; gives a trap, or 0."""

EPOCH_CALLBACK = ctypes.CFUNCTYPE(c_size_t, c_void_p, c_void_p, c_void_p, c_void_p)
"""Called on the fiber at a deadline: context, data, delta_ret, kind_ret; an error it returns ends the call."""


def address(pointer: Any) -> int:
    """The address a ctypes pointer or function points at."""
    value = ctypes.cast(pointer, c_void_p).value
    if value is None:
        raise ValueError("null pointer")
    return value


increment_epoch = address(_library["wasmtime_engine_increment_epoch"])
"""Address of ``wasmtime_engine_increment_epoch``: the native timer calls it, no Python in between."""

ready_when_nonzero = address(ctypes.CDLL(None).strlen)
"""Address of a function that, given a host call's flag, returns whether the call is answered.

libc's ``strlen`` over two bytes, the flag and a zero, is that function: polling a suspended guest runs no Python. The
caller reads its result as a C bool, the low byte of the register, which is 0 or 1.
"""
