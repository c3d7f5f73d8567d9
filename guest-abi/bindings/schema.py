"""Reads the schema: documents with their members, and operations."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCUMENTS = ("Request", "Response")
"""What an SDK's user meets besides what operations exchange."""

CHANGES = {
    "scheduler.create": "created",
    "scheduler.update": "input",
    "scheduler.delete": "parameter",
}
"""Operations whose result is always a value, with where the schedule's id is found."""

TRIED_BY_HAND = {"context", "scheduler"}
"""Groups whose host calls the guests of the SDKs' tests perform by code of their own."""

CLEARED = {"UpdateScheduleInput": ("name", "payload", "missedWindowSeconds")}
"""Members that nil clears: absent, nil and a value are three things."""


@dataclass(frozen=True)
class Member:
    """One member of a document."""

    name: str
    kind: str
    """``string``, ``boolean``, ``integer``, ``number``, ``bytes``, ``json``, ``array``, ``map``, ``document``."""
    of: str | Member | None
    """A document's name; what an array or a map holds."""
    required: bool
    nullable: bool
    cleared: bool
    about: str

    def documents(self) -> Iterator[str]:
        """The documents that it holds."""
        if isinstance(self.of, Member):
            yield from self.of.documents()
        elif self.of is not None:
            yield self.of


@dataclass(frozen=True)
class Document:
    """A map with members of its own."""

    name: str
    about: str
    members: tuple[Member, ...]
    order: tuple[str, ...]
    """The names of those that are required, in the order that a constructor takes them."""

    @property
    def required(self) -> list[Member]:
        """The members that there must be."""
        return sorted(
            (one for one in self.members if one.required), key=lambda one: self.order.index(one.name)
        )


@dataclass(frozen=True)
class Operation:
    """One host call."""

    name: str
    group: str
    function: str
    capability: str
    about: str
    input: Document
    output: Document

    @property
    def parameters(self) -> tuple[Member, ...] | None:
        """The members of a small input, which are the function's parameters; ``None`` where the input is one."""
        members = self.input.members
        return members if len(members) <= 2 and all(member.required for member in members) else None

    @property
    def value(self) -> Member | None:
        """The only member of the output, which is what the function gives."""
        return self.output.members[0] if len(self.output.members) == 1 else None


@dataclass(frozen=True)
class Schema:
    """All that the SDKs are made from."""

    definitions: Mapping[str, Document]
    operations: tuple[Operation, ...]

    @classmethod
    def read(cls, folder: Path) -> Schema:
        """Read the files in ``folder``."""
        messages = json.loads((folder / "messages.json").read_text("utf-8"))["$defs"]
        index = json.loads((folder / "operations.json").read_text("utf-8"))
        documents = {name: _document(name, it) for name, it in messages.items() if "properties" in it}
        operations = tuple(
            Operation(
                name=one["name"],
                group=one["module"].partition(":")[2],
                function=one["function"],
                capability=one["capability"],
                about=one["summary"],
                input=documents[_name(one["input"])],
                output=documents[_name(one["output"])],
            )
            for one in index["operations"]
            if one["parameters"][0] == "ptr"  # a line of the log has no document
        )
        return cls(documents, operations)

    def documents(self, also: Iterable[str] = ()) -> list[Document]:
        """What users meet of the inputs and outputs, and of the documents ``also``, with their parts, by name."""
        return self.closed([*also, *self.inputs(), *self.outputs()])

    def inputs(self) -> Iterator[str]:
        """The documents that users give to the operations."""
        for operation in self.operations:
            if operation.parameters is None:
                yield operation.input.name

    def outputs(self) -> Iterator[str]:
        """The documents that users get from the operations."""
        for operation in self.operations:
            if operation.value is not None:
                yield from operation.value.documents()
            elif operation.output.members:
                yield operation.output.name

    def closed(self, names: Iterable[str]) -> list[Document]:
        """The documents of these names and all parts of theirs, by name."""
        left, seen = list(names), set[str]()
        while left:
            name = left.pop()
            if name not in seen:
                seen.add(name)
                left += [part for member in self.definitions[name].members for part in member.documents()]
        return [self.definitions[name] for name in sorted(seen)]

    def without(self, groups: Collection[str]) -> Schema:
        """The schema without the operations of ``groups``."""
        return Schema(self.definitions, tuple(one for one in self.operations if one.group not in groups))

    def groups(self) -> dict[str, list[Operation]]:
        """The operations of each group, both in the order of the schema."""
        groups: dict[str, list[Operation]] = {}
        for operation in self.operations:
            groups.setdefault(operation.group, []).append(operation)
        return groups


def words(name: str) -> list[str]:
    """The words of ``scheduleId``, ``get-endpoints`` or ``HttpInfo``, in lower case."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+", name)]


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]


def _document(name: str, schema: dict[str, Any]) -> Document:
    required = schema.get("required", ())
    members = tuple(
        _member(member, of, required=member in required, cleared=member in CLEARED.get(name, ()))
        for member, of in schema["properties"].items()
    )
    return Document(name, schema.get("description", ""), members, tuple(required))


def _member(name: str, schema: dict[str, Any], *, required: bool = True, cleared: bool = False) -> Member:
    alternatives = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    nullable = {"type": "null"} in schema.get("anyOf", ())
    shape = {**schema, **alternatives[-1]} if alternatives else schema
    kind, of = _kind(name, shape)
    if isinstance(shape.get("type"), list):
        nullable = "null" in shape["type"]
    return Member(name, kind, of, required, nullable, cleared, schema.get("description", ""))


def _kind(name: str, shape: dict[str, Any]) -> tuple[str, str | Member | None]:
    if "$ref" in shape:
        reference = _name(shape["$ref"])
        known = {"Binary": "bytes", "Json": "json"}
        return (known[reference], None) if reference in known else ("document", reference)
    if "enum" in shape or "const" in shape:
        return "string", None
    kind = shape["type"]
    kind = kind if isinstance(kind, str) else next(one for one in kind if one != "null")
    if kind == "array":
        return kind, _member(name, shape["items"])
    if kind == "object":
        of = shape.get("additionalProperties")
        return ("map", _member(name, of)) if of else ("json", None)
    return kind, None
