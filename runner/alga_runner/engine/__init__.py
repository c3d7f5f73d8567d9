"""wasmtime lives here and nowhere else: guests on fibers, their memory, their limits, their end."""

from __future__ import annotations

from .budget import Budget
from .compiler import CompileBounds
from .drive import DONE, advance, arrive, drive, in_time, retire
from .engine import Engine, EngineConfig
from .guest import Answer, Answerer, Guest
from .heavy import LARGE_BYTES, Heavy
from .interrupts import deferred_interrupts
from .limits import GuestLimits
from .linker import HostFunction, LinkedModule, Linker
from .loader import ModuleLoader
from .memory import LinearMemory
from .module import ExportType, ImportType, Module, Signature
from .selfcheck import require_sound
from .trial import require_survivable
from .turns import this_thread
from .worker import HELD_S

__all__ = [
    "DONE",
    "HELD_S",
    "LARGE_BYTES",
    "Answer",
    "Answerer",
    "Budget",
    "CompileBounds",
    "Engine",
    "EngineConfig",
    "ExportType",
    "Guest",
    "GuestLimits",
    "Heavy",
    "HostFunction",
    "ImportType",
    "LinearMemory",
    "LinkedModule",
    "Linker",
    "Module",
    "ModuleLoader",
    "Signature",
    "advance",
    "arrive",
    "deferred_interrupts",
    "drive",
    "in_time",
    "require_sound",
    "require_survivable",
    "retire",
    "this_thread",
]
