"""One guest: a store, an instance and the fiber it runs on, with one owner from start to end.

The owner starts it, polls it until it is done or suspended in a host call, answers, polls again, and closes it: future
first, then store. Only the owner may close it, and a guest is never polled again once it is done: wasmtime would crash
(docs/design/engine.md, Hazards, 3). The owner may change threads, but no two threads use a guest at the same time.
"""

from __future__ import annotations

import ctypes
import signal
import struct
from collections.abc import Callable, Sequence
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from ..errors import AbiBreach, AlgaError, ExecutionError, ExportMissing, LimitExceeded
from ..frames import Frame
from . import _capi, traps
from .engine import Engine
from .memory import GuestLimits, LinearMemory
from .module import Calls
from .running import deferred_signals, running

if TYPE_CHECKING:
    from .linker import Linked

_INSTANCE = 0
_EXTERN = _INSTANCE + _capi.INSTANCE_SIZE
MEMORY_OFFSET = _EXTERN + _capi.EXTERN_SIZE
ARGUMENT_OFFSET = MEMORY_OFFSET + _capi.EXTERN_SIZE
_TRAP = ARGUMENT_OFFSET + _capi.VAL_SIZE
ERROR_OFFSET = _TRAP + 8
FLAG_OFFSET = ERROR_OFFSET + 8
NATIVE_OFFSET = FLAG_OFFSET + 8
SCRATCH_SIZE = NATIVE_OFFSET + 280
"""Offsets in a guest's scratch buffer, the one piece of host memory that C writes to: ``struct alga_guest`` of
``native/alga_engine.c``, whose last part is the native helper's alone."""

_IS_FUNCTION = bytes([_capi.EXTERN_FUNC])
_IS_MEMORY = bytes([_capi.EXTERN_MEMORY])

_addresses = struct.Struct("=QQ")
_unpack_addresses = _addresses.unpack_from
i32_value = struct.Struct("=B7xI20x")
RESULT_FORMATS = {"i": "=B7xI4x", "I": "=B7xQ", "f": "=B7xf4x", "d": "=B7xd"}
"""How each kind of result is written, by its ``wasmtime_valkind_t``: the layout of that and the number."""

_RESULTS = {
    letter: (kind, layout.pack_into, (ctypes.c_char * layout.size).from_address)
    for kind, (letter, layout) in enumerate(
        (letter, struct.Struct(layout)) for letter, layout in RESULT_FORMATS.items()
    )
}

LARGE_MEMORY_BYTES = 8 * 1024 * 1024
"""One instruction over a smaller memory fills or copies it within milliseconds."""

_STOPPED = b"stopped"

NO_CALL = "the guest waits for no answer"


def _stop(_context: int | None, _data: int | None, _delta: int | None, _kind: int | None) -> int:
    """Epoch callback that ends the guest with an error, which has its stack."""
    error: int = _capi.error_new(_STOPPED)
    return error


_stop_callback = _capi.EPOCH_CALLBACK(_stop)
_STOP = _capi.address(_stop_callback)


Answer = float | None
"""What a host call returns to the guest: a number, or nothing for a function without a result."""

Answerer: TypeAlias = "Callable[[int, tuple[Any, ...]], Answer | CoroutineType[Any, Any, Answer]]"
"""Answers the host function at a position in the linker, given its raw arguments. Gives the result, or, where the
function suspends the guest, a coroutine."""


PendingCall: TypeAlias = tuple[int, tuple[Any, ...]]
"""A host call that waits for its answer: the function's position in the linker, and its raw arguments.

A tuple, since it is made on the guest's stack: to call a class there takes 500 bytes of it, which stay resident.
"""


BLOCKED: Final = 0
FINISHED: Final = 1
FAILED: Final = 2
"""How a run of a guest ended: it waits for an answer or its slice is over; it did all it was to do; or a trap or an
error ended it."""

_scratches: list[Any] = []
"""Scratch buffers of ended guests, for reuse: making one costs as much as a store."""


class Guest:
    """A fresh, isolated instance. Use it as a context manager, or call ``close`` in a ``finally``.

    ``answerer`` answers the host functions that do not suspend it, on its own stack and the thread that polls it. The
    others leave a ``pending`` call, which its owner answers with ``resume``, or ``fail``.
    """

    __slots__ = (
        "_address",
        "_argument",
        "_future",
        "_left",
        "_results",
        "_scratch",
        "_store",
        "alive",
        "answerer",
        "calls",
        "context",
        "engine",
        "failed_in",
        "failure",
        "flag_address",
        "handling",
        "large",
        "linked",
        "may_grow",
        "memory",
        "pending",
        "reclaim",
        "trap_address",
    )

    exchanges = False
    """Whether functions of an ``exchange`` may be answered without asking, or were since ``take_exchange``."""

    exchanged = False
    """Whether some may have been, when the answerer is asked."""

    hides_memory = False
    """Whether nothing shows how large its memory is."""

    failed_in: int
    """The host function, by its position in the linker, that ``failure`` was raised in."""

    trap_address: int
    """Address at which the pending host call takes an error instead of its answer."""

    def __init__(self, linked: Linked, limits: GuestLimits, engine: Engine | None = None) -> None:
        """Make the store, on ``engine`` rather than that of ``linked``.

        Raises ``EngineForked``; nothing of the guest has run yet.
        """
        self.engine = engine = engine or linked.engine
        engine.ticker.acquire()
        self.linked: Any = linked
        try:
            self._scratch = _scratches.pop()
        except IndexError:
            self._scratch = ctypes.create_string_buffer(SCRATCH_SIZE)
        self._address = address = ctypes.addressof(self._scratch)
        self.flag_address = address + FLAG_OFFSET
        self.alive = True
        """Whether it was not closed yet."""
        self._results = 0
        self.memory: LinearMemory | None = None
        self.calls = 0
        """Host calls, of either kind."""
        self.pending: PendingCall | None = None
        self.answerer: Answerer | None = None
        self.failure: BaseException | None = None
        """Raised by a host callback on this guest's fiber. Kept with the guest, so that no other guest gets it."""
        self.large = False
        """Whether so much is copied for its call that it stays in the CPU thread, which concerns no other guest."""
        self.may_grow = True
        """Whether ``memory.grow`` may succeed."""
        self.reclaim: Callable[[], None] | None = None
        """While the CPU thread has the guest: blocks until it is returned."""
        self._make_store(limits)

    def _make_store(self, limits: GuestLimits) -> None:
        self._store: int | None = _capi.store_new(self.engine.pointer, None, None)
        self.context: int = _capi.store_context(self._store)
        self._future: int | None = None
        self._left: Sequence[str] = ()
        """Exports that are still to be called."""
        self.handling = False
        """Whether the call that was asked for, the last where there are several, has begun."""
        self._limit(limits)
        _capi.set_epoch_deadline(self.context, 1)
        _capi.epoch_yield_and_update(self.context, 1)

    def _limit(self, limits: GuestLimits) -> None:
        """Have wasmtime enforce ``limits``."""
        if limits is not self.linked.engine.limits:  # the pool enforces those
            _capi.store_limiter(self._store, limits.memory_bytes, limits.table_elements, 1, 1, 1)

    @property
    def instantiated(self) -> bool:
        """Whether it called the host or was instantiated: from then on it may be running its handler."""
        return self.memory is not None

    @property
    def computes(self) -> bool:
        """Whether it starts in the CPU thread."""
        return self.large or self.linked.computes

    @property
    def may_have_large_memory(self) -> bool:
        """Whether one instruction over all of its memory may take longer than the loop may wait."""
        return self.memory is not None and self.memory.size >= LARGE_MEMORY_BYTES

    @property
    def memory_bytes(self) -> int:
        """How large its memory is: after its last slice, while the CPU thread has it.

        Before it was instantiated its memory cannot be seen, and its start function may have all that is allowed.
        """
        in_cpu_thread = self.reclaim is not None  # asked first: it may free the guest and return it meanwhile
        memory = self.memory
        if memory is None:
            return self.engine.limits.memory_bytes if self.alive else 0
        return memory.known_size if in_cpu_thread else memory.size

    def take_back(self) -> None:
        """Block until the CPU thread has returned the guest, if that has it: within a slice."""
        if self.reclaim is not None:
            self.reclaim()

    def see_memory(self) -> None:
        """Ask how large its memory is; called by the CPU thread after each slice."""
        if self.memory is not None:
            _ = self.memory.size

    def stop_growing(self) -> None:
        """Have ``memory.grow`` give -1 from now on; while the CPU thread has the guest, from its next slice on."""
        self.may_grow = False
        if self.reclaim is None:
            self.keep_size()

    def keep_size(self) -> None:
        """Have wasmtime let its memory grow no more."""
        if self.alive:
            size = self.linked.module.memory_bytes if self.memory is None else self.memory.size
            _capi.store_limiter(self._store, size, self.linked.engine.limits.table_elements, 1, 1, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, calls: Calls, argument: int) -> None:
        """Start instantiation, and then each of ``calls``, the last with ``argument``; ``poll`` runs them all."""
        self._left, self._argument = calls.exports, argument
        self.instantiate()

    def open_exchange(self, document: bytes, most_bytes: int) -> None:
        """Allow functions of an ``exchange`` to be answered without asking, with up to ``most_bytes`` at a time.

        Without effect for a longer ``document``, and without the native helper.
        """

    def close_exchange(self) -> None:
        """Have the answerer asked from now on."""

    def take_exchange(self) -> tuple[int, int, bytes | None]:
        """Calls answered without asking since the last look, the bytes copied for them, and the message taken, if any.

        Once a message was taken, the answerer is asked.
        """
        return 0, 0, None

    def instantiate(self) -> None:
        """Start instantiation, the module's start function included; ``poll`` runs it."""
        base = self._address
        self._future = _capi.instantiate_async(
            self.linked.pointer, self.context, base + _INSTANCE, base + _TRAP, base + ERROR_OFFSET
        )

    def call(self, export: str, argument: int | None = None) -> None:
        """Start a call of ``export``, with one i32 or none; ``poll`` runs it. Raises ``ExportMissing``."""
        self._forget_calls()
        self._begin(export, argument)

    def _begin(self, export: str, argument: int | None) -> None:
        base = self._address
        name = export.encode()
        exported = _capi.instance_export_get(self.context, base + _INSTANCE, name, len(name), base + _EXTERN)
        if not exported or self._scratch[_EXTERN] != _IS_FUNCTION:
            raise ExportMissing(f"The module exports no function {export}.")
        count = 0
        if argument is not None:
            i32_value.pack_into(self._scratch, ARGUMENT_OFFSET, 0, argument)
            count = 1
        self.handling = not self._left
        self._future = _capi.call_async(
            self.context,
            base + _EXTERN + _capi.EXTERN_OF,
            base + ARGUMENT_OFFSET,
            count,
            None,
            0,
            base + _TRAP,
            base + ERROR_OFFSET,
        )

    def poll(self, *, release_gil: bool = False) -> bool:
        """Run the guest until it is done (``True``), waits for an answer (``pending``), or its slice ends.

        ``release_gil`` releases the GIL meanwhile, for the CPU thread. Raises the error that ended the guest:
        ``GuestTrap``, ``StackLimit``, ``MemoryLimit``, ``Overloaded``, or the answerer's.
        """
        state = self._run(release_gil)
        if deferred_signals and not release_gil:
            signal.raise_signal(deferred_signals.pop())
        if state == FAILED:
            self._raise_error()
        return state != BLOCKED

    def _run(self, release_gil: bool) -> int:
        """Run the guest: ``BLOCKED``, ``FINISHED`` or ``FAILED``."""
        while True:
            future = self._future
            if future is None:
                raise RuntimeError("the guest has nothing to run")  # wasmtime would abort the process
            running.guest = self
            done: bool = _capi.future_poll_without_gil(future) if release_gil else _capi.future_poll(future)
            running.guest = None
            if not done:
                return BLOCKED
            self._future = None
            _capi.future_delete(future)
            trap, error = _unpack_addresses(self._scratch, _TRAP)
            if trap or error:
                return FAILED
            if self.memory is None:
                self._use_exported_memory()
            if not self._left:
                return FINISHED
            export, *self._left = self._left
            self._begin(export, None if self._left else self._argument)

    def interrupt(self, *, release_gil: bool = False) -> tuple[Frame, ...]:
        """End a guest that computes, at its next epoch check, or waits for an answer.

        Returns its stack, innermost first; empty if the guest reached its end or a host call
        before. Only ``close`` may follow.
        """
        if self._future is None:
            return ()
        self._forget_calls()
        if self.pending is None:
            self._stop_at_epoch()
        else:
            self._fail_pending(self.pending[0])
            self._scratch[FLAG_OFFSET] = 1
        state = self._run(release_gil)
        self.failure = None
        if deferred_signals and not release_gil:
            signal.raise_signal(deferred_signals.pop())
        return () if state == BLOCKED else self._take_stack()

    def _forget_calls(self) -> None:
        """Leave the calls that have not begun."""
        self._left = ()

    def _stop_at_epoch(self) -> None:
        _capi.epoch_deadline_callback(self._store, _STOP, None, None)

    def _fail_pending(self, _function: int) -> None:
        """Have the pending host call fail, once it is answered."""
        ctypes.c_void_p.from_address(self.trap_address).value = _capi.trap_new(_STOPPED, len(_STOPPED))

    def fail(self, failure: ExecutionError) -> None:
        """End a guest that waits for an answer with ``failure`` instead; adds the host call and the stack to it."""
        if self.pending is not None:
            self._add_location(failure, self.pending[0], self.interrupt())

    def suspend(self, function: int, arguments: tuple[Any, ...], results: int, trap: int) -> None:
        """Called on the fiber, by the host callback: the guest waits for its answer from here on.

        ``results`` and ``trap`` are the addresses for the answer, or for an error instead of it.
        """
        self.calls += 1
        self._scratch[FLAG_OFFSET] = 0
        self._results = results
        self.trap_address = trap
        self.pending = (function, arguments)

    def answer_now(self, function: int, arguments: tuple[Any, ...], results: int) -> bool:
        """Called on the fiber, by the host callback: answer a call that needs no coroutine, else return ``False``."""
        assert self.answerer is not None  # noqa: S101 - by its only caller
        answer = self.answerer(function, arguments)
        if isinstance(answer, CoroutineType):
            answer.close()  # the owner asks for it again
            return False
        self.calls += 1
        self._results = results
        self._answer(function, answer)
        return True

    def find_memory(self, caller: int) -> None:
        """Called on the fiber, by the host callback, before the guest's instance is known."""
        if _capi.caller_export_get(caller, b"memory", 6, self._address + MEMORY_OFFSET):
            self._use_memory()

    def resume(self, result: Answer = None) -> None:
        """Answer the pending call with ``result``, ``None`` for a function without one; ``poll`` then continues."""
        pending = self.pending
        if pending is None:
            raise RuntimeError(NO_CALL)
        self._answer(pending[0], result)
        self.pending = None
        self._scratch[FLAG_OFFSET] = 1

    def _answer(self, function: int, result: Answer) -> None:
        """Write the result of ``function`` where the guest takes it."""
        if result is not None:
            kind, pack_into, place_at = _RESULTS[self.linked.functions[function].signature.results]
            pack_into(place_at(self._results), 0, kind, result)

    def close(self, *, release_gil: bool = False) -> None:
        """Free everything; a suspended guest is unwound first. Safe to call twice. ``release_gil`` as in ``poll``."""
        if self.reclaim is not None and not release_gil:
            self.reclaim()
        if self.alive:
            self.alive = False
            # It refers to the guest: in a cycle, both would wait for the garbage collector.
            self.answerer = None
            self.memory = None  # its mapping is about to go
            self._free(release_gil)
            _scratches.append(self._scratch)
            self.engine.ticker.release()

    def _free(self, release_gil: bool) -> None:
        """Free the future, then values and errors, then the store (docs/design/engine.md, Hazards, 3)."""
        future, self._future = self._future, None
        if future is not None:
            (_capi.future_delete_without_gil if release_gil else _capi.future_delete)(future)
        self._free_values()
        trap, error = _unpack_addresses(self._scratch, _TRAP)
        if trap or error:  # no caller is left to raise it to
            self._take_error()
        store, self._store = self._store, None
        (_capi.store_delete_without_gil if release_gil else _capi.store_delete)(store)

    def _free_values(self) -> None:
        """Free what wasmtime gave to the host and the host did not take; called once, as the guest is closed."""

    def abandon(self) -> None:
        """Free nothing, ever: in a forked child, which has only a copy of a guest that its parent runs."""
        self.alive = False
        self._future = self._store = self.reclaim = None

    def _use_exported_memory(self) -> None:
        """Look the memory up once the guest is instantiated."""
        base = self._address
        if _capi.instance_export_get(self.context, base + _INSTANCE, b"memory", 6, base + MEMORY_OFFSET):
            self._use_memory()

    def _use_memory(self) -> None:
        """Use the export that was looked up, if it is a memory."""
        if self._scratch[MEMORY_OFFSET] == _IS_MEMORY:
            self.memory = LinearMemory(
                self.context, self._address + MEMORY_OFFSET + _capi.EXTERN_OF, self.linked.module.memory_bytes
            )

    def _take_error(self) -> AlgaError | None:
        trap, error = _unpack_addresses(self._scratch, _TRAP)
        if not trap and not error:
            return None
        _addresses.pack_into(self._scratch, _TRAP, 0, 0)
        return self._error_of(trap, error)

    def _error_of(self, trap: int, error: int) -> AlgaError:
        """The error for the ``wasm_trap_t`` or else the ``wasmtime_error_t`` that ended the guest, which is deleted."""
        return traps.take_trap(trap) if trap else traps.take_error(error)

    def _raise_error(self) -> None:
        failure, self.failure = self.failure, None
        if failure is None:
            failure = self._take_error()
        else:
            self._add_location(failure, self.failed_in, self._take_stack())
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # its traceback has this frame: it would live until garbage is collected

    def _add_location(self, failure: BaseException, function: int, frames: tuple[Frame, ...]) -> None:
        """Add to ``failure`` where the guest was when the host ended it, in a call of that function."""
        if isinstance(failure, ExecutionError):
            failure.frames = failure.frames or frames
        if isinstance(failure, AbiBreach | LimitExceeded):
            called = self.linked.functions[function]
            failure.at(host_call=f"{called.module} {called.name}")

    def _take_stack(self) -> tuple[Frame, ...]:
        """The stack of a guest that the host ended; empty for one that ended by itself, which ``close`` frees."""
        trap, error = _unpack_addresses(self._scratch, _TRAP)
        if trap or not error:
            return ()
        _addresses.pack_into(self._scratch, _TRAP, 0, 0)
        return traps.take_frames(error)
