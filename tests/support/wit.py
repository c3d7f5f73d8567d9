"""Reads the part of WIT that ``guest-abi/wit`` uses: interfaces with functions, records and enums."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from alga_runner.engine import FunctionType, ValueType

FOLDER = Path(__file__).parents[2] / "guest-abi" / "wit"

_TOKEN = re.compile(r"[a-z][a-z0-9-]*|->|[^\s]")


@dataclass
class World:
    """The types of the package by name, its functions by interface and name, and the interfaces that it imports."""

    types: dict[str, ValueType] = field(default_factory=dict)
    functions: dict[tuple[str, str], FunctionType] = field(default_factory=dict)
    imports: list[str] = field(default_factory=list)
    exports: dict[str, FunctionType] = field(default_factory=dict)


def read_world(folder: Path = FOLDER) -> World:
    """The package's world, the types first."""
    world = World()
    for path in sorted(folder.glob("*.wit"), key=lambda path: path.name != "types.wit"):
        text = re.sub(r"//.*", "", path.read_text())
        _read_file(world, list(_TOKEN.findall(text)))
    return world


def _read_file(world: World, tokens: list[str]) -> None:
    source = iter(tokens)
    for token in source:
        if token == "package":
            _until(source, ";")
        elif token in {"interface", "world"}:
            name = next(source)
            next(source)  # {
            _read_block(world, name, source)


def _read_block(world: World, interface: str, source: Iterator[str]) -> None:
    for token in source:
        if token == "}":
            return
        if token == "use":
            _until(source, ";")
        elif token == "record":
            name = next(source)
            world.types[name] = ValueType("record", tuple(_fields(world, source)))
        elif token == "enum":
            name = next(source)
            names = [word for word in _until(source, "}") if word not in "{,"]
            world.types[name] = ValueType("enum", names=tuple(names))
        elif token == "import":
            world.imports.append(next(source))
            next(source)
        elif token == "export":
            name = next(source)
            next(source)
            world.exports[name] = _function(world, source)
        else:
            next(source)  # :
            world.functions[interface, token] = _function(world, source)


def _fields(world: World, source: Iterator[str]) -> Iterator[tuple[str, ValueType]]:
    next(source)  # {
    while (name := next(source)) != "}":
        next(source)  # :
        of, end = _type(world, source)
        yield name, of
        if end == "}":
            return


def _function(world: World, source: Iterator[str]) -> FunctionType:
    next(source)  # func
    next(source)  # (
    params = []
    while (name := next(source)) != ")":
        next(source)  # :
        of, end = _type(world, source)
        params.append((name, of))
        if end == ")":
            break
    if next(source) == ";":
        return FunctionType(tuple(params))
    return FunctionType(tuple(params), _type(world, source)[0])


def _type(world: World, source: Iterator[str]) -> tuple[ValueType, str]:
    """The next type, and the token after it."""
    name = next(source)
    if name == "_":
        return ValueType("_"), next(source)
    if name not in {"list", "option", "result", "tuple"}:
        return world.types.get(name, ValueType(name)), next(source)
    next(source)  # <
    parts, end = [], ","
    while end == ",":
        part, end = _type(world, source)
        parts.append(part)
    if name == "tuple":
        made = ValueType("tuple", tuple((str(place), part) for place, part in enumerate(parts)))
    elif name == "result":
        ok = None if parts[0].kind == "_" else parts[0]
        made = ValueType("result", element=ok, error=parts[1])
    else:
        made = ValueType(name, element=parts[0])
    return made, next(source)


def _until(source: Iterator[str], end: str) -> list[str]:
    words = []
    for token in source:
        if token == end:
            break
        words.append(token)
    return words
