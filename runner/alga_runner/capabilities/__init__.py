"""Host functions: one module per capability, one table of operations, one gate that every host call passes."""

from __future__ import annotations

from .gate import Codec, Gate
from .operation import Execution, HostCallRecord, LogLimits, LogLine, Operation
from .table import OPERATIONS

__all__ = [
    "OPERATIONS",
    "Codec",
    "Execution",
    "Gate",
    "HostCallRecord",
    "LogLimits",
    "LogLine",
    "Operation",
]
