"""Writes the Rust SDK's ``documents.rs``, ``operations.rs`` and ``imports.rs``."""

from __future__ import annotations

from .schema import CHANGES, TRIED_BY_HAND, Document, Member, Operation, Schema, words

_HEAD = "//! Generated from guest-abi/schema by `make docs`.\n\n"
_BY_HAND = {"ContextInfo": "ContextData", "HeaderInfo": "HttpHeader", "ResponseHeader": "HttpHeader"}
_PLAIN = {
    "string": "String",
    "boolean": "bool",
    "integer": "i64",
    "number": "f64",
    "bytes": "Vec<u8>",
    "json": "Value",
}
_SIGNATURE = "(at: *const u8, length: usize, reply: *mut u8, capacity: usize) -> usize;\n"
_CAMEL = '#[serde(rename_all = "camelCase")]\n'


def files(schema: Schema) -> dict[str, str]:
    """By name each generated file."""
    inputs = {document.name for document in schema.closed(schema.inputs())}
    return {
        "rust/src/documents.rs": _documents(schema, inputs),
        "rust/src/operations.rs": _operations(schema),
        "rust/src/imports.rs": _imports(schema),
        "rust/examples/perform/mod.rs": _probe(schema.without(TRIED_BY_HAND)),
    }


def _snake(name: str) -> str:
    return "_".join(words(name))


def _pascal(name: str) -> str:
    return "".join(word.capitalize() for word in words(name))


def _inner(member: Member) -> str:
    """A member's type where it has a value."""
    if member.kind == "document":
        return _BY_HAND.get(str(member.of), str(member.of))
    if isinstance(member.of, Member):
        return (
            f"Vec<{_inner(member.of)}>"
            if member.kind == "array"
            else f"BTreeMap<String, {_inner(member.of)}>"
        )
    return _PLAIN[member.kind]


def _type(member: Member) -> str:
    if member.cleared:
        return f"Change<{_inner(member)}>"
    return _inner(member) if member.required else f"Option<{_inner(member)}>"


def _field(member: Member, indent: str = "    ", visible: str = "pub ") -> str:
    attribute = ""
    if member.cleared:
        attribute = 'default, skip_serializing_if = "Change::is_leave"'
    elif member.kind == "bytes" and member.required:
        attribute = 'with = "crate::body::required"'
    elif member.kind == "bytes":
        attribute = 'default, with = "crate::body", skip_serializing_if = "Option::is_none"'
    elif not member.required:
        attribute = 'skip_serializing_if = "Option::is_none"'
    about = _comment(member.about, indent) if visible else ""
    serde = f"{indent}#[serde({attribute})]\n" if attribute else ""
    return f"{about}{serde}{indent}{visible}{_snake(member.name)}: {_type(member)},\n"


def _comment(text: str, indent: str = "") -> str:
    return f"{indent}/// {text[0].upper()}{text[1:].rstrip('.')}.\n" if text else ""


def _documents(schema: Schema, inputs: set[str]) -> str:
    parts = []
    for document in schema.documents():
        if document.name in _BY_HAND:
            continue
        parts.append(
            f"\n{_comment(document.about)}#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]\n"
            f"{_CAMEL}#[non_exhaustive]\npub struct {document.name} {{\n"
            f"{''.join(_field(member) for member in document.members)}}}\n"
        )
        if document.name in inputs:
            parts.append(_builder(document))
    body = "".join(parts)
    uses = "use std::collections::BTreeMap;\n\n" if "BTreeMap<" in body else ""
    return (
        f"{_HEAD}{uses}use serde::{{Deserialize, Serialize}};\nuse serde_json::Value;\n\n"
        f"use crate::http::HttpHeader;\nuse crate::schedule::{{Change, setters}};\n{body}"
    )


def _builder(document: Document) -> str:
    """What makes an input: its required members, then a setter for each other."""
    required = document.required
    others = [member for member in document.members if not member.required]
    arguments = ", ".join(f"{_snake(one.name)}: impl Into<{_inner(one)}>" for one in required)
    given = "".join(f"{_snake(one.name)}: {_snake(one.name)}.into(), " for one in required)
    parts = [
        (
            f"\nimpl {document.name} {{\n    pub fn new({arguments}) -> Self {{\n"
            f"        Self {{ {given}{'..Self::default() ' if others else ''}}}\n    }}\n"
        )
    ]
    if others:
        parts.append("\n    setters! {\n")
        for member in others:
            wrap = "Change::Set" if member.cleared else "Some"
            parts.append(
                f"{_comment(member.about, ' ' * 8)}        {_snake(member.name)}: {_inner(member)} => {wrap};\n"
            )
        parts.append("    }\n")
    for member in others:
        if member.cleared:
            name = _snake(member.name)
            parts.append(
                f"\n    #[must_use]\n    pub fn clear_{name}(mut self) -> Self {{\n"
                f"        self.{name} = Change::Clear;\n        self\n    }}\n"
            )
    return "".join([*parts, "}\n"])


def _import(operation: Operation) -> str:
    return f"{_snake(operation.group)}_{_snake(operation.function)}"


def _function(operation: Operation) -> str:
    local, given, declared = "", "input", f", input: &{operation.input.name}"
    if operation.parameters is not None:
        declared = "".join(
            f", {_snake(one.name)}: {'&str' if one.kind == 'string' else _type(one)}"
            for one in operation.parameters
        )
        given = "Nothing {}"
        if operation.parameters:
            fields = "".join(f"            {_snake(one.name)}: &'a str,\n" for one in operation.parameters)
            local += f"        #[derive(Serialize)]\n        {_CAMEL}"
            local += f"        struct Request<'a> {{\n{fields}        }}\n"
            given = f"Request {{ {', '.join(_snake(one.name) for one in operation.parameters)} }}"
        given = f"&{given}"
    value, output = operation.value, operation.output
    reply, take = output.name, ""
    if value is not None:
        local += (
            f"        #[derive(Deserialize)]\n        {_CAMEL}        struct Reply {{\n"
            f"{_field(value, ' ' * 12, '')}        }}\n"
        )
        reply, take = "Reply", f".map(|reply| reply.{_snake(value.name)})"
    elif not output.members:
        reply, take = "Nothing", ".map(|_| ())"
    result = _type(value) if value else (output.name if output.members else "()")
    head = f"{_comment(operation.about, '    ')}    pub fn {_snake(operation.function)}(&self{declared})"
    if operation.name in CHANGES:
        made = {
            "created": take,
            "input": ".map(|_| input.schedule_id.clone())",
            "parameter": ".map(|_| schedule_id.into())",
        }
        call = f"call::<{reply}>(abi::{_import(operation)}, {given}){made[CHANGES[operation.name]]}"
        return f"{head} -> ScheduleResult {{\n{local}        ScheduleResult::of({call})\n    }}\n"
    call = f"call::<{reply}>(abi::{_import(operation)}, {given}){take}"
    return f"{head} -> Result<{result}, HostError> {{\n{local}        {call}\n    }}\n"


def _operations(schema: Schema) -> str:
    groups = schema.groups()
    parts = [
        (
            f"{_HEAD}use serde::{{Deserialize, Serialize}};\n\nuse crate::abi;\nuse crate::documents::*;\n"
            "use crate::host::{LoggingHost, Nothing, call};\nuse crate::schedule::ScheduleResult;\n"
            "use crate::{ContextData, HostError};\n\n"
            "/// What the host offers.\n#[derive(Clone, Copy, Debug, Default)]\n#[non_exhaustive]\n"
            "pub struct HostBindings {\n"
        )
    ]
    parts += [f"    pub {_snake(name)}: {_pascal(name)}Host,\n" for name in (*groups, "logging")]
    parts.append("}\n")
    for group, operations in groups.items():
        functions = "\n".join(_function(operation) for operation in operations)
        parts.append(
            f"\n/// Every call needs `{operations[0].capability}`.\n#[derive(Clone, Copy, Debug, Default)]\n"
            f"#[non_exhaustive]\npub struct {_pascal(group)}Host;\n\nimpl {_pascal(group)}Host {{\n{functions}}}\n"
        )
    return "".join(parts)


def _imports(schema: Schema) -> str:
    parts = [_HEAD.rstrip("\n"), "\n"]
    for group, operations in schema.groups().items():
        functions = "".join(
            f'    #[link_name = "{one.function}"]\n    pub fn {_import(one)}{_SIGNATURE}'
            for one in operations
        )
        parts.append(
            f'\n#[cfg(target_family = "wasm")]\n#[link(wasm_import_module = "alga:{group}")]\n'
            f'unsafe extern "C" {{\n{functions}}}\n'
        )
    names = "".join(f'    {_import(one)} = "{one.name}",\n' for one in schema.operations)
    parts.append(f'\n#[cfg(not(target_family = "wasm"))]\ncrate::testing::operations! {{\n{names}}}\n')
    return "".join(parts)


def _probe(schema: Schema) -> str:
    """The part of the tests' guest that performs these host calls."""
    parts = [
        _HEAD,
        (
            "use alga_extension::HostBindings;\n\nuse super::{Binary, Performed, input, outcome, text};\n\n"
            "pub fn perform(operation: &str, body: &[u8], host: &HostBindings) -> Performed {\n    match operation {\n"
        ),
    ]
    for operation in schema.operations:
        if operation.parameters is None:
            given = "&input(body)?"
        else:
            given = ", ".join(f'&text(body, "{member.name}")?' for member in operation.parameters)
        call = f"host.{_snake(operation.group)}.{_snake(operation.function)}({given})"
        if operation.value is not None and operation.value.kind == "bytes":
            call += ".map(Binary)"
        parts.append(f'        "{operation.name}" => outcome({call}),\n')
    parts.append(
        '        _ => Err(alga_extension::ExecuteResponse::problem(404, "not-found", operation)),\n    }\n}\n'
    )
    return "".join(parts)
