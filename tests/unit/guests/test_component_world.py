"""The world in ``guest-abi/wit`` and the table of bindings describe the same functions, with the same types."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from alga_runner.capabilities.user import TenantUser
from alga_runner.guests.component_values import camel, json_members
from alga_runner.guests.component_world import BINDINGS, PACKAGE, Binding
from alga_runner.models import (
    KNOWN_CAPABILITIES,
    CreatedSchedule,
    CreateScheduleInput,
    EndpointInfo,
    ScheduleInfo,
    UpdateScheduleInput,
)
from alga_runner.models.business import (
    ClientsListInput,
    ClientsListResult,
    ClientSummary,
    CreatedInvoice,
    CreateManualInvoiceInput,
    ManualInvoiceItemInput,
    ServicesListInput,
    ServicesListResult,
    ServiceSummary,
)
from alga_runner.models.storage import StorageWrite
from tests.support.wit import FOLDER, read_world

WORLD = read_world()


def test_every_function_of_the_world_has_a_binding_and_every_binding_a_function() -> None:
    assert {(interface.removeprefix(f"{PACKAGE}/"), name) for interface, name in BINDINGS} == set(
        WORLD.functions
    )


def test_the_world_imports_every_interface_that_has_functions() -> None:
    assert sorted(WORLD.imports) == sorted({interface for interface, _ in WORLD.functions})


def test_every_binding_needs_a_capability_that_exists() -> None:
    assert {binding.operation.capability for binding in BINDINGS.values()} <= KNOWN_CAPABILITIES


def test_the_wit_names_the_capability_of_each_interface() -> None:
    text = "".join(path.read_text() for path in FOLDER.glob("*.wit"))
    for binding in BINDINGS.values():
        before, _, _ = text.partition(f"interface {binding.interface} {{")
        assert f"Capability `{binding.operation.capability}`" in before.rpartition("\n\n")[2], binding.name


@pytest.mark.parametrize(
    ("record", "model"),
    [
        ("schedule-info", ScheduleInfo),
        ("endpoint-info", EndpointInfo),
        ("create-schedule-input", CreateScheduleInput),
        ("update-schedule-input", UpdateScheduleInput),
        ("create-schedule-result", CreatedSchedule),
        ("client-summary", ClientSummary),
        ("clients-list-input", ClientsListInput),
        ("clients-list-result", ClientsListResult),
        ("service-summary", ServiceSummary),
        ("services-list-input", ServicesListInput),
        ("services-list-result", ServicesListResult),
        ("manual-invoice-item-input", ManualInvoiceItemInput),
        ("create-manual-invoice-input", CreateManualInvoiceInput),
        ("create-manual-invoice-result", CreatedInvoice),
        ("storage-entry", StorageWrite),
        ("user-data", TenantUser),
        ("user-data-v2", TenantUser),
    ],
)
def test_a_record_has_the_members_of_its_model(record: str, model: type[BaseModel]) -> None:
    of = WORLD.types[record]
    members = {field.alias or name: field for name, field in model.model_fields.items()}
    may_fail = any(name == "success" for name, _ in of.fields)
    outcome = {"success", "error", "fieldErrors"} if may_fail else set()

    for name, field in of.fields:
        if camel(name) in outcome:
            continue
        optional = not members[camel(name)].is_required()
        assert (field.kind == "option") == (optional or may_fail), name


def test_the_members_that_hold_any_value_are_those_that_cross_as_json_text() -> None:
    assert json_members(list[ScheduleInfo]) == {"payload"}
    assert json_members(ScheduleInfo | None) == {"payload"}
    assert json_members(CreateScheduleInput) == json_members(UpdateScheduleInput) == {"payload"}
    assert json_members(EndpointInfo) == frozenset()


def test_a_function_whose_operation_is_there_takes_the_members_of_its_input() -> None:
    def given(binding: Binding) -> set[str]:
        signature = WORLD.functions[binding.interface, binding.function]
        names: set[str] = set(binding.fixed)
        for name, of in signature.params:
            names |= {camel(field) for field, _ in of.fields} if of.kind == "record" else {camel(name)}
        return names

    for binding in BINDINGS.values():
        if binding.operation.takes_input:
            members = {field.alias or name for name, field in binding.operation.input.model_fields.items()}
            assert given(binding) <= members, binding.name
