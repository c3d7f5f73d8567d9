"""Guest ABI v1 for core modules: MessagePack documents across linear memory (guest-abi/ABI.md)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import CoroutineType
from typing import Any, TypeVar

from ..capabilities import OPERATIONS, Execution, Gate, Operation
from ..debuginfo import has_debug_info
from ..engine import (
    LARGE_BYTES,
    Budget,
    Engine,
    Guest,
    GuestLimits,
    Heavy,
    LinkedModule,
    Linker,
    Module,
    arrive,
    drive,
    in_time,
    retire,
)
from ..errors import (
    BrokenFraming,
    GuestAbort,
    GuestExit,
    GuestTrap,
    HostCallCode,
    HostCallError,
    MemoryLimit,
    NoResponse,
)
from ..models import ExecuteRequest, ExecuteResponse
from . import abi, messages
from .assemblyscript import ASSEMBLYSCRIPT_IMPORTS
from .http import decode_response, encode_request, encode_with_body, request_body
from .imports import Import, host_import
from .log import EMIT, GuestLog
from .session import Session, SessionLimits
from .wasi import WASI_IMPORTS

T = TypeVar("T")

_NOTHING = 0xFFFFFFFF
"""-1 as the guest sees it: there is no reply to fetch."""


class CoreCall:
    """The request of one host call, in a range of the guest's memory that was checked; its codec copies it out when
    the gate asks."""

    __slots__ = ("length", "offset", "operation", "session")

    def __init__(self, session: Session, operation: Operation[Any, Any], offset: int, length: int) -> None:
        self.session = session
        self.operation = operation
        self.offset = offset
        self.length = length


class CoreCodec:
    """How core modules write host calls: one MessagePack document each way."""

    def decode(self, request: CoreCall, /) -> object:
        """The request as plain values. Raises ``HostCallError``, ``BrokenFraming`` or ``CopyLimit``."""
        name = request.operation.name
        limit = request.session.limits.request_bytes + request.operation.payload_bytes
        if request.length > limit:
            raise HostCallError(
                HostCallCode.TOO_LARGE,
                f"The request of {name} has {request.length} bytes; {limit} are allowed.",
            )
        data = request.session.take(request.offset, request.length)
        try:
            return messages.decode(data, max_items=request.session.limits.items)
        except BrokenFraming as breach:
            size = "1 byte" if request.length == 1 else f"{request.length} bytes"
            breach.at(host_call=name, message=f"{size} at offset {request.offset}")
            raise

    def encode(self, reply: Mapping[str, object], /) -> bytes:
        """The envelope's bytes."""
        return messages.encode(reply)


_codec = CoreCodec()


def _operation_import(operation: Operation[Any, Any], gate: Gate) -> Import:
    name = operation.name

    async def answer(
        session: Session, offset: int, length: int, reply_offset: int, reply_capacity: int
    ) -> int:
        if not session.handling:
            session.require_handler(name)
        session.check_range(name, offset, length)
        session.check_range(name, reply_offset, reply_capacity)
        session.reply = None
        call = CoreCall(session, operation, offset, length)
        reply = await gate.call(session.execution, operation, call, _codec)
        if len(reply) <= reply_capacity:
            session.put(reply_offset, reply)
        else:
            session.reply = reply
        return len(reply)

    module = f"alga:{operation.group}"
    return host_import(module, operation.function, "iiii", "i", answer, capability=operation.capability)


def _request(session: Session, offset: int, capacity: int) -> int:
    if not session.handling:
        session.require_handler("alga:abi request")
    return _fetch(session, "alga:abi request", session.request, offset, capacity)


def _reply(session: Session, offset: int, capacity: int) -> int:
    session.require_handler("alga:abi reply")
    if session.reply is None:
        session.check_range("alga:abi reply", offset, capacity)
        return _NOTHING
    return _fetch(session, "alga:abi reply", session.reply, offset, capacity)


def _fetch(session: Session, name: str, document: bytes, offset: int, capacity: int) -> int:
    session.check_range(name, offset, capacity)
    if len(document) <= capacity:
        session.put(offset, document)
    return len(document)


def _respond(session: Session, offset: int, length: int) -> None:
    if not session.handling:
        session.require_handler("alga:abi respond")
    session.respond(offset, length)


def core_imports(gate: Gate, log: GuestLog) -> Iterator[Import]:
    """Every import of ABI v1, derived from the operation table (guest ABI, "Imports")."""
    yield host_import("alga:abi", "request", "ii", "i", _request)
    yield host_import("alga:abi", "reply", "ii", "i", _reply)
    yield host_import("alga:abi", "respond", "ii", "", _respond)
    for operation in OPERATIONS.values():
        if operation.name == "log.emit":
            module, _, name = EMIT.partition(" ")
            yield host_import(module, name, "iii", "", log.emit, early=True, capability=operation.capability)
        else:
            yield _operation_import(operation, gate)
    yield from WASI_IMPORTS
    yield from ASSEMBLYSCRIPT_IMPORTS


def _size(guest: Guest) -> int:
    return guest.memory.size if guest.memory is not None else 0


def _starved(guest: Guest, limits: GuestLimits) -> bool:
    """Whether a growth was likely refused: wasmtime does not tell, but language runtimes at least double.

    A guest sees a refused growth as -1 and then traps or aborts by itself.
    """
    return 2 * _size(guest) > limits.memory_bytes


class CoreProgram:
    """A module that was checked, compiled and linked: ready to be executed any number of times at once."""

    def __init__(self, linked: LinkedModule, initializes: bool, has_debug_info: bool) -> None:
        self.linked = linked
        self.initializes = initializes
        self.has_debug_info = has_debug_info

    def own(self) -> CoreProgram:
        """The same program for one tenant: how another's guests behave does not decide where its guests run."""
        return CoreProgram(self.linked.own(), self.initializes, self.has_debug_info)


class CoreHost:
    """Speaks ABI v1 with core modules on one engine."""

    def __init__(
        self,
        engine: Engine,
        gate: Gate,
        limits: SessionLimits,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
        heavy: Heavy | None = None,
    ) -> None:
        """``clock_ns`` is the wall clock guests see, in nanoseconds since 1970; ``heavy`` does what takes long."""
        self._engine = engine
        self._limits = limits
        self._clock_ns = clock_ns
        self._heavy = heavy or Heavy()
        self._log = GuestLog(gate)
        self._imports = tuple(core_imports(gate, self._log))
        self._linker = Linker(engine, [item.function for item in self._imports])
        self._answers: tuple[Callable[..., Any], ...] = tuple(item.answer for item in self._imports)
        self.imports: Mapping[tuple[str, str], Import] = {
            (item.function.module, item.function.name): item for item in self._imports
        }

    def link(self, module: Module, wasm: bytes) -> CoreProgram:
        """Check and link ``module``, loaded from ``wasm``: milliseconds of CPU, so call it in a worker thread.

        Raises a ``ModuleError``.
        """
        abi.check_module(module, self.imports)
        initializes = any(export.name == abi.INITIALIZE for export in module.exports)
        return CoreProgram(self._linker.link(module), initializes, has_debug_info(wasm))

    async def execute(
        self,
        program: CoreProgram,
        request: ExecuteRequest,
        execution: Execution,
        limits: GuestLimits,
        budget: Budget,
    ) -> ExecuteResponse:
        """One execution in a fresh instance, within ``budget``. Raises an ``ExecutionError`` or a ``RequestError``."""
        most = self._limits.body_bytes
        if len(request.http.body_b64 or "") < LARGE_BYTES:
            await arrive(budget)
            document = encode_request(request, max_body_bytes=most)
        else:
            body = await self._in_time(budget, lambda: request_body(request, max_bytes=most))
            document = await self._in_time(budget, lambda: encode_with_body(request, body))
            await arrive(budget)
        with Guest(program.linked, limits) as guest:
            session = Session(
                guest,
                execution,
                request=document,
                limits=self._limits,
                log=self._log,
                clock_ns=self._clock_ns,
            )
            try:
                await self._run(program, guest, session, budget)
            except (GuestTrap, GuestAbort) as error:
                if _starved(guest, limits):
                    raise MemoryLimit(
                        f"The guest ran out of memory: it had {_size(guest)} of {limits.memory_bytes} bytes. {error}",
                        frames=error.frames,
                        hint="See max_memory_mb and limits.memory_mb.",
                    ) from error
                raise
            except GuestExit:
                if session.exit_status != 0 or session.response is None:
                    raise
            finally:
                if session.unfinished:
                    await self._log.finish(session)
                await retire(guest, budget)
            if session.response is None:
                raise NoResponse("The handler returned without a response.", hint="Call alga:abi respond.")
            decoded = partial(
                decode_response, session.response, max_body_bytes=most, max_items=self._limits.items
            )
            if len(session.response) < LARGE_BYTES:
                return decoded()
            return await self._in_time(budget, decoded)

    async def _in_time(self, budget: Budget, work: Callable[[], T]) -> T:
        """What ``work`` returns, which takes long, done when it is its owner's turn. Raises ``DeadlineExceeded``."""
        return await in_time(budget, self._heavy.run(budget.owner, work))

    async def _run(self, program: CoreProgram, guest: Guest, session: Session, budget: Budget) -> None:
        answer = partial(self._answer, session)
        guest.instantiate()
        await drive(guest, answer, budget)
        if program.initializes:
            guest.call(abi.INITIALIZE)
            await drive(guest, answer, budget)
        session.handling = True
        guest.call(abi.HANDLE, len(session.request))
        await drive(guest, answer, budget)

    def _answer(
        self, session: Session, function: int, arguments: tuple[Any, ...]
    ) -> float | CoroutineType[Any, Any, float | None] | None:
        if session.guest.calls > self._limits.host_calls:
            raise session.too_many_calls()
        answer: float | CoroutineType[Any, Any, float | None] | None = self._answers[function](
            session, *arguments
        )
        return answer
