"""Writes the Go SDK's ``documents.go``, ``operations.go`` and its imports."""

from __future__ import annotations

from dataclasses import replace

from .schema import CHANGES, DOCUMENTS, TRIED_BY_HAND, Document, Member, Operation, Schema, words

_HEAD = "// Code generated from guest-abi/schema by `make docs`. DO NOT EDIT.\n\n"
_INITIALISMS = {"id", "url", "http", "json", "ui", "sku", "vat"}
_NAMES = {"HeaderInfo": "Header", "ResponseHeader": "Header", "ErrorInfo": "HostError"}
_PLAIN = {
    "string": "string",
    "boolean": "bool",
    "integer": "int",
    "number": "float64",
    "bytes": "[]byte",
    "json": "any",
}
_BY_POINTER = {"boolean", "integer", "number", "document"}
"""Kinds whose zero is a value: where such a member is absent, it is a pointer that is nil."""


def files(schema: Schema) -> dict[str, str]:
    """By name each generated file."""
    return {
        "go/documents.go": _documents(schema),
        "go/operations.go": _operations(schema),
        "go/internal/abi/imports_wasip1.go": _imports(schema),
        "go/internal/abi/imports_native.go": _scripted(schema),
        "go/tests/probe/perform.go": _probe(schema),
    }


def _exported(name: str) -> str:
    if name in _NAMES:
        return _NAMES[name]
    return "".join(word.upper() if word in _INITIALISMS else word.capitalize() for word in words(name))


def _parameter(name: str) -> str:
    first, *_ = words(name)
    return first + _exported(name)[len(first) :]


def _type(member: Member) -> str:
    if isinstance(member.of, Member):
        inner = ("[]" if member.kind == "array" else "map[string]") + _type(member.of)
    elif member.kind == "document":
        inner = _exported(str(member.of))
    else:
        inner = _PLAIN[member.kind]
    if member.cleared:
        return f"Change[{inner}]"
    absent = not member.required or (member.nullable and member.kind == "document")
    return f"*{inner}" if absent and member.kind in _BY_POINTER else inner


def _tag(member: Member) -> str:
    return f'`json:"{member.name}{"" if member.required else ",omitzero"}"`'


def _fields(members: tuple[Member, ...], indent: str = "\t") -> str:
    """The fields of a struct as gofmt has them: columns are aligned from one comment to the next."""
    lines: list[str] = []
    run: list[Member] = []

    def close() -> None:
        names = max((len(_exported(member.name)) for member in run), default=0)
        types = max((len(_type(member)) for member in run), default=0)
        for member in run:
            lines.append(f"{indent}{_exported(member.name):{names}} {_type(member):{types}} {_tag(member)}\n")
        run.clear()

    for member in members:
        if member.about:
            close()
            lines.append(f"{indent}// {_sentence(member.about)}\n")
        run.append(member)
    close()
    return "".join(lines)


def _sentence(text: str) -> str:
    text = text[0].upper() + text[1:]
    return text if text.endswith((".", "?", "!")) else text + "."


def _documents(schema: Schema) -> str:
    parts = [_HEAD, "package alga\n"]
    written = set()
    for document in schema.documents(DOCUMENTS):
        name = _exported(document.name)
        if name not in written:
            written.add(name)
            parts.append(
                f"\n// {name}: {document.about}\ntype {name} struct {{\n{_fields(document.members)}}}\n"
            )
    return "".join(parts)


def _import(operation: Operation) -> str:
    return _exported(operation.group) + _exported(operation.function)


def _anonymous(document: Document, indent: str = "\t") -> str:
    members = tuple(replace(member, about="") for member in document.members)
    return f"struct {{\n{_fields(members, indent + chr(9))}{indent}}}" if members else "struct{}"


def _operations(schema: Schema) -> str:
    groups = schema.groups()
    fields = [
        *((_exported(group), f"{_exported(group)}Host") for group in groups),
        ("Logging", "LoggingHost"),
    ]
    width = max(len(name) for name, _ in fields)
    parts = [
        _HEAD,
        'package alga\n\nimport "alga/internal/abi"\n',
        "\n// Host is what the host offers.\ntype Host struct {\n",
    ]
    parts += [f"\t{name:{width}} {of}\n" for name, of in fields]
    parts.append("}\n")
    for group, operations in groups.items():
        needs = operations[0].capability
        parts.append(
            f"\n// {_exported(group)}Host: every call needs {needs}.\ntype {_exported(group)}Host struct{{}}\n"
        )
        parts += [_function(operation) for operation in operations]
    return "".join(parts)


def _function(operation: Operation) -> str:
    if operation.parameters is None:
        declared, given = f"input {_exported(operation.input.name)}", "input"
    else:
        names = [_parameter(member.name) for member in operation.parameters]
        declared = ", ".join(
            f"{name} {_type(member)}" for name, member in zip(names, operation.parameters, strict=True)
        )
        given = f"{_anonymous(operation.input)}{{{', '.join(names)}}}"
    name = _exported(operation.function)
    about = f"\n// {name}: {operation.about}\n"
    head = f"func ({_exported(operation.group)}Host) {name}({declared})"
    value, output = operation.value, operation.output
    if operation.name in CHANGES:
        made = {
            "created": f"ok.{_exported(value.name)}" if value else "",
            "input": "input.ScheduleID",
            "parameter": "scheduleID",
        }[CHANGES[operation.name]]
        ok = "ok" if value else "_"
        call = f"\t{ok}, err := call[{_anonymous(output)}](abi.{_import(operation)}, {given})\n"
        return f"{about}{head} ScheduleResult {{\n{call}\treturn changed({made}, err)\n}}\n"
    if value is not None:
        call = f"\tok, err := call[{_anonymous(output)}](abi.{_import(operation)}, {given})\n"
        return (
            f"{about}{head} ({_type(value)}, error) {{\n{call}\treturn ok.{_exported(value.name)}, err\n}}\n"
        )
    if not output.members:
        call = f"\t_, err := call[struct{{}}](abi.{_import(operation)}, {given})\n"
        return f"{about}{head} error {{\n{call}\treturn err\n}}\n"
    of = _exported(output.name)
    return f"{about}{head} ({of}, error) {{\n\treturn call[{of}](abi.{_import(operation)}, {given})\n}}\n"


_SIGNATURE = "(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32"


def _imports(schema: Schema) -> str:
    parts = [_HEAD, 'package abi\n\nimport "unsafe"\n']
    for operation in schema.operations:
        parts.append(
            f"\n//go:wasmimport alga:{operation.group} {operation.function}\nfunc {_import(operation)}{_SIGNATURE}\n"
        )
    return "".join(parts)


def _scripted(schema: Schema) -> str:
    parts = [_HEAD, '//go:build !wasip1\n\npackage abi\n\nimport "unsafe"\n']
    for operation in schema.operations:
        parts.append(
            f"\nfunc {_import(operation)}{_SIGNATURE} {{\n"
            f'\treturn scripted("{operation.name}", at, length, reply, capacity)\n}}\n'
        )
    return "".join(parts)


def _probe(schema: Schema) -> str:
    """The part of the tests' guest that performs host calls: all but the scheduler's and the context's."""
    parts = [
        _HEAD,
        'package main\n\nimport (\n\t"alga"\n\t"alga/internal/msgpack"\n)\n',
        "\nfunc performOthers(operation string, body []byte, host *alga.Host) (alga.Response, error) {\n",
        "\tswitch operation {\n",
    ]
    for operation in schema.without(TRIED_BY_HAND).operations:
        members = operation.parameters
        if members is None:
            of, given = f"alga.{_exported(operation.input.name)}", "input"
        else:
            of = _anonymous(operation.input, "\t\t")
            given = ", ".join(f"input.{_exported(member.name)}" for member in members)
        call = f"host.{_exported(operation.group)}.{_exported(operation.function)}({given})"
        parts.append(f'\tcase "{operation.name}":\n')
        if members != ():
            parts.append(
                f"\t\tvar input {of}\n\t\tif err := msgpack.Decode(body, &input); err != nil {{\n"
                "\t\t\treturn alga.Response{}, err\n\t\t}\n"
            )
        parts.append(f"\t\treturn outcome({call if operation.output.members else f'nil, {call}'})\n")
    parts.append('\tdefault:\n\t\treturn found("", false)\n\t}\n}\n')
    return "".join(parts)
