"""One guest: a store, an instance and the fiber it runs on, with one owner from first to last.

The owner starts it, polls it until it is done or suspended in a host call, answers, polls again, and closes it: future
first, then store. Only the owner may close, and a guest is never polled again after it said it is done (engine-lab A2
lists what happens otherwise).
"""

from __future__ import annotations

import ctypes
import signal
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import AlgaError, ExportMissing
from . import _capi, traps
from .memory import LinearMemory

if TYPE_CHECKING:
    from .linker import LinkedModule

_INSTANCE = 0
_EXTERN = _INSTANCE + _capi.INSTANCE_SIZE
_MEMORY = _EXTERN + _capi.EXTERN_SIZE
_ARGUMENT = _MEMORY + _capi.EXTERN_SIZE
_TRAP = _ARGUMENT + _capi.VAL_SIZE
_ERROR = _TRAP + 8
_FLAG = _ERROR + 8
_SCRATCH_SIZE = _FLAG + 8
"""Where things lie in a guest's scratch buffer, the one piece of memory that C writes to."""

_addresses = struct.Struct("=QQ")
_i32_value = struct.Struct("=B7xI20x")
_RESULT_FORMATS = {
    "i": (0, struct.Struct("=I")),
    "I": (1, struct.Struct("=Q")),
    "f": (2, struct.Struct("=f")),
    "d": (3, struct.Struct("=d")),
}


class _Running(threading.local):
    """The guest this thread is polling: how a callback on the fiber knows whose it is."""

    guest: Any = None
    failure: BaseException | None = None


running = _Running()

deferred_signals: list[int] = []
"""Signals that arrived while a guest was on the main thread; raised again as soon as it is off (``interrupts``)."""


@dataclass(frozen=True, slots=True)
class GuestLimits:
    """What wasmtime itself bounds in one guest. ``memory_bytes`` is all its linear memory."""

    memory_bytes: int
    table_elements: int


@dataclass(frozen=True, slots=True)
class PendingCall:
    """A host call that waits for its answer: the function's position in the linker, and its raw arguments."""

    function: int
    arguments: tuple[Any, ...]


class Guest:
    """A fresh, isolated instance. Use it as a context manager, or call ``close`` in a ``finally``."""

    __slots__ = (
        "_address",
        "_context",
        "_flag",
        "_future",
        "_linked",
        "_results",
        "_scratch",
        "_store",
        "flag_address",
        "memory",
        "pending",
    )

    def __init__(self, linked: LinkedModule, limits: GuestLimits) -> None:
        """Make the store. Raises ``EngineForked``; nothing of the guest has run yet."""
        engine = linked.engine
        engine.ticker.acquire()
        self._linked = linked
        self._scratch = ctypes.create_string_buffer(_SCRATCH_SIZE)
        self._address = ctypes.addressof(self._scratch)
        self._flag = ctypes.c_uint16.from_buffer(self._scratch, _FLAG)
        self.flag_address = self._address + _FLAG
        self._store: int | None = _capi.store_new(engine.pointer, None, None)
        self._context: int = _capi.store_context(self._store)
        self._future: int | None = None
        self._results = 0
        self.memory: LinearMemory | None = None
        self.pending: PendingCall | None = None
        _capi.store_limiter(self._store, limits.memory_bytes, limits.table_elements, 1, 1, 1)
        _capi.set_epoch_deadline(self._context, 1)
        _capi.epoch_yield_and_update(self._context, 1)

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def instantiate(self) -> None:
        """Start instantiation, the module's start function included; ``poll`` carries it out."""
        base = self._address
        self._future = _capi.instantiate_async(
            self._linked.pointer, self._context, base + _INSTANCE, base + _TRAP, base + _ERROR
        )

    def call(self, export: str, argument: int | None = None) -> None:
        """Start a call of ``export``, with one i32 or none; ``poll`` carries it out. Raises ``ExportMissing``."""
        base = self._address
        name = export.encode()
        if not _capi.instance_export_get(self._context, base + _INSTANCE, name, len(name), base + _EXTERN):
            raise ExportMissing(f"The module exports no function {export}.")
        count = 0
        if argument is not None:
            _i32_value.pack_into(self._scratch, _ARGUMENT, 0, argument)
            count = 1
        self._future = _capi.call_async(
            self._context,
            base + _EXTERN + _capi.EXTERN_OF,
            base + _ARGUMENT,
            count,
            None,
            0,
            base + _TRAP,
            base + _ERROR,
        )

    def poll(self) -> bool:
        """Run the guest until it is done (``True``), waits for an answer (``pending``), or its slice ends.

        Raises what ended the guest: ``GuestTrap``, ``StackLimit``, ``MemoryLimit``, ``Overloaded``.
        """
        running.guest, running.failure = self, None
        done = _capi.future_poll(self._future)
        running.guest = None
        if deferred_signals:
            signal.raise_signal(deferred_signals.pop())
        if done:
            future, self._future = self._future, None
            _capi.future_delete(future)
            self._raise_end()
            if self.memory is None:
                self._find_memory()
        return bool(done)

    def suspend(self, function: int, arguments: tuple[Any, ...], results: int, caller: int) -> None:
        """Called on the fiber, by the host callback: remember what the guest asks."""
        if self.memory is None and _capi.caller_export_get(caller, b"memory", 6, self._address + _MEMORY):
            self._use_memory()
        self._results = results
        self._flag.value = 0
        self.pending = PendingCall(function, arguments)

    def resume(self, result: float | None = None) -> None:
        """Answer the pending call with ``result``, ``None`` for a function without one; ``poll`` then runs on."""
        pending, self.pending = self.pending, None
        if pending is None:
            raise RuntimeError("the guest waits for no answer")
        if result is not None:
            kind, layout = _RESULT_FORMATS[self._linked.functions[pending.function].signature.results]
            ctypes.c_uint8.from_address(self._results).value = kind
            place = (ctypes.c_char * layout.size).from_address(self._results + _capi.VAL_OF)
            layout.pack_into(place, 0, result)
        self._flag.value = 1

    def close(self) -> None:
        """Free everything; a suspended guest is unwound first. Safe to call twice."""
        future, self._future = self._future, None
        if future is not None:
            _capi.future_delete(future)
        store, self._store = self._store, None
        if store is not None:
            self._discard_end()
            _capi.store_delete(store)
            self._linked.engine.ticker.release()

    def _find_memory(self) -> None:
        base = self._address
        if _capi.instance_export_get(self._context, base + _INSTANCE, b"memory", 6, base + _MEMORY):
            self._use_memory()

    def _use_memory(self) -> None:
        if self._scratch[_MEMORY] == bytes([_capi.EXTERN_MEMORY]):
            self.memory = LinearMemory(self._context, self._address + _MEMORY + _capi.EXTERN_OF)

    def _take_end(self) -> AlgaError | None:
        trap, error = _addresses.unpack_from(self._scratch, _TRAP)
        _addresses.pack_into(self._scratch, _TRAP, 0, 0)
        if trap:
            return traps.take_trap(trap)
        if error:
            return traps.take_error(error)
        return None

    def _raise_end(self) -> None:
        ended = self._take_end()
        failure, running.failure = running.failure, None
        if failure is not None:
            raise failure
        if ended is not None:
            raise ended

    def _discard_end(self) -> None:
        """Free what an unwound future may have written; nobody is left to hear of it."""
        if any(_addresses.unpack_from(self._scratch, _TRAP)):
            self._take_end()
