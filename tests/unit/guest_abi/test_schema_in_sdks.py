"""The types of the SDKs and of the world for components have the members of the schema."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from alga_runner.guests.component_values import camel
from tests.support.schema import DEFINITIONS, INDEX, members
from tests.support.wit import read_world

GUEST_ABI = Path(__file__).parents[3] / "guest-abi"
WORLD = read_world()

POLICIES = {"missedRuns", "missedWindowSeconds", "maxAttempts", "retryDelaySeconds", "retryFactor"}

CODES = INDEX["codes"]

OF_CORE_MODULES: dict[str, set[str]] = {
    "ContextInfo": {
        *("config", "trigger", "scheduleId", "nominalTime", "scheduleName", "scheduleTimezone"),
        *("attempt", "startedAt"),
    },
    "CreateScheduleInput": {*POLICIES, "idempotencyKey"},
    "UpdateScheduleInput": {*POLICIES, "scheduleId"},
    "Request": {"user"},
}
"""Members that components have not: the world was fixed before there were any, or has another place for them."""

RECORDS = {
    "context-data": "ContextInfo",
    "http-header": "HeaderInfo",
    "http-request": "HttpInfo",
    "execute-request": "Request",
    "execute-response": "Response",
    "schedule-info": "ScheduleInfo",
    "endpoint-info": "EndpointInfo",
    "create-schedule-input": "CreateScheduleInput",
    "update-schedule-input": "UpdateScheduleInput",
    "storage-entry": "StorageWrite",
    "client-summary": "ClientSummary",
    "clients-list-input": "ClientsListInput",
    "clients-list-result": "ClientsListResult",
    "service-summary": "ServiceSummary",
    "services-list-input": "ServicesListInput",
    "services-list-result": "ServicesListResult",
    "manual-invoice-item-input": "ManualInvoiceItemInput",
    "create-manual-invoice-input": "CreateManualInvoiceInput",
}

KINDS = {
    "string": {"string"},
    "bool": {"boolean"},
    "u16": {"integer"},
    "u32": {"integer"},
    "u64": {"integer"},
    "f64": {"number"},
    "enum": {"string"},
    "list": {"array", "Binary"},
    "record": {"object"},
}
"""The types of the schema that a component's type can be."""


def kind_of(schema: dict[str, object]) -> str:
    """``string``, ``Binary``, ... of a member, whether it may be nil or not."""
    for one in schema.get("anyOf", ()):
        if one != {"type": "null"}:
            return kind_of(one)
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return name if name in {"Binary", "Json"} else "object"
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    return str(kinds[0])


@pytest.mark.parametrize(("record", "definition"), RECORDS.items())
def test_a_record_of_the_world_is_a_document_of_the_schema(record: str, definition: str) -> None:
    fields = {camel(name): of for name, of in WORLD.types[record].fields}
    here = {
        name: required
        for name, required in members(definition).items()
        if name not in OF_CORE_MODULES.get(definition, ())
    }

    assert fields.keys() == here.keys()
    for name, of in fields.items():
        schema = DEFINITIONS[definition]["properties"][name]
        may_be_absent = not here[name] or {"type": "null"} in schema.get("anyOf", ())
        if (definition, name) != ("Response", "headers"):  # a list that is absent is empty
            assert (of.kind == "option") == may_be_absent, name
        inner = of.element if of.kind == "option" and of.element else of
        expected = {"Json"} if inner.kind == "string" and name == "payload" else KINDS[inner.kind]
        assert kind_of(schema) in expected, name


def test_every_record_of_the_world_that_the_schema_has_is_compared() -> None:
    names = {"".join(part.title() for part in record.split("-")) for record in WORLD.types}

    assert names & DEFINITIONS.keys() <= {*RECORDS.values(), "StorageEntry"}


# ---- TypeScript


IN_TYPESCRIPT = [
    record for record in RECORDS if record not in {"clients-list-result", "services-list-result"}
]
"""Records that the TypeScript SDK has under their names; these two are its ``Page``."""


def typescript_interfaces() -> dict[str, dict[str, bool]]:
    """By name the members of the interfaces in types.ts, each with whether it is required."""
    source = re.sub(
        r"/\*.*?\*/", "", (GUEST_ABI / "typescript/src/types.ts").read_text("utf-8"), flags=re.DOTALL
    )
    return {
        name: {member: not mark for member, mark in re.findall(r"^  (\w+)(\??):", body, re.MULTILINE)}
        for name, body in re.findall(
            r"^export interface (\w+) \{\n(.*?)^\}", source, re.MULTILINE | re.DOTALL
        )
    }


@pytest.mark.parametrize("record", IN_TYPESCRIPT)
def test_an_interface_of_the_typescript_sdk_has_the_fields_of_its_record(record: str) -> None:
    of = WORLD.types[record]

    assert typescript_interfaces()[camel(f"-{record}")] == {
        camel(name): field.kind != "option" for name, field in of.fields
    }


def test_every_host_of_the_typescript_sdk_has_the_functions_of_its_interface() -> None:
    source = (GUEST_ABI / "typescript/src/host.ts").read_text("utf-8")
    used = set(re.findall(r"\b(?:scheduler|logging)\.(\w+)\(", source)) | set(
        re.findall(r"\b(get\w+)\(", source)
    )

    for interface, function in WORLD.functions:
        if interface in {"scheduler", "logging", "context"}:
            assert camel(function) in used, (interface, function)


# ---- Python


def python_dataclasses() -> dict[str, list[str]]:
    tree = ast.parse((GUEST_ABI / "python/alga_extension/types.py").read_text("utf-8"))
    return {
        node.name: [item.target.id for item in node.body if isinstance(item, ast.AnnAssign)]  # type: ignore[union-attr]
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }


@pytest.mark.parametrize("name", ["ScheduleInfo", "EndpointInfo"])
def test_a_dataclass_of_the_python_sdk_has_the_members_of_its_document(name: str) -> None:
    assert [camel(member.replace("_", "-")) for member in python_dataclasses()[name]] == [*members(name)]


# ---- AssemblyScript


def assemblyscript_class(file: str, name: str) -> str:
    source = (GUEST_ABI / "assemblyscript/assembly" / file).read_text("utf-8")
    body = re.search(rf"^export class {name}\b.*?^}}", source, re.MULTILINE | re.DOTALL)
    assert body is not None
    return body[0]


def fields_of(body: str) -> set[str]:
    declared = re.findall(r"^  (?:readonly )?(\w+): ", body, re.MULTILINE)
    return {*declared, *re.findall(r"(?:readonly|public) (\w+): ", body)}


@pytest.mark.parametrize(
    ("file", "names", "definition"),
    [
        ("context.ts", ["ContextData"], "ContextInfo"),
        ("http.ts", ["HttpHeader"], "HeaderInfo"),
        ("http.ts", ["HttpHeader"], "ResponseHeader"),
        ("http.ts", ["HttpRequest"], "HttpInfo"),
        ("http.ts", ["ExecuteRequest"], "Request"),
        ("http.ts", ["ExecuteResponse"], "Response"),
        ("reply.ts", ["HostError"], "ErrorInfo"),
        ("schedule.ts", ["ScheduleInfo"], "ScheduleInfo"),
        ("schedule.ts", ["EndpointInfo"], "EndpointInfo"),
        ("schedule.ts", ["CreateScheduleInput", "SchedulePolicies"], "CreateScheduleInput"),
    ],
)
def test_a_class_of_the_assemblyscript_sdk_has_the_members_of_its_document(
    file: str, names: list[str], definition: str
) -> None:
    fields = set().union(*(fields_of(assemblyscript_class(file, name)) for name in names)) - {"policies"}

    assert fields == members(definition).keys()


def test_the_assemblyscript_sdk_sets_every_member_of_an_update() -> None:
    body = assemblyscript_class("schedule.ts", "UpdateScheduleInput")

    assert set(re.findall(r'change\("(\w+)"', body)) | {"scheduleId"} == members("UpdateScheduleInput").keys()


def test_the_assemblyscript_sdk_knows_every_code() -> None:
    source = (GUEST_ABI / "assemblyscript/assembly/reply.ts").read_text("utf-8")
    known = re.search(r"KNOWN_CODES[^=]*= \[(.*?)\]", source, re.DOTALL)

    assert known is not None
    assert re.findall(r'"([a-z-]+)"', known[1]) == CODES


# ---- Rust


def rust_structs() -> dict[str, dict[str, bool]]:
    """By name the members of the SDK's structs in camelCase, each with whether it always has a value."""
    folder = GUEST_ABI / "rust" / "src"
    source = "".join((folder / name).read_text("utf-8") for name in ("error.rs", "http.rs", "documents.rs"))
    return {
        name: {
            camel(member.replace("_", "-")): not of.startswith(("Option<", "Change<"))
            for member, of in re.findall(r"^    pub (\w+): (.+),$", body, re.MULTILINE)
        }
        for name, body in re.findall(r"^pub struct (\w+) \{\n(.*?)^\}", source, re.MULTILINE | re.DOTALL)
    }


@pytest.mark.parametrize(
    ("name", "definition"),
    [
        ("ExecuteRequest", "Request"),
        ("ContextData", "ContextInfo"),
        ("HttpRequest", "HttpInfo"),
        ("HttpHeader", "HeaderInfo"),
        ("UserData", "UserInfo"),
        ("ExecuteResponse", "Response"),
        ("HostError", "ErrorInfo"),
        ("ScheduleInfo", "ScheduleInfo"),
        ("EndpointInfo", "EndpointInfo"),
        ("CreateScheduleInput", "CreateScheduleInput"),
        ("UpdateScheduleInput", "UpdateScheduleInput"),
    ],
)
def test_a_struct_of_the_rust_sdk_has_the_members_of_its_document(name: str, definition: str) -> None:
    properties = DEFINITIONS[definition]["properties"]
    always = {
        member: required and {"type": "null"} not in properties[member].get("anyOf", ())
        for member, required in members(definition).items()
    }
    if definition == "Response":
        always["headers"] = True  # a list that is absent is empty
    if definition == "ErrorInfo":
        always["retryable"] = True  # one that is absent is false

    assert rust_structs()[name] == always


def test_the_rust_sdk_knows_every_code() -> None:
    source = (GUEST_ABI / "rust/src/error.rs").read_text("utf-8")
    known = re.search(r"^codes! \{\n(.*?)^\}", source, re.MULTILINE | re.DOTALL)

    assert known is not None
    assert re.findall(r'= "([a-z-]+)"', known[1]) == CODES


# ---- C


def c_structs() -> dict[str, set[str]]:
    """By name the members of the header's structs in camelCase, without counts and what an update clears."""
    header = re.sub(r"/\*.*?\*/", "", (GUEST_ABI / "c/alga.h").read_text("utf-8"), flags=re.DOTALL)
    return {
        name: {
            camel(member.replace("_", "-"))
            for members_of_one_type in re.findall(r"^  [\w ]+?[ *]+(\w+(?:, \w+)*);", body, re.MULTILINE)
            for member in members_of_one_type.split(", ")
            if not member.endswith("_count") and not member.startswith("clear_")
        }
        for body, name in re.findall(r"^typedef struct \{\n(.*?)^\} (\w+);", header, re.MULTILINE | re.DOTALL)
    }


@pytest.mark.parametrize(
    ("name", "definition"),
    [
        ("alga_request", "Request"),
        ("alga_context", "ContextInfo"),
        ("alga_http", "HttpInfo"),
        ("alga_header", "HeaderInfo"),
        ("alga_user", "UserInfo"),
        ("alga_response", "Response"),
        ("alga_error", "ErrorInfo"),
        ("alga_schedule", "ScheduleInfo"),
        ("alga_endpoint", "EndpointInfo"),
        ("alga_create_input", "CreateScheduleInput"),
        ("alga_update_input", "UpdateScheduleInput"),
    ],
)
def test_a_struct_of_the_c_sdk_has_the_members_of_its_document(name: str, definition: str) -> None:
    assert c_structs()[name] == members(definition).keys()


def test_the_c_sdk_knows_every_code() -> None:
    source = (GUEST_ABI / "c/alga.c").read_text("utf-8")
    known = re.search(r"code_names\[\] = \{(.*?)\};", source, re.DOTALL)
    header = re.search(
        r"  ALGA_OK,\n(.*?)\} alga_code;", (GUEST_ABI / "c/alga.h").read_text("utf-8"), re.DOTALL
    )

    assert known is not None
    assert header is not None
    assert re.findall(r'"([a-z-]+)"', known[1]) == ["ok", *CODES]
    assert [
        name.lower().replace("_", "-") for name in re.findall(r"^  ALGA_([A-Z_]+)", header[1], re.MULTILINE)
    ] == CODES
