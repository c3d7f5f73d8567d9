"""wasmtime lives here and nowhere else: guests on fibers, their memory, their limits, their end."""

from __future__ import annotations

from .budget import Budget
from .drive import arrive, drive
from .engine import Engine, EngineConfig
from .guest import Answer, Answerer, Guest
from .interrupts import deferred_interrupts
from .limits import GuestLimits
from .linker import HostFunction, LinkedModule, Linker
from .memory import LinearMemory
from .module import ExportType, ImportType, Module, Signature
from .selfcheck import require_sound
from .trial import require_survivable
from .turns import turns

__all__ = [
    "Answer",
    "Answerer",
    "Budget",
    "Engine",
    "EngineConfig",
    "ExportType",
    "Guest",
    "GuestLimits",
    "HostFunction",
    "ImportType",
    "LinearMemory",
    "LinkedModule",
    "Linker",
    "Module",
    "Signature",
    "arrive",
    "deferred_interrupts",
    "drive",
    "require_sound",
    "require_survivable",
    "turns",
]
