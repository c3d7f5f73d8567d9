"""A compiled component, with its imports and exports."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import wasmtime
import wasmtime.component as wasmtime_component
import wasmtime.component._types as native

from ...errors import LimitExceeded, ModuleError
from .. import _capi as core
from ..compile.protocol import COMPONENT_VERSION
from ..engine import Engine
from ..module import deserialized, refused
from .types import FunctionType, TypeReader

MAX_MEMBERS = 5_000
"""Imports of a component, and exports; those of interfaces count one by one."""

_MEMBERS_AT_A_TIME = 20


def is_component(wasm: bytes) -> bool:
    """Whether the file starts with the header of a component."""
    return wasm[:8] == b"\0asm" + COMPONENT_VERSION


@dataclass(frozen=True, slots=True)
class ComponentImport:
    """One import: the function or resource ``name`` of ``interface``, which is empty at the world's top level.

    ``interface`` is ``wasi:io/streams``, its ``version`` ``0.2.12`` or empty. ``type`` is ``None`` for a resource.
    """

    interface: str
    version: str
    name: str
    type: FunctionType | None
    resource: Any = None
    """wasmtime's type of a resource, which compares equal under every name that the resource has."""

    @property
    def full_interface(self) -> str:
        """The interface as the component names it, with its version."""
        return f"{self.interface}@{self.version}" if self.version else self.interface

    def __str__(self) -> str:
        """``alga:extension/scheduler create-schedule``, as messages name it."""
        return f"{self.interface} {self.name}".strip()


@dataclass(frozen=True, slots=True)
class Compiled:
    """A component's code for one engine."""

    engine: Engine
    native: wasmtime_component.Component

    @property
    def pointer(self) -> int:
        """The address of wasmtime's component."""
        return core.address(self.native.ptr())


class Component:
    """A compiled component, not linked to anything yet.

    ``Component(engine, wasm)`` compiles in this process, without any bound on time and memory: right for components
    that the project brings itself. All others go through ``ModuleLoader``.
    """

    pooled: Compiled | None = None
    """Its code for an engine with a pool, if it was loaded for one."""

    names_bytes = 0
    """A component's names are in its code's file."""

    code_bytes = 0
    """Bytes of its code's file."""

    code_files = 0
    """How many files stay open as long as it is loaded."""

    def __init__(self, engine: Engine, wasm: bytes) -> None:
        """Compile ``wasm``. Raises ``ModuleUnsupported``."""
        try:
            compiled = wasmtime_component.Component(engine.wasmtime, wasm)
        except wasmtime.WasmtimeError as error:
            raise refused(str(error)) from None
        self._adopt(engine, compiled)

    @classmethod
    def from_code(cls, engine: Engine, descriptor: int) -> Self:
        """The component whose compiled code is the open file ``descriptor``, as ``Module.from_code``."""
        compiled = deserialized(wasmtime_component.Component, engine, descriptor)
        component = cls.__new__(cls)
        component._adopt(engine, compiled)  # noqa: SLF001 - a constructor, too
        component.code_bytes = os.fstat(descriptor).st_size
        component.code_files = 1
        return component

    def load_for_pool(self, engine: Engine, descriptor: int) -> None:
        """Load the code for ``engine``, which has a pool, too, unless the component does not fit into a slot."""
        with suppress(ModuleError, LimitExceeded):
            compiled = deserialized(wasmtime_component.Component, engine, descriptor)
            self.pooled = Compiled(engine, compiled)
            self.code_files += 1

    def _adopt(self, engine: Engine, compiled: wasmtime_component.Component) -> None:
        self.on_demand = Compiled(engine, compiled)
        reader, of = TypeReader(), compiled.type
        self.imports = tuple(
            imported
            for outer, inner, kind in _members(engine, of.imports(engine.wasmtime))
            if (imported := _import(outer, inner, kind, reader)) is not None
        )
        self.exports: dict[str, FunctionType] = {
            f"{outer}#{inner}" if inner else outer: reader.function(kind)
            for outer, inner, kind in _members(engine, of.exports(engine.wasmtime))
            if isinstance(kind, native.FuncType)
        }
        """The functions that it exports: ``name``, or ``interface#name``."""


def _members(
    engine: Engine, externs: Mapping[str, native.ComponentExtern]
) -> Iterator[tuple[str, str, object]]:
    """Each import or export: its name and an empty one, or for a member of an interface that of both; and its type.

    Raises ``ModuleUnsupported`` for more than ``MAX_MEMBERS``.
    """
    count = 0
    for outer, extern in externs.items():
        members = {"": extern}
        if isinstance(extern.ty, native.ComponentInstanceType):
            members = extern.ty.exports(engine.wasmtime)
        for inner, member in members.items():
            count += 1
            if count > MAX_MEMBERS:
                raise refused(f"it has more than {MAX_MEMBERS} imports or exports")
            if count % _MEMBERS_AT_A_TIME == 0:
                time.sleep(0)  # releases the GIL: the component chooses how many it has
            yield outer, inner, member.ty


def _import(outer: str, inner: str, kind: object, reader: TypeReader) -> ComponentImport | None:
    """The import, or ``None`` for a name of a type."""
    interface, _, version = outer.partition("@") if inner else ("", "", "")
    if isinstance(kind, native.FuncType):
        return ComponentImport(interface, version, inner or outer, reader.function(kind))
    if isinstance(kind, wasmtime_component.ResourceType):
        return ComponentImport(interface, version, inner or outer, None, kind)
    if isinstance(kind, native.ValType):
        return None
    raise refused(f"it imports {outer} {inner}, which is neither a function nor a resource")
