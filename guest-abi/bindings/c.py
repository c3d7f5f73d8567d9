"""Writes the generated parts of the C SDK's header and source, and its tests' host calls: not the scheduler's."""

from __future__ import annotations

import re
from pathlib import Path

from .schema import TRIED_BY_HAND, Document, Member, Operation, Schema, words

_BETWEEN = re.compile(
    r"(/\* ---- Other host calls: generated from guest-abi/schema ---- \*/\n).*?(/\* ---- End of them ---- \*/\n)",
    re.DOTALL,
)
_HEADERS = {"HeaderInfo", "ResponseHeader"}
_TYPES = {"string": "alga_text", "bytes": "alga_bytes", "json": "alga_document", "map": "alga_document"}
_REQUIRED = {"boolean": "bool", "integer": "long long", "number": "double"}
_OPTIONAL = {"boolean": "alga_switch", "integer": "alga_integer", "number": "alga_decimal"}
_KINDS = {"string": "TEXT", "bytes": "BYTES", "json": "DOCUMENT", "map": "DOCUMENT", "document": "RECORD"}
_REQUIRED_KINDS = {"boolean": "BOOL", "integer": "WHOLE", "number": "DOUBLE"}
_OPTIONAL_KINDS = {"boolean": "SWITCH", "integer": "INTEGER", "number": "DECIMAL"}


def files(schema: Schema, folder: Path) -> dict[str, str]:
    """By name each file, of which the generated parts are new."""
    schema = schema.without(TRIED_BY_HAND)
    parts = {"c/alga.h": _header(schema), "c/alga.c": _source(schema)}
    made = {name: _replaced(folder / name, part) for name, part in parts.items()}
    return made | {"c/tests/perform.h": _probe(schema)}


def _replaced(file: Path, part: str) -> str:
    """The text of ``file`` with ``part`` as its generated part."""
    return _BETWEEN.sub(lambda match: f"{match[1]}{part}\n{match[2]}", file.read_text("utf-8"))


def _snake(name: str) -> str:
    return "_".join(words(name))


def _struct(name: object) -> str:
    return "alga_header" if name in _HEADERS else f"alga_{_snake(str(name))}"


def _fields_of(name: object) -> str:
    return "header_fields" if name in _HEADERS else f"{_struct(name)}_fields"


def _call(operation: Operation) -> str:
    return f"alga_{_snake(operation.group)}_{_snake(operation.function)}"


def _element(member: Member) -> Member:
    assert isinstance(member.of, Member)  # noqa: S101 - of an array
    return member.of


def _declared(member: Member) -> str:
    name = _snake(member.name)
    if member.kind == "array":
        of = _element(member)
        inner = _struct(of.of) if of.kind == "document" else _TYPES[of.kind]
        line = f"const {inner} *{name};\n  size_t {name}_count;"
    elif member.kind == "document":
        line = f"const {_struct(member.of)} *{name};"
    else:
        line = (
            f"{_TYPES.get(member.kind) or (_REQUIRED if member.required else _OPTIONAL)[member.kind]} {name};"
        )
    first, _, rest = line.partition("\n")
    about = f" /* {member.about} */" if member.about else ""
    return f"  {first}{about}\n" + (f"{rest}\n" if rest else "")


def _documents(schema: Schema) -> list[Document]:
    """The documents of the operations' inputs and outputs, each after its parts; not the outputs themselves."""
    names = [one.input.name for one in schema.operations if one.input.members]
    names += [
        name for one in schema.operations for member in one.output.members for name in member.documents()
    ]
    ordered: list[Document] = []
    left = [one for one in schema.closed(names) if one.name not in _HEADERS]
    while left:
        written = {one.name for one in ordered} | _HEADERS
        for one in left:
            if all(part in written for member in one.members for part in member.documents()):
                ordered.append(one)
                left.remove(one)
                break
    return ordered


def _prototype(operation: Operation) -> str:
    result = f"{_call(operation)}_reply" if operation.output.members else "alga_error"
    if operation.parameters is None:
        parameters = f"const {_struct(operation.input.name)} *input"
    else:
        parameters = ", ".join(f"{_TYPES[one.kind]} {_snake(one.name)}" for one in operation.parameters)
    return f"{result} {_call(operation)}({parameters or 'void'})"


def _header(schema: Schema) -> str:
    parts = []
    for document in _documents(schema):
        members = "".join(_declared(member) for member in document.members)
        parts.append(f"\n/* {document.about} */\ntypedef struct {{\n{members}}} {_struct(document.name)};\n")
    for operation in schema.operations:
        if operation.output.members:
            members = "".join(_declared(member) for member in operation.output.members)
            parts.append(f"\ntypedef struct {{\n{members}  alga_error error;\n}} {_call(operation)}_reply;\n")
        parts.append(f"\n/* {operation.about} Needs {operation.capability}. */\n{_prototype(operation)};\n")
    tables = [_fields_of(one.name) for one in _documents(schema)]
    tables += [f"{_call(one)}_reply_fields" for one in schema.operations if one.output.members]
    parts.append("\nextern const alga_field " + ",\n    ".join(f"{name}[]" for name in tables) + ";\n")
    return "".join(parts)


def _row(struct: str, member: Member) -> str:
    of, size = "0", "0"
    if member.kind == "array":
        inner = _element(member)
        kind = "LIST" if inner.kind == "document" else "TEXTS"
        if inner.kind == "document":
            of, size = _fields_of(inner.of), f"sizeof({_struct(inner.of)})"
    elif member.kind == "document":
        kind, of, size = "RECORD", _fields_of(member.of), f"sizeof({_struct(member.of)})"
    else:
        kind = (
            _KINDS.get(member.kind) or (_REQUIRED_KINDS if member.required else _OPTIONAL_KINDS)[member.kind]
        )
    required = "true" if member.required else "false"
    return f'    {{"{member.name}", {kind}, {required}, offsetof({struct}, {_snake(member.name)}), {size}, {of}}},\n'


def _table(struct: str, members: tuple[Member, ...]) -> str:
    rows = "".join(_row(struct, member) for member in members)
    return f"\nconst alga_field {struct}_fields[] = {{\n{rows}    END}};\n"


def _source(schema: Schema) -> str:
    parts = [_table(_struct(one.name), one.members) for one in _documents(schema)]
    for operation in schema.operations:
        name = _call(operation)
        imported = f"host_{name.removeprefix('alga_')}"
        if operation.output.members:
            parts.append(_table(f"{name}_reply", operation.output.members))
        parts.append(f'\nIMPORT("alga:{operation.group}", "{operation.function}") host_call {imported};\n')
        parts.append(f"\n{_prototype(operation)} {{\n")
        given = "input"
        fields = _fields_of(operation.input.name)
        if operation.parameters == ():
            given, fields = "0", "nothing"
        elif operation.parameters is not None:
            members = ", ".join(f".{_snake(one.name)} = {_snake(one.name)}" for one in operation.parameters)
            parts.append(f"  {_struct(operation.input.name)} input = {{{members}}};\n")
            given = "&input"
        if operation.output.members:
            parts.append(
                f"  {name}_reply reply = {{0}};\n"
                f"  reply.error = perform({imported}, {fields}, {given}, {name}_reply_fields, &reply);\n"
                "  return reply;\n}\n"
            )
        else:
            parts.append(f"  return perform({imported}, {fields}, {given}, nothing, 0);\n}}\n")
    return "".join(parts)


def _probe(schema: Schema) -> str:
    parts = [
        "/* Generated from guest-abi/schema by `make docs`: the host calls that probe.c performs by it. */\n",
        "\nstatic alga_response perform_others(alga_text operation, alga_document body) {\n",
    ]
    for operation in schema.operations:
        name = _call(operation)
        parts.append(f'  if (alga_equals(operation, "{operation.name}")) {{\n')
        given = ""
        if operation.parameters != ():
            struct = _struct(operation.input.name)
            parts.append(
                f"    {struct} input = {{0}};\n    alga_read_fields(body, {struct}_fields, &input);\n"
            )
            given = "&input"
            if operation.parameters is not None:
                given = ", ".join(f"input.{_snake(one.name)}" for one in operation.parameters)
        if operation.output.members:
            member = f'"{operation.value.name}"' if operation.value else "0"
            parts.append(
                f"    {name}_reply reply = {name}({given});\n"
                f"    return performed(reply.error, {name}_reply_fields, &reply, {member});\n  }}\n"
            )
        else:
            parts.append(f"    return performed({name}({given}), 0, 0, 0);\n  }}\n")
    parts.append('  return alga_problem(404, TEXT("not-found"), operation);\n}\n')
    return "".join(parts)
