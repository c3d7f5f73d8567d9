"""Components made from types: each of their functions passes its argument to the host and returns the host's answer.

So every value of every type crosses the border four times: lowered as an argument, lifted in the host call, lowered as
its answer and lifted as the result.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import wasmtime
from hypothesis import strategies as st

from alga_runner.engine.component.types import ValueType

INTERFACE = "test:relay/host"
_MAX_FLAT = 16
_NAMED = {"record", "variant", "enum", "flags"}
_INTEGERS = {
    "u8": (0, 2**8 - 1),
    "s8": (-(2**7), 2**7 - 1),
    "u16": (0, 2**16 - 1),
    "s16": (-(2**15), 2**15 - 1),
    "u32": (0, 2**32 - 1),
    "s32": (-(2**31), 2**31 - 1),
    "u64": (0, 2**64 - 1),
    "s64": (-(2**63), 2**63 - 1),
}

LIBC = """
  (core module $libc
    (memory (export "memory") 2)
    (global $heap (mut i32) (i32.const 65536))
    (func (export "reset") (global.set $heap (i32.const 65536)))
    (func (export "realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32)
      (result i32)
      (local $place i32)
      (local.set $place (i32.and
        (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
      (global.set $heap (i32.add (local.get $place) (local.get $size)))
      (block $enough (loop $more
        (br_if $enough (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))))
        (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
        (br $more)))
      (memory.copy (local.get $place) (local.get $old) (local.get $old_size))
      (local.get $place)))
  (core instance $libc (instantiate $libc))
  (alias core export $libc "memory" (core memory $memory))
  (alias core export $libc "realloc" (core func $realloc))
  (alias core export $libc "reset" (core func $reset))
"""
"""A memory and an allocator that never frees, save all by ``reset``."""


def relay(types: Sequence[ValueType]) -> bytes:
    """A component that imports and exports a function ``f0``, ``f1``, ... for each of ``types``."""
    named = named_types(types)
    inside, aliases = [], []
    for number, of in enumerate(named):
        inside.append(f"(type $t{number} {define_type(of, named, '$i')})")
        inside.append(f'(export "t{number}" (type $i{number} (eq $t{number})))')
        aliases.append(f'(alias export $host "t{number}" (type $o{number}))')
    lowered, imports, relays, lifted, given = [], [], [], [], []
    for number, of in enumerate(types):
        spelt = spell_type(of, named, "$i")
        inside.append(f'(export "f{number}" (func (param "value" {spelt}) (result {spelt})))')
        aliases.append(f'(alias export $host "f{number}" (func $host{number}))')
        lowered.append(
            f"(core func $lower{number} (canon lower (func $host{number})"
            " (memory $memory) (realloc $realloc)))"
        )
        given.append(f'(export "f{number}" (func $lower{number}))')
        flat = flatten(of)
        params = flat if len(flat) <= _MAX_FLAT else ["i32"]
        declared = "".join(f" (param {letter})" for letter in params)
        gets = " ".join(f"(local.get {place})" for place in range(len(params)))
        if len(flat) == 1:
            imports.append(f'(import "host" "f{number}" (func $f{number}{declared} (result {flat[0]})))')
            relays.append(
                f'(func (export "f{number}"){declared} (result {flat[0]}) (call $f{number} {gets}))'
            )
        else:
            imports.append(f'(import "host" "f{number}" (func $f{number}{declared} (param i32)))')
            relays.append(
                f'(func (export "f{number}"){declared} (result i32)'
                f" (call $f{number} {gets} (i32.const 1024)) (i32.const 1024))"
            )
        spelt = spell_type(of, named, "$o")
        lifted.append(f'(alias core export $relay "f{number}" (core func $core{number}))')
        lifted.append(
            f'(func (export "f{number}") (param "value" {spelt}) (result {spelt})'
            f" (canon lift (core func $core{number}) (memory $memory) (realloc $realloc)))"
        )
    text = f"""(component
  (import "{INTERFACE}" (instance $host {" ".join(inside)}))
  {" ".join(aliases)}
  {LIBC}
  {" ".join(lowered)}
  (core module $relay {" ".join(imports)} {" ".join(relays)})
  (core instance $relay (instantiate $relay (with "host" (instance {" ".join(given)}))))
  {" ".join(lifted)}
)"""
    return bytes(wasmtime.wat2wasm(text))


_FLAT = {
    "u64": ["i64"],
    "s64": ["i64"],
    "f32": ["f32"],
    "f64": ["f64"],
    "string": ["i32"] * 2,
    "list": ["i32"] * 2,
}


def flatten(of: ValueType) -> list[str]:
    """The core types that a value of that type is passed as (canonical ABI, "Flattening")."""
    if of.kind in {"record", "tuple"}:
        return [letter for _, member in of.fields for letter in flatten(member)]
    if of.kind in {"option", "result"}:
        return ["i32", *_joined([of.element, of.error])]
    if of.kind == "variant":
        return ["i32", *_joined([case for _, case in of.members])]
    return _FLAT.get(of.kind, ["i32"])


def _joined(cases: Iterable[ValueType | None]) -> list[str]:
    joined: list[str] = []
    for case in cases:
        for place, letter in enumerate(flatten(case) if case else []):
            if place == len(joined):
                joined.append(letter)
            elif joined[place] != letter:
                joined[place] = "i32" if {joined[place], letter} == {"i32", "f32"} else "i64"
    return joined


def named_types(types: Iterable[ValueType]) -> list[ValueType]:
    """The types that WIT gives names to, each after those that it refers to."""
    listed: list[ValueType] = []

    def visit(of: ValueType | None) -> None:
        if of is None or of in listed:
            return
        for inner in (of.element, of.error, *(member for _, member in of.members)):
            visit(inner)
        if of.kind in _NAMED:
            listed.append(of)

    for of in types:
        visit(of)
    return listed


def spell_type(of: ValueType, named: list[ValueType], prefix: str) -> str:
    return f"{prefix}{named.index(of)}" if of.kind in _NAMED else define_type(of, named, prefix)


def define_type(of: ValueType, named: list[ValueType], prefix: str) -> str:
    def spell(inner: ValueType | None) -> str:
        return spell_type(inner, named, prefix) if inner else ""

    error = f"(error {spell(of.error)})" if of.error else ""
    spelt = {
        "list": f"(list {spell(of.element)})",
        "option": f"(option {spell(of.element)})",
        "tuple": f"(tuple {' '.join(spell(member) for _, member in of.members)})",
        "result": f"(result {spell(of.element)} {error})",
        "record": f"(record {' '.join(f'(field {_quoted(name)} {spell(one)})' for name, one in of.members)})",
        "variant": f"(variant {' '.join(f'(case {_quoted(name)} {spell(one)})' for name, one in of.members)})",
        "enum": f"(enum {' '.join(map(_quoted, of.names))})",
        "flags": f"(flags {' '.join(map(_quoted, of.names))})",
    }
    return spelt.get(of.kind, of.kind)


def _quoted(name: str) -> str:
    return f'"{name}"'


def value_types(depth: int = 3) -> st.SearchStrategy[ValueType]:
    """Any type that is no resource, nested up to ``depth``."""
    names = st.lists(
        st.from_regex(r"[a-z][a-z0-9]{0,3}(-[a-z][a-z0-9]{0,3})?", fullmatch=True),
        min_size=1,
        max_size=4,
        unique=True,
    )
    simple = st.sampled_from([*_INTEGERS, "bool", "f32", "f64", "char", "string"]).map(ValueType)
    kinds = [
        simple,
        names.map(lambda chosen: ValueType("enum", names=tuple(chosen))),
        names.map(lambda chosen: ValueType("flags", names=tuple(chosen))),
    ]
    if depth == 0:
        return st.one_of(kinds)
    inner = value_types(depth - 1)
    maybe = st.none() | inner
    several = st.lists(inner, min_size=1, max_size=4)
    return st.one_of(
        *kinds,
        inner.map(lambda element: ValueType("list", element=element)),
        st.just(ValueType("list", element=ValueType("u8"))),
        inner.map(lambda element: ValueType("option", element=element)),
        st.builds(lambda ok, error: ValueType("result", element=ok, error=error), maybe, maybe),
        several.map(lambda members: ValueType("tuple", tuple((str(i), m) for i, m in enumerate(members)))),
        names.flatmap(
            lambda chosen: st.tuples(*[inner] * len(chosen)).map(
                lambda members: ValueType("record", tuple(zip(chosen, members, strict=True)))
            )
        ),
        names.flatmap(
            lambda chosen: st.tuples(*[maybe] * len(chosen)).map(
                lambda cases: ValueType("variant", tuple(zip(chosen, cases, strict=True)))
            )
        ),
    )


_SIMPLE_VALUES: dict[str, st.SearchStrategy[object]] = {
    **{kind: st.integers(low, high) for kind, (low, high) in _INTEGERS.items()},
    "bool": st.booleans(),
    "f32": st.floats(width=32),
    "f64": st.floats(),
    "char": st.characters(exclude_categories=["Cs"]),
    "string": st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
}


def values(of: ValueType) -> st.SearchStrategy[object]:
    """Any value of that type."""
    if of.kind in _SIMPLE_VALUES:
        return _SIMPLE_VALUES[of.kind]
    if of.kind == "enum":
        return st.sampled_from(of.names)
    if of.kind == "flags":
        return st.frozensets(st.sampled_from(of.names))
    return _compound_values(of)


def _compound_values(of: ValueType) -> st.SearchStrategy[object]:
    ok, error = (st.none() if one is None else values(one) for one in (of.element, of.error))
    if of.kind == "list":
        return st.binary(max_size=300) if of.element == ValueType("u8") else st.lists(ok, max_size=4)
    if of.kind == "option":
        return st.none() | ok
    if of.kind == "result":
        return st.tuples(st.just("ok"), ok) | st.tuples(st.just("err"), error)
    members = {name: values(member) if member else st.none() for name, member in of.members}
    if of.kind == "variant":
        return st.one_of([st.tuples(st.just(name), case) for name, case in members.items()])
    return st.tuples(*members.values()) if of.kind == "tuple" else st.fixed_dictionaries(members)


def same(left: object, right: object) -> bool:
    """Whether two values are equal and of equal types, down to NaN and the sign of zero."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float) and isinstance(right, float):
        if math.isnan(left):
            return math.isnan(right)
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right
