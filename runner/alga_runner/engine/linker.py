"""Host functions, and modules linked to them.

A host function here is only a name and a type; the guest's answerer answers. So the callback that wasmtime runs on the
guest's own stack copies a few integers, asks, and returns: an answer that takes more than copying bytes is a coroutine,
which suspends the guest and runs on the event loop (``drive``). Nothing may be raised out of the callback: that would
abort the process (engine-lab A2).
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import wasmtime

from ..errors import EngineUnavailable
from . import _capi, traps
from .engine import Engine
from .guest import running
from .module import Module, Signature

_VALTYPES = {
    "i": wasmtime.ValType.i32,
    "I": wasmtime.ValType.i64,
    "f": wasmtime.ValType.f32,
    "d": wasmtime.ValType.f64,
}
_VALUE_FORMATS = {"i": "8xI20x", "I": "8xQ16x", "f": "8xf20x", "d": "8xd16x"}
"""How each kind of value lies in a ``wasmtime_val_t``; integers are read unsigned (guest ABI, "Imports")."""

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
    """One function the host offers for import, of at most one result."""

    module: str
    name: str
    signature: Signature
    layout: struct.Struct = field(init=False, repr=False, compare=False)
    """How its arguments lie in an array of ``wasmtime_val_t``."""

    def __post_init__(self) -> None:
        layout = "=" + "".join(_VALUE_FORMATS[letter] for letter in self.signature.params)
        object.__setattr__(self, "layout", struct.Struct(layout))


class Linker:
    """Every function in ``functions``, defined for one engine; a guest's call names its function by position."""

    def __init__(self, engine: Engine, functions: Sequence[HostFunction]) -> None:
        self.engine = engine
        self.functions = tuple(functions)
        self._native = wasmtime.Linker(engine.wasmtime)
        self._callbacks = [_callback(index, function) for index, function in enumerate(self.functions)]
        pointer = _capi.address(self._native.ptr())
        for function, callback in zip(self.functions, self._callbacks, strict=True):
            functype = wasmtime.FuncType(
                [_VALTYPES[letter]() for letter in function.signature.params],
                [_VALTYPES[letter]() for letter in function.signature.results],
            )
            module, name = function.module.encode(), function.name.encode()
            error = _capi.linker_define_async_func(
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


def _callback(index: int, function: HostFunction) -> Any:
    read_arguments = function.layout.unpack_from
    arguments_at = (ctypes.c_char * function.layout.size).from_address
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
            given = read_arguments(arguments_at(arguments)) if arguments else ()
            if not guest.ask(index, given, results or 0, caller):
                flag = guest.flag_address
                guest.trap_address = trap
        except BaseException as error:  # noqa: BLE001 - see the module's docstring
            if (guest := running.guest) is not None:
                guest.failure, guest.failed_in = error, index
            ctypes.c_void_p.from_address(trap).value = _capi.trap_new(b"host", 4)
        write_continuation(continuation_at(answer), 0, _capi.ready_when_nonzero, flag, 0)

    return _capi.HOST_CALLBACK(on_call)
