"""A compiled WebAssembly module, with its imports and exports."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Self, TypeVar

import wasmtime
import wasmtime.component as wasmtime_component

from ..debuginfo import name_bytes
from ..errors import AlgaError, MemoryLimit, ModuleTooLarge, ModuleUnsupported, NotWasm, TableLimit
from .check.features import feature_of
from .engine import Engine
from .traps import no_map_left

_MAGIC = b"\0asm"
_CORE_VERSION = b"\x01\0\0\0"
_PAGE_BYTES = 65536
_MAX_REASON_CHARACTERS = 500
"""Of wasmtime's reason, which quotes names that the module chose."""

_NAME_BYTES = 120
"""What wasmtime keeps for an import or export, besides the name itself."""

MAX_NAME_BYTES = 2 * 1024 * 1024
"""Bytes of the import and export sections of a module, of all modules of a component together."""

_ITEMS_AT_A_TIME = 100
"""Imports or exports described without releasing the GIL, about half a millisecond."""

_Item = TypeVar("_Item")
_Native = TypeVar("_Native", wasmtime.Module, wasmtime_component.Component)

_LETTERS = {"i32": "i", "i64": "I", "f32": "f", "f64": "d"}


@dataclass(frozen=True, slots=True)
class Signature:
    """A function's type: a letter a value, ``i`` i32, ``I`` i64, ``f`` f32, ``d`` f64, ``?`` anything else."""

    params: str = ""
    results: str = ""

    def __str__(self) -> str:
        names = {letter: name for name, letter in _LETTERS.items()} | {"?": "reference"}
        shown = (", ".join(names[letter] for letter in letters) for letters in (self.params, self.results))
        return "({}) -> ({})".format(*shown)


@dataclass(frozen=True, slots=True)
class ImportType:
    """One import: ``signature`` is ``None`` unless it is a function; ``kind`` is function, memory, table or global."""

    module: str
    name: str
    kind: str
    signature: Signature | None


@dataclass(frozen=True, slots=True)
class ExportType:
    """One export, described like an import."""

    name: str
    kind: str
    signature: Signature | None


class Calls:
    """Exports that a guest is to call, one after the other: the last takes one i32, the others nothing."""

    __slots__ = ("_names", "_table", "address", "exports")

    def __init__(self, *exports: str) -> None:
        self.exports = exports
        self._names = [ctypes.create_string_buffer(name.encode()) for name in exports]
        numbers = chain.from_iterable((ctypes.addressof(name), len(name) - 1) for name in self._names)
        self._table = (ctypes.c_size_t * (2 * len(exports)))(*numbers)
        self.address = ctypes.addressof(self._table)
        """Of their names in C: each one's address and length."""


NO_CALLS = Calls()


class Module:
    """A module compiled for one engine, not linked to anything yet.

    ``Module(engine, wasm)`` compiles in this process, without any bound on time and memory: right for modules that the
    project brings itself. All others go through ``ModuleLoader``.
    """

    code_bytes = 0
    """Bytes of its code's file."""

    names_bytes = 0
    """What wasmtime keeps besides for its imports and exports, roughly."""

    code_files = 0
    """How many files stay open as long as it is loaded."""

    def __init__(self, engine: Engine, wasm: bytes) -> None:
        """Compile ``wasm``. Raises ``NotWasm``, ``ModuleUnsupported``, ``MemoryLimit`` or ``TableLimit``."""
        require_core_module(wasm)
        try:
            native = wasmtime.Module(engine.wasmtime, wasm)
        except wasmtime.WasmtimeError as error:
            raise refused(str(error)) from None
        self._adopt(engine, native)

    @classmethod
    def from_code(cls, engine: Engine, descriptor: int) -> Self:
        """The module whose compiled code is the open file ``descriptor``, which may be closed afterwards.

        The code is mapped as it is, and then runs: the caller has verified that it is what the compiler made. Raises
        ``MemoryLimit`` or ``TableLimit`` for a module larger than a slot of the engine, ``Overloaded`` where the system
        has no memory map left, and ``ModuleUnsupported`` for code that was compiled for another engine.
        """
        native = deserialized(wasmtime.Module, engine, descriptor)
        module = cls.__new__(cls)
        module._adopt(engine, native)  # noqa: SLF001 - a constructor, too
        module.code_bytes = os.fstat(descriptor).st_size
        module.code_files = 1
        return module

    def _adopt(self, engine: Engine, native: wasmtime.Module) -> None:
        self.engine = engine
        self.native = native
        self.imports = tuple(
            ImportType(item.module, item.name or "", *_describe(item.type))
            for item in _releasing_gil(native.imports)
        )
        exports = [(item.name, item.type) for item in _releasing_gil(native.exports)]
        self.names_bytes = sum(
            _NAME_BYTES + len(item.module) + len(item.name) for item in self.imports
        ) + sum(_NAME_BYTES + len(name) for name, _ in exports)
        self.memory_bytes = min(
            (kind.limits.min * _PAGE_BYTES for _, kind in exports if isinstance(kind, wasmtime.MemoryType)),
            default=0,
        )
        """Initial size of its exported memory; 0 if it exports none."""
        self.exports = tuple(ExportType(name, *_describe(kind)) for name, kind in _releasing_gil(exports))

    def forget_names(self) -> None:
        """Drop ``imports`` and ``exports``, of which a module may have a hundred thousand: it was linked."""
        self.imports = self.exports = ()


def deserialized(kind: type[_Native], engine: Engine, descriptor: int) -> _Native:
    """The module or component of wasmtime whose compiled code is the open file ``descriptor``; see ``from_code``."""
    try:
        return kind.deserialize_file(engine.wasmtime, f"/proc/self/fd/{descriptor}")
    except wasmtime.WasmtimeError as error:
        if str(error).endswith(_NO_MEMORY):  # a copy takes more of it
            raise refused(str(error)) from None
        # On a volume mounted noexec the code must be copied. If the code is at fault, this error does not name the
        # file.
        code = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    try:
        return kind.deserialize(engine.wasmtime, code)
    except wasmtime.WasmtimeError as error:
        raise refused(str(error)) from None


def require_core_module(wasm: bytes) -> None:
    """Raise ``NotWasm`` or ``ModuleUnsupported`` unless the file starts with the header of a core module."""
    if wasm[:4] != _MAGIC:
        raise NotWasm(
            "The file is not WebAssembly: it does not start with the magic bytes 00 61 73 6d.",
            hint="Point at the compiled .wasm, not its source or text form.",
        )
    if wasm[4:8] != _CORE_VERSION:
        raise ModuleUnsupported(
            "The file is not a core WebAssembly module, version 1.",
            hint="Build a core module (guest-abi/ABI.md) or a component (guest-abi/wit).",
        )


def require_few_names(wasm: bytes) -> None:
    """Raise ``ModuleTooLarge`` for a module whose names take too much: they stay in memory while it is loaded."""
    size, most = name_bytes(wasm), MAX_NAME_BYTES
    if size > most:
        raise ModuleTooLarge(
            f"The names that the module imports and exports take {size} bytes; {most} are allowed.",
            hint="Export only what the host calls: leave out --export-all and --export-dynamic.",
        )


def _releasing_gil(items: Sequence[_Item]) -> Iterator[_Item]:
    """Yield ``items``, releasing the GIL now and then: a module chooses how many it has."""
    for number, item in enumerate(items):
        if number % _ITEMS_AT_A_TIME == 0:
            time.sleep(0)
        yield item


_MEMORY_MINIMUM = re.compile(r"minimum byte size of (\d+) which exceeds the limit of (0x[0-9a-f]+)")
_TABLE_MINIMUM = re.compile(r"minimum element size of (\d+) which exceeds the limit of (\d+)")

_NO_MEMORY = f"(os error {errno.ENOMEM})"
_TABLE_COUNT = re.compile(r"defined tables count of (\d+) exceeds")


def refused(reason: str) -> AlgaError:
    """The error for wasmtime's ``reason`` to refuse a module, or for the system's to refuse memory for its code."""
    reason = " ".join(reason.split())[:_MAX_REASON_CHARACTERS]
    if reason.endswith(_NO_MEMORY):
        return no_map_left("the code of another module")
    if match := _MEMORY_MINIMUM.search(reason):
        return MemoryLimit(
            f"The module starts with more memory than its limit: {match[1]} bytes, of {int(match[2], 16)}.",
            hint="See max_memory_mb.",
        )
    if match := _TABLE_MINIMUM.search(reason):
        return TableLimit(
            f"The module starts with a larger table than its limit: {match[1]} elements, of {match[2]}.",
            hint="See max_table_elements.",
        )
    if match := _TABLE_COUNT.search(reason):
        return TableLimit(
            f"The module has {match[1]} tables; a guest may have one.",
            hint="Put all references into one table.",
        )
    return _unsupported(reason)


def _unsupported(reason: str) -> ModuleUnsupported:
    if "unexpected end" in reason:
        return ModuleUnsupported(
            f"The module is cut off: {reason}.", hint="Build it again, or copy it whole."
        )
    if feature := feature_of(reason):
        return ModuleUnsupported(
            f"The module uses {feature.name}, which the runner does not allow: {reason}.", hint=feature.hint
        )
    return ModuleUnsupported(
        f"The module does not validate: {reason}.",
        hint="Build it again; if that changes nothing, its toolchain wrote what no WebAssembly runtime accepts.",
    )


def _describe(extern: object) -> tuple[str, Signature | None]:
    if isinstance(extern, wasmtime.FuncType):
        return "function", Signature(_letters(extern.params), _letters(extern.results))
    for kind, native in (
        ("memory", wasmtime.MemoryType),
        ("table", wasmtime.TableType),
        ("global", wasmtime.GlobalType),
    ):
        if isinstance(extern, native):
            return kind, None
    return "tag", None


def _letters(values: list[wasmtime.ValType]) -> str:
    return "".join(_LETTERS.get(str(value), "?") for value in values)
