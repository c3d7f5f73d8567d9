"""The types of a component's functions, read once from wasmtime, within bounds.

A component chooses its own types, and what reading them costs: one that doubles eighteen times in 200 bytes has
262,144 parts and takes twelve seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import wasmtime.component._types as native

from ...errors import ModuleUnsupported

MAX_PARTS = 2_000
"""Types in the signature of one function."""

MAX_PARTS_IN_ALL = 20_000
"""Types in the signatures of all functions of a component; those of Alga's world and of WASI are 1,500."""

_MAX_ENUMS = 32
"""Enums that each further one is compared with."""

_SIMPLE = {
    native.Bool: "bool",
    native.S8: "s8",
    native.U8: "u8",
    native.S16: "s16",
    native.U16: "u16",
    native.S32: "s32",
    native.U32: "u32",
    native.S64: "s64",
    native.U64: "u64",
    native.F32: "f32",
    native.F64: "f64",
    native.Char: "char",
    native.String: "string",
}


class UnsupportedType(Exception):
    """A type that values cannot be passed of, or that is too large. The message names it."""


@dataclass(frozen=True, slots=True)
class ValueType:
    """One type of value: ``kind`` is its name in WIT.

    ``members`` are the fields of a record, the elements of a tuple, the cases of a variant (``None`` for one without a
    value), each with its name; ``names`` those of an enum or of flags. ``element`` is what a list or an option holds,
    or the value of a result; ``error`` is a result's error.
    """

    kind: str
    members: tuple[tuple[str, ValueType | None], ...] = ()
    names: tuple[str, ...] = ()
    element: ValueType | None = None
    error: ValueType | None = None

    @property
    def fields(self) -> Iterable[tuple[str, ValueType]]:
        """The members of a record or tuple, which all have a type."""
        return ((name, member) for name, member in self.members if member is not None)

    def __str__(self) -> str:
        """The type as WIT writes it, with the definitions of its parts in their places."""
        match self.kind:
            case "list" | "option":
                shown = f"{self.kind}<{self.element}>"
            case "tuple":
                shown = f"tuple<{', '.join(str(member) for _, member in self.members)}>"
            case "result" if self.error is None:
                shown = f"result<{self.element}>" if self.element else "result"
            case "result":
                shown = f"result<{self.element or '_'}, {self.error}>"
            case "record":
                shown = f"record {{ {', '.join(f'{name}: {member}' for name, member in self.members)} }}"
            case "variant":
                cases = (name if case is None else f"{name}({case})" for name, case in self.members)
                shown = f"variant {{ {', '.join(cases)} }}"
            case "enum" | "flags":
                shown = f"{self.kind} {{ {', '.join(self.names)} }}"
            case _:
                shown = self.kind
        return shown


@dataclass(frozen=True, slots=True, weakref_slot=True)
class FunctionType:
    """A function's parameters, each with its name, and its result.

    One with ``unsupported``, a reason, has neither: its values cannot cross the border.
    """

    params: tuple[tuple[str, ValueType], ...] = ()
    result: ValueType | None = None
    unsupported: str = ""

    def __str__(self) -> str:
        """The type as WIT writes it."""
        if self.unsupported:
            return f"unsupported: {self.unsupported}"
        params = ", ".join(f"{name}: {param}" for name, param in self.params)
        return f"func({params}) -> {self.result}" if self.result else f"func({params})"


_shared: WeakValueDictionary[FunctionType, FunctionType] = WeakValueDictionary()


class TypeReader:
    """Reads the types of one component's functions. Components share those that are equal: most import the same."""

    def __init__(self) -> None:
        self._parts = self._parts_in_all = 0
        self._enums: list[tuple[native.EnumType, ValueType]] = []

    def function(self, function: native.FuncType) -> FunctionType:
        """The type of ``function``. Raises ``ModuleUnsupported`` once all those read have too many types."""
        self._parts = 0
        try:
            params = tuple((name, self.read(param)) for name, param in function.params)
            result = function.result
            of = FunctionType(params, None if result is None else self.read(result))
            return _shared.setdefault(of, of)
        except UnsupportedType as error:
            return FunctionType(unsupported=str(error))
        except TypeError:  # the bindings do not know it
            return FunctionType(unsupported="a type that wasmtime does not describe")

    def read(self, of: Any) -> ValueType:
        """The type ``of``. Raises ``UnsupportedType``."""
        self._parts += 1
        self._parts_in_all += 1
        if self._parts_in_all > MAX_PARTS_IN_ALL:
            raise ModuleUnsupported(f"The component's functions have more than {MAX_PARTS_IN_ALL} types.")
        if self._parts > MAX_PARTS:
            raise UnsupportedType(f"more than {MAX_PARTS} types")
        if (simple := _SIMPLE.get(type(of))) is not None:
            return ValueType(simple)
        make = _COMPOUND.get(type(of))
        if make is None:
            raise UnsupportedType(type(of).__name__.removesuffix("Type").lower())
        return make(self, of)

    def enum(self, of: native.EnumType) -> ValueType:
        """The type ``of``: most functions of an interface have the same error, of up to forty names."""
        for known, read in self._enums:
            if known == of:
                return read
        made = ValueType("enum", names=tuple(of.names))
        if len(self._enums) < _MAX_ENUMS:
            self._enums.append((of, made))
        return made

    def optional(self, of: Any) -> ValueType | None:
        """The type ``of``, or ``None`` for none."""
        return None if of is None else self.read(of)


_COMPOUND: dict[type, Callable[[TypeReader, Any], ValueType]] = {
    native.ListType: lambda reader, of: ValueType("list", element=reader.read(of.element)),
    native.OptionType: lambda reader, of: ValueType("option", element=reader.read(of.payload)),
    native.ResultType: lambda reader, of: ValueType(
        "result", element=reader.optional(of.ok), error=reader.optional(of.err)
    ),
    native.RecordType: lambda reader, of: ValueType(
        "record", tuple((name, reader.read(field)) for name, field in of.fields)
    ),
    native.TupleType: lambda reader, of: ValueType(
        "tuple", tuple((str(place), reader.read(element)) for place, element in enumerate(of.elements))
    ),
    native.VariantType: lambda reader, of: ValueType(
        "variant", tuple((name, reader.optional(case)) for name, case in of.cases)
    ),
    native.EnumType: lambda reader, of: reader.enum(of),
    native.FlagsType: lambda _, of: ValueType("flags", names=tuple(of.names)),
    native.OwnType: lambda *_: ValueType("own"),
    native.BorrowType: lambda *_: ValueType("borrow"),
}
"""How each type that has parts is read."""
