"""Host functions, and modules linked to them.

A host function here is only a name and a type, and of one of two kinds. What takes no more than copying bytes is
answered by the guest's answerer, inside the callback that wasmtime runs on the guest's own stack. Everything else
suspends the guest, and is answered on the event loop (``drive``). Nothing may be raised out of a callback: that would
abort the process (engine-lab A2).
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import wasmtime

from ..errors import EngineUnavailable
from . import _capi, traps
from .engine import Engine
from .module import Module, Signature
from .running import running

_VALTYPES = {
    "i": wasmtime.ValType.i32,
    "I": wasmtime.ValType.i64,
    "f": wasmtime.ValType.f32,
    "d": wasmtime.ValType.f64,
}
_VALUE_FORMATS = {"i": "8xI20x", "I": "8xQ16x", "f": "8xf20x", "d": "8xd16x"}
"""How each kind of value lies in a ``wasmtime_val_t``; integers are read unsigned (guest ABI, "Imports")."""
_RAW_FORMATS = {"i": "I12x", "I": "Q8x", "f": "f12x", "d": "d8x"}
"""The same in a ``wasmtime_val_raw_t``."""

continuation = struct.Struct("=QQQ")
"""``wasmtime_async_continuation_t``: the function that says whether the call is answered, its argument, a finalizer."""

_FORGETS = 0.7
_COMPUTES = 0.5
_UNKNOWN = 0.6
"""One guest that used up a slice sends the next to the worker thread, two that did not bring them back. The first of
all runs there, and if it is quick, the next does not."""

_HELD_RUNS = 1000
"""Runs in the worker after which a module whose guest could not be interrupted is given another chance on the loop."""

_answered = ctypes.create_string_buffer(b"\1\0")
_ANSWERED = ctypes.addressof(_answered)


@dataclass(frozen=True, slots=True)
class HostFunction:
    """One function the host offers for import, of at most one result.

    One that ``suspends`` may take as long as it likes; its guest waits. Any other is bound to be quick: nothing
    interrupts it.
    """

    module: str
    name: str
    signature: Signature
    suspends: bool = True


class Linker:
    """Every function in ``functions``, defined for one engine; a guest's call names its function by position."""

    def __init__(self, engine: Engine, functions: Sequence[HostFunction]) -> None:
        self.engine = engine
        self.functions = tuple(functions)
        self._native = wasmtime.Linker(engine.wasmtime)
        self._callbacks = [
            _suspending(index, function) if function.suspends else _quick(index, function)
            for index, function in enumerate(self.functions)
        ]
        pointer = _capi.address(self._native.ptr())
        for function, callback in zip(self.functions, self._callbacks, strict=True):
            functype = wasmtime.FuncType(
                [_VALTYPES[letter]() for letter in function.signature.params],
                [_VALTYPES[letter]() for letter in function.signature.results],
            )
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
                _capi.address(callback),
                None,
                None,
            )
            if error:
                raise traps.take_error(error)

    def link(self, module: Module) -> LinkedModule:
        """``module`` ready to be instantiated. The caller has checked its imports; a mismatch is our fault."""
        try:
            return LinkedModule(self, module, self._native.instantiate_pre(module.native))
        except wasmtime.WasmtimeError as error:
            raise EngineUnavailable(f"wasmtime could not link the module: {error}") from None


class LinkedModule:
    """A module whose imports are resolved: what guests are made from, each in microseconds."""

    def __init__(self, linker: Linker, module: Module, native: wasmtime.InstancePre) -> None:
        self.engine = linker.engine
        self.module = module
        self.functions = linker.functions
        self._linker = linker  # its callbacks must outlive every guest
        self._native = native
        self.pointer = _capi.address(native.ptr())
        self.computes = True
        """Whether its guests used up slices lately, or nobody knows yet: they are better started in the worker."""
        self.holds = False
        """Whether one of its guests could not be interrupted for long: they are better always run in the worker."""
        self._computed = _UNKNOWN
        self._held = 0

    def own(self) -> LinkedModule:
        """The same module, for guests of whom it is remembered apart whether they compute."""
        return LinkedModule(self._linker, self.module, self._native)

    def computed(self, *, long: bool) -> None:
        """A guest ran beside the loop: it used up a slice, or it did not."""
        self._held -= self.holds
        self.holds = self._held > 0
        self._computed = 1.0 if long else self._computed * _FORGETS
        self.computes = self.holds or self._computed > _COMPUTES

    def held(self) -> None:
        """A guest could not be interrupted: ``memory.fill`` over 256 MiB takes 100 ms, and is one instruction."""
        self._held = _HELD_RUNS
        self.holds = self.computes = True


def _suspending(index: int, function: HostFunction) -> Any:
    """What wasmtime calls for a function that leaves its guest waiting."""
    read_arguments, arguments_at = _reader(_VALUE_FORMATS, function)
    write_continuation: Callable[..., None] = continuation.pack_into
    continuation_at = (ctypes.c_char * continuation.size).from_address

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
        flag = _ANSWERED
        try:
            guest = running.guest
            if guest.memory is None:
                guest.find_memory(caller)
            given = read_arguments(arguments_at(arguments)) if arguments else ()
            guest.suspend(index, given, results or 0, trap)
            flag = guest.flag_address
        except BaseException as error:  # noqa: BLE001 - see the module's docstring
            ctypes.c_void_p.from_address(trap).value = _failed(index, error)
        write_continuation(continuation_at(answer), 0, _capi.ready_when_nonzero, flag, 0)

    return _capi.HOST_CALLBACK(on_call)


def _quick(index: int, function: HostFunction) -> Any:
    """What wasmtime calls for a function that is answered at once: the result takes the first argument's place."""
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
            place = values_at(values or 0)
            result = guest.answerer(index, read_arguments(place))
            if write_result is not None:
                write_result(place, 0, result)
        except BaseException as error:  # noqa: BLE001 - see the module's docstring
            return _failed(index, error)
        return 0

    return _capi.QUICK_CALLBACK(on_call)


def _reader(
    formats: dict[str, str], function: HostFunction
) -> tuple[Callable[..., Any], Callable[[int], Any]]:
    """What reads the arguments of ``function``, and what it reads from, given where they lie."""
    layout = struct.Struct("=" + "".join(formats[letter] for letter in function.signature.params))
    return layout.unpack_from, (ctypes.c_char * max(layout.size, _capi.RAW_VAL_SIZE)).from_address


def _failed(index: int, error: BaseException) -> int:
    """Remember what was raised in a callback; the trap that ends its guest."""
    guest = running.guest
    if guest is not None:
        guest.failure, guest.failed_in = error, index
    # None could not be converted, and then anything would be taken for it.
    trap: int = _capi.trap_new(b"host", 4) or 0
    return trap
