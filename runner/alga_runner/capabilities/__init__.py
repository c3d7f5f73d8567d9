"""Host functions: one module per capability, one table of operations, one gate that every host call passes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from ..errors import HostCallCode
from ..models import KNOWN_CAPABILITIES
from . import clients, context, http, invoicing, log, scheduler, secrets, services, storage, ui_proxy, user
from .gate import Codec, Gate
from .operation import Execution, HostCallRecord, LogLimits, LogLine, Operation

__all__ = [
    "OPERATIONS",
    "Codec",
    "Execution",
    "Gate",
    "HostCallRecord",
    "LogLimits",
    "LogLine",
    "Operation",
    "host_call_statuses",
]


def build_table(*groups: Iterable[Operation[Any, Any]]) -> Mapping[str, Operation[Any, Any]]:
    """Operations by name. Raises ``ValueError`` for a duplicate name, one without a group, or an unknown capability."""
    table: dict[str, Operation[Any, Any]] = {}
    for group in groups:
        for operation in group:
            if not operation.group or not operation.function:
                raise ValueError(f"operation {operation.name} is not named group.function")
            if operation.name in table:
                raise ValueError(f"operation {operation.name} is declared twice")
            if operation.capability not in KNOWN_CAPABILITIES:
                raise ValueError(
                    f"operation {operation.name} needs unknown capability {operation.capability}"
                )
            table[operation.name] = operation
    return MappingProxyType(table)


OPERATIONS = build_table(
    clients.OPERATIONS,
    context.OPERATIONS,
    http.OPERATIONS,
    invoicing.OPERATIONS,
    log.OPERATIONS,
    scheduler.OPERATIONS,
    secrets.OPERATIONS,
    services.OPERATIONS,
    storage.OPERATIONS,
    ui_proxy.OPERATIONS,
    user.OPERATIONS,
)
"""Every operation, by name. Imports, gate, documents and tests derive from it."""

_ANY_CALL = (
    *("ok", "breach", "cancelled"),
    *(HostCallCode.DENIED, HostCallCode.VALIDATION_FAILED, HostCallCode.TOO_LARGE),
    *(HostCallCode.TIMEOUT, HostCallCode.INTERNAL),
)


def host_call_statuses() -> dict[str, list[str]]:
    """By operation, the statuses that its calls can end with, apart from an execution's limits: for metrics."""
    return {
        name: sorted({*map(str, _ANY_CALL), *map(str, operation.codes)})
        for name, operation in OPERATIONS.items()
    }
