"""The engine: wasmtime configured for hostile guests, one per configuration, alive as long as the process."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
from dataclasses import dataclass

import wasmtime
from wasmtime import _ffi

from ..errors import EngineForked, EngineUnavailable
from . import _capi
from .limits import GuestLimits
from .ticker import Ticker

HOST_STACK_BYTES = 256 * 1024
"""Room on a fiber's stack beyond the guest's own, for the Python of a host callback.

A callback only copies integers, yet garbage collection, signal handlers and tracers run on that stack too; below 16 KiB
the process aborts (engine-lab B, "Stack for Python on the fiber"). It is address space, not memory.
"""

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

_MEMORY_KEPT_BYTES = 512 * 1024
_STACK_KEPT_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """What an engine is built for. Sizes are bytes, ``tick_ms`` is milliseconds."""

    max_guests: int = 1_000
    max_memory_bytes: int = 256 * 1024 * 1024
    max_table_elements: int = 20_000
    wasm_stack_bytes: int = 256 * 1024
    tick_ms: int = 1


class Engine:
    """A configured wasmtime engine. Get one with ``Engine.get``; it is shared and never freed.

    Freeing an engine that a native timer still points at would crash the process, and compiled modules are bound to
    theirs, so an engine lives as long as its process. It belongs to the process that made it.
    """

    _engines: dict[EngineConfig, Engine] = {}  # noqa: RUF012 - process-wide by design
    _lock = threading.Lock()

    @classmethod
    def get(cls, config: EngineConfig) -> Engine:
        """The process's engine for ``config``. Raises ``EngineUnavailable`` or ``EngineForked``."""
        with cls._lock:
            if any(engine.pid != os.getpid() for engine in cls._engines.values()):
                raise EngineForked(
                    "An engine was made before this process was forked; its compiler's threads did not come along.",
                    hint="Start workers with the spawn method, or make the Runner in the worker.",
                )
            if config not in cls._engines:
                cls._engines[config] = cls(config)
            return cls._engines[config]

    @classmethod
    def any_made(cls) -> bool:
        """Whether this process, or the one it was forked from, has an engine."""
        return bool(cls._engines)

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.pid = os.getpid()
        self.limits = GuestLimits(config.max_memory_bytes, config.max_table_elements)
        """What the pool allows every guest."""
        _install_faulthandler()
        try:
            self.wasmtime = wasmtime.Engine(_configure(config))
        except wasmtime.WasmtimeError as error:
            raise EngineUnavailable(
                f"wasmtime cannot make an engine with room for {config.max_guests} guests: {error}",
                hint="Lower max_guests or max_memory_mb, or raise the process's address space limit.",
            ) from None
        # A reference of our own that nobody gives back (see the class docstring). Not the one in ``self.wasmtime``: the
        # interpreter frees that as it ends, and a tick that was due before may come later.
        self.pointer = _capi.engine_clone(_capi.address(self.wasmtime.ptr()))
        self.ticker = Ticker(self.pointer, config.tick_ms)


def _plain_config() -> wasmtime.Config:
    """Wasmtime's defaults, whatever ``WASMTIME_BACKTRACE_DETAILS`` says.

    With it, wasmtime reads a module's debug information whenever it makes a trap, without bounds: a module of 60 KB,
    made for it, takes seconds and half a gigabyte. The C API has no other switch. ``debuginfo`` reads it with care.
    """
    asked = os.environ.pop(_BACKTRACE_DETAILS, None)
    try:
        return wasmtime.Config()
    finally:
        if asked is not None:
            os.environ[_BACKTRACE_DETAILS] = asked


def _configure(config: EngineConfig) -> wasmtime.Config:
    native = _plain_config()
    native.epoch_interruption = True
    native.max_wasm_stack = config.wasm_stack_bytes
    pointer = native.ptr()
    for proposal in _FORBIDDEN_PROPOSALS:
        getattr(_ffi, f"wasmtime_config_wasm_{proposal}_set")(pointer, False)
    _ffi.wasmtime_config_async_stack_size_set(pointer, config.wasm_stack_bytes + HOST_STACK_BYTES)
    _ffi.wasmtime_config_memory_may_move_set(pointer, False)
    pool = _ffi.wasmtime_pooling_allocation_config_new()
    for slots in ("core_instances", "memories", "tables", "stacks"):
        getattr(_ffi, f"wasmtime_pooling_allocation_config_total_{slots}_set")(pool, config.max_guests)
    for name, value in (
        ("max_memory_size", config.max_memory_bytes),
        ("max_tables_per_module", 1),
        ("table_elements", config.max_table_elements),
        ("linear_memory_keep_resident", _MEMORY_KEPT_BYTES),
        ("async_stack_keep_resident", _STACK_KEPT_BYTES),
    ):
        getattr(_ffi, f"wasmtime_pooling_allocation_config_{name}_set")(pool, value)
    _ffi.wasmtime_pooling_allocation_strategy_set(pointer, pool)
    _ffi.wasmtime_pooling_allocation_config_delete(pool)
    return native


def _install_faulthandler() -> None:
    """Install faulthandler before wasmtime's signal handlers, if nobody has.

    Enabled after them, it would take a guest's out-of-bounds access for a crash of the process (engine-lab A1); once
    enabled, enabling it again changes nothing, so doing it now makes a later call harmless.
    """
    if not faulthandler.is_enabled() and sys.__stderr__ is not None:
        try:
            faulthandler.enable(sys.__stderr__)
        except (OSError, ValueError, AttributeError):
            return  # no file behind stderr: nothing to write to, and nothing that could be enabled later either
