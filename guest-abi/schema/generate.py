"""Write the schema of guest ABI v1 from the runner's operation table and its models.

Run ``make docs`` after a change; a test fails while the committed files differ.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from alga_runner.capabilities import OPERATIONS, Operation
from alga_runner.errors import HostCallCode
from alga_runner.guests.component_world import BINDINGS
from alga_runner.models.guest_documents import BINARY_SCHEMA, MAX_BODY_BYTES, Reply, Request, Response
from alga_runner.models.json_value import JSON_SCHEMA, MAX_DEPTH, MAX_PAYLOAD_DEPTH
from alga_runner.models.members import MAX_MEMBERS
from alga_runner.settings import Settings

ANY_OPERATION = (
    *(HostCallCode.DENIED, HostCallCode.VALIDATION_FAILED, HostCallCode.TOO_LARGE),
    *(HostCallCode.UNSUPPORTED, HostCallCode.INTERNAL),
)
"""Codes that every operation can answer."""

DOCUMENTS = {"request": Request, "response": Response, "reply": Reply}

_TAGGED = ("$bin", "$int", "$float")
_BINARY = {
    "description": "Bytes: bin in MessagePack, hexadecimal here.",
    "type": "object",
    "properties": {
        "$bin": {"type": "string", "pattern": "^([0-9a-f]{2})*$", "maxLength": 2 * MAX_BODY_BYTES}
    },
    "required": ["$bin"],
    "additionalProperties": False,
}
_JSON = {
    "description": f"A value that JSON has a form for. Containers nest at most {MAX_PAYLOAD_DEPTH} deep.",
    "anyOf": [
        {"type": ["null", "boolean", "number", "string"]},
        {"type": "array", "items": {"$ref": "#/$defs/Json"}, "maxItems": MAX_MEMBERS},
        {
            "type": "object",
            "additionalProperties": {"$ref": "#/$defs/Json"},
            "maxProperties": MAX_MEMBERS,
            "not": {"anyOf": [{"required": [tag]} for tag in _TAGGED]},
        },
    ],
}


def messages() -> dict[str, Any]:
    """``messages.json``: a definition of each document, of each operation's input and output, and of their parts."""
    models = [*DOCUMENTS.values()]
    models += [model for operation in OPERATIONS.values() for model in (operation.input, operation.output)]
    _, schema = models_json_schema(
        [(model, "validation") for model in dict.fromkeys(models)], ref_template="#/$defs/{model}"
    )
    definitions = {name: _plain(definition) for name, definition in schema["$defs"].items()}
    for model in models:
        own = {field.alias for name, field in model.model_fields.items() if name in model.__annotations__}
        properties = definitions[model.__name__].get("properties", {})
        own_first = sorted(properties, key=lambda name, own=own: name not in own)
        definitions[model.__name__] |= (
            {"properties": {name: properties[name] for name in own_first}} if own else {}
        )
    definitions |= {"Binary": _BINARY, "Json": _JSON}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:alga:guest-abi:v1:messages",
        "title": "Messages of guest ABI v1",
        "description": "MessagePack documents, in the JSON form of README.md. Unknown members are ignored.",
        "$defs": dict(sorted(definitions.items())),
    }


def operations() -> dict[str, Any]:
    """``operations.json``: the index of documents and operations, and the limits that they share."""
    return {
        "abi": "alga_abi_v1",
        "documents": {name: _reference(model.__name__) for name, model in DOCUMENTS.items()},
        "codes": [code.value for code in HostCallCode],
        "codesOfEveryOperation": [code.value for code in ANY_OPERATION],
        "limits": {
            "depth": MAX_DEPTH,
            "payloadDepth": MAX_PAYLOAD_DEPTH,
            "items": _default("max_items"),
            "bodyBytes": _default("max_body_bytes"),
        },
        "operations": [_operation(operation) for operation in OPERATIONS.values()],
    }


def _operation(operation: Operation[Any, Any]) -> dict[str, Any]:
    direct = operation.name == "log.emit"
    return {
        "name": operation.name,
        "module": f"alga:{operation.group}",
        "function": operation.function,
        "parameters": ["level", "ptr", "len"] if direct else ["ptr", "len", "reply_ptr", "reply_cap"],
        "components": sorted(
            f"{interface} {function}"
            for (interface, function), binding in BINDINGS.items()
            if binding.operation is operation
        ),
        "capability": operation.capability,
        "summary": operation.summary,
        "input": _reference(operation.input.__name__),
        "output": _reference(operation.output.__name__),
        "codes": [code.value for code in operation.codes],
        "limits": {"lineBytes": _default("max_log_line_bytes")}
        if direct
        else {"requestBytes": _default("max_request_bytes") + operation.payload_bytes},
    }


def _default(setting: str) -> int:
    """A host's default: what a setting is unless an operator chooses."""
    value: int = Settings.model_fields[setting].default
    return value


def _reference(name: str) -> str:
    return f"messages.json#/$defs/{name}"


def _plain(schema: Any) -> Any:
    """``schema`` without what pydantic adds for people who have no other name, and with nil as a type."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    for mark, name in ((JSON_SCHEMA, "Json"), (BINARY_SCHEMA, "Binary")):
        if schema.get("$comment") == mark["$comment"]:
            return {"$ref": f"#/$defs/{name}"} | {k: v for k, v in schema.items() if k == "description"}
    plain = {
        key: {name: _plain(member) for name, member in value.items()}
        if key == "properties"
        else _plain(value)
        for key, value in schema.items()
        if key not in {"title", "default"} and not (key == "additionalProperties" and value is True)
    }
    if isinstance(plain.get("description"), str):
        plain["description"] = plain["description"].partition("\n\n")[0]
    match plain.get("anyOf"):
        case [{"type": str(kind), **rest}, {"type": "null"}]:
            del plain["anyOf"]
            plain = {"type": [kind, "null"], **rest, **plain}
    return plain


def main() -> None:
    """Write both files next to this script, or into the folder that the first argument names."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for name, content in (("messages.json", messages()), ("operations.json", operations())):
        (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
