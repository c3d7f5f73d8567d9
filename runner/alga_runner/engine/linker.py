"""Host functions, and modules linked to them.

A host function is a name and a type here, of one of two kinds. An immediate function only copies bytes: the guest's
answerer answers it inside the callback, which wasmtime runs on the guest's own stack. Any other function suspends the
guest and is answered on the event loop (``drive``), or does so only where its answer takes long. An exception that
leaves a callback aborts the process (docs/design/engine.md, Hazards, 2).
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import wasmtime

from ..errors import EngineUnavailable
from . import _capi, traps
from .engine import Engine
from .guest import Guest
from .memory import GuestLimits
from .module import Module, Signature
from .native.guest import NativeGuest, answer_writer, arguments_reader
from .native.library import MOST_ARGUMENTS
from .running import running

_VALTYPES = {
    "i": wasmtime.ValType.i32,
    "I": wasmtime.ValType.i64,
    "f": wasmtime.ValType.f32,
    "d": wasmtime.ValType.f64,
}
_VALUE_FORMATS = {"i": "8xI20x", "I": "8xQ16x", "f": "8xf20x", "d": "8xd16x"}
"""Layout of each kind of value in a ``wasmtime_val_t``; integers are read unsigned (guest ABI, "Imports")."""
_RAW_FORMATS = {"i": "I12x", "I": "Q8x", "f": "f12x", "d": "d8x"}
"""The same in a ``wasmtime_val_raw_t``."""

Continuation = ctypes.c_uint64 * 3
"""``wasmtime_async_continuation_t``: a function that returns if the call is answered, its argument, a finalizer."""

_SCORE_DECAY = 0.7
_COMPUTES_ABOVE = 0.5
_FIRST_SCORE = 0.6
"""After a guest that used up a slice the next start in the CPU thread, until two that did not. A module's first guest
runs there, too; if it is short, the next does not."""

_RUNS_AFTER_OVERRUN = 1000
"""Runs in the CPU thread after which guests of a module that overran a slice may run on the loop again."""

_answered = ctypes.create_string_buffer(b"\1\0")
ANSWERED = ctypes.addressof(_answered)
"""Address of a flag that is set: the continuation of a call that failed is ready."""


@dataclass(frozen=True, slots=True)
class HostFunction:
    """One function the host offers for import, of at most one result.

    One that ``suspends`` may take as long as it likes; its guest waits. Any other must return within microseconds:
    nothing interrupts it. One that suspends ``only_if_long`` does not if the answerer gives no coroutine.

    One of an ``exchange`` is given an offset and a length. ``in`` copies the guest's document there if it fits, and
    gives how long it is; ``out`` takes the bytes there. Where the answerer would not refuse, it need not be asked
    (``Guest.open_exchange``).
    """

    module: str
    name: str
    signature: Signature
    suspends: bool = True
    only_if_long: bool = False
    exchange: Literal["", "in", "out"] = ""


class Linker:
    """Every function in ``functions``, defined for one engine; a guest's call names its function by position."""

    def __init__(self, engine: Engine, functions: Sequence[HostFunction]) -> None:
        self.engine = engine
        self.functions = tuple(functions)
        self._native = wasmtime.Linker(engine.wasmtime)
        natives = [self._native_callback(function) for function in self.functions]
        self._callbacks = [
            _immediate_callback(index, function)
            if not function.suspends
            else _suspending_callback(index, function)
            if native is None
            else None
            for index, (function, native) in enumerate(zip(self.functions, natives, strict=True))
        ]
        addresses = [0 if callback is None else _capi.address(callback) for callback in self._callbacks]
        numbers = chain.from_iterable(enumerate(addresses))
        self._native_functions = (ctypes.c_size_t * (2 * len(addresses)))(*numbers)
        """Each function's position and callback, for the native helper."""
        self.read_arguments = tuple(arguments_reader(function.signature) for function in self.functions)
        self.write_answers = tuple(answer_writer(function.signature) for function in self.functions)
        """Of a call that the native helper notes."""
        pointer = _capi.address(self._native.ptr())
        # Making a type costs as much as defining a function. Each belongs to the engine that it was first used with.
        types = {signature: _functype(signature) for signature in {of.signature for of in self.functions}}
        for index, function in enumerate(self.functions):
            functype = types[function.signature]
            module, name = function.module.encode(), function.name.encode()
            define = (
                _capi.linker_define_async_func if function.suspends else _capi.linker_define_func_unchecked
            )
            error = define(
                pointer,
                module,
                len(module),
                name,
                len(name),
                _capi.address(functype.ptr()),
                natives[index] or addresses[index],
                ctypes.addressof(self._native_functions) + 2 * index * ctypes.sizeof(ctypes.c_size_t),
                None,
            )
            if error:
                raise traps.take_error(error)

    def _native_callback(self, function: HostFunction) -> int | None:
        """The address of the native helper's callback for a function, if it has one."""
        native = self.engine.native
        if native is None or function.only_if_long or len(function.signature.params) > MOST_ARGUMENTS:
            return None
        return native.suspend if function.suspends else native.exchange.get(function.exchange)

    def link(self, module: Module) -> LinkedModule:
        """Link ``module``, whose imports the caller has checked. Raises ``EngineUnavailable`` for a mismatch."""
        try:
            return LinkedModule(self, module, self._native.instantiate_pre(module.native))
        except wasmtime.WasmtimeError as error:
            raise EngineUnavailable(f"wasmtime could not link the module: {error}") from None


class Linked:
    """What guests are made from, and how its guests ran lately: this decides where the next one starts."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.computes = True
        """Whether its guests used up slices lately, or none has run: then they start in the CPU thread."""
        self.overruns = False
        """Whether a guest overran a slice lately: then they return to the CPU thread after each host call."""
        self.prompt: set[int] = set()
        """The functions, by position, whose last answer did not wait."""
        self._score = _FIRST_SCORE
        self._overrun_runs = 0

    def record_run(self, *, used_slice: bool) -> None:
        """Record that a guest ran in the CPU thread, and whether it used up a slice."""
        self._overrun_runs -= self.overruns
        self.overruns = self._overrun_runs > 0
        self._score = 1.0 if used_slice else self._score * _SCORE_DECAY
        self.computes = self.overruns or self._score > _COMPUTES_ABOVE

    def record_overrun(self) -> None:
        """Record a slice that could not be interrupted: ``memory.fill`` over 256 MiB takes 100 ms."""
        self._overrun_runs = _RUNS_AFTER_OVERRUN
        self.overruns = self.computes = True


class LinkedModule(Linked):
    """A module whose imports are resolved; guests are made from it, each in microseconds."""

    def __init__(self, linker: Linker, module: Module, native: wasmtime.InstancePre) -> None:
        super().__init__(linker.engine)
        self.module = module
        self.functions = linker.functions
        self.read_arguments, self.write_answers = linker.read_arguments, linker.write_answers
        self._linker = linker  # its callbacks must outlive every guest
        self._native = native
        self.pointer = _capi.address(native.ptr())

    def new_guest(self, limits: GuestLimits) -> Guest:
        """A fresh guest. Raises ``EngineForked``; nothing of the guest has run yet."""
        return (NativeGuest if self.engine.native is not None else Guest)(self, limits)

    def copy(self) -> LinkedModule:
        """The same module with a memory of its own of how its guests ran: one for each tenant."""
        return LinkedModule(self._linker, self.module, self._native)


def _functype(signature: Signature) -> wasmtime.FuncType:
    return wasmtime.FuncType(
        [_VALTYPES[letter]() for letter in signature.params],
        [_VALTYPES[letter]() for letter in signature.results],
    )


def _suspending_callback(index: int, function: HostFunction) -> Any:
    """The callback of a function that suspends its guest, or may do so."""
    read_arguments, arguments_at = _value_reader(function)
    only_if_long = function.only_if_long
    continuation_at = Continuation.from_address

    def on_call(
        _env: int | None,
        caller: int,
        arguments: int | None,
        _count: int,
        results: int | None,
        _result_count: int,
        trap: int,
        answer: int,
    ) -> None:
        flag = ANSWERED
        try:
            guest = running.guest
            if guest.memory is None:
                guest.find_memory(caller)
            if guest.exchanges:
                guest.exchanged = True
            given = read_arguments(arguments_at(arguments)) if arguments else ()
            if not only_if_long or not guest.answer_now(index, given, results or 0):
                guest.suspend(index, given, results or 0, trap)
                flag = guest.flag_address
        except BaseException as error:  # noqa: BLE001 - see the module's docstring
            ctypes.c_void_p.from_address(trap).value = _failed(index, error)
        continuation_at(answer)[:] = [_capi.ready_when_nonzero, flag, 0]

    return _capi.ASYNC_CALLBACK(on_call)


def _immediate_callback(index: int, function: HostFunction) -> Any:
    """The callback of a function that is answered inside it; its result takes the first argument's place."""
    read_arguments, values_at = _reader(_RAW_FORMATS, function)
    write_result: Callable[..., None] | None = None
    if function.signature.results:
        write_result = struct.Struct("=" + _RAW_FORMATS[function.signature.results]).pack_into

    def on_call(_env: int | None, caller: int, values: int | None, _count: int) -> int:
        try:
            guest = running.guest
            if guest.memory is None:
                guest.find_memory(caller)
            guest.calls += 1
            if guest.exchanges:
                guest.exchanged = True
            place = values_at(values or 0)
            result = guest.answerer(index, read_arguments(place))
            if write_result is not None:
                write_result(place, 0, result)
        except BaseException as error:  # noqa: BLE001 - see the module's docstring
            return _failed(index, error)
        return 0

    return _capi.UNCHECKED_CALLBACK(on_call)


def _value_reader(function: HostFunction) -> tuple[Callable[[Any], tuple[Any, ...]], Callable[[int], Any]]:
    """As ``_reader`` for ``wasmtime_val_t``, with less of the guest's stack where all are i32, as a host call's are.

    A page of that stays resident for each guest that waits, and a buffer's protocol takes 400 bytes more.
    """
    params = function.signature.params
    if set(params) != {"i"}:
        return _reader(_VALUE_FORMATS, function)
    return _read_integers, (ctypes.c_uint32 * (len(params) * _INTEGERS_APART)).from_address


_FIRST_INTEGER, _INTEGERS_APART = _capi.VAL_OF // 4, _capi.VAL_SIZE // 4


def _read_integers(values: Any) -> tuple[Any, ...]:
    return tuple(values[_FIRST_INTEGER::_INTEGERS_APART])


def _reader(
    formats: dict[str, str], function: HostFunction
) -> tuple[Callable[..., Any], Callable[[int], Any]]:
    """Unpacks the arguments of ``function`` from a buffer; makes that buffer from their address."""
    layout = struct.Struct("=" + "".join(formats[letter] for letter in function.signature.params))
    return layout.unpack_from, (ctypes.c_char * max(layout.size, _capi.RAW_VAL_SIZE)).from_address


def _failed(index: int, error: BaseException) -> int:
    """Keep the exception of a callback with its guest; returns the trap that ends the guest."""
    guest = running.guest
    if guest is not None:
        guest.failure, guest.failed_in = error, index
    # ctypes cannot convert None, and would return garbage.
    trap: int = _capi.trap_new(b"host", 4) or 0
    return trap
