"""What admins do: publish, install, grant, schedule, uninstall."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, func, select

from alga_runner.models import content_hash
from alga_runner.models.archive import pack
from alga_server import Server, ServerSettings
from alga_server.storage.tables import grant, schedule
from tests.support.server import Alga, Install, extension_archive

pytestmark = pytest.mark.anyio

INSTALLS = "/api/admin/tenants/tenant-a/installs"
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


async def test_publishing_answers_with_the_version(alga: Alga) -> None:
    archive = extension_archive()

    response = await alga.admin("POST", "/api/admin/extensions", content=archive)

    assert response.status_code == 201
    answer = response.json()
    assert answer["name"] == "com.example.sync"
    assert answer["version"] == "1.0.0"
    assert answer["contentHash"] == content_hash(archive)
    assert answer["capabilities"] == ["cap:scheduler.manage", "cap:storage.kv"]
    sync = next(endpoint for endpoint in answer["endpoints"] if endpoint["handler"] == "sync")
    assert (sync["method"], sync["path"], sync["schedulable"]) == ("POST", "/sync", True)


async def test_publishing_the_same_again_is_fine(alga: Alga) -> None:
    first = await alga.admin("POST", "/api/admin/extensions", content=extension_archive())
    again = await alga.admin("POST", "/api/admin/extensions", content=extension_archive())

    assert again.status_code == 200
    assert again.json() == first.json()


async def test_a_version_never_changes(alga: Alga) -> None:
    await alga.publish()

    response = await alga.admin("POST", "/api/admin/extensions", content=extension_archive(capabilities=[]))

    assert response.status_code == 409
    assert response.json()["code"] == "version_exists"


async def test_another_publisher_has_its_own_extension_of_that_name(alga: Alga) -> None:
    ours = await alga.publish()
    others = await alga.publish(publisher="Another publisher")

    assert ours["extensionId"] != others["extensionId"]


async def test_an_open_patch_number_takes_the_next_one(alga: Alga) -> None:
    await alga.publish(version="1.2.9")

    assert (await alga.publish(version="1.2.*"))["version"] == "1.2.10"
    assert (await alga.publish(version="1.2.*", capabilities=[]))["version"] == "1.2.11"
    assert (await alga.publish(version="1.3.*"))["version"] == "1.3.0"
    # The same bytes again are the version they became, not the next one.
    assert (await alga.publish(version="1.2.*"))["version"] == "1.2.10"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"version": "1"}, "version"),
        ({"name": ""}, "name"),
        ({"name": "n" * 257}, "name"),
        ({"version": "1.0.0-" + "a" * 128}, "version"),
        ({"capabilities": ["cap:everything"]}, "capabilities"),
        (
            {"api": {"endpoints": [{"method": "FETCH", "path": "/x", "handler": "x"}]}},
            "api.endpoints[0].method",
        ),
        (
            {
                "api": {
                    "endpoints": [
                        {"method": "GET", "path": "/x", "handler": "a"},
                        {"method": "get", "path": "//x", "handler": "b"},
                    ]
                }
            },
            "api.endpoints[1]",
        ),
        ({"surprise": True}, "surprise"),
    ],
)
async def test_a_manifest_that_breaks_a_rule_names_the_field(
    alga: Alga, changes: dict[str, Any], field: str
) -> None:
    response = await alga.admin("POST", "/api/admin/extensions", content=extension_archive(**changes))

    assert response.status_code == 400
    assert response.json()["code"] == "bundle_invalid"
    assert field in response.json()["error"]


@pytest.mark.parametrize("archive", [b"", b"no archive", pack({"dist/main.wasm": b"x"})])
async def test_a_bundle_that_is_none(alga: Alga, archive: bytes) -> None:
    response = await alga.admin("POST", "/api/admin/extensions", content=archive)

    assert response.status_code == 400
    assert response.json()["code"] == "bundle_invalid"


async def test_an_install_has_what_was_granted_and_the_defaults(alga: Alga) -> None:
    published = await alga.publish()
    body = {
        "extensionId": published["extensionId"],
        "grants": [" CAP:Storage.KV "],
        "config": {"region": "eu"},
    }

    response = await alga.admin("POST", INSTALLS, json=body)

    assert response.status_code == 201
    answer = response.json()
    del answer["warmup"]
    assert answer == {
        "installId": answer["installId"],
        "tenantId": "tenant-a",
        "extensionId": published["extensionId"],
        "extensionName": "com.example.sync",
        "versionId": published["versionId"],
        "version": "1.0.0",
        "contentHash": published["contentHash"],
        "enabled": True,
        "config": {"region": "eu"},
        "grants": ["cap:storage.kv"],
        "providers": ["cap:context.read", "cap:log.emit", "cap:storage.kv", "cap:user.read"],
        "endpoints": published["endpoints"],
        "createdAt": "2026-01-01T00:00:00.000Z",
        "updatedAt": "2026-01-01T00:00:00.000Z",
    }
    assert (await alga.admin("GET", f"{INSTALLS}/{answer['installId']}")).json() == answer
    assert (await alga.admin("GET", INSTALLS)).json() == {"installs": [answer]}


async def test_nothing_is_granted_that_was_not_listed(alga: Alga) -> None:
    extension = (await alga.publish())["extensionId"]

    answer = (await alga.admin("POST", INSTALLS, json={"extensionId": extension})).json()

    assert answer["grants"] == []
    assert "cap:scheduler.manage" not in answer["providers"]


@pytest.mark.parametrize(
    ("grants", "named"),
    [
        (["cap:everything", "cap:storage.kv"], "cap:everything"),
        (["scheduler.manage"], "scheduler.manage"),
        (["cap:http.fetch"], "cap:http.fetch"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_a_grant_must_exist_and_be_declared(
    alga: Alga, method: str, grants: list[str], named: str
) -> None:
    extension = (await alga.publish())["extensionId"]
    path, body = INSTALLS, {"extensionId": extension, "grants": grants}
    if method == "PATCH":
        install = await alga.install("tenant-a")
        path, body = install.admin_path, {"grants": grants}

    response = await alga.admin(method, path, json=body)

    assert response.status_code == 400
    assert response.json()["code"] == "validation_failed"
    assert named in response.json()["fieldErrors"]["grants"]


async def test_the_newest_version_is_installed_unless_one_is_named(alga: Alga) -> None:
    first = await alga.publish(version="2.0.0")
    await alga.publish(version="2.1.0-beta.1")
    second = await alga.publish(version="1.0.0")
    body = {"extensionId": first["extensionId"]}

    newest = await alga.admin("POST", INSTALLS, json=body)
    named = await alga.admin(
        "POST", "/api/admin/tenants/tenant-b/installs", json={**body, "versionId": second["versionId"]}
    )

    assert newest.json()["versionId"] == first["versionId"]
    assert named.json()["versionId"] == second["versionId"]


async def test_an_extension_lists_its_versions_by_precedence_and_names_the_newest(alga: Alga) -> None:
    first = await alga.publish(version="2.0.0")
    for version in ("2.1.0-beta.11", "1.0.0", "2.1.0-beta.2"):
        await alga.publish(version=version)

    shown = (await alga.admin("GET", f"/api/admin/extensions/{first['extensionId']}")).json()

    assert [version["version"] for version in shown["versions"]] == [
        "1.0.0",
        "2.0.0",
        "2.1.0-beta.2",
        "2.1.0-beta.11",
    ]
    assert shown["newestVersionId"] == first["versionId"]


@pytest.mark.parametrize("extension_id", [UNKNOWN_ID, "nonsense"])
async def test_an_unknown_extension_cannot_be_installed(alga: Alga, extension_id: str) -> None:
    response = await alga.admin("POST", INSTALLS, json={"extensionId": extension_id})

    assert response.status_code == 404
    assert response.json()["error"] == "Extension not found"


async def test_a_version_of_another_extension_cannot_be_installed(alga: Alga) -> None:
    extension = (await alga.publish())["extensionId"]
    version = (await alga.publish(name="com.example.other"))["versionId"]

    response = await alga.admin("POST", INSTALLS, json={"extensionId": extension, "versionId": version})

    assert response.status_code == 404
    assert response.json()["error"] == "Extension version not found"


async def test_an_extension_is_installed_once_for_a_tenant(alga: Alga, install: Install) -> None:
    response = await alga.admin("POST", INSTALLS, json={"extensionId": install.extension})

    assert response.status_code == 409
    assert response.json()["code"] == "already_installed"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "extensionId"),
        ({"extensionId": 5}, "extensionId"),
        ({"extensionId": "x", "grants": "cap:storage.kv"}, "grants"),
        ({"extensionId": "x", "config": {"a": 1}}, "config.a"),
        ({"extensionId": "x", "config": {"a": "x" * 20_000}}, "config.a"),
        ({"extensionId": "x", "config": {"a": "\0"}}, "config.a"),
        ({"extensionId": "x", "grant": []}, "grant"),
    ],
)
async def test_an_install_request_without_the_shape_names_the_field(
    alga: Alga, body: dict[str, Any], field: str
) -> None:
    response = await alga.admin("POST", INSTALLS, json=body)

    assert response.status_code == 400
    assert list(response.json()["fieldErrors"]) == [field]


async def test_a_request_names_every_field_that_breaks_a_rule(alga: Alga) -> None:
    response = await alga.admin("POST", INSTALLS, json={"grants": 1, "config": {"a": "\0"}, "more": 1})

    assert response.status_code == 400
    body = response.json()
    assert (body["error"], body["code"], body["details"]) == ("Validation error", "validation_failed", None)
    assert body["fieldErrors"].keys() == {"extensionId", "grants", "config.a", "more"}


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b"{", b'{"extensionId": NaN}', b"\xff", b"[" * 9999]
)
async def test_a_body_that_is_no_json_object_is_refused(alga: Alga, content: bytes) -> None:
    response = await alga.admin("POST", INSTALLS, content=content)

    assert (response.status_code, response.json()["error"]) == (400, "Invalid JSON body")


async def test_a_body_past_its_limit_is_refused(alga: Alga) -> None:
    response = await alga.admin(
        "POST", INSTALLS, content=b" " * (alga.server._services.settings.max_request_bytes + 1)
    )

    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", None])
async def test_a_body_is_json_under_any_content_type(
    alga: Alga, install: Install, content_type: str | None
) -> None:
    headers = {"authorization": "Bearer admin-token-of-the-test"}
    if content_type is not None:
        headers["content-type"] = content_type

    response = await alga.client.patch(install.admin_path, content=b'{"enabled": false}', headers=headers)

    assert (response.status_code, response.json()["enabled"]) == (200, False)


@pytest.mark.parametrize("tenant", ["a b", "..%2fb", "%00", "ä", "t" * 129, "-x"])
async def test_a_strange_tenant_has_no_installs(alga: Alga, tenant: str) -> None:
    extension = (await alga.publish())["extensionId"]
    path = f"/api/admin/tenants/{tenant}/installs"

    created = await alga.admin("POST", path, json={"extensionId": extension})
    listed = await alga.admin("GET", path)

    assert created.status_code in (400, 404)
    assert listed.status_code == 404 or listed.json() == {"installs": []}


async def test_an_install_changes_what_is_given(alga: Alga, install: Install) -> None:
    before = (await alga.admin("GET", install.admin_path)).json()
    alga.clock.advance(timedelta(minutes=1))

    response = await alga.admin("PATCH", install.admin_path, json={"config": {"a": "b"}})

    assert response.status_code == 200
    changed = {"config": {"a": "b"}, "updatedAt": "2026-01-01T00:01:00.000Z"}
    assert response.json() == {**before, **changed}


async def test_a_refused_change_leaves_everything(alga: Alga, install: Install) -> None:
    before = (await alga.admin("GET", install.admin_path)).json()

    await alga.admin("PATCH", install.admin_path, json={"enabled": False, "grants": ["cap:nothing"]})

    assert (await alga.admin("GET", install.admin_path)).json() == before


async def test_uninstalling_takes_schedules_and_grants_along(alga: Alga, install: Install) -> None:

    await install.create()

    response = await alga.admin("DELETE", install.admin_path)

    def left(connection: Connection) -> list[int]:
        return [
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (schedule, grant)
        ]

    assert response.status_code == 204
    assert await alga.server._services.database.read(left) == [0, 0]
    assert (await install.call("list")).status_code == 404
    assert (await alga.admin("DELETE", install.admin_path)).status_code == 404


async def test_an_admins_schedule_says_so_and_when_it_runs_next(alga: Alga, install: Install) -> None:
    path = f"{install.admin_path}/schedules"
    body = {"endpoint": "/sync", "cron": "0 4 * * *", "timezone": "Europe/Berlin", "name": "Nightly"}

    response = await alga.admin("POST", path, json=body)

    assert response.status_code == 201
    answer = response.json()
    assert answer["trigger"] == "admin_api"
    assert answer["nextRunAt"] == "2026-01-01T03:00:00.000Z"
    assert (await alga.admin("GET", path)).json() == {"schedules": [answer]}
    assert (await install.get(answer["id"]))["name"] == "Nightly"


async def test_a_host_calls_schedule_says_so_too(alga: Alga, install: Install) -> None:
    await install.create()

    [schedule] = (await alga.admin("GET", f"{install.admin_path}/schedules")).json()["schedules"]

    assert schedule["trigger"] == "host_api"


async def test_the_next_run_stays_due_until_it_fires_and_is_null_when_disabled(
    alga: Alga, install: Install
) -> None:
    schedule_id = await install.create(cron="0 4 * * *")
    path = f"{install.admin_path}/schedules/{schedule_id}"
    alga.clock.advance(timedelta(hours=5))

    moved = await alga.admin("PATCH", path, json={})
    disabled = await alga.admin("PATCH", path, json={"enabled": False})

    assert moved.json()["nextRunAt"] == "2026-01-01T04:00:00.000Z"
    assert disabled.json()["nextRunAt"] is None


async def test_admins_meet_the_same_rules(alga: Alga, install: Install) -> None:
    body = {"endpoint": "/both", "cron": "* * * * *"}

    response = await alga.admin("POST", f"{install.admin_path}/schedules", json=body)

    assert response.status_code == 400
    assert response.json()["code"] == "validation_failed"
    assert set(response.json()["fieldErrors"]) == {"cron", "endpoint"}


async def test_admins_meet_the_same_quota(alga: Alga, install: Install) -> None:
    for _ in range(50):
        await install.create()

    response = await alga.admin(
        "POST", f"{install.admin_path}/schedules", json={"endpoint": "/sync", "cron": "0 * * * *"}
    )

    assert response.json()["code"] == "quota_exceeded"


async def test_an_admin_may_prepare_schedules_of_a_disabled_install(alga: Alga, install: Install) -> None:
    await alga.admin("PATCH", install.admin_path, json={"enabled": False})

    response = await alga.admin(
        "POST", f"{install.admin_path}/schedules", json={"endpoint": "/sync", "cron": "0 * * * *"}
    )

    assert response.status_code == 201


async def test_an_admin_deletes_a_schedule_once(alga: Alga, install: Install) -> None:
    path = f"{install.admin_path}/schedules/{await install.create()}"

    assert (await alga.admin("DELETE", path)).status_code == 204
    assert (await alga.admin("DELETE", path)).status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/admin/extensions"),
        ("POST", INSTALLS),
        ("GET", INSTALLS),
        ("GET", f"{INSTALLS}/{UNKNOWN_ID}"),
        ("PATCH", f"{INSTALLS}/{UNKNOWN_ID}"),
        ("DELETE", f"{INSTALLS}/{UNKNOWN_ID}"),
        ("GET", f"{INSTALLS}/{UNKNOWN_ID}/schedules"),
        ("POST", f"{INSTALLS}/{UNKNOWN_ID}/schedules"),
        ("PATCH", f"{INSTALLS}/{UNKNOWN_ID}/schedules/{UNKNOWN_ID}"),
        ("DELETE", f"{INSTALLS}/{UNKNOWN_ID}/schedules/{UNKNOWN_ID}"),
    ],
)
@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic admin-token-of-the-test",
        "admin-token-of-the-test",
    ],
)
async def test_every_admin_call_wants_the_token_before_it_reads_anything(
    alga: Alga, method: str, path: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"authorization": authorization}

    response = await alga.client.request(method, path, headers=headers, content=b"{")

    assert response.status_code == 401
    assert response.json() == {"error": "Invalid admin token", "code": "unauthorized", "details": None}


@pytest.mark.parametrize("token", [None, "", "changeme", "secret"])
async def test_without_a_usable_token_every_admin_call_is_refused(token: str | None) -> None:
    async with Server(ServerSettings(admin_token=token)) as server:
        transport = httpx.ASGITransport(server.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            response = await client.get(INSTALLS, headers={"authorization": f"Bearer {token or ''}"})

    assert response.status_code == 401


async def test_a_bundle_past_its_limit_is_refused() -> None:
    settings = ServerSettings(admin_token="a-token", max_bundle_bytes=1024)
    async with Server(settings) as server:
        transport = httpx.ASGITransport(server.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            response = await client.post(
                "/api/admin/extensions", content=b"x" * 1025, headers={"authorization": "Bearer a-token"}
            )

    assert response.status_code == 413
    assert response.json()["code"] == "body_too_large"


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nowhere", 404), ("PUT", "/api/admin/extensions", 405)]
)
async def test_routes_that_do_not_exist_answer_in_json(
    alga: Alga, method: str, path: str, status: int
) -> None:
    response = await alga.admin(method, path)

    assert response.status_code == status
    assert set(response.json()) == {"error", "code", "details"}
