"""The world ``alga:extension/runner``: which operation answers each of its functions (guest-abi/wit).

One row a function. All else follows from types, those of the operation's models and those that the component has:
kebab-case for camelCase, options for members that may be absent, JSON text for values of any form, the case of an error
type that is nearest to a code, records with ``success`` for functions that never fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..capabilities import OPERATIONS, Operation
from .component_values import only_member

PACKAGE = "alga:extension"


@dataclass(frozen=True, slots=True)
class Binding:
    """One function of the world and the operation that answers it.

    ``fixed`` is added to the operation's input. ``cleared_by_empty`` are the members, camelCase, whose empty text means
    that they are cleared. ``member`` is what the function answers of the operation's output, if not the whole of it,
    and ``echoes_input`` whether the members of the input are in its record, too. A ``paged`` function may answer with
    less of a page than the operation does.
    """

    interface: str
    function: str
    operation: Operation[Any, Any]
    fixed: Mapping[str, object] = field(default_factory=dict)
    cleared_by_empty: frozenset[str] = frozenset()
    member: str | None = None
    echoes_input: bool = False
    paged: bool = False

    @property
    def name(self) -> str:
        """``alga:extension/scheduler list-schedules``, as messages name it."""
        return f"{PACKAGE}/{self.interface} {self.function}"


def _bindings() -> Iterator[Binding]:
    def row(interface: str, function: str, operation: str, **options: Any) -> Binding:
        options.setdefault("member", only_member(OPERATIONS[operation].output))
        return Binding(interface, function, OPERATIONS[operation], **options)

    yield row("context", "get-context", "context.get")
    for level in ("info", "warn", "error"):
        yield row("logging", f"log-{level}", "log.emit", fixed={"level": level})
    yield row("http", "fetch", "http.fetch")
    yield row("ui-proxy", "call-route", "ui-proxy.call-route")
    yield row("secrets", "get", "secrets.get")
    yield row("secrets", "list-keys", "secrets.list-keys")
    yield row("user", "get-user", "user.get")
    yield row("user-v2", "get-user", "user.get")
    yield row("storage", "get", "storage.get")
    yield row("storage", "put", "storage.put", member=None, echoes_input=True)
    yield row("storage", "delete", "storage.delete")
    yield row("storage", "list-entries", "storage.list", member="entries", paged=True)
    yield row("clients", "list-clients", "clients.list")
    yield row("clients", "get-client", "clients.get")
    yield row("services", "list-services", "services.list")
    yield row("services", "get-service", "services.get")
    yield row("invoicing", "create-manual-invoice", "invoicing.create-manual-invoice")
    yield row("scheduler", "list-schedules", "scheduler.list")
    yield row("scheduler", "get-schedule", "scheduler.get")
    yield row("scheduler", "create-schedule", "scheduler.create")
    yield row("scheduler", "update-schedule", "scheduler.update", cleared_by_empty=frozenset({"payload"}))
    yield row("scheduler", "delete-schedule", "scheduler.delete")
    yield row("scheduler", "get-endpoints", "scheduler.get-endpoints")


BINDINGS: Mapping[tuple[str, str], Binding] = {
    (f"{PACKAGE}/{binding.interface}", binding.function): binding for binding in _bindings()
}
"""Every function of the world, by its interface and name."""
