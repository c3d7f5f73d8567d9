"""Two tenants that try to reach each other through every operation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from sqlite3 import Connection, Cursor
from typing import Any

import pytest
from sqlalchemy import Engine, delete, event, update
from sqlalchemy.exc import IntegrityError

from alga_server.storage import prepared
from alga_server.storage.tables import endpoint, schedule
from tests.support.server import Alga, Install
from tests.support.storage import Storage

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

OPERATIONS = ["list", "get", "create", "update", "delete", "getEndpoints"]
MISSING = {"error": "Install not found", "code": "NOT_FOUND"}


@pytest.fixture
async def theirs(alga: Alga) -> Install:
    return await alga.install("tenant-b")


def request_of(operation: str, schedule_id: str) -> dict[str, Any]:
    return {"operation": operation, "scheduleId": schedule_id, "endpoint": "/sync", "cron": "0 * * * *"}


async def test_each_install_lists_its_own(install: Install, theirs: Any) -> None:
    own, foreign = await install.create(), await theirs.create()

    assert [schedule["id"] for schedule in await install.list()] == [own]
    assert [schedule["id"] for schedule in await theirs.list()] == [foreign]


async def test_a_foreign_schedule_id_reads_as_unknown(install: Install, theirs: Any) -> None:
    foreign = await theirs.create(name="Secret plan")

    assert await install.get(foreign) is None


@pytest.mark.parametrize("operation", ["update", "delete"])
async def test_a_foreign_schedule_id_cannot_be_changed(install: Install, theirs: Any, operation: str) -> None:
    foreign = await theirs.create(name="Secret plan")
    before = await theirs.get(foreign)

    response = await install.call(operation, scheduleId=foreign, enabled=False)

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
    alga: Alga, install: Install, theirs: Any, operation: str, forgery: set[str]
) -> None:
    foreign = await theirs.create(name="Secret plan")
    own = await install.create(name="My plan")
    stranger = (await alga.publish(name="com.example.other"))["extensionId"]
    values = {
        "x_ext_install_id": theirs.id,
        "x_alga_tenant": theirs.tenant,
        "x_alga_extension": stranger,
    }
    headers = install.headers(**{name: values[name] for name in forgery - {"path"}})
    path = theirs.path if "path" in forgery else install.path

    response = await alga.client.post(path, json=request_of(operation, foreign), headers=headers)

    assert response.status_code == 404
    assert {key: response.json()[key] for key in MISSING} == MISSING
    assert [schedule["id"] for schedule in await theirs.list()] == [foreign]
    assert [schedule["id"] for schedule in await install.list()] == [own]


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_foreign_install_looks_exactly_like_a_missing_one(
    alga: Alga, install: Install, theirs: Any, operation: str
) -> None:
    unknown = "00000000-0000-4000-8000-000000000000"
    answers = []
    for install_id in (theirs.id, unknown, "nonsense"):
        path = install.path.replace(install.id, install_id)
        response = await alga.client.post(
            path, json=request_of(operation, unknown), headers=install.headers(x_ext_install_id=install_id)
        )
        answers.append((response.status_code, response.content, sorted(response.headers)))

    assert answers[0] == answers[1] == answers[2]


async def test_a_foreign_install_without_the_grant_looks_missing_too(alga: Alga, install: Install) -> None:
    ungranted = await alga.install("tenant-b", grants=())

    response = await alga.client.post(
        ungranted.path, json={"operation": "list"}, headers=install.headers(x_ext_install_id=ungranted.id)
    )

    assert response.status_code == 404


async def test_two_extensions_of_one_tenant_are_strangers(alga: Alga, install: Install) -> None:
    neighbour = await alga.install(install.tenant, name="com.example.neighbour")
    foreign = await neighbour.create(name="Neighbour's")

    assert await install.list() == []
    assert await install.get(foreign) is None
    assert (await install.call("delete", scheduleId=foreign)).status_code == 404


async def test_one_install_at_its_quota_leaves_room_for_others(install: Install, theirs: Any) -> None:
    for _ in range(50):
        await install.create()

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
        ("PATCH", "/api/admin/tenants/tenant-a/installs/{own}/schedules/{schedule}"),
        ("DELETE", "/api/admin/tenants/tenant-a/installs/{own}/schedules/{schedule}"),
    ],
)
async def test_an_admin_path_through_one_tenant_does_not_reach_another(
    alga: Alga, install: Install, theirs: Any, method: str, path: str
) -> None:
    foreign = await theirs.create()
    before = await theirs.get(foreign)
    body = {} if method == "GET" else {"enabled": False}
    address = path.format(install=theirs.id, schedule=foreign, own=install.id)

    response = await alga.admin(method, address, json=body)

    assert response.status_code == 404
    assert response.json()["code"] == "not_found"
    assert await theirs.get(foreign) == before


async def test_the_database_itself_refuses_a_row_of_one_tenant_in_anothers_install(
    alga: Alga, install: Install, theirs: Any
) -> None:

    schedule_id = await install.create()
    statement = update(schedule).where(schedule.c.id == schedule_id).values(install_id=theirs.id)

    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        await alga.server._services.database.write(lambda connection: connection.execute(statement))


async def test_the_database_keeps_an_endpoint_that_a_schedule_uses(alga: Alga, install: Install) -> None:

    await install.create()

    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        await alga.server._services.database.write(lambda connection: connection.execute(delete(endpoint)))


@contextmanager
def noted_statements() -> Iterator[list[str]]:
    """Every statement that is executed meanwhile, with question marks for its parameters, SQLAlchemy's and our own."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        plain = re.sub(r"%\(\w+\)s(::[A-Z]+( WITHOUT TIME ZONE)?)?", "?", statement)
        statements.append(" ".join(plain.split()))

    run = prepared._Compiled.run

    def noted(compiled: prepared._Compiled, driver: Connection, given: Mapping[str, object]) -> Cursor:
        note(None, None, compiled._text)
        return run(compiled, driver, given)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(prepared._Compiled, "run", noted)
            yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def assert_named(statements: list[str]) -> None:
    """Each names the tenant and the install."""
    for text in statements:
        scope = text if text.startswith("INSERT") else text.partition(" WHERE ")[2]
        assert "tenant_id" in scope, text
        assert "install_id" in scope, text


async def test_every_statement_about_what_a_tenant_stores_names_the_tenant_and_the_install(
    alga: Alga,
) -> None:
    storage = Storage(await alga.install(grants=("cap:storage.kv",)))
    with noted_statements() as statements:
        for _ in range(2):
            await storage.put("a", ttlSeconds=60)
            await storage.get("a")
            await storage.call("bulkPut", items=[{"key": "b", "value": 1}, {"key": "a", "value": 1}])
            await storage.keys(includeValues=True)
            await storage.call("delete", key="a")
        await storage.put("c", ttlSeconds=60)
        alga.clock.advance(timedelta(seconds=60))
        await storage.put("b")
        await storage.put("d", ttlSeconds=60)
        alga.clock.advance(timedelta(seconds=60))
        await alga.server._services.reconciler.reconcile()

    # Which installs have records past their time: no more than the ids of all tenants.
    owned = [text for text in statements if "_storage_" in text and "SELECT DISTINCT" not in text]
    assert len(owned) > 30
    assert_named(owned)


async def test_every_statement_about_a_tenants_rows_names_the_tenant_and_the_install(
    alga: Alga, install: Install
) -> None:
    with noted_statements() as statements:
        path = f"{install.admin_path}/schedules"
        for _ in range(2):
            schedule_id = await install.create(name="One")
            for operation in OPERATIONS:
                members = {"scheduleId": schedule_id, "endpoint": "/sync", "cron": "0 * * * *", "name": "Two"}
                await install.call(operation, **members)
            await alga.admin("POST", path, json={"endpoint": "/sync", "cron": "0 * * * *", "name": "Three"})
            await alga.admin("GET", path)
            await install.call("list")
            [*_, last] = await install.list()
            await alga.admin("PATCH", f"{path}/{last['id']}", json={"enabled": False})
            for schedule in await install.list():
                await alga.admin("DELETE", f"{path}/{schedule['id']}")
        await alga.admin("PATCH", install.admin_path, json={"grants": [], "enabled": False})
        await alga.admin("DELETE", install.admin_path)

    # The dispatcher reads the times of all tenants, and nothing but times and ids.
    surveys = (
        "schedule.next_run_at > ?",
        "schedule.next_run_at <= ?",
        "schedule.retry_at > ?",
        "schedule.retry_at <= ?",
        "min(tenant_extension_schedule_run.lease",
    )
    statements = [text for text in statements if not any(column in text for column in surveys)]
    owned = [text for text in statements if "schedule" in text or "grant" in text]
    assert len(owned) > 50
    assert_named(owned)
    installs = [text for text in statements if "tenant_extension_install" in text and " WHERE " in text]
    for text in installs:
        assert "tenant_extension_install.tenant_id = ?" in text, text
