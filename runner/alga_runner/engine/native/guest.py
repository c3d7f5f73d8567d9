"""A guest whose steps the native helper takes: from the store to its next host call, or its end, in one call of C.

It does the same as ``Guest`` in the same order, and callers cannot tell. The helper's struct holds the
future and the store, so that nothing is freed twice, wherever an exception interrupts Python.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from ...errors import ExportMissing
from .. import _capi
from ..guest import (
    ARGUMENT_OFFSET,
    BLOCKED,
    FAILED,
    FLAG_OFFSET,
    MEMORY_OFFSET,
    NATIVE_OFFSET,
    NO_CALL,
    RESULT_FORMATS,
    Answer,
    Guest,
    i32_value,
)
from ..memory import GuestLimits, LinearMemory
from ..module import NO_CALLS, Calls, Signature
from ..running import running
from .library import CALLED, EXCHANGED, MOST_ARGUMENTS, NO_EXPORT, Library

_STORE = NATIVE_OFFSET
_CONTEXT = _STORE + 8
_FUTURE = _CONTEXT + 8
_MEMORY_BASE = _FUTURE + 8
_LIMITS = _MEMORY_BASE + 32
_CALL_COUNT = _LIMITS + 16
_BEGUN = _CALL_COUNT + 4
_HANDLING = _BEGUN + 4
_CALLED = _HANDLING + 2
_FUNCTION = _CALLED + 2
_TRAP_RETURN = _FUNCTION + 12
_ANSWER = _TRAP_RETURN + 8
_ANSWERED = _ANSWER + 32
_ARGUMENTS = _ANSWERED + 8
_GIVEN = _ARGUMENTS + 8 * MOST_ARGUMENTS + 16
"""Offsets in ``struct alga_guest``."""

_orders = struct.Struct("=QQQQqqIIBB")
"""From ``memory_base`` on: none yet, then the engine, the module, its calls, its limits, and how far it is."""

_call = struct.Struct("=B1xIQQB")
"""From ``called`` on: a host call, its function, where its result and an error go, and that it has no answer yet."""

_NO_RESULT: Final = 255

WriteAnswer: TypeAlias = "tuple[int, Callable[..., None]]"
"""The kind of a function's result, and what writes that and the result to a guest's struct."""

_no_answer = struct.Struct("=B31xB")
_ANSWERS: dict[str, WriteAnswer] = {
    letter: (kind, struct.Struct(f"{layout}16xB").pack_into)
    for kind, (letter, layout) in enumerate(RESULT_FORMATS.items())
} | {"": (_NO_RESULT, _no_answer.pack_into)}
"""How each kind of answer is written, with ``answered`` behind it."""

_ARGUMENT_FORMATS = {"i": "I4x", "I": "Q", "f": "f4x", "d": "d"}

_exchanged = struct.Struct("=IIQQ")
"""From ``given`` on: how often, how many bytes, and where the bytes taken are."""

_pointer = struct.Struct("=Q")
_number = struct.Struct("=I")
_pair = struct.Struct("=II")
_unpack_memory = struct.Struct("=Q8xQ").unpack_from
"""From ``context`` on: that, and where the memory is."""

_bytes_at: Callable[[int, int], bytes] = ctypes.PYFUNCTYPE(
    ctypes.py_object, ctypes.c_void_p, ctypes.c_ssize_t
)(("PyBytes_FromStringAndSize", ctypes.pythonapi))
_limits = struct.Struct("=qq")
_read_pointer = _pointer.unpack_from
_pointer_at = ctypes.c_uint64.from_address

_MEMORY_HANDLE = MEMORY_OFFSET + _capi.EXTERN_OF

_POOL_S = -1
"""A limit that the pool enforces."""

_BEGAN = b"\1"

ReadArguments: TypeAlias = "Callable[[Any, int], tuple[Any, ...]]"
"""Reads the arguments of one function from a guest's struct."""


def arguments_reader(signature: Signature) -> ReadArguments:
    """Reads the arguments of a function of this type."""
    return struct.Struct("=" + "".join(map(_ARGUMENT_FORMATS.__getitem__, signature.params))).unpack_from


def answer_writer(signature: Signature) -> WriteAnswer:
    """Writes the answer of a function of this type."""
    return _ANSWERS[signature.results]


_NOTHING_TO_RUN = "the guest has nothing to run"


class NativeGuest(Guest):
    """A guest of a core module. Its store is made with its first slice."""

    __slots__ = ("_calls", "_document", "_library", "_limits", "_memory", "exchanged", "exchanges")

    def _make_store(self, limits: GuestLimits) -> None:
        library = self.engine.native
        assert library is not None  # noqa: S101 - by its only caller
        self._library: Library = library
        self._limits = limits
        self._left = ()
        self.exchanges = self.exchanged = False

    def open_exchange(self, document: bytes, most_bytes: int) -> None:
        """As ``Guest.open_exchange``."""
        if len(document) <= most_bytes:
            self._document = document  # C has its address
            self._library.let_exchange(self._address, document, len(document), most_bytes)
            self.exchanges = True

    def close_exchange(self) -> None:
        """As ``Guest.close_exchange``."""
        if self.exchanges:
            self.exchanges = False
            self._library.let_exchange(self._address, None, 0, 0)

    def take_exchange(self) -> tuple[int, int, bytes | None]:
        """As ``Guest.take_exchange``."""
        self.exchanged = False
        calls, copied, taken, length = _exchanged.unpack_from(self._scratch, _GIVEN)
        if not taken:
            if calls:
                _pair.pack_into(self._scratch, _GIVEN, 0, 0)
            return calls, copied, None
        self.exchanges = False  # it takes nothing else
        return calls + 1, copied + length, _bytes_at(taken, length)

    def start(self, calls: Calls, argument: int) -> None:
        """As ``Guest.start``."""
        self._calls = calls  # C has its address
        scratch, linked, limits = self._scratch, self.linked, self._limits
        bounds = (
            (_POOL_S, 0) if limits is linked.engine.limits else (limits.memory_bytes, limits.table_elements)
        )
        i32_value.pack_into(scratch, ARGUMENT_OFFSET, 0, argument)
        _orders.pack_into(
            scratch,
            _MEMORY_BASE,
            0,
            self.engine.pointer,
            linked.pointer,
            calls.address,
            *bounds,
            len(calls.exports),
            0,
            False,
            False,
        )

    def instantiate(self) -> None:
        """As ``Guest.instantiate``."""
        self.start(NO_CALLS, 0)

    def keep_size(self) -> None:
        """As ``Guest.keep_size``. The store is made with the limits that are noted by then."""
        if self._store is not None:
            super().keep_size()
        elif self.alive:
            kept = self.linked.module.memory_bytes, self.linked.engine.limits.table_elements
            self._limits = GuestLimits(*kept)
            _limits.pack_into(self._scratch, _LIMITS, *kept)

    def _run(self, release_gil: bool) -> int:
        if not self.alive:
            raise RuntimeError(_NOTHING_TO_RUN)  # the struct is another guest's
        library = self._library
        run = library.run_without_gil if release_gil else library.run
        running.guest = self
        state: int = run(self._address)
        running.guest = None
        if state >= CALLED:
            if self.pending is None:
                self.calls += 1
                function = state - CALLED
                if function >= EXCHANGED:
                    function -= EXCHANGED
                    self.exchanged = True
                self.pending = function, self.linked.read_arguments[function](self._scratch, _ARGUMENTS)
                if self._memory is None:
                    context, base = _unpack_memory(self._scratch, _CONTEXT)
                    if base:
                        self._open_memory(base, context)
            return BLOCKED
        if state > FAILED:
            if state == NO_EXPORT:
                raise ExportMissing(f"The module exports no function {self._calls.exports[self._begun - 1]}.")
            raise RuntimeError(_NOTHING_TO_RUN)
        return state

    def suspend(self, function: int, arguments: tuple[Any, ...], results: int, trap: int) -> None:
        """As ``Guest.suspend``, for a function that suspends only if its answer takes long: any other does it in C."""
        self.calls += 1
        self.pending = (function, arguments)
        _call.pack_into(self._scratch, _CALLED, True, function, results, trap, _NO_RESULT)
        self._scratch[FLAG_OFFSET] = self._scratch[_ANSWERED] = 0

    def resume(self, result: Answer = None) -> None:
        """As ``Guest.resume``; the next slice takes the answer."""
        pending = self.pending
        if pending is None:
            raise RuntimeError(NO_CALL)
        if result is None:
            _no_answer.pack_into(self._scratch, _ANSWER, _NO_RESULT, True)
        else:
            kind, pack_into = self.linked.write_answers[pending[0]]
            pack_into(self._scratch, _ANSWER, kind, result, True)
        self.pending = None

    def _fail_pending(self, function: int) -> None:
        self.trap_address = _read_pointer(self._scratch, _TRAP_RETURN)[0]
        super()._fail_pending(function)

    def _forget_calls(self) -> None:
        _number.pack_into(self._scratch, _CALL_COUNT, self._begun)

    @property
    def _begun(self) -> int:
        begun: int = _number.unpack_from(self._scratch, _BEGUN)[0]
        return begun

    @property
    def handling(self) -> bool:
        """As of ``Guest``."""
        return bool(self._scratch[_HANDLING] == _BEGAN)

    @handling.setter
    def handling(self, begun: bool) -> None:
        self._scratch[_HANDLING] = begun

    @property
    def memory(self) -> LinearMemory | None:
        """As of ``Guest``: the one that the helper found, once it is asked for."""
        return self._memory or (self._found_memory() if self.alive else None)

    @memory.setter
    def memory(self, memory: LinearMemory | None) -> None:
        self._memory = memory

    def _found_memory(self) -> LinearMemory | None:
        base: int = _pointer_at(self._address + _MEMORY_BASE).value  # on the guest's stack: see _value_reader
        return self._open_memory(base, self.context) if base else None

    def _open_memory(self, base: int, context: int) -> LinearMemory:
        memory = LinearMemory.__new__(LinearMemory)
        memory.open(context, self._address + _MEMORY_HANDLE, self.linked.module.memory_bytes, base)
        self._memory = memory  # another thread may look at it from here on
        return memory

    def _free(self, release_gil: bool) -> None:
        self.exchanges = False  # the struct is another guest's soon
        library = self._library
        (library.end_without_gil if release_gil else library.end)(self._address)

    def abandon(self) -> None:
        """As ``Guest.abandon``."""
        super().abandon()
        self._future = self._store = None

    # What ``Guest`` reads of the struct, the few times that it does.

    @property
    def context(self) -> int:
        """As of ``Guest``; null before its first slice."""
        context: int = _pointer_at(self._address + _CONTEXT).value
        return context

    @context.setter
    def context(self, context: int) -> None:
        _pointer.pack_into(self._scratch, _CONTEXT, context)

    @property
    def _store(self) -> int | None:
        return (_read_pointer(self._scratch, _STORE)[0] or None) if self.alive else None

    @_store.setter
    def _store(self, store: int | None) -> None:
        _pointer.pack_into(self._scratch, _STORE, store or 0)

    @property
    def _future(self) -> int | None:
        return (_read_pointer(self._scratch, _FUTURE)[0] or None) if self.alive else None

    @_future.setter
    def _future(self, future: int | None) -> None:
        _pointer.pack_into(self._scratch, _FUTURE, future or 0)
