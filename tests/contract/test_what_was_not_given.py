"""No operation changes what it was not given, of any schedule, on either server and in either dialect."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from time import monotonic
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from alga_runner.alga import DIALECTS, AlgaServer, HttpAlgaServer, Identity
from alga_runner.errors import HostCallCode, HostCallError
from alga_runner.models import CreateScheduleInput, UpdateScheduleInput
from tests.support.algas_own import AlgasOwnServer

pytestmark = pytest.mark.anyio

WHOLE = CreateScheduleInput(
    endpoint="POST /sync",
    cron="0 * * * *",
    timezone="Europe/Riga",
    enabled=False,
    name="mine",
    payload={"full": [1, None, {"deep": "ü"}]},
)
POLICIES = {
    "missedRuns": "all",
    "missedWindowSeconds": 3600,
    "maxAttempts": 3,
    "retryDelaySeconds": 5,
    "retryFactor": 4,
}
FOLLOWS = {"nextRunAt", "updatedAt"}
"""Columns that a server derives from a change."""

CHANGES: dict[str, dict[str, Any]] = {
    "endpoint": {"endpoint": "GET /report"},
    "cron": {"cron": "5 * * * *"},
    "timezone": {"timezone": "UTC"},
    "enabled": {"enabled": True},
    "name": {"name": "yours"},
    "payload": {"payload": {"other": True}},
    "no name": {"name": None},
    "no payload": {"payload": None},
    "neither": {"name": None, "payload": None},
    "nothing": {},
    "all": {
        "endpoint": "GET /report",
        "cron": "5 * * * *",
        "timezone": "UTC",
        "enabled": True,
        "name": "yours",
        "payload": {"other": True},
    },
}

Operation = Callable[[AlgaServer, Identity, str, float], Awaitable[object]]


def updating(**changes: Any) -> Operation:
    async def update(port: AlgaServer, identity: Identity, schedule_id: str, by: float) -> None:
        await port.update_schedule(identity, UpdateScheduleInput(schedule_id=schedule_id, **changes), by)

    return update


READS: dict[str, Operation] = {
    "list": lambda port, identity, _, by: port.list_schedules(identity, by),
    "get": lambda port, identity, schedule_id, by: port.get_schedule(identity, schedule_id, by),
    "get-endpoints": lambda port, identity, _, by: port.get_endpoints(identity, by),
}
REFUSED: dict[str, Operation] = {
    "create": lambda port, identity, _, by: port.create_schedule(identity, WHOLE, by),
    "update": updating(cron="* * * * *"),
    "delete": lambda port, identity, _, by: port.delete_schedule(identity, str(uuid4()), by),
}


@pytest.fixture
async def two(every_port: AlgaServer, home: Any, soon: float) -> list[str]:
    """The ids of two schedules in which every member has a value of its own."""
    ids = [
        await every_port.create_schedule(home.identity, schedule, soon)
        for schedule in (WHOLE, WHOLE.model_copy(update={"name": "another"}))
    ]
    if hasattr(home, "admin"):  # Alga's own server has no policies
        for schedule_id in ids:
            identity = home.identity
            path = f"/api/admin/tenants/{identity.tenant_id}/installs/{identity.install_id}/schedules"
            answer = await home.admin.patch(f"{path}/{schedule_id}", json=POLICIES)
            assert answer.status_code == 200, answer.text
    return ids


def differing(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    return {name for name in before | after if before.get(name) != after.get(name)} - FOLLOWS


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES.keys())
async def test_an_update_changes_what_it_names_and_nothing_else(
    *, every_port: AlgaServer, home: Any, two: list[str], soon: float, changes: dict[str, Any]
) -> None:
    before = await home.stored()

    await updating(**changes)(every_port, home.identity, two[0], soon)

    after = await home.stored()
    columns = set(changes) | ({"endpointPath", "endpointMethod"} if "endpoint" in changes else set())
    assert differing(before[two[0]], after[two[0]]) - {"endpointId"} == columns - {"endpoint"}
    assert after[two[1]] == before[two[1]]
    assert after.keys() == before.keys()


@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
async def test_a_read_changes_nothing(
    *, every_port: AlgaServer, home: Any, two: list[str], soon: float, read: Operation
) -> None:
    before = await home.stored()

    await read(every_port, home.identity, two[0], soon)

    assert await home.stored() == before


@pytest.mark.parametrize("operation", REFUSED.values(), ids=REFUSED.keys())
async def test_what_is_refused_changes_nothing(
    *, every_port: AlgaServer, home: Any, two: list[str], soon: float, operation: Operation
) -> None:
    before = await home.stored()

    with pytest.raises(HostCallError):
        await operation(every_port, home.identity, two[0], soon)

    assert await home.stored() == before


async def test_a_create_and_a_delete_concern_one_schedule(
    every_port: AlgaServer, home: Any, two: list[str], soon: float
) -> None:
    before = await home.stored()

    third = await every_port.create_schedule(home.identity, WHOLE.model_copy(update={"name": None}), soon)
    created = await home.stored()
    await every_port.delete_schedule(home.identity, third, soon)

    assert created.keys() == {*two, third}
    assert {schedule_id: created[schedule_id] for schedule_id in two} == before
    assert await home.stored() == before


async def test_an_update_carries_a_stored_array_that_its_guest_could_not_give(
    ports: dict[str, AlgaServer], installed: Any, soon: float
) -> None:
    schedule = WHOLE.model_copy(update={"payload": [1, 2]})
    schedule_id = await ports["prd-in-process"].create_schedule(installed.identity, schedule, soon)

    await updating(cron="5 * * * *")(ports["alga-in-process"], installed.identity, schedule_id, soon)

    stored = (await installed.stored())[schedule_id]
    assert (stored["cron"], stored["payload"]) == ("5 * * * *", [1, 2])


class AlgasOwn:
    """An install of Alga's own server."""

    def __init__(self, server: AlgasOwnServer, port: AlgaServer) -> None:
        self.server, self.port = server, port
        self.identity = Identity("tenant-1", "extension-1", server.install(), "request-1")

    async def create(self, **changes: Any) -> str:
        schedule = CreateScheduleInput.model_validate({**WHOLE.model_dump(), **changes})
        return await self.port.create_schedule(self.identity, schedule, monotonic() + 60)

    async def update(self, schedule_id: str, **changes: Any) -> None:
        changed = UpdateScheduleInput.model_validate({"scheduleId": schedule_id, **changes})
        await self.port.update_schedule(self.identity, changed, monotonic() + 60)

    @property
    def rows(self) -> list[dict[str, Any]]:
        return self.server.installs[self.identity.install_id or ""]

    async def refusal(self, answer: Awaitable[object]) -> HostCallError:
        self.server.asked.clear()
        with pytest.raises(HostCallError) as caught:
            await answer
        return caught.value


@pytest.fixture
def algas(algas_own: AlgasOwnServer, algas_own_port: AlgaServer) -> AlgasOwn:
    return AlgasOwn(algas_own, algas_own_port)


@pytest.fixture
async def dropping(algas_own: AlgasOwnServer, algas_own_url: str) -> AsyncIterator[AlgasOwn]:
    """The same, where members that the server does not understand are left out on purpose."""
    token = SecretStr(algas_own.token)
    port = HttpAlgaServer(algas_own_url, token, dialect=DIALECTS["alga"], drop_unknown=True)
    yield AlgasOwn(algas_own, port)
    await port.aclose()


async def test_an_update_that_gives_name_and_payload_is_one_call(algas: AlgasOwn) -> None:
    schedule_id = await algas.create()
    algas.server.asked.clear()

    await algas.update(schedule_id, name="yours", payload=None)

    assert algas.server.asked == ["update"]


async def test_a_schedule_that_cannot_be_read_is_not_written(
    algas: AlgasOwn, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule_id = await algas.create()
    before = [dict(row) for row in algas.rows]
    monkeypatch.setattr(algas.server, "broken_reads", True)

    error = await algas.refusal(algas.update(schedule_id, cron="5 * * * *"))

    assert (error.host_code, str(error)) == (HostCallCode.NOT_FOUND, "Schedule not found")
    assert algas.server.asked == ["get"]
    assert algas.rows == before


@pytest.mark.parametrize("name", POLICIES)
async def test_a_member_that_algas_own_server_ignores_is_refused_by_name(algas: AlgasOwn, name: str) -> None:
    schedule_id = await algas.create()

    for call in (algas.create(**{name: POLICIES[name]}), algas.update(schedule_id, **{name: POLICIES[name]})):
        error = await algas.refusal(call)
        assert error.host_code is HostCallCode.VALIDATION_FAILED
        assert error.field_errors == {name: "The Alga server does not have this"}
        assert algas.server.asked == []


async def test_clearing_a_member_that_algas_own_server_ignores_is_refused_too(algas: AlgasOwn) -> None:
    error = await algas.refusal(algas.update(await algas.create(), missedWindowSeconds=None))

    assert list(error.field_errors) == ["missedWindowSeconds"]


async def test_a_setting_leaves_out_on_purpose_what_algas_own_server_ignores(dropping: AlgasOwn) -> None:
    schedule_id = await dropping.create(**POLICIES)
    await dropping.update(schedule_id, cron="5 * * * *", **POLICIES)

    [row] = dropping.rows
    assert (row["cron"], row["name"]) == ("5 * * * *", "mine")
    assert not POLICIES.keys() & row.keys()


@pytest.mark.parametrize("payload", [[], [1]])
async def test_an_array_that_algas_own_server_would_store_otherwise_is_refused(
    algas: AlgasOwn, payload: list[int]
) -> None:
    schedule_id = await algas.create()

    for call in (algas.create(payload=payload), algas.update(schedule_id, payload=payload)):
        error = await algas.refusal(call)
        assert error.host_code is HostCallCode.VALIDATION_FAILED
        assert error.field_errors == {"payload": "The Alga server stores objects only, no arrays"}
        assert algas.server.asked == []


async def test_over_algas_own_rate_a_change_is_rate_limited_and_reading_is_not(algas: AlgasOwn) -> None:
    schedule_id = await algas.create()
    for _ in range(9):
        await algas.update(schedule_id, enabled=False)

    error = await algas.refusal(algas.update(schedule_id, cron="5 * * * *"))

    assert (error.host_code, algas.server.asked) == (HostCallCode.RATE_LIMITED, ["get", "update"])
    assert algas.rows[0]["cron"] == "0 * * * *"


async def test_in_the_wrong_dialect_no_schedule_of_algas_own_server_is_missing(
    algas: AlgasOwn, algas_own_url: str
) -> None:
    schedule_id = await algas.create()
    port = HttpAlgaServer(algas_own_url, SecretStr(algas.server.token), dialect=DIALECTS["prd"])

    error = await algas.refusal(port.delete_schedule(algas.identity, schedule_id, monotonic() + 60))
    await port.aclose()

    assert error.host_code is HostCallCode.UNAVAILABLE
    assert "text/html" in str(error.detail)
