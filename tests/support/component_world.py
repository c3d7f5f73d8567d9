"""Small components of the world ``alga:extension/runner``, whose handler is written where it is tested."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import wasmtime

from alga_runner.engine import FunctionType, ValueType
from tests.support.component_relay import LIBC, define_type, flatten, named_types, spell_type
from tests.support.wit import read_world

WORLD = read_world()
HANDLER = WORLD.exports["handler"]
OK = "(i32.store16 (i32.const 0) (i32.const 200)) (i32.const 0)"
"""The end of a handler that answers 200, without headers and body."""

_MAX_FLAT = 16


def world_component(
    handler: str = OK,
    imports: Iterable[str] | Mapping[str, FunctionType] = (),
    *,
    code: str = "",
    handler_type: FunctionType = HANDLER,
    libc: str = LIBC,
    post_return: str = "",
) -> bytes:
    """A component whose handler has the body ``handler`` and which imports the functions of ``imports``.

    Each is written ``scheduler list-schedules``, and called as ``$scheduler.list-schedules`` with the canonical ABI's
    flat arguments; its type is the world's unless a mapping gives another. ``code`` is the rest of the core module, and
    ``post_return`` the body of the function that is called after the handler.
    """
    types = imports if isinstance(imports, Mapping) else {name: _of_world(name) for name in imports}
    interfaces: dict[str, dict[str, FunctionType]] = {}
    for name, of in types.items():
        interface, function = name.split(" ")
        interfaces.setdefault(interface, {})[function] = of
    instances = " ".join(_instance(name, functions) for name, functions in interfaces.items())
    lowered, given, declared = [], [], []
    for number, (name, of) in enumerate(types.items()):
        interface, function = name.split(" ")
        lowered.append(
            f'(alias export ${interface} "{function}" (func $f{number}))'
            f" (core func $lowered{number} (canon lower (func $f{number}) (memory $memory) (realloc $realloc)))"
        )
        given.append(f'(export "{number}" (func $lowered{number}))')
        declared.append(f'(import "host" "{number}" (func ${interface}.{function} {_flat(of)}))')
    named = named_types([param for _, param in handler_type.params] + _result(handler_type))
    exported = " ".join(
        f'(type $t{number} {define_type(of, named, "$x")}) (export $x{number} "x{number}" (type $t{number}))'
        for number, of in enumerate(named)
    )
    after = '(post-return (core func $code "post"))' if post_return else ""
    return bytes(
        wasmtime.wat2wasm(f"""(component {instances} {libc} {" ".join(lowered)}
      (core module $module (import "libc" "memory" (memory 1)) {" ".join(declared)} {code}
        (func $handler (export "handler") {_flat(handler_type, lifted=True)} {handler})
        {f'(func $post (export "post") (param i32) {post_return})' if post_return else ""})
      (core instance $code (instantiate $module
        (with "libc" (instance $libc)) (with "host" (instance {" ".join(given)}))))
      {exported}
      (func (export "handler") {_signature(handler_type, named, "$x")}
        (canon lift (core func $code "handler") (memory $memory) (realloc $realloc) {after})))""")
    )


def _of_world(name: str) -> FunctionType:
    interface, function = name.split(" ")
    return WORLD.functions[interface, function]


def _instance(name: str, functions: Mapping[str, FunctionType]) -> str:
    types = [param for of in functions.values() for _, param in of.params]
    types += [result for of in functions.values() for result in _result(of)]
    named = named_types(types)
    inside = [
        f'(type $t{number} {define_type(of, named, "$i")}) (export "t{number}" (type $i{number} (eq $t{number})))'
        for number, of in enumerate(named)
    ]
    inside += [
        f'(export "{function}" (func {_signature(of, named, "$i")}))' for function, of in functions.items()
    ]
    full = name if ":" in name else f"alga:extension/{name}"
    return f'(import "{full}" (instance ${name} {" ".join(inside)}))'


def _result(of: FunctionType) -> list[ValueType]:
    return [] if of.result is None else [of.result]


def _signature(of: FunctionType, named: list[ValueType], prefix: str) -> str:
    params = " ".join(f'(param "{name}" {spell_type(param, named, prefix)})' for name, param in of.params)
    results = " ".join(f"(result {spell_type(result, named, prefix)})" for result in _result(of))
    return f"{params} {results}"


def _flat(of: FunctionType, *, lifted: bool = False) -> str:
    """The core type of the function: lowered for the guest to call, or ``lifted`` from it."""
    params = [letter for _, param in of.params for letter in flatten(param)]
    results = [letter for result in _result(of) for letter in flatten(result)]
    if len(params) > _MAX_FLAT:
        params = ["i32"]
    if len(results) > 1:
        if lifted:
            results = ["i32"]
        else:
            params, results = [*params, "i32"], []
    return " ".join([*(f"(param {letter})" for letter in params), *(f"(result {one})" for one in results)])
