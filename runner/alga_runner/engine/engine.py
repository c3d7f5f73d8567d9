"""The engine: wasmtime configured for hostile guests, one per configuration, alive as long as the process."""

from __future__ import annotations

import faulthandler
import hashlib
import os
import sys
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata

import wasmtime
from wasmtime import _ffi

from ..errors import EngineUnavailable
from . import _capi
from .check.capacity import Capacity, capacity, read_maps, require_address_space
from .compile.code_config import code_config, component_code_config
from .memory import GuestLimits
from .native.library import Mode, choose, default_mode
from .native.ticker import TickerThread
from .ticker import PosixTimer, Ticker

HOST_STACK_BYTES = 256 * 1024
"""Stack of a fiber beyond the guest's own, for the Python of a host callback.

A callback only copies integers, yet garbage collection, signal handlers and tracers run on that stack too; below 16 KiB
the process aborts (docs/design/engine.md, Hazards, 5). It is address space, not memory.
"""

TABLE_ELEMENT_BYTES = 8
"""Host memory of one element of a guest's table: a pointer."""

MAX_INSTANCES = 32
MAX_TABLES = 8
MAX_MEMORIES = 2
"""Core instances, tables and memories of one component: componentize-py's has nine instances, QuickJS two memories.

wasmtime's limit on memory is one for each memory, so that a guest may have twice its limit.
"""

COMPONENT_SLOTS = 16
"""Slots of the pool for components. What one keeps after its guests, 3.5 MiB at most, stays for good."""

_KIB = 1024

_MEMORY_KEPT_BYTES = 128 * _KIB
"""Of a guest's memory, kept in its slot: mapping it again costs a small guest a third more."""

_TABLE_KEPT_BYTES = 4 * _KIB
"""Of a guest's table, kept in its slot: to give back the page of a small one takes a call of the system each time."""

_HOST_STACK_KEPT_BYTES = 64 * _KIB
"""Of a fiber's stack beyond the guest's own, which host callbacks touch."""


def kept_bytes(wasm_stack_bytes: int) -> int:
    """What a slot keeps after its guests at most, for good: all of the stack that the deepest of them touched.

    wasmtime gives a stack's memory back with an option that its C API lacks.
    """
    return wasm_stack_bytes + _HOST_STACK_KEPT_BYTES + _MEMORY_KEPT_BYTES + _TABLE_KEPT_BYTES


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """What an engine is built for. Sizes are bytes, ``tick_ms`` is milliseconds.

    ``max_guests`` is how many guests are asked for; ``Engine.capacity`` is how many the kernel allows. An engine for
    components takes what the one for modules has found room for.
    """

    max_guests: int = 1_000
    max_memory_bytes: int = 256 * 1024 * 1024
    max_table_elements: int = 20_000
    wasm_stack_bytes: int = 1024 * 1024
    tick_ms: int = 1
    warm_modules: int = 50
    """Modules whose next guest finds its memory mapped, at most."""
    components: bool = False
    """For components; core modules otherwise."""
    component_pool: bool = False
    """Whether components get slots of a pool, as core modules do; otherwise, memory is mapped for each guest."""
    native: Mode = field(default_factory=default_mode)
    """Whether guests of core modules run through the native helper."""

    @property
    def pooled(self) -> bool:
        """Whether guests get slots of a pool."""
        return self.component_pool or not self.components


class Engine:
    """A configured wasmtime engine. ``EngineContext.engine`` gives the process's for a configuration.

    Freeing an engine that a native timer still points at would crash the process, and compiled modules are bound to
    theirs, so an engine lives as long as its process. It belongs to the process that made it.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.pid = os.getpid()
        self.limits = GuestLimits(config.max_memory_bytes, config.max_table_elements)
        """The limits that the pool enforces on every guest."""
        _install_faulthandler()
        # The engine for modules has counted the maps for both.
        self.capacity = capacity(
            config.max_guests, None if config.components else read_maps(), config.warm_modules
        )
        """How many guests may be alive at the same time, and why: the slots of the pool."""
        table_bytes = config.max_table_elements * TABLE_ELEMENT_BYTES
        require_address_space(
            self.capacity.guests,
            memories=self.capacity.guests * MAX_MEMORIES if config.components else self.capacity.memories,
            bytes_each=_stack_bytes(config) + table_bytes * (MAX_TABLES if config.components else 1),
        )
        try:
            self.wasmtime = wasmtime.Engine(_configure(config, self.capacity))
        except wasmtime.WasmtimeError as error:
            raise EngineUnavailable(
                f"wasmtime cannot make an engine with room for {self.capacity.guests} guests: {error}",
                hint="Lower max_guests or max_memory_mb.",
            ) from None
        # A reference that is never freed (see the class docstring). Not the one in ``self.wasmtime``: the interpreter
        # frees that as it ends, and a late tick may still arrive.
        self.pointer = _capi.engine_clone(_capi.address(self.wasmtime.ptr()))
        self.native = choose(config.native)
        """The native helper, if guests of core modules run through it."""
        self.ticker = Ticker(
            PosixTimer(self.pointer, config.tick_ms)
            if self.native is None
            else TickerThread(self.native, self.pointer, config.tick_ms)
        )
        self.free_slots = [None] * self.capacity.guests if config.pooled else []
        """One entry for each slot of the pool that no guest has: append and pop are atomic under the GIL."""

    @cached_property
    def code_target(self) -> str:
        """Digest of everything that code must have been compiled for to run on this engine: 32 hexadecimal digits.

        It covers wasmtime's version and a module compiled here: into such a file wasmtime writes all that it compares
        when it loads one, which is the processor with its features and every option that changes code.
        """
        empty = wasmtime.Module(self.wasmtime, b"\0asm\1\0\0\0").serialize()
        return hashlib.sha256(metadata.version("wasmtime").encode() + b"\0" + empty).hexdigest()[:32]


def _stack_bytes(config: EngineConfig) -> int:
    return config.wasm_stack_bytes + HOST_STACK_BYTES


def _configure(config: EngineConfig, room: Capacity) -> wasmtime.Config:
    native = component_code_config() if config.components else code_config()
    native.max_wasm_stack = config.wasm_stack_bytes
    pointer = native.ptr()
    _ffi.wasmtime_config_async_stack_size_set(pointer, _stack_bytes(config))
    if not config.pooled:
        return native
    pool = _ffi.wasmtime_pooling_allocation_config_new()
    for name, value in (
        ("max_memory_size", config.max_memory_bytes),
        ("table_elements", config.max_table_elements),
        *(_component_pool(room.guests) if config.components else _module_pool(room, config.warm_modules)),
    ):
        getattr(_ffi, f"wasmtime_pooling_allocation_config_{name}_set")(pool, value)
    _ffi.wasmtime_pooling_allocation_strategy_set(pointer, pool)
    _ffi.wasmtime_pooling_allocation_config_delete(pool)
    return native


def _module_pool(room: Capacity, warm_modules: int) -> tuple[tuple[str, int], ...]:
    """A memory stays mapped for the module that had it last, with up to 128 KiB of what that wrote to.

    Tables are no module's own; a page of each stays.
    """
    guests = room.guests
    return (
        ("total_core_instances", guests),
        ("total_memories", room.memories),
        ("total_tables", guests),
        ("total_stacks", guests),
        ("max_tables_per_module", 1),
        ("linear_memory_keep_resident", _MEMORY_KEPT_BYTES),
        ("table_keep_resident", _TABLE_KEPT_BYTES),
        ("max_unused_warm_slots", min(room.memories, 2 * warm_modules)),
    )


def _component_pool(guests: int) -> tuple[tuple[str, int], ...]:
    """A slot keeps all that JavaScript on QuickJS writes to: the next guest of the component finds it mapped."""
    return (
        ("total_component_instances", guests),
        ("total_core_instances", guests * MAX_INSTANCES),
        ("total_memories", guests * MAX_MEMORIES),
        ("total_tables", guests * MAX_TABLES),
        ("total_stacks", guests),
        ("max_core_instances_per_component", MAX_INSTANCES),
        ("max_memories_per_component", MAX_MEMORIES),
        ("max_tables_per_component", MAX_TABLES),
        ("linear_memory_keep_resident", 2048 * _KIB),
        ("table_keep_resident", 64 * _KIB),
    )


def _install_faulthandler() -> None:
    """Install faulthandler before wasmtime's signal handlers, unless it is installed.

    Enabled after them, it takes a guest's out-of-bounds access for a crash of the process (docs/design/engine.md,
    Hazards, 4). Once enabled, enabling it again changes nothing, so doing it now makes a later call harmless.
    """
    if not faulthandler.is_enabled() and sys.__stderr__ is not None:
        try:
            faulthandler.enable(sys.__stderr__)
        except (OSError, ValueError, AttributeError):
            return  # no file behind stderr: nothing to write to, and nothing that could be enabled later either
