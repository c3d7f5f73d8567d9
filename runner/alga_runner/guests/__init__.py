"""Speaking to guests: one ABI a module, values to operations and back."""

from __future__ import annotations

from .abi import Import
from .host import Host, Program
from .session import SessionLimits

__all__ = ["Host", "Import", "Program", "SessionLimits"]
