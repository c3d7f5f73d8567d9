"""The component functions of wasmtime's C API, typed like those of ``engine._capi``."""

from __future__ import annotations

import ctypes
from ctypes import c_bool, c_char_p, c_size_t, c_uint32, c_void_p

from wasmtime import _bindings, _ffi

from .._capi import check_sizes, declare

VAL_SIZE = 32
VAL_OF = 8
RECORD_ENTRY_SIZE = 48
INSTANCE_SIZE = 16
FUNC_SIZE = 32
"""Sizes and offsets of the C structs, in bytes, checked against wasmtime's bindings when this module is imported."""

KINDS = {
    kind: number
    for number, kind in enumerate(
        (
            *("bool", "s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64", "f32", "f64", "char", "string"),
            *("list", "record", "tuple", "variant", "enum", "option", "result", "flags", "resource"),
        )
    )
}
"""``wasmtime_component_valkind_t`` of each kind of value."""

check_sizes(
    {
        "wasmtime_component_val_t": (VAL_SIZE, ctypes.sizeof(_bindings.wasmtime_component_val_t)),
        "wasmtime_component_val_t.of": (VAL_OF, _bindings.wasmtime_component_val_t.of.offset),
        "wasmtime_component_valrecord_entry_t": (
            RECORD_ENTRY_SIZE,
            ctypes.sizeof(_bindings.wasmtime_component_valrecord_entry_t),
        ),
        "wasmtime_component_instance_t": (
            INSTANCE_SIZE,
            ctypes.sizeof(_bindings.wasmtime_component_instance_t),
        ),
        "wasmtime_component_func_t": (FUNC_SIZE, ctypes.sizeof(_bindings.wasmtime_component_func_t)),
        **{
            f"WASMTIME_COMPONENT_{kind.upper()}": (
                number,
                int(getattr(_ffi, f"WASMTIME_COMPONENT_{kind.upper()}").value),
            )
            for kind, number in KINDS.items()
        },
    }
)

# Linkers. A linker's instances borrow it: each is deleted before the next is made.
linker_new = declare("wasmtime_component_linker_new", c_void_p, c_void_p)
linker_delete = declare("wasmtime_component_linker_delete", None, c_void_p)
linker_root = declare("wasmtime_component_linker_root", c_void_p, c_void_p)
linker_instance_delete = declare("wasmtime_component_linker_instance_delete", None, c_void_p)
add_instance = declare(
    "wasmtime_component_linker_instance_add_instance", c_void_p, c_void_p, c_char_p, c_size_t, c_void_p
)
_definition = (c_void_p, c_void_p, c_char_p, c_size_t, c_void_p, c_void_p, c_void_p)
add_func = declare("wasmtime_component_linker_instance_add_func", *_definition)
add_func_async = declare("wasmtime_component_linker_instance_add_func_async", *_definition)
add_resource = declare(
    "wasmtime_component_linker_instance_add_resource",
    c_void_p,
    c_void_p,
    c_char_p,
    c_size_t,
    c_void_p,
    c_void_p,
    c_void_p,
    c_void_p,
)

# Instances and their functions.
instantiate_async = declare(
    "wasmtime_component_linker_instantiate_async",
    c_void_p,
    c_void_p,
    c_void_p,
    c_void_p,
    c_void_p,
    c_void_p,
)
call_async = declare(
    "wasmtime_component_func_call_async",
    c_void_p,
    c_void_p,
    c_void_p,
    c_void_p,
    c_size_t,
    c_void_p,
    c_size_t,
    c_void_p,
)
get_func = declare("wasmtime_component_instance_get_func", c_bool, c_void_p, c_void_p, c_void_p, c_void_p)
get_export_index = declare(
    "wasmtime_component_get_export_index", c_void_p, c_void_p, c_void_p, c_char_p, c_size_t
)

# Values. A tree is copied whole by ``val_clone`` and freed whole by ``val_delete``.
val_clone = declare("wasmtime_component_val_clone", None, c_void_p, c_void_p)
val_delete = declare("wasmtime_component_val_delete", None, c_void_p)

# Resources of the host: a number, ``rep``, behind a handle of the guest's.
resource_type_new_host = declare("wasmtime_component_resource_type_new_host", c_void_p, c_uint32)
resource_type_delete = declare("wasmtime_component_resource_type_delete", None, c_void_p)
resource_host_new = declare("wasmtime_component_resource_host_new", c_void_p, c_bool, c_uint32, c_uint32)
resource_host_rep = declare("wasmtime_component_resource_host_rep", c_uint32, c_void_p)
resource_host_delete = declare("wasmtime_component_resource_host_delete", None, c_void_p)
resource_host_to_any = declare(
    "wasmtime_component_resource_host_to_any", c_void_p, c_void_p, c_void_p, c_void_p
)
resource_any_to_host = declare(
    "wasmtime_component_resource_any_to_host", c_void_p, c_void_p, c_void_p, c_void_p
)
resource_any_delete = declare("wasmtime_component_resource_any_delete", None, c_void_p)

ASYNC_CALLBACK = ctypes.CFUNCTYPE(
    None, c_void_p, c_void_p, c_void_p, c_void_p, c_size_t, c_void_p, c_size_t, c_void_p, c_void_p
)
"""``wasmtime_component_func_async_callback_t``: env, context, type, args, nargs, results, nresults, error_ret,
continuation_ret. ``error_ret`` is read when the callback returns and never again: it is on a stack that is gone
afterwards."""

SYNC_CALLBACK = ctypes.CFUNCTYPE(
    c_size_t, c_void_p, c_void_p, c_void_p, c_void_p, c_size_t, c_void_p, c_size_t
)
"""``wasmtime_component_func_callback_t``: env, context, type, args, nargs, results, nresults; gives an error, or 0."""

DESTRUCTOR = ctypes.CFUNCTYPE(c_size_t, c_void_p, c_void_p, c_uint32)
"""``wasmtime_component_resource_destructor_t``: env, context, rep; gives an error, or 0."""
