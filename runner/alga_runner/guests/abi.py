"""The imports of guest ABI v1, and the check of a module against it, which runs nothing (guest ABI, "Exports")."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from inspect import iscoroutinefunction
from typing import Any, Literal

from ..engine import ExportType, HostFunction, ImportType, Module, Signature
from ..errors import (
    AbiMarkerConflict,
    AbiMarkerMissing,
    ExportMissing,
    ExportMistyped,
    ImportMistyped,
    ImportUnknown,
    ModuleError,
)

HANDLE = "alga_handle"
INITIALIZE = "_initialize"
MEMORY = "memory"
MARKER = "alga_abi_v1"

_MAX_NAME_CHARACTERS = 200
"""Of a name the module chose, as messages give it; WebAssembly allows 100,000 bytes."""

_MAX_EXPORTS_COMPARED = 1000
_SEE_EXPORTS = "See guest-abi/ABI.md, Exports."
_SEE_IMPORTS = "See guest-abi/ABI.md, Imports."
_UNKNOWN_HINT = {
    "env": "A linker puts a function that it finds nowhere into env: define it, or name its import module."
}

WEAK = "?"
"""At the end of an import's module: the guest runs on hosts that lack the function (guest ABI, "Weak imports")."""

HOST_CALL = Signature("iiii", "i")
MAX_MISSING = 100
"""Weak imports of a module that the host may lack."""

_MARKER = re.compile(r"alga_abi_v\d+")
_COMMAND = "_start"
_BUILD_REACTOR = (
    "Build a reactor: -mexec-model=reactor for wasi-sdk and zig, -buildmode=c-shared for Go,"
    ' crate-type = ["cdylib"] for Rust.'
)
_TOOLCHAINS = (
    (
        re.compile(r"env (_?emscripten_|invoke_|__cxa_|_embind_|__syscall_|_tzset_js)|[a-z] [a-zA-Z]{1,2}$"),
        "The module is built for Emscripten's JavaScript: build it with -sSTANDALONE_WASM --no-entry.",
    ),
    (
        re.compile(r"teavm"),
        "The module is built for TeaVM's JavaScript: build it for TeaVM's target WASI.",
    ),
    (
        re.compile(r"(go|gojs) "),
        "The module is built for Go's JavaScript: build it with GOOS=wasip1 and -buildmode=c-shared.",
    ),
    (
        re.compile(r"(__wbindgen_|wbg )"),
        "The module is built for wasm-bindgen's JavaScript: turn off the features of crates that need it, such as js.",
    ),
)
"""Imports that give away a toolchain whose output needs JavaScript around it, and what to do instead."""

_REQUIRED = {MARKER: Signature(), HANDLE: Signature("i")}
_OPTIONAL = {INITIALIZE: Signature()}


@dataclass(frozen=True, slots=True)
class Import:
    """A host function and its answer, ``answer(session, *arguments)``: one that is a coroutine suspends the guest.

    One that may be a coroutine, where it takes long, is marked ``only_if_long``.

    ``early`` functions work before the handler starts (guest ABI, "Exports"). ``capability`` is the one its call
    needs, ``None`` for the ABI's own.
    """

    function: HostFunction
    answer: Callable[..., Any]
    early: bool = False
    capability: str | None = None

    @property
    def name(self) -> str:
        """``alga:scheduler create``, as messages name it."""
        return f"{self.function.module} {self.function.name}"


def host_import(
    module: str,
    name: str,
    params: str,
    results: str,
    answer: Callable[..., Any],
    *,
    early: bool = False,
    capability: str | None = None,
    only_if_long: bool = False,
    exchange: Literal["", "in", "out"] = "",
) -> Import:
    """An import with the signature spelled in letters (``Signature``)."""
    suspends = only_if_long or iscoroutinefunction(answer)
    function = HostFunction(module, name, Signature(params, results), suspends, only_if_long, exchange)
    return Import(function, answer, early, capability)


def offer(module: str, name: str, known: Mapping[tuple[str, str], Import]) -> Import | None:
    """The host's function for an import, weak or not; ``None`` if the host has none."""
    return known.get((module.removesuffix(WEAK) if is_weak(module) else module, name))


def is_weak(module: str) -> bool:
    """Whether an import of the module may be missing: its call is answered with ``unsupported`` then."""
    return module.startswith("alga:") and module.endswith(WEAK)


_OPERATION_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")
"""Of a group and of a function: a name that the host lacks is the module's choice, and messages and logs have it."""


def is_operation(module: str, name: str) -> bool:
    """Whether a weak import could be of an operation, by its names."""
    group = module.removeprefix("alga:").removesuffix(WEAK)
    return all(map(_OPERATION_NAME.fullmatch, (group, name)))


def check_module(module: Module, known: Mapping[tuple[str, str], Import]) -> None:
    """Raise the ``ModuleError`` that describes why ``module`` is no guest of ABI v1, unless it is one."""
    try:
        _check(module, known)
    except ModuleError as error:
        error.hint = _toolchain_hint(module) or error.hint
        raise


def _toolchain_hint(module: Module) -> str | None:
    names = [f"{imported.module} {imported.name}" for imported in module.imports[:_MAX_EXPORTS_COMPARED]]
    return next((hint for sign, hint in _TOOLCHAINS if any(map(sign.match, names))), None)


def _check(module: Module, known: Mapping[tuple[str, str], Import]) -> None:
    exports = {export.name: export for export in module.exports}
    if _COMMAND in exports and INITIALIZE not in exports:
        raise ExportMissing(
            f"The module was built as a command, to run once: it exports {_COMMAND}, and no {INITIALIZE}.",
            hint=_BUILD_REACTOR,
        )
    _check_marker(module)
    for name, signature in _REQUIRED.items():
        if name not in exports:
            raise ExportMissing(
                f"The module does not export {name} {signature}.",
                hint=_nearest_export(name, module) + _SEE_EXPORTS,
            )
        _check_export(exports[name], signature)
    for name, signature in _OPTIONAL.items():
        if name in exports:
            _check_export(exports[name], signature)
    if MEMORY not in exports:
        raise ExportMissing(
            "The module does not export its memory.", hint=f"Define one and export it as {MEMORY}."
        )
    if exports[MEMORY].kind != "memory":
        raise ExportMistyped(
            f"The export memory is a {exports[MEMORY].kind}, not a memory.", hint=_SEE_EXPORTS
        )
    for imported in module.imports:
        _check_import(imported, known)
    missing = sum(offer(imported.module, imported.name, known) is None for imported in module.imports)
    if missing > MAX_MISSING:
        raise ImportUnknown(
            f"The module imports {missing} functions weakly that the host does not have; {MAX_MISSING} are allowed.",
            hint="Import only the functions that the module calls.",
        )


def _nearest_export(name: str, module: Module) -> str:
    """What ``name`` was likely exported as. Looks at few and short names: how many there are is the module's choice."""
    candidates = [export.name for export in module.exports[:_MAX_EXPORTS_COMPARED] if export.name != MARKER]
    nearest = get_close_matches(name, [export for export in candidates if len(export) <= 2 * len(name)], n=1)
    return f"The nearest one is {nearest[0]}. " if nearest else ""


def _check_marker(module: Module) -> None:
    markers = sorted(export.name for export in module.exports if _MARKER.fullmatch(export.name))
    if not markers:
        raise AbiMarkerMissing(
            f"The module exports no {MARKER}, so it does not say which guest ABI it speaks.",
            hint=f"Export an empty function named {MARKER} (guest-abi/ABI.md, Exports).",
        )
    if len(markers) > 1:
        raise AbiMarkerConflict(
            f"The module claims more than one guest ABI: {', '.join(markers)[:_MAX_NAME_CHARACTERS]}.",
            hint="Export one marker.",
        )
    if markers != [MARKER]:
        raise AbiMarkerMissing(
            f"The module speaks {markers[0][:_MAX_NAME_CHARACTERS]}, which this runner does not know.",
            hint=f"This runner knows {MARKER}; use a newer runner or an older SDK.",
        )


def _check_export(export: ExportType, signature: Signature) -> None:
    if export.kind != "function":
        raise ExportMistyped(
            f"The export {export.name} is a {export.kind}, not a function {signature}.", hint=_SEE_EXPORTS
        )
    if export.signature != signature:
        raise ExportMistyped(
            f"The export {export.name} has type {export.signature}, not {signature}.", hint=_SEE_EXPORTS
        )


def _check_import(imported: ImportType, known: Mapping[tuple[str, str], Import]) -> None:
    name = f"{imported.module} {imported.name}"[:_MAX_NAME_CHARACTERS]
    if imported.kind != "function":
        raise ImportUnknown(
            f"The module imports the {imported.kind} {name}; the host offers functions only.",
            hint="Define and export the memory in the module." if imported.kind == "memory" else None,
        )
    offered = offer(imported.module, imported.name, known)
    if offered is None and is_weak(imported.module):
        if not is_operation(imported.module, imported.name):
            raise ImportUnknown(
                f"The module imports {name} weakly, which cannot be the name of an operation.",
                hint="Names of operations have lower-case letters, digits and hyphens, 64 at most. "
                + _SEE_IMPORTS,
            )
        if imported.signature != HOST_CALL:
            raise ImportMistyped(
                f"The module imports {name} weakly as {imported.signature}; the type of a host call is {HOST_CALL}.",
                hint="Only host calls can be imported weakly. " + _SEE_IMPORTS,
            )
        return
    if offered is None:
        nearest = get_close_matches(name, [candidate.name for candidate in known.values()], n=1)
        raise ImportUnknown(
            f"The module imports {name}, which the host does not have.",
            hint=f"The nearest one is {nearest[0]}."
            if nearest
            else _UNKNOWN_HINT.get(imported.module, _SEE_IMPORTS),
        )
    if imported.signature != offered.function.signature:
        raise ImportMistyped(
            f"The module imports {name} as {imported.signature}; its type is {offered.function.signature}.",
            hint="Declare it with that type. " + _SEE_IMPORTS,
        )
