from __future__ import annotations

import pytest

from alga_runner.capabilities import OPERATIONS, build_table
from alga_runner.capabilities import scheduler as scheduler_capability
from alga_runner.capabilities.operation import NoInput, Operation
from alga_runner.models import DEFAULT_CAPABILITIES


async def _nothing(execution: object, _: NoInput) -> None:
    return None


def _operation(name: str, capability: str = "cap:log.emit") -> Operation[NoInput, None]:
    return Operation(
        name=name, capability=capability, summary="Nothing.", input=NoInput, output=None, run=_nothing
    )


def test_the_table_has_every_operation() -> None:
    assert sorted(OPERATIONS) == [
        "clients.get",
        "clients.list",
        "context.get",
        "http.fetch",
        "invoicing.create-manual-invoice",
        "log.emit",
        "scheduler.create",
        "scheduler.delete",
        "scheduler.get",
        "scheduler.get-endpoints",
        "scheduler.list",
        "scheduler.update",
        "secrets.get",
        "secrets.list-keys",
        "services.get",
        "services.list",
        "storage.delete",
        "storage.get",
        "storage.list",
        "storage.put",
        "ui-proxy.call-route",
        "user.get",
    ]


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        OPERATIONS["scheduler.list"] = _operation("scheduler.list")  # type: ignore[index]


def test_an_operation_declared_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"log\.emit is declared twice"):
        build_table([_operation("log.emit")], [_operation("log.emit")])


@pytest.mark.parametrize("name", ["emit", ".emit", "log."])
def test_a_name_without_group_or_function_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"group\.function"):
        build_table([_operation(name)])


def test_an_unknown_capability_is_refused() -> None:
    with pytest.raises(ValueError, match="cap:everything"):
        build_table([_operation("log.emit", "cap:everything")])


def test_no_scheduler_operation_is_open_by_default() -> None:
    capabilities = {operation.capability for operation in scheduler_capability.OPERATIONS}

    assert capabilities == {"cap:scheduler.manage"}
    assert not capabilities & DEFAULT_CAPABILITIES


def test_only_operations_with_a_payload_take_large_requests() -> None:
    larger = {name for name, operation in OPERATIONS.items() if operation.payload_bytes > 0}

    assert larger == {
        "http.fetch",
        "scheduler.create",
        "scheduler.update",
        "storage.put",
        "ui-proxy.call-route",
    }


def test_every_operation_says_what_it_does() -> None:
    assert all(operation.summary.endswith(".") for operation in OPERATIONS.values())
