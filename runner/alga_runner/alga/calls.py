"""What the Alga server answers: its operations by group, and how a good answer of each is known (alga-contract 4)."""

from __future__ import annotations

from typing import NamedTuple

SCHEDULER = "scheduler"
STORAGE = "storage"


class ServerCall(NamedTuple):
    """One operation of the server.

    ``member`` makes a good answer one to this operation. A read can be sent again when the connection was lost.
    """

    group: str
    operation: str
    member: str
    is_read: bool = False

    @property
    def name(self) -> str:
        """``storage.get``."""
        return f"{self.group}.{self.operation}"


_READ = True

CALLS = {
    call.name: call
    for call in (
        ServerCall(SCHEDULER, "list", "schedules", _READ),
        ServerCall(SCHEDULER, "get", "schedule", _READ),
        ServerCall(SCHEDULER, "create", "success"),
        ServerCall(SCHEDULER, "update", "success"),
        ServerCall(SCHEDULER, "delete", "success"),
        ServerCall(SCHEDULER, "getEndpoints", "endpoints", _READ),
        ServerCall(STORAGE, "get", "value", _READ),
        ServerCall(STORAGE, "put", "revision"),
        ServerCall(STORAGE, "delete", "success"),
        ServerCall(STORAGE, "list", "items", _READ),
        ServerCall("clients", "list", "items", _READ),
        ServerCall("clients", "get", "item", _READ),
        ServerCall("services", "list", "items", _READ),
        ServerCall("services", "get", "item", _READ),
        ServerCall("invoicing", "createManualInvoice", "invoice"),
    )
}
"""By name: group and operation as the server spells them."""
