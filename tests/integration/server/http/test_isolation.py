"""Two tenants that try to reach each other through every operation."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import Engine, delete, event, update
from sqlalchemy.exc import IntegrityError

from alga_server.storage.tables import endpoint, schedule

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

OPERATIONS = ["list", "get", "create", "update", "delete", "getEndpoints"]
MISSING = {"error": "Install not found", "code": "NOT_FOUND"}


@pytest.fixture
async def theirs(house: Any) -> Any:
    return await house.install("tenant-b")


def request_of(operation: str, schedule_id: str) -> dict[str, Any]:
    return {"operation": operation, "scheduleId": schedule_id, "endpoint": "/sync", "cron": "0 * * * *"}


async def test_each_install_lists_its_own(mine: Any, theirs: Any) -> None:
    own, foreign = await mine.create(), await theirs.create()

    assert [each["id"] for each in await mine.list()] == [own]
    assert [each["id"] for each in await theirs.list()] == [foreign]


async def test_a_foreign_schedule_id_reads_as_unknown(mine: Any, theirs: Any) -> None:
    foreign = await theirs.create(name="Secret plan")

    assert await mine.get(foreign) is None


@pytest.mark.parametrize("operation", ["update", "delete"])
async def test_a_foreign_schedule_id_cannot_be_changed(mine: Any, theirs: Any, operation: str) -> None:
    foreign = await theirs.create(name="Secret plan")
    before = await theirs.get(foreign)

    response = await mine.call(operation, scheduleId=foreign, enabled=False)

    assert response.status_code == 404
    assert response.json() == {"success": False, "error": "Schedule not found", "code": "NOT_FOUND"}
    assert await theirs.get(foreign) == before


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "forgery",
    [
        pytest.param({"path"}, id="their path, my headers"),
        pytest.param({"x_ext_install_id"}, id="their install in the header"),
        pytest.param({"path", "x_ext_install_id"}, id="their install, my tenant"),
        pytest.param({"x_alga_tenant"}, id="my install, their tenant"),
        pytest.param({"path", "x_alga_tenant"}, id="their path and tenant, my install in the header"),
        pytest.param({"x_alga_extension"}, id="my install, another extension"),
    ],
)
async def test_a_call_whose_parts_do_not_belong_together(
    house: Any, mine: Any, theirs: Any, operation: str, forgery: set[str]
) -> None:
    foreign = await theirs.create(name="Secret plan")
    own = await mine.create(name="My plan")
    stranger = (await house.publish(name="com.example.other"))["extensionId"]
    values = {
        "x_ext_install_id": theirs.id,
        "x_alga_tenant": theirs.tenant,
        "x_alga_extension": stranger,
    }
    headers = mine.headers(**{name: values[name] for name in forgery - {"path"}})
    path = theirs.path if "path" in forgery else mine.path

    response = await house.client.post(path, json=request_of(operation, foreign), headers=headers)

    assert response.status_code == 404
    assert {key: response.json()[key] for key in MISSING} == MISSING
    assert [each["id"] for each in await theirs.list()] == [foreign]
    assert [each["id"] for each in await mine.list()] == [own]


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_foreign_install_looks_exactly_like_a_missing_one(
    house: Any, mine: Any, theirs: Any, operation: str
) -> None:
    nobody = "00000000-0000-4000-8000-000000000000"
    answers = []
    for install_id in (theirs.id, nobody, "nonsense"):
        path = mine.path.replace(mine.id, install_id)
        response = await house.client.post(
            path, json=request_of(operation, nobody), headers=mine.headers(x_ext_install_id=install_id)
        )
        answers.append((response.status_code, response.content, sorted(response.headers)))

    assert answers[0] == answers[1] == answers[2]


async def test_a_foreign_install_without_the_grant_looks_missing_too(house: Any, mine: Any) -> None:
    ungranted = await house.install("tenant-b", grants=())

    response = await house.client.post(
        ungranted.path, json={"operation": "list"}, headers=mine.headers(x_ext_install_id=ungranted.id)
    )

    assert response.status_code == 404


async def test_two_extensions_of_one_tenant_are_strangers(house: Any, mine: Any) -> None:
    neighbour = await house.install(mine.tenant, name="com.example.neighbour")
    foreign = await neighbour.create(name="Neighbour's")

    assert await mine.list() == []
    assert await mine.get(foreign) is None
    assert (await mine.call("delete", scheduleId=foreign)).status_code == 404


async def test_one_install_at_its_quota_leaves_room_for_others(mine: Any, theirs: Any) -> None:
    for _ in range(50):
        await mine.create()

    assert await theirs.create()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/admin/tenants/tenant-a/installs/{install}"),
        ("PATCH", "/api/admin/tenants/tenant-a/installs/{install}"),
        ("DELETE", "/api/admin/tenants/tenant-a/installs/{install}"),
        ("GET", "/api/admin/tenants/tenant-a/installs/{install}/schedules"),
        ("POST", "/api/admin/tenants/tenant-a/installs/{install}/schedules"),
        ("PATCH", "/api/admin/tenants/tenant-a/installs/{install}/schedules/{schedule}"),
        ("DELETE", "/api/admin/tenants/tenant-a/installs/{install}/schedules/{schedule}"),
        ("PATCH", "/api/admin/tenants/tenant-a/installs/{mine}/schedules/{schedule}"),
        ("DELETE", "/api/admin/tenants/tenant-a/installs/{mine}/schedules/{schedule}"),
    ],
)
async def test_an_admin_path_through_one_tenant_does_not_reach_another(
    house: Any, mine: Any, theirs: Any, method: str, path: str
) -> None:
    foreign = await theirs.create()
    before = await theirs.get(foreign)
    body = {} if method == "GET" else {"enabled": False}
    address = path.format(install=theirs.id, schedule=foreign, mine=mine.id)

    response = await house.admin(method, address, json=body)

    assert response.status_code == 404
    assert response.json()["code"] == "not_found"
    assert await theirs.get(foreign) == before


async def test_the_database_itself_refuses_a_row_of_one_tenant_in_anothers_install(
    house: Any, mine: Any, theirs: Any
) -> None:

    schedule_id = await mine.create()
    statement = update(schedule).where(schedule.c.id == schedule_id).values(install_id=theirs.id)

    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        await house.server._services.database.write(lambda connection: connection.execute(statement))


async def test_the_database_keeps_an_endpoint_that_a_schedule_uses(house: Any, mine: Any) -> None:

    await mine.create()

    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        await house.server._services.database.write(lambda connection: connection.execute(delete(endpoint)))


async def test_every_statement_about_a_tenants_rows_names_the_tenant_and_the_install(
    house: Any, mine: Any
) -> None:
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        plain = re.sub(r"%\(\w+\)s(::[A-Z]+( WITHOUT TIME ZONE)?)?", "?", statement)
        statements.append(" ".join(plain.split()))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        path = f"{mine.admin_path}/schedules"
        for _ in range(2):
            schedule_id = await mine.create(name="One")
            for operation in OPERATIONS:
                members = {"scheduleId": schedule_id, "endpoint": "/sync", "cron": "0 * * * *", "name": "Two"}
                await mine.call(operation, **members)
            await house.admin("POST", path, json={"endpoint": "/sync", "cron": "0 * * * *", "name": "Three"})
            await house.admin("GET", path)
            await mine.call("list")
            [*_, last] = await mine.list()
            await house.admin("PATCH", f"{path}/{last['id']}", json={"enabled": False})
            for each in await mine.list():
                await house.admin("DELETE", f"{path}/{each['id']}")
        await house.admin("PATCH", mine.admin_path, json={"grants": [], "enabled": False})
        await house.admin("DELETE", mine.admin_path)
    finally:
        event.remove(Engine, "before_cursor_execute", note)

    # The dispatcher looks at everybody's times, and takes nothing but times and ids.
    surveys = (
        "schedule.next_run_at > ?",
        "schedule.next_run_at <= ?",
        "schedule.retry_at > ?",
        "schedule.retry_at <= ?",
        "min(tenant_extension_schedule_run.lease",
    )
    statements = [text for text in statements if not any(each in text for each in surveys)]
    owned = [text for text in statements if "schedule" in text or "grant" in text]
    assert len(owned) > 50
    for text in owned:
        scope = text if text.startswith("INSERT") else text.partition(" WHERE ")[2]
        assert "tenant_id" in scope, text
        assert "install_id" in scope, text
    installs = [text for text in statements if "tenant_extension_install" in text and " WHERE " in text]
    for text in installs:
        assert "tenant_extension_install.tenant_id = ?" in text, text
