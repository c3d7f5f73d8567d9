from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from alga_runner import capabilities
from alga_runner.alga import DIALECTS, connect
from alga_runner.alga.calls import CALLS
from alga_runner.errors import HostCallError, SettingsError
from alga_runner.models import CreateScheduleInput, ExecutionContext
from alga_runner.settings import Settings

pytestmark = pytest.mark.anyio

OPERATIONS = ["list", "get", "create", "update", "delete", "getEndpoints"]


def test_alga_has_one_route_per_install_and_the_operation_in_the_document() -> None:
    dialect = DIALECTS["alga"]

    assert (
        dialect.path(CALLS["scheduler.get"], "install-1") == "/api/internal/ext-scheduler/install/install-1"
    )
    assert dialect.document(CALLS["scheduler.get"], {"scheduleId": "s-1"}) == {
        "operation": "get",
        "scheduleId": "s-1",
    }


@pytest.mark.parametrize("operation", OPERATIONS)
def test_prd_has_one_route_per_operation_and_no_install_in_it(operation: str) -> None:
    dialect = DIALECTS["prd"]

    segment = "get-endpoints" if operation == "getEndpoints" else operation
    assert (
        dialect.path(CALLS[f"scheduler.{operation}"], "install-1")
        == f"/api/internal/extensions/scheduler/{segment}"
    )
    assert dialect.document(CALLS[f"scheduler.{operation}"], {"scheduleId": "s-1"}) == {"scheduleId": "s-1"}


@pytest.mark.parametrize("name", ["alga", "prd"])
@pytest.mark.parametrize("group", sorted({call.group for call in CALLS.values()} - {"scheduler"}))
def test_other_groups_have_one_route_per_install_in_every_dialect(name: str, group: str) -> None:
    dialect, call = DIALECTS[name], next(call for call in CALLS.values() if call.group == group)

    assert dialect.path(call, "install-1") == f"/api/internal/ext-{group}/install/install-1"
    assert dialect.document(call, {"key": "k"}) == {"operation": call.operation, "key": "k"}


def test_every_member_that_a_guest_can_give_is_understood_or_documented_as_not() -> None:
    document = (Path(__file__).parents[3] / "docs" / "capabilities.md").read_text()
    described = document.partition("## On Alga's own server")[2]

    for name in ("scheduler.create", "scheduler.update"):
        fields = capabilities.OPERATIONS[name].input.model_fields.items()
        members = {field.alias or key for key, field in fields} - {"scheduleId"}
        assert members <= DIALECTS["prd"].members
        assert members >= DIALECTS["alga"].members
        assert {member for member in members if f"`{member}`" in described} == members


@pytest.mark.parametrize("name", ["refuse", "drop"])
async def test_the_setting_decides_what_becomes_of_members_that_are_not_understood(name: str) -> None:
    settings = Settings.load(
        server_url="http://alga", server_token=SecretStr("token"), server_unknown_members=name
    )
    server = connect(settings)

    if name == "drop":
        assert server.understood({"cron": "x", "maxAttempts": 2}) == {"cron": "x"}
    else:
        with pytest.raises(HostCallError, match="maxAttempts"):
            server.understood({"cron": "x", "maxAttempts": 2})
    await server.aclose()


@pytest.mark.parametrize(("dialect", "keeps"), [("alga", False), ("prd", True)])
async def test_a_create_with_a_key_is_retryable_only_where_the_server_keeps_keys(
    dialect: str, keeps: bool
) -> None:
    server = connect(
        Settings.load(server_url="http://alga", server_token=SecretStr("token"), server_dialect=dialect)
    )
    context = ExecutionContext(tenant_id="acme", extension_id="ext", content_hash="sha256:0")
    schedule = CreateScheduleInput(endpoint="/x", cron="0 * * * *", idempotency_key="import-7")
    create = capabilities.OPERATIONS["scheduler.create"]

    assert create.repeatable(capabilities.Execution(context, frozenset(), server, 0.0), schedule) is keeps
    await server.aclose()


@pytest.mark.parametrize("name", ["alga", "prd"])
async def test_the_setting_chooses_the_dialect(name: str) -> None:
    settings = Settings.load(server_url="http://alga", server_token=SecretStr("token"), server_dialect=name)
    server = connect(settings)

    assert server._dialect is DIALECTS[name]  # type: ignore[attr-defined]
    await server.aclose()


def test_a_dialect_that_there_is_not_is_refused() -> None:
    with pytest.raises(SettingsError, match="server_dialect"):
        Settings.load(server_dialect="graphql")
