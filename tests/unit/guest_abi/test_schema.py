"""The schema is that of the models, and agrees with the vectors and the host."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import jsonschema_rs
import pytest
from msgspec import Struct
from msgspec.structs import fields

from alga_runner import capabilities
from alga_runner.capabilities.gate import _envelope
from alga_runner.errors import BrokenFraming, HostCallCode, HostCallError
from alga_runner.guests import http, messages
from alga_runner.guests.component_world import BINDINGS
from alga_runner.guests.core import core_imports
from alga_runner.guests.log import GuestLog
from alga_runner.models.guest_documents import Response
from alga_runner.telemetry import Telemetry
from tests.support.schema import (
    DEFINITIONS,
    FOLDER,
    INDEX,
    MESSAGES,
    OPERATIONS,
    as_json,
    definition_of,
    members,
    validator,
)

Vectors = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_schema", FOLDER / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["messages", "operations"])
def test_the_committed_schema_is_that_of_the_models(name: str, generator: ModuleType) -> None:
    assert json.loads((FOLDER / f"{name}.json").read_text("utf-8")) == getattr(generator, name)(), (
        "run `make docs`"
    )


def test_the_messages_are_a_json_schema() -> None:
    assert jsonschema_rs.meta.is_valid(MESSAGES)


def test_the_index_has_every_operation_with_its_codes_and_its_parameters() -> None:
    gate = capabilities.Gate(Telemetry())
    signatures = {
        f"{one.function.module.removeprefix('alga:')}.{one.function.name}": len(one.function.signature.params)
        for one in core_imports(gate, GuestLog(gate))
        if one.function.module.startswith("alga:") and one.function.module != "alga:abi"
    }

    assert {name: len(one["parameters"]) for name, one in OPERATIONS.items()} == signatures
    assert {name: one["codes"] for name, one in OPERATIONS.items()} == {
        name: [str(code) for code in operation.codes] for name, operation in capabilities.OPERATIONS.items()
    }


def test_the_index_has_every_function_of_a_component_that_an_operation_answers() -> None:
    bound = [name for operation in OPERATIONS.values() for name in operation["components"]]

    assert sorted(bound) == sorted(
        f"{interface} {function}"
        for (interface, function), binding in BINDINGS.items()
        if binding.operation.name in OPERATIONS
    )


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from references(item)


def test_every_reference_leads_to_a_definition_and_every_definition_is_used() -> None:
    indexed = [one[end] for one in OPERATIONS.values() for end in ("input", "output")]
    used = [*references(MESSAGES), *indexed, *INDEX["documents"].values()]

    assert {definition_of(reference) for reference in used} == DEFINITIONS.keys()


def unbounded(schema: dict[str, Any]) -> bool:
    """Whether a member may be of any type, or of any length or size that its type has."""
    if "$ref" in schema or "enum" in schema:
        return False
    if "anyOf" in schema:
        return any(unbounded(one) for one in schema["anyOf"])
    kinds = {schema.get("type")} if isinstance(schema.get("type"), str) else set(schema.get("type", ()))
    bounds = {
        "string": {"maxLength", "pattern"},
        "integer": {"maximum"},
        "number": {"maximum"},
        "array": {"maxItems"},
        "object": {"maxProperties"},
    }
    return not kinds or any(not bounds[kind] & schema.keys() for kind in kinds - {"null", "boolean"})


def test_every_member_of_every_document_has_a_type_and_a_limit() -> None:
    without = {
        f"{name}.{member}"
        for name, definition in DEFINITIONS.items()
        for member, schema in definition.get("properties", {}).items()
        if unbounded(schema)
    }

    assert without == {"LogEntry.message"}  # a line that is too long is cut, and never refused


# ---- The vectors


def test_valid_vectors_are_valid(vectors: Vectors) -> None:
    for vector in vectors("requests.json"):
        assert fault("Request", vector) is None, vector["name"]
    for vector in vectors("responses.json"):
        if vector["kind"] == "valid":
            assert fault("Response", vector) is None, vector["name"]
    for vector in vectors("host-call-requests.json"):
        if vector["kind"] == "valid":
            assert fault(definition_of(OPERATIONS[vector["operation"]]["input"]), vector) is None, vector[
                "name"
            ]


def test_a_reply_is_valid_unless_a_guest_reads_it_as_internal(vectors: Vectors) -> None:
    for vector in vectors("replies.json"):
        if vector["name"] != "truncated":
            broken = "err" in vector["value"] and "message" not in vector["value"]["err"]
            assert (fault("Reply", vector) is not None) == broken, vector["name"]


def test_every_ok_of_the_vectors_is_the_output_of_an_operation(vectors: Vectors) -> None:
    outputs = {definition_of(operation["output"]) for operation in OPERATIONS.values()}
    for vector in vectors("replies.json"):
        value = vector["value"].get("ok")
        if value and vector["name"] != "ok: bytes":
            fitting = [name for name in outputs if members(name) and value.keys() <= members(name).keys()]
            assert fitting, vector["name"]
            assert any(validator(name).is_valid(as_json(value)) for name in fitting), vector["name"]


def test_requests_of_the_wrong_shape_are_not_valid(vectors: Vectors) -> None:
    wrong = [
        vector
        for vector in vectors("host-call-requests.json")
        if vector.get("rule") == "shape" or (vector.get("rule") == "json" and "depth" not in vector["name"])
    ]

    taken = [
        vector["name"]
        for vector in wrong
        if fault(definition_of(OPERATIONS[vector["operation"]]["input"]), vector) is None
    ]

    assert len(wrong) > 30
    assert taken == []


def test_what_is_no_response_is_not_valid(vectors: Vectors) -> None:
    taken = []
    for vector in vectors("responses.json"):
        if vector["kind"] == "refused":
            try:
                if fault("Response", vector) is None:
                    taken.append(vector["name"])
            except (BrokenFraming, HostCallError):
                pass  # against a rule of every document, for which a schema has no words

    assert taken == []


def fault(definition: str, vector: dict[str, Any]) -> str | None:
    """Why the document in a vector is not valid."""
    document = as_json(messages.decode(bytes.fromhex(vector["hex"])))
    error = next(validator(definition).iter_errors(document), None)
    return None if error is None else error.message


# ---- The host


@pytest.mark.parametrize(
    ("struct", "definition"),
    [
        (http._Context, "ContextInfo"),
        (http._Header, "HeaderInfo"),
        (http._Http, "HttpInfo"),
        (http._User, "UserInfo"),
        (http._Request, "Request"),
        (http._Response, "Response"),
    ],
)
def test_the_host_writes_and_reads_the_members_of_the_schema(struct: type[Struct], definition: str) -> None:
    assert {field.encode_name for field in fields(struct)} == members(definition).keys()


def test_the_gate_writes_the_members_of_an_error() -> None:
    error = HostCallError(
        HostCallCode.RATE_LIMITED, "Later.", field_errors={"cron": "Too often"}, retry_after_ms=1
    )

    reply = _envelope(error, retryable=True)

    assert reply["err"].keys() == members("ErrorInfo").keys()
    assert validator("ErrReply").is_valid(reply)


def test_the_models_that_are_not_run_refuse_what_the_schema_refuses() -> None:
    for status in (199, 200, 599, 600, 200.0, 200.5, "200", True):
        valid = validator("Response").is_valid({"status": status})
        try:
            Response.model_validate({"status": status})
        except ValueError:
            assert not valid, status
        else:
            assert valid, status
