"""Components of the world ``alga:extension/runner`` (guest-abi/wit): requests, responses and host calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from types import CoroutineType
from typing import Any, TypeVar

from alga_common.sharing.large_work import LARGE_BYTES, LargeWorkQueue

from ..capabilities import OPERATIONS, Execution, Gate
from ..engine import (
    DONE,
    OVERRUN_S,
    Budget,
    Component,
    ComponentGuest,
    ComponentImport,
    FunctionType,
    GuestLimits,
    LinkedComponent,
    Offer,
    Unlowerable,
    ValueType,
    free_large_guest,
    holds_resource,
    link_component,
    run_call,
    run_until_blocked,
    this_thread,
    wait_to_start,
    wait_within,
)
from ..errors import (
    ExportMissing,
    ExportMistyped,
    GuestExit,
    GuestTrap,
    HostCallCode,
    HostCallError,
    ImportUnknown,
)
from ..models import ExecuteRequest, ExecuteResponse
from . import wasi_p2
from .component_session import LARGE_BODY_BYTES, ComponentSession
from .component_values import Shape, holds_bytes, json_members, outcomes, shaper, to_input
from .component_world import BINDINGS, PACKAGE, Binding
from .http import RESPONSE_OVERHEAD_BYTES, plain_request, request_body, response_of, without_forbidden_body
from .log import GuestLog
from .session import CallPace, SessionLimits, explained

T = TypeVar("T")

HANDLER = "handler"
_MAX_TOLD_CHARACTERS = 500
_BUILD_FOR_WORLD = "Build it for the world runner of guest-abi/wit."


_JSON_MEMBERS = {
    of.name: (json_members(of.input), json_members(of.output))
    for of in (binding.operation for binding in BINDINGS.values())
}
"""The members of each operation's input and output that hold any JSON value."""


_MOST_PAYLOAD = max(operation.payload_bytes for operation in OPERATIONS.values())

_HOLDING_BYTES = frozenset(
    binding.operation.name for binding in BINDINGS.values() if holds_bytes(binding.operation.output)
)
"""Operations whose output may be large for a component, which takes bytes one by one."""


class ComponentCodec:
    """How one function of a component writes host calls; made for the types that the component has."""

    def __init__(self, binding: Binding, imported: ComponentImport, limits: SessionLimits) -> None:
        assert imported.type is not None  # noqa: S101 - a function has one
        self._binding = binding
        self._type = imported.type
        self._body_bytes = min(limits.component_body_bytes, limits.body_bytes)
        self._input_texts, output_texts = _JSON_MEMBERS[binding.operation.name]
        self._outcome = outcomes(imported.type.result, output_texts, binding.member)

    def decode(self, request: tuple[ComponentSession, tuple[Any, ...]], /) -> dict[str, object]:
        """The arguments as the operation's input. Raises ``HostCallError``."""
        session, arguments = request
        operation = self._binding.operation
        limit = session.limits.request_bytes + operation.payload_bytes
        # A function without a result cannot refuse: the gate cuts what it is given, such as a line of the log.
        if session.guest.last_bytes > limit and self._type.result is not None:
            raise HostCallError(
                HostCallCode.TOO_LARGE,
                f"The request of {operation.name} has {session.guest.last_bytes} bytes; {limit} are allowed.",
            )
        plain = to_input(self._type, arguments, self._input_texts, self._binding.cleared_by_empty)
        plain.update(self._binding.fixed)
        return plain

    def encode(self, reply: Mapping[str, object], /) -> Any:
        """The envelope as the function's result. Raises ``HostCallError`` for bytes that are too many for a component.

        Those of a body take 48 times as much memory as they cross the border.
        """
        operation = self._binding.operation
        if self._binding.paged and "ok" in reply:
            reply = {"ok": self._that_fit(reply["ok"])}
        if operation.name in _HOLDING_BYTES and (size := _bytes_in(reply.get("ok"))) > self._body_bytes:
            raise HostCallError(
                HostCallCode.TOO_LARGE,
                f"The answer of {operation.name} has {size} bytes; a component is given "
                f"{self._body_bytes} at most (max_component_body_bytes).",
            )
        return self._outcome(reply)

    def piece(self, item: object, /) -> object:
        """The item as it is."""
        return item

    def _that_fit(self, page: Any) -> dict[str, object]:
        """The first of a page's items, as many as fit and one at least: the next page begins after them."""
        member, left = str(self._binding.member), self._body_bytes
        items = page[member]
        for count, item in enumerate(items):
            left -= _bytes_in(item)
            if left < 0 and count:
                return {member: items[:count]}
        return {member: items}


class _EchoingCodec:
    """The codec of one call whose result repeats its arguments."""

    def __init__(self, codec: ComponentCodec) -> None:
        self._codec = codec
        self._input: Mapping[str, object] = {}

    def decode(self, request: tuple[ComponentSession, tuple[Any, ...]], /) -> object:
        self._input = self._codec.decode(request)
        return self._input

    def encode(self, reply: Mapping[str, Any], /) -> Any:
        ok = reply.get("ok")
        return self._codec.encode(reply if ok is None else {"ok": {**self._input, **ok}})

    def piece(self, item: object, /) -> object:
        return item


def _bytes_in(value: Any) -> int:
    """How many bytes, apart from text, a value has in it."""
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(_bytes_in, value.values()))
    return sum(map(_bytes_in, value)) if isinstance(value, list | tuple) else 0


def _world_offer(gate: Gate, imported: ComponentImport, limits: SessionLimits) -> Offer | None:
    binding = BINDINGS.get((imported.interface, imported.name))
    if binding is None or imported.type is None or imported.type.unsupported:
        return None
    operation, codec = binding.operation, ComponentCodec(binding, imported, limits)

    async def answer(session: ComponentSession, *arguments: Any) -> Any:
        session.count_call()
        of_call = _EchoingCodec(codec) if binding.echoes_input else codec
        result = await gate.call(session.execution, operation, (session, arguments), of_call)
        if operation.name in _HOLDING_BYTES and _bytes_in(result) >= LARGE_BODY_BYTES:
            session.guest.large = True
        return result

    return Offer(answer)


def check_component(component: Component) -> ValueType:
    """Return the type of the request that the handler takes. Raises a ``ModuleError`` if it is no extension."""
    handler = component.exports.get(HANDLER)
    if handler is None:
        exported = ", ".join(sorted(component.exports))[:_MAX_TOLD_CHARACTERS] or "none"
        raise ExportMissing(
            f"The component exports no function {HANDLER}. Those that it exports: {exported}.",
            hint=_BUILD_FOR_WORLD,
        )
    if not _is_handler(handler):
        raise ExportMistyped(
            f"The component's {HANDLER} is a {str(handler)[:_MAX_TOLD_CHARACTERS]}, not a"
            " func(request: execute-request) -> execute-response.",
            hint=_BUILD_FOR_WORLD,
        )
    for imported in component.imports:
        if not is_known(imported):
            raise ImportUnknown(
                f"The component imports {imported}; the host has the interfaces of {PACKAGE} and of WASI 0.2.",
                hint="See guest-abi/wit.",
            )
    return handler.params[0][1]


def _is_handler(of: FunctionType) -> bool:
    """Whether it takes a record and returns one that has a status; whether their members fit is found in its calls."""
    if of.unsupported or holds_resource(of) or len(of.params) != 1 or of.result is None:
        return False
    ((_, request),) = of.params
    return request.kind == of.result.kind == "record" and any(
        name == "status" and member.kind == "u16" for name, member in of.result.fields
    )


def is_known(imported: ComponentImport) -> bool:
    """Whether the host knows the interface: it is of Alga's world or of WASI."""
    return imported.interface.startswith((f"{PACKAGE}/", wasi_p2.PACKAGE))


def needed_capability(imported: ComponentImport) -> str | None:
    """The capability that a call of the function needs, ``None`` for WASI's and unknown ones."""
    binding = BINDINGS.get((imported.interface, imported.name))
    return binding.operation.capability if binding else None


def effect(imported: ComponentImport) -> str:
    """What becomes of a call of the function, beyond that it is answered: empty, or a remark for people."""
    if (
        imported.type is None
        or wasi_p2.is_answered(imported)
        or (imported.interface, imported.name) in BINDINGS
    ):
        return imported.type.unsupported if imported.type else ""
    if imported.interface.startswith(wasi_p2.PACKAGE) and wasi_p2.offer(imported) is not None:
        return "refused with an error"
    return "ends the guest that calls it"


class ComponentProgram:
    """A component that was checked, compiled and linked: ready for any number of concurrent executions."""

    has_debug_info = False

    def __init__(self, linked: LinkedComponent, shape_request: Shape) -> None:
        self.linked = linked
        self.shape_request = shape_request

    def copy(self) -> ComponentProgram:
        """The same program for one tenant: how another's guests behave does not decide where its guests run."""
        return ComponentProgram(self.linked.copy(), self.shape_request)


class ComponentHost:
    """Runs components of the world ``alga:extension/runner`` on one engine."""

    def __init__(
        self,
        gate: Gate,
        limits: SessionLimits,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
        large_work: LargeWorkQueue | None = None,
    ) -> None:
        """``clock_ns`` is the wall clock guests see, in nanoseconds since 1970; ``large_work`` does what takes long."""
        self._gate = gate
        self._limits = limits
        self._body_bytes, self._body_setting = min(
            (limits.component_body_bytes, "max_component_body_bytes"), (limits.body_bytes, "max_body_bytes")
        )
        self._max_text = max(limits.request_bytes + _MOST_PAYLOAD, self._body_bytes + RESPONSE_OVERHEAD_BYTES)
        self._clock_ns = clock_ns
        self._large_work = large_work or LargeWorkQueue()
        self._log = GuestLog(gate)

    def link(self, component: Component) -> ComponentProgram:
        """Check and link ``component``: milliseconds of CPU, so call it in a worker thread.

        Raises a ``ModuleError``.
        """
        request_type = check_component(component)
        return ComponentProgram(link_component(component, self._offer, _dropped), shaper(request_type))

    def _offer(self, imported: ComponentImport) -> Offer | None:
        if imported.interface.startswith(wasi_p2.PACKAGE):
            return wasi_p2.offer(imported)
        return _world_offer(self._gate, imported, self._limits)

    async def execute(
        self,
        program: ComponentProgram,
        request: ExecuteRequest,
        execution: Execution,
        limits: GuestLimits,
        budget: Budget,
    ) -> ExecuteResponse:
        """One execution in a fresh instance, within ``budget``. Raises an ``ExecutionError`` or a ``RequestError``."""
        if len(request.http.body_b64 or "") < LARGE_BYTES:
            body = self._body(request)
        else:
            body = await wait_within(budget, self._large_work.run(budget.owner, partial(self._body, request)))
        if not this_thread.loop_scheduler.may_start(budget.owner):
            await wait_to_start(budget)
        guest = ComponentGuest(program.linked, limits, max_items=self._limits.items, max_text=self._max_text)
        try:
            session = ComponentSession(
                guest,
                execution,
                limits=self._limits,
                pace=CallPace(self._limits, budget, guest.engine.config.tick_ms),
                log=self._log,
                clock_ns=self._clock_ns,
            )
            guest.session = budget.holder = session
            try:
                document, method = _shaped_request(program, request, body), request.http.method
                large = body is not None and len(body) >= LARGE_BODY_BYTES
                running = self._run(guest, session, document, budget, large=large)
                del request, body, document  # the guest may wait for long: here and below
                returned = await running
            except (GuestTrap, GuestExit) as error:
                raise explained(error, session.stderr) from error
            finally:
                execution.system_calls = guest.calls - session.host_calls
                if session.unfinished:
                    await self._log.finish(session)
                if budget.used_s >= OVERRUN_S:
                    await free_large_guest(guest)
            response = response_of(returned, max_body_bytes=self._body_bytes, setting=self._body_setting)
            return without_forbidden_body(response, method)
        finally:
            budget.holder = None
            guest.close()

    def _body(self, request: ExecuteRequest) -> bytes | None:
        return request_body(request, max_bytes=self._body_bytes, setting=self._body_setting)

    async def _run(
        self,
        guest: ComponentGuest,
        session: ComponentSession,
        document: object,
        budget: Budget,
        *,
        large: bool,
    ) -> Any:
        answer = partial(self._answer, session)
        guest.instantiate()
        if (state := run_until_blocked(guest, answer, budget)) != DONE:
            await run_call(guest, answer, budget, state)
        try:
            guest.call(HANDLER, document, large=large)
            del document
            if (state := run_until_blocked(guest, answer, budget)) != DONE:
                await run_call(guest, answer, budget, state)
        except Unlowerable as error:
            raise _no_request(error) from None
        return guest.result()

    def _answer(
        self, session: ComponentSession, function: int, arguments: tuple[Any, ...]
    ) -> Any | CoroutineType[Any, Any, Any]:
        session.check_limits()
        return session.guest.linked.functions[function].answer(session, *arguments)


def _dropped(guest: ComponentGuest, number: int) -> None:
    session = guest.session
    if session is not None:
        wasi_p2.dropped(session, number)


def _shaped_request(program: ComponentProgram, request: ExecuteRequest, body: bytes | None) -> object:
    try:
        return program.shape_request(plain_request(request, body))
    except HostCallError as error:
        raise _no_request(error) from None


def _no_request(error: Exception) -> ExportMistyped:
    return ExportMistyped(
        f"The component's {HANDLER} cannot be given a request: {str(error)[:_MAX_TOLD_CHARACTERS]}",
        hint=_BUILD_FOR_WORLD,
    )
