"""Writes the AssemblyScript SDK's ``documents.ts`` and ``operations.ts``: all but the scheduler and the context."""

from __future__ import annotations

from .schema import TRIED_BY_HAND, Document, Member, Operation, Schema, words

_HEAD = "// Generated from guest-abi/schema by `make docs`.\n\n"
_HEADERS = {"HeaderInfo", "ResponseHeader"}
_PLAIN = {"string": "string", "boolean": "bool", "integer": "i64", "number": "f64", "bytes": "Uint8Array"}
_ZERO = {
    "string": '""',
    "boolean": "false",
    "integer": "0",
    "number": "0",
    "bytes": "new Uint8Array(0)",
    "json": "Value.nil()",
    "map": "Value.map()",
}
_VALUE = {"string": "text", "boolean": "bool", "integer": "int", "number": "float", "bytes": "binary"}
_READ = {
    "string": "textOr",
    "boolean": "getBool",
    "integer": "getInt",
    "number": "floatOr",
    "bytes": "bytesOr",
}
_PARTS = {"string": "textOf", "bytes": "bytesOf"}
_LINE = 120


def files(schema: Schema) -> dict[str, str]:
    """By name each generated file."""
    schema = schema.without(TRIED_BY_HAND)
    inputs = {document.name for document in schema.closed(schema.inputs())} - _HEADERS
    return {
        "assemblyscript/assembly/documents.ts": _documents(schema, inputs),
        "assemblyscript/assembly/operations.ts": _operations(schema),
        "assemblyscript/tests/perform.ts": _probe(schema),
    }


def _part(operation: Operation) -> Member | None:
    """The single member of an output that a host call gives; ``None`` where it gives the whole: a number that could be
    absent would need a type of its own."""
    value = operation.value
    return None if value is None or value.kind in {"boolean", "integer", "number"} else value


def _met(schema: Schema) -> list[Document]:
    """The documents that users meet."""
    outputs = [one.output.name for one in schema.operations if one.output.members and _part(one) is None]
    return schema.documents(outputs)


def _camel(name: str) -> str:
    first, *rest = words(name)
    return first + "".join(word.capitalize() for word in rest)


def _pascal(name: str) -> str:
    return "".join(word.capitalize() for word in words(name))


def _class(name: str | Member | None) -> str:
    return "HttpHeader" if name in _HEADERS else str(name)


def _element(member: Member) -> str:
    """The type of an array's values."""
    assert isinstance(member.of, Member)  # noqa: S101 - of an array
    return _class(member.of.of) if member.of.kind == "document" else _PLAIN[member.of.kind]


def _type(member: Member) -> str:
    """A member's type. A member without a value is null, which makes a ``Value`` of a number or a boolean."""
    if member.kind == "array":
        plain = f"Array<{_element(member)}>"
    elif member.kind == "document":
        plain = _class(member.of)
    elif member.kind in {"string", "bytes"} or (member.required and member.kind in _PLAIN):
        plain = _PLAIN[member.kind]
    else:
        plain = "Value"
    return plain if member.required else f"{plain} | null"


def _zero(member: Member) -> str:
    if not member.required:
        return "null"
    if member.kind in {"array", "document"}:
        return f"new {_type(member)}()"
    return _ZERO[member.kind]


def _comment(text: str, indent: str = "") -> str:
    return f"{indent}/** {text[0].upper()}{text[1:].rstrip('.')}. */\n" if text else ""


def _to_value(member: Member, of: str) -> str:
    """The ``Value`` of ``of``, which is there."""
    if member.kind == "array":
        element = _element(member)
        if element == "string":
            return f"textsValue({of})"
        if element == "HttpHeader":
            return f"listValue<HttpHeader>({of}, headerValue)"
        return f"listValue<{element}>({of}, (item: {element}) => item.toValue())"
    if member.kind == "document":
        return f"{of}.toValue()"
    return f"Value.{_VALUE[member.kind]}({of})" if member.kind in _VALUE else of


def _from_value(member: Member, of: str) -> str:
    """The member read from the ``Value`` in ``of``, which is there."""
    if member.kind == "array":
        element = _element(member)
        read = {"string": "itemText", "HttpHeader": "decodeHeader"}.get(element, f"decode{element}")
        return f"listOr<{element}>({of}, {read})"
    if member.kind == "document":
        return f"decode{_class(member.of)}({of})"
    return {"bytes": f"{of}.bytes", "string": f"{of}.string"}.get(member.kind, of)


def _written(member: Member) -> str:
    """The statement that adds a member to ``result``."""
    name, field = member.name, f"this.{member.name}"
    if member.required:
        return f'    result.set("{name}", {_to_value(member, field)});\n'
    if member.kind == "string":
        return f'    result.setText("{name}", {field});\n'
    if _type(member) == "Value | null":
        return f'    result.setValue("{name}", {field});\n'
    return (
        f"    const {name} = {field};\n"
        f'    if ({name} !== null) result.set("{name}", {_to_value(member, name)});\n'
    )


def _read(member: Member) -> str:
    """The statements that read a member of ``value`` into ``result``."""
    name = member.name
    if member.required and member.kind in _READ:
        call = f'value.{_READ[member.kind]}("{name}")'
        if member.kind in {"string", "number", "bytes"}:
            call = f'{_READ[member.kind]}(value, "{name}")'
        return f"  result.{name} = {call};\n"
    if member.kind == "string":
        return f'  result.{name} = value.getText("{name}");\n'
    if _type(member) == "Value | null":
        return f'  result.{name} = present(value, "{name}");\n'
    return (
        f'  const {name} = present(value, "{name}");\n'
        f"  if ({name} !== null) result.{name} = {_from_value(member, name)};\n"
    )


def _documents(schema: Schema, inputs: set[str]) -> str:
    parts = []
    for document in _met(schema):
        if document.name not in _HEADERS:
            parts.append(_document(document, is_input=document.name in inputs))
    body = "".join(parts)
    helpers = ["bytesOr", "floatOr", "itemText", "listOr", "listValue", "present", "textOr", "textsValue"]
    used = [name for name in helpers if f"{name}(" in body or f"{name}<" in body or f", {name})" in body]
    headers = [name for name in ("decodeHeader", "HttpHeader", "headerValue") if name in body]
    imports = f'import {{ {", ".join(headers)} }} from "./http";\n' if headers else ""
    imports += f'import {{ {", ".join(used)} }} from "./members";\n'
    return f'{_HEAD}{imports}import {{ Value }} from "./value";\n{body}'


def _document(document: Document, *, is_input: bool) -> str:
    """A class with a reader; the required members of an input are those of its constructor."""
    given = document.required if is_input else []
    lines = [f"\n{_comment(document.about)}export class {document.name} {{\n"]
    for member in document.members:
        if member not in given:
            lines.append(
                f"{_comment(member.about, '  ')}  {member.name}: {_type(member)} = {_zero(member)};\n"
            )
    if given:
        lines.append("\n  constructor(\n")
        for member in given:
            lines.append(f"{_comment(member.about, '    ')}    public {member.name}: {_type(member)},\n")
        lines.append("  ) {}\n")
    lines.append("\n  /** As a map; members without a value are absent. */\n  toValue(): Value {\n")
    lines.append("    const result = Value.map();\n")
    lines += [_written(member) for member in document.members]
    lines.append("    return result;\n  }\n}\n")
    made = f"new {document.name}({', '.join(_zero(member) for member in given)})"
    lines.append(f"\n/** The {document.name} that `value` is. */\n")
    lines.append(f"export function decode{document.name}(value: Value): {document.name} {{\n")
    lines.append(f"  const result = {made};\n")
    lines += [_read(member) for member in document.members]
    lines.append("  return result;\n}\n")
    return "".join(lines)


def _result(operation: Operation) -> str:
    """What a host call gives, in types."""
    value = _part(operation)
    if not operation.output.members:
        return "HostError | null"
    if value is None:
        return f"Result<{operation.output.name}>"
    return f"Result<{_type(value).removesuffix(' | null')}>"


def _import(operation: Operation) -> str:
    return _camel(f"{operation.group}-{operation.function}")


def _arguments(operation: Operation) -> tuple[str, str]:
    """The parameters of a host call, and the ``Value`` of its request."""
    if operation.parameters is None:
        return f"input: {operation.input.name}", "input.toValue()"
    members = operation.parameters
    request = "".join(f'.set("{one.name}", {_to_value(one, one.name)})' for one in members)
    return ", ".join(f"{one.name}: {_type(one)}" for one in members), f"Value.map(){request}"


def _function(operation: Operation) -> str:
    declared, request = _arguments(operation)
    result = _result(operation)
    value = _part(operation)
    if not operation.output.members:
        given = "reply.error"
    elif value is None:
        required = ", ".join(f'"{member.name}"' for member in operation.output.members if member.required)
        of = operation.output.name
        given = f"recordOf<{of}>(reply, [{required}], decode{of})"
    elif value.kind == "array":
        element = _element(value)
        read = {"string": "itemText", "HttpHeader": "decodeHeader"}.get(element, f"decode{element}")
        given = f'listOf<{element}>(reply, "{value.name}", {read})'
    elif value.required:
        given = f'{_PARTS[value.kind]}(reply, "{value.name}")'
    else:
        of = _type(value).removesuffix(" | null")
        given = f'foundIn<{of}>(reply, "{value.name}", decode{of})'
    return (
        f"\n{_comment(operation.about, '  ')}  {_camel(operation.function)}({declared}): {result} {{\n"
        f"    const request = encode({request});\n"
        f"    const length = {_import(operation)}(request.dataStart, request.length, SCRATCH, SCRATCH_SIZE);\n"
        "    const reply = takeReply(length);\n"
        f"    return {given};\n  }}\n"
    )


def _operations(schema: Schema) -> str:
    parts = []
    for operation in schema.operations:
        parts.append(
            f'\n@external("alga:{operation.group}", "{operation.function}")\n'
            f"declare function {_import(operation)}(ptr: usize, len: u32, replyPtr: usize, replyCap: u32): u32;\n"
        )
    for group, operations in schema.groups().items():
        functions = "".join(_function(operation) for operation in operations)
        parts.append(
            f"\n/** Every call needs `{operations[0].capability}`. */\n"
            f"export class {_pascal(group)}Host {{{functions.removeprefix(chr(10)).join((chr(10), ''))}}}\n"
        )
    parts.append("\n/** What the host offers to a handler. */\nexport class HostBindings {\n")
    for name in ("scheduler", "context", "logging", *schema.groups()):
        parts.append(f"  readonly {_camel(name)}: {_pascal(name)}Host = new {_pascal(name)}Host();\n")
    parts.append("}\n")
    body = "".join(parts)
    documents = [one.name for one in _met(schema) if one.name not in _HEADERS]
    named = [name for one in documents for name in (one, f"decode{one}") if _names(body, name)]
    return (
        f"{_HEAD}{_imported(named, './documents')}"
        'import { ContextHost, LoggingHost, SchedulerHost } from "./host";\n'
        'import { bytesOf, foundIn, itemText, listOf, recordOf, textOf } from "./members";\n'
        'import { HostError, SCRATCH, SCRATCH_SIZE, takeReply } from "./reply";\n'
        'import { Result } from "./result";\nimport { Value } from "./value";\nimport { encode } from "./writer";\n'
        f"{body}"
    )


def _names(body: str, name: str) -> bool:
    return any(f"{before}{name}{after}" in body for before in " <(" for after in "<>(),; |")


def _imported(names: list[str], module: str) -> str:
    lines, line = [], " "
    for name in names:
        if len(line) + len(name) + 2 > _LINE:
            lines.append(line)
            line = " "
        line += f" {name},"
    return "import {\n" + "".join(f"{one}\n" for one in [*lines, line]) + f'}} from "{module}";\n'


def _probe(schema: Schema) -> str:
    """The part of the tests' guest that performs these host calls."""
    parts = [
        _HEAD,
        'import { HostBindings, HostError, Value } from "../index";\n',
        _imported([f"decode{name}" for name in schema.inputs()], "../assembly/documents"),
        'import { textsValue } from "../assembly/members";\n',
        "\nexport function outcome(value: Value, error: HostError | null): Value {\n",
        '  return error === null ? Value.map().set("ok", value) : Value.map().set("err", error.toValue());\n}\n',
        "\n/** `{ok}` or `{err}` of a host call; nil where the operation is unknown. */\n",
        "export function performOthers(operation: string, input: Value, host: HostBindings): Value {\n",
    ]
    for operation in schema.operations:
        if operation.parameters is None:
            given = f"decode{operation.input.name}(input)"
        else:
            given = ", ".join(f'input.getText("{member.name}")!' for member in operation.parameters)
        call = f"host.{_camel(operation.group)}.{_camel(operation.function)}({given})"
        parts.append(f'  if (operation == "{operation.name}") {{\n    const result = {call};\n')
        if not operation.output.members:
            parts.append("    return outcome(Value.nil(), result);\n  }\n")
            continue
        value = operation.value
        if value is None:
            got = "result.value!.toValue()"
        elif _part(operation) is None:
            got = _to_value(value, f"result.value!.{value.name}")
        else:
            got = _to_value(value, "result.value!")
        parts.append(
            f"    return outcome(result.value === null ? Value.nil() : {got}, result.error);\n  }}\n"
        )
    parts.append("  return Value.nil();\n}\n")
    return "".join(parts)
