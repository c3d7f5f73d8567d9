"""Speaking to guests: one ABI a module, values to operations and back."""

from __future__ import annotations

from .abi import Import
from .core import CoreHost, CoreProgram
from .session import SessionLimits

__all__ = ["CoreHost", "CoreProgram", "Import", "SessionLimits"]
