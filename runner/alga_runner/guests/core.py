"""Guest ABI v1 for core modules: MessagePack documents across linear memory (guest-abi/ABI.md)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias, TypeVar

from alga_common.sharing.large_work import LARGE_BYTES, LargeWorkQueue

from ..capabilities import OPERATIONS, Execution, Gate, HostCallRecord, Operation
from ..debuginfo import has_debug_info
from ..engine import (
    DONE,
    OVERRUN_S,
    Budget,
    Calls,
    Engine,
    Guest,
    GuestLimits,
    LinkedModule,
    Linker,
    Module,
    free_large_guest,
    run_call,
    run_until_blocked,
    this_thread,
    wait_to_start,
    wait_within,
    work_in_turn,
)
from ..errors import (
    BrokenFraming,
    GuestAbort,
    GuestExit,
    GuestFailed,
    GuestTrap,
    HostCallCode,
    HostCallError,
    MemoryLimit,
    MemoryShortage,
    NoResponse,
)
from ..models import ExecuteRequest, ExecuteResponse
from ..models._base import share_given
from . import abi, messages
from .abi import Import, host_import
from .assemblyscript import ASSEMBLYSCRIPT_IMPORTS
from .http import decode_response, encode_request, encode_with_body, request_body, without_forbidden_body
from .log import EMIT, GuestLog
from .session import CallPace, Session, SessionLimits, exchanged_bytes, explained
from .wasi import WASI_IMPORTS

T = TypeVar("T")

MAX_FAILURE_CHARACTERS = 1_000
"""Of the message of a guest that ends itself; more is cut."""

_MAX_FAILURE_BYTES = 4 * MAX_FAILURE_CHARACTERS + 4

QUICK_RESPONSE_BYTES = 4 * 1024
"""A response below this is read in microseconds, or a millisecond if it is made to take long."""

_HANDLE, _INITIALIZE_AND_HANDLE = Calls(abi.HANDLE), Calls(abi.INITIALIZE, abi.HANDLE)

_NOTHING = 0xFFFFFFFF
"""-1 as the guest sees it: there is no reply to fetch."""


CoreCall: TypeAlias = tuple[Session, Operation[Any, Any], int, int]
"""One host call: session, operation, and the range of the guest's memory that holds the request, which was checked; the
codec copies the request out when the gate decodes it."""


class CoreCodec:
    """How core modules write host calls: one MessagePack document each way."""

    def decode(self, request: CoreCall, /) -> object:
        """The request as plain values. Raises ``HostCallError``, ``BrokenFraming`` or ``CopyLimit``."""
        session, operation, offset, length = request
        limit = session.limits.request_bytes + operation.payload_bytes
        if length > limit:
            raise HostCallError(
                HostCallCode.TOO_LARGE,
                f"The request of {operation.name} has {length} bytes; {limit} are allowed.",
            )
        data = session.take(offset, length)
        try:
            return messages.decode(data, max_items=session.limits.items)
        except BrokenFraming as breach:
            size = "1 byte" if length == 1 else f"{length} bytes"
            breach.at(host_call=operation.name, message=f"{size} at offset {offset}")
            raise

    def encode(self, reply: Mapping[str, object], /) -> bytes:
        """The envelope's bytes."""
        return messages.encode(reply)

    def piece(self, item: object, /) -> messages.Written:
        """The item's bytes: as values it would take many times as much memory."""
        return messages.written(item)


_codec = CoreCodec()


def _operation_import(operation: Operation[Any, Any], gate: Gate) -> Import:
    name = operation.name

    async def answer(
        session: Session, offset: int, length: int, reply_offset: int, reply_capacity: int
    ) -> int:
        _begin(session, name, (offset, length), (reply_offset, reply_capacity))
        reply = await gate.call(session.execution, operation, (session, operation, offset, length), _codec)
        return _end(session, reply, reply_offset, reply_capacity)

    module = f"alga:{operation.group}"
    return host_import(module, operation.function, "iiii", "i", answer, capability=operation.capability)


def _begin(session: Session, name: str, request: tuple[int, int], reply: tuple[int, int]) -> None:
    """Check the time of a host call and its ranges, and forget the reply of the one before."""
    if not session.handling:
        session.require_handler(name)
    session.count_call()
    memory = session.guest.memory
    if (
        memory is None
        or request[0] + request[1] > memory.known_size
        or reply[0] + reply[1] > memory.known_size
    ):
        session.check_range(name, *request)
        session.check_range(name, *reply)
    session.reply = None


def _end(session: Session, reply: bytes, offset: int, capacity: int) -> int:
    """Give the guest the reply if it fits, and its length in any case."""
    if len(reply) >= LARGE_BYTES:
        session.guest.large = True  # as often as it likes, it asks for a copy
    if len(reply) <= capacity:
        session.put(offset, reply)
    else:
        session.keep(reply)
    return len(reply)


def _weak_import(module: str, name: str, known: Mapping[tuple[str, str], Import]) -> Import:
    """A function that a guest imports weakly: the host's own, or one that answers that the host has none."""
    offered = abi.offer(module, name, known)
    if offered is not None:
        return replace(offered, function=replace(offered.function, module=module))
    operation = f"{module.removesuffix(abi.WEAK).removeprefix('alga:')}.{name}"
    error = {"code": HostCallCode.UNSUPPORTED.value, "message": f"This host has no operation {operation}."}
    reply = messages.encode({"err": error})

    def answer(session: Session, offset: int, length: int, reply_offset: int, reply_capacity: int) -> int:
        _begin(session, operation, (offset, length), (reply_offset, reply_capacity))
        calls, kept = session.execution.host_calls, session.execution.recorded_bytes_left > 0
        record = {"err": error} if kept else None
        calls.append(HostCallRecord(len(calls) + 1, operation, error["code"], None, record, 0.0, not kept))
        return _end(session, reply, reply_offset, reply_capacity)

    return host_import(module, name, "iiii", "i", answer)


def _linked(engine: Engine, imports: Sequence[Import]) -> tuple[Linker, tuple[Callable[..., Any], ...]]:
    """A linker of ``imports``, and their answers in its order."""
    return Linker(engine, [item.function for item in imports]), tuple(item.answer for item in imports)


def _request(session: Session, offset: int, capacity: int) -> int:
    if not session.handling:
        session.require_handler("alga:abi request")
    session.count_call()
    return session.hand_over("alga:abi request", session.request, offset, capacity)


def _reply(session: Session, offset: int, capacity: int) -> int:
    session.require_handler("alga:abi reply")
    session.count_call()
    if session.reply is None:
        session.check_range("alga:abi reply", offset, capacity)
        return _NOTHING
    return session.fetch(session.reply, offset, capacity)


def _respond(session: Session, offset: int, length: int) -> None:
    if not session.handling and session.response is None:
        session.require_handler("alga:abi respond")
    session.count_call()
    session.respond(offset, length)


def _fail(session: Session, offset: int, length: int) -> None:
    session.count_call()
    session.check_range("alga:abi fail", offset, length)
    text = session.take(offset, min(length, _MAX_FAILURE_BYTES)).decode("utf-8", "replace")
    if len(text) > MAX_FAILURE_CHARACTERS:
        text = text[: MAX_FAILURE_CHARACTERS - 1] + "…"
    raise GuestFailed(f"The guest failed: {text or 'no message'}")


def core_imports(gate: Gate, log: GuestLog) -> Iterator[Import]:
    """Every import of ABI v1, derived from the operation table (guest ABI, "Imports")."""
    yield host_import("alga:abi", "request", "ii", "i", _request, exchange="in")
    yield host_import("alga:abi", "reply", "ii", "i", _reply)
    yield host_import("alga:abi", "respond", "ii", "", _respond, exchange="out")
    yield host_import("alga:abi", "fail", "ii", "", _fail, early=True)
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


def _require_memory(guest: Guest, limits: GuestLimits, error: GuestTrap | GuestAbort | GuestFailed) -> None:
    """Raise ``MemoryShortage`` or ``MemoryLimit`` if a refused growth of memory is the likely cause of ``error``.

    wasmtime does not report one: the guest sees -1, and then traps or aborts. Language runtimes at least double their
    memory, so a guest with more than half of its limit has likely asked for more than the limit.
    """
    size = _size(guest)
    if not guest.may_grow and size < limits.memory_bytes:
        raise MemoryShortage(
            f"The guest's memory could not grow, since the runner's own is near its total: {error}",
            frames=error.frames,
            hint="See max_process_memory_mb.",
        ) from error
    if 2 * size > limits.memory_bytes:
        raise MemoryLimit(
            f"The guest ran out of memory: it had {size} of {limits.memory_bytes} bytes. {error}",
            frames=error.frames,
            hint="See max_memory_mb and limits.memory_mb.",
        ) from error


class CoreProgram:
    """A module that was checked, compiled and linked: ready for any number of concurrent executions.

    ``answers`` are those of the linker's functions.
    """

    def __init__(
        self,
        linked: LinkedModule,
        answers: tuple[Callable[..., Any], ...],
        calls: Calls,
        has_debug_info: bool,
    ) -> None:
        self.linked = linked
        self.answers = answers
        self.calls = calls
        self.has_debug_info = has_debug_info

    def copy(self) -> CoreProgram:
        """The same program for one tenant: how another's guests behave does not decide where its guests run."""
        return CoreProgram(self.linked.copy(), self.answers, self.calls, self.has_debug_info)


class CoreHost:
    """Speaks ABI v1 with core modules on one engine."""

    def __init__(
        self,
        engine: Engine,
        gate: Gate,
        limits: SessionLimits,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
        large_work: LargeWorkQueue | None = None,
    ) -> None:
        """``clock_ns`` is the wall clock guests see, in nanoseconds since 1970; ``large_work`` does what takes long."""
        self._engine = engine
        self._limits = limits
        self._clock_ns = clock_ns
        self._large_work = large_work or LargeWorkQueue()
        self._log = GuestLog(gate)
        self._exchanged_bytes = exchanged_bytes(limits)
        self._imports = tuple(core_imports(gate, self._log))
        self._linker, self._answers = _linked(engine, self._imports)
        self.imports: Mapping[tuple[str, str], Import] = {
            (item.function.module, item.function.name): item for item in self._imports
        }

    def link(self, module: Module, wasm: bytes) -> CoreProgram:
        """Check and link ``module``, loaded from ``wasm``: milliseconds of CPU, so call it in a worker thread.

        Raises a ``ModuleError``.
        """
        abi.check_module(module, self.imports)
        initializes = any(export.name == abi.INITIALIZE for export in module.exports)
        calls = _INITIALIZE_AND_HANDLE if initializes else _HANDLE
        linker, answers = self._linker, self._answers
        if any(abi.is_weak(item.module) for item in module.imports):
            # Its functions alone, each once: a linker of them all takes 200 KB, for each such module.
            imported = dict.fromkeys((item.module, item.name) for item in module.imports)
            linker, answers = _linked(
                self._engine, [self.imports.get(of) or _weak_import(*of, self.imports) for of in imported]
            )
        module.forget_names()
        return CoreProgram(linker.link(module), answers, calls, has_debug_info(wasm))

    async def execute(
        self,
        program: CoreProgram,
        request: ExecuteRequest,
        execution: Execution,
        limits: GuestLimits,
        budget: Budget,
    ) -> ExecuteResponse:
        """One execution in a fresh instance, within ``budget``. Raises an ``ExecutionError`` or a ``RequestError``."""
        most, document = self._limits.body_bytes, b""
        if len(request.http.body_b64 or "") >= LARGE_BYTES:
            document = await self._large_document(request, budget)
        if not this_thread.loop_scheduler.may_start(budget.owner):
            await wait_to_start(budget)
        document = document or encode_request(request, max_body_bytes=most)
        method = request.http.method
        del request  # the guest may wait for long
        guest = program.linked.new_guest(limits)
        guest.large = len(document) >= LARGE_BYTES
        try:
            session = Session(
                guest,
                execution,
                program.answers,
                request=document,
                limits=self._limits,
                pace=CallPace(self._limits, budget, self._engine.config.tick_ms),
                log=self._log,
                clock_ns=self._clock_ns,
            )
            budget.holder = session
            guest.open_exchange(document, self._exchanged_bytes)
            try:
                guest.start(program.calls, len(document))
                answer = session.answer
                if (state := run_until_blocked(guest, answer, budget)) != DONE:
                    share_given(execution.context)
                    await run_call(guest, answer, budget, state)
            except GuestTrap as error:
                _require_memory(guest, limits, error)
                raise explained(error, session.stderr) from error
            except (GuestAbort, GuestFailed) as error:
                _require_memory(guest, limits, error)
                raise
            except GuestExit as error:
                if session.exit_status != 0 or session.response is None:
                    raise explained(error, session.stderr) from error
            finally:
                guest.take_back()  # the CPU thread has it still, where only the coroutine was closed
                session.catch_up()
                execution.system_calls = guest.calls - session.host_calls
                if session.unfinished:
                    await self._log.finish(session)
                if budget.used_s >= OVERRUN_S:
                    await free_large_guest(guest)
            response, items = session.response, self._limits.items
            if response is None:
                raise NoResponse("The handler returned without a response.", hint="Call alga:abi respond.")
            decode = partial(decode_response, response, max_body_bytes=most, max_items=items)
            decoded = decode() if len(response) < QUICK_RESPONSE_BYTES else await work_in_turn(budget, decode)
            return without_forbidden_body(decoded, method)
        finally:
            budget.holder = None
            guest.close()

    async def _large_document(self, request: ExecuteRequest, budget: Budget) -> bytes:
        body = await self._in_time(budget, partial(request_body, request, max_bytes=self._limits.body_bytes))
        return await self._in_time(budget, partial(encode_with_body, request, body))

    async def _in_time(self, budget: Budget, work: Callable[[], T]) -> T:
        """Do ``work``, which takes long, once its owner's earlier work has rested. Raises ``DeadlineExceeded``."""
        return await wait_within(budget, self._large_work.run(budget.owner, work))
