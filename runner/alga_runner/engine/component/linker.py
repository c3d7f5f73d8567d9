"""Host functions for the imports of one component: only those that it has, with the types that it has them.

wasmtime accepts any type for a function that is defined through the C API. So a component built against an older or a
newer world links, and whether its types still fit is found where values cross: nothing fails here for a function that
the host lacks, only its call does.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ...errors import HostFunctionMissing
from .. import _capi as core
from .. import traps
from ..engine import Engine
from ..linker import ANSWERED, Continuation, Linked
from ..running import running
from . import _capi
from .component import Compiled, Component, ComponentImport
from .lift import Crossing, Lift, lifter
from .lower import Lower, Unlowerable, give_arena_back, lowerer, take_arena
from .resources import ResourceTypes, destructor, free_handles, resource_in
from .types import FunctionType, ValueType

if TYPE_CHECKING:
    from .guest import ComponentGuest


@dataclass(frozen=True, slots=True)
class Offer:
    """What the host answers an import with: ``answer(session, *arguments)``.

    ``suspends`` as in ``HostFunction``. ``resource`` is the name of the resource that its result holds, if it holds
    one: then it does not suspend.
    """

    answer: Callable[..., Any]
    suspends: bool = True
    resource: str = ""


@dataclass(frozen=True, slots=True)
class ComponentFunction:
    """One imported function, ready to be called: ``module`` is its interface."""

    module: str
    name: str
    type: FunctionType
    answer: Callable[..., Any]
    lifts: tuple[Lift, ...]
    lower: Lower | None

    def arguments(self, address: int, guest: ComponentGuest) -> tuple[Any, ...]:
        """The arguments at ``address``, counted for ``guest``. Raises ``MessageLimit``."""
        crossing = Crossing(guest.max_items, guest.max_text)
        try:
            return tuple(
                [lift(address + _capi.VAL_SIZE * place, crossing) for place, lift in enumerate(self.lifts)]
            )
        finally:
            guest.last_bytes = crossing.bytes
            guest.all_bytes += crossing.bytes

    def give(self, result: Any, guest: ComponentGuest, place: int) -> None:
        """Write ``result`` to ``place``, where wasmtime takes it; its bytes are counted for ``guest``.

        Raises ``HostFunctionMissing`` for one that does not fit the function's type.
        """
        if self.lower is None:
            return
        arena = take_arena()
        try:
            _capi.val_clone(self.lower(result, arena), place)
        except Unlowerable as error:
            raise HostFunctionMissing(
                f"The component imports {self.module} {self.name} with a type that the host has no value of: {error}.",
                hint="Build it against guest-abi/wit.",
            ) from None
        finally:
            free_handles(arena)
            guest.all_bytes += arena.bytes
            give_arena_back(arena)


@dataclass(frozen=True, slots=True)
class ComponentExport:
    """One exported function, ready to be called: its values both ways."""

    lowers: tuple[Lower, ...]
    lift: Lift | None


@dataclass(frozen=True, slots=True)
class LinkedCode:
    """A component's code for one engine with its imports resolved: what an instance is made of.

    ``component`` and ``linker`` are addresses, ``exports`` has the index of each function in ``ComponentExport``.
    """

    engine: Engine
    component: int
    linker: int
    exports: Mapping[str, int]


class LinkedComponent(Linked):
    """A component whose imports are resolved; guests are made from it."""

    def __init__(self, parts: _Parts) -> None:
        super().__init__(parts.component.on_demand.engine)
        self.component = parts.component
        self.functions: Sequence[ComponentFunction] = parts.functions
        self.exports = parts.exports
        self.on_demand = parts.link(parts.component.on_demand)
        """Makes guests that get memory of their own."""
        self.pooled = parts.link(parts.component.pooled) if parts.component.pooled else None
        """Makes guests in slots of a pool, as long as one is free: in half the time."""
        self.missing: Sequence[str] = parts.missing
        """The functions that it imports and the host does not have."""
        self._parts = parts  # its callbacks must outlive every guest

    def copy(self) -> LinkedComponent:
        """The same component with a memory of its own of how its guests ran: one for each tenant."""
        return LinkedComponent(self._parts)


_Define: TypeAlias = Callable[[int], "int | None"]
"""Defines an import in the linker's instance at an address; gives the address of an error, or nothing."""


class _Parts:
    """The parts of a component that are made once and shared by the tenants that use it."""

    def __init__(self, component: Component, dropped: Callable[[Any, int], None]) -> None:
        self.component = component
        self.functions: list[ComponentFunction] = []
        self.exports: dict[str, ComponentExport] = {}
        self.missing: list[str] = []
        self.dropped = destructor(dropped)
        self.callbacks: list[Any] = []
        self.resources = ResourceTypes()
        self.definitions: dict[str, list[_Define]] = {}
        """By interface; its imports at the top level are those of an empty name."""
        self._linked: dict[int, LinkedCode] = {}

    def link(self, compiled: Compiled) -> LinkedCode:
        """Define the imports for one engine, once."""
        component = compiled.pointer
        if component not in self._linked:
            linker = _capi.linker_new(compiled.engine.pointer)
            weakref.finalize(self, _capi.linker_delete, linker).atexit = False
            root = _capi.linker_root(linker)
            try:
                for interface, definitions in self.definitions.items():
                    _define(root, interface, definitions)
            finally:
                _capi.linker_instance_delete(root)
            exports = {path: _export_index(component, path) for path in self.exports}
            self._linked[component] = LinkedCode(compiled.engine, component, linker, exports)
        return self._linked[component]


def link(
    component: Component,
    offer: Callable[[ComponentImport], Offer | None],
    dropped: Callable[[Any, int], None],
) -> LinkedComponent:
    """Link ``component``: milliseconds of CPU, so call it in a worker thread.

    ``offer`` gives what answers an import, ``None`` for what the host does not have. ``dropped`` is called with the
    guest and the number of each resource that a guest dropped.
    """
    parts = _Parts(component, dropped)
    for imported in component.imports:
        parts.definitions.setdefault(imported.full_interface, []).append(
            _resource(parts, imported)
            if imported.type is None
            else _function(parts, imported, imported.type, offer(imported))
        )
    for path, signature in component.exports.items():
        if not signature.unsupported and not holds_resource(signature):
            parts.exports[path] = ComponentExport(
                tuple(lowerer(param) for _, param in signature.params),
                lifter(signature.result) if signature.result else None,
            )
    return LinkedComponent(parts)


def holds_resource(signature: FunctionType) -> bool:
    """Whether a resource crosses in a call of a function of that type."""
    types: list[ValueType | None] = [signature.result, *(param for _, param in signature.params)]
    while types:
        of = types.pop()
        if of is not None:
            if of.kind in {"own", "borrow"}:
                return True
            types += [of.element, of.error, *(member for _, member in of.members)]
    return False


def _export_index(component: int, path: str) -> int:
    index = None
    for name in path.split("#"):
        data = name.encode()
        index = _capi.get_export_index(component, index, data, len(data))
    assert index is not None  # noqa: S101 - the component's type names it
    return int(index)


def _define(root: int, interface: str, definitions: Sequence[_Define]) -> None:
    place = _interface(root, interface) if interface else root
    try:
        for define in definitions:
            if error := define(place):
                raise traps.take_error(error)
    finally:
        if interface:
            _capi.linker_instance_delete(place)


def _interface(root: int, interface: str) -> int:
    place, name = ctypes.c_size_t(), interface.encode()
    if error := _capi.add_instance(root, name, len(name), ctypes.addressof(place)):
        raise traps.take_error(error)
    return place.value


def _resource(parts: _Parts, imported: ComponentImport) -> _Define:
    name, number = imported.name.encode(), parts.resources.number(imported.name, imported.resource)
    dropped = core.address(parts.dropped)

    def define(place: int) -> int | None:
        of = _capi.resource_type_new_host(number)
        error: int | None = _capi.add_resource(place, name, len(name), of, dropped, None, None)
        _capi.resource_type_delete(of)
        return error

    return define


def _function(
    parts: _Parts, imported: ComponentImport, signature: FunctionType, offer: Offer | None
) -> _Define:
    if signature.unsupported:
        offer = _missing(
            parts, imported, f"with a type that cannot cross the border ({signature.unsupported})"
        )
        signature = FunctionType()  # its arguments are never touched
    elif offer is None:
        offer = _missing(parts, imported, "which the host does not have")
    giver = parts.resources.giver(offer.resource) if holds_resource(signature) else None
    function = ComponentFunction(
        imported.interface,
        imported.name,
        signature,
        offer.answer,
        tuple(lifter(param, resource_in) for _, param in signature.params),
        lowerer(signature.result, giver) if signature.result else None,
    )
    index = len(parts.functions)
    parts.functions.append(function)
    callback = (_suspending_callback if offer.suspends else _immediate_callback)(index, function)
    parts.callbacks.append(callback)
    add, name = (_capi.add_func_async if offer.suspends else _capi.add_func), imported.name.encode()
    address = core.address(callback)
    return lambda place: add(place, name, len(name), address, None, None)


def _missing(parts: _Parts, imported: ComponentImport, reason: str) -> Offer:
    parts.missing.append(str(imported))

    def refuse(*_: object) -> None:
        raise HostFunctionMissing(
            f"The component called {imported}, {reason}.",
            hint="`alga-runner inspect` lists what the host has of what a component imports.",
        ).at(host_call=str(imported))

    return Offer(refuse, suspends=False)


def _suspending_callback(index: int, function: ComponentFunction) -> Any:
    """The callback of a function that suspends its guest."""
    continuation_at = Continuation.from_address

    def on_call(
        _env: int | None,
        _context: int | None,
        _type: int | None,
        arguments: int | None,
        _count: int,
        results: int | None,
        _result_count: int,
        failed: int,
        answer: int,
    ) -> None:
        flag = ANSWERED
        try:
            guest = running.guest
            given = function.arguments(arguments or 0, guest)
            guest.suspend(index, given, results or 0, 0)
            flag = guest.flag_address
        except BaseException as error:  # noqa: BLE001 - an exception that leaves a callback aborts the process
            ctypes.c_void_p.from_address(failed).value = _fail(index, error)
        continuation_at(answer)[:] = [core.ready_when_nonzero, flag, 0]

    return _capi.ASYNC_CALLBACK(on_call)


def _immediate_callback(index: int, function: ComponentFunction) -> Any:
    """The callback of a function that is answered inside it."""

    def on_call(
        _env: int | None,
        _context: int | None,
        _type: int | None,
        arguments: int | None,
        _count: int,
        results: int | None,
        _result_count: int,
    ) -> int:
        try:
            guest = running.guest
            guest.calls += 1
            function.give(
                guest.answerer(index, function.arguments(arguments or 0, guest)), guest, results or 0
            )
        except BaseException as error:  # noqa: BLE001 - an exception that leaves a callback aborts the process
            return _fail(index, error)
        return 0

    return _capi.SYNC_CALLBACK(on_call)


def _fail(index: int, failure: BaseException) -> int:
    """Keep the exception of a callback with its guest; returns the error that ends the guest."""
    guest = running.guest
    if guest is not None:
        guest.failure, guest.failed_in = failure, index
    error: int = core.error_new(b"host") or 0
    return error
