"""wasmtime lives here and nowhere else: guests on fibers, their memory, their limits, their end."""

from __future__ import annotations

from .budget import Budget
from .check.capacity import WARM_MODULE_BYTES, WARM_MODULES
from .check.selfcheck import require_sound
from .check.trial import check_in_subprocess
from .compile.compiler import CompileBounds
from .compile.loader import ModuleLoader
from .component.component import Component, ComponentImport, is_component
from .component.guest import ComponentGuest
from .component.linker import LinkedComponent, Offer, holds_resource
from .component.linker import link as link_component
from .component.lower import Unlowerable
from .component.stderr import failed_allocation, read_reason
from .component.types import FunctionType, ValueType
from .context import engine_context
from .cpu_thread import OVERRUN_S
from .drive import (
    DONE,
    free_large_guest,
    run_call,
    run_until_blocked,
    wait_to_start,
    wait_within,
    work_in_turn,
)
from .engine import Engine, EngineConfig, kept_bytes
from .guest import Answer, Answerer, Guest
from .linker import HostFunction, LinkedModule, Linker
from .memory import GuestLimits, LinearMemory
from .module import Calls, ExportType, ImportType, Module, Signature
from .native.library import build_native, native_built, native_fault
from .running import deferred_interrupts

this_thread = engine_context.this_thread
"""This thread's ``loop_scheduler``."""

__all__ = [
    "DONE",
    "OVERRUN_S",
    "WARM_MODULES",
    "WARM_MODULE_BYTES",
    "Answer",
    "Answerer",
    "Budget",
    "Calls",
    "CompileBounds",
    "Component",
    "ComponentGuest",
    "ComponentImport",
    "Engine",
    "EngineConfig",
    "ExportType",
    "FunctionType",
    "Guest",
    "GuestLimits",
    "HostFunction",
    "ImportType",
    "LinearMemory",
    "LinkedComponent",
    "LinkedModule",
    "Linker",
    "Module",
    "ModuleLoader",
    "Offer",
    "Signature",
    "Unlowerable",
    "ValueType",
    "build_native",
    "check_in_subprocess",
    "deferred_interrupts",
    "engine_context",
    "failed_allocation",
    "free_large_guest",
    "holds_resource",
    "is_component",
    "kept_bytes",
    "link_component",
    "native_built",
    "native_fault",
    "read_reason",
    "require_sound",
    "run_call",
    "run_until_blocked",
    "this_thread",
    "wait_to_start",
    "wait_within",
    "work_in_turn",
]
