"""An install moves to another version: its schedules move too, or nothing changes, or schedules are disabled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from sqlalchemy import Engine, event

from alga_server import ServerSettings
from tests.support.server import Alga, FakeRunner, Install

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

SYNC = {"method": "POST", "path": "/sync", "handler": "sync2"}
REPORT = {"method": "GET", "path": "/report", "handler": "report2"}
BLOCKED = "Extension update blocked: one or more schedules reference endpoints missing in target version"
WHY = "Disabled due to missing endpoint on extension update"


@pytest.fixture
def runner_transport(fake_runner: FakeRunner) -> httpx.AsyncBaseTransport:
    return httpx.MockTransport(fake_runner)


async def publish(
    install: Install, *endpoints: dict[str, str], version: str = "2.0.0", **changes: Any
) -> Any:
    return await install.alga.publish(version=version, api={"endpoints": list(endpoints)}, **changes)


async def upgrade(install: Install, **body: Any) -> httpx.Response:
    response: httpx.Response = await install.alga.admin("POST", f"{install.admin_path}/upgrade", json=body)
    return response


async def installed(install: Install) -> dict[str, Any]:
    shown: dict[str, Any] = (await install.alga.admin("GET", install.admin_path)).json()
    return shown


async def admin_view(install: Install) -> dict[str, dict[str, Any]]:
    response = await install.alga.admin("GET", f"{install.admin_path}/schedules")
    return {schedule["id"]: schedule for schedule in response.json()["schedules"]}


async def test_without_a_name_it_goes_to_the_newest_version(install: Install) -> None:
    await publish(install, SYNC, version="2.0.0")
    newest = await publish(install, SYNC, version="3.0.0")

    answer = (await upgrade(install)).json()

    assert (answer["version"], answer["previousVersion"]) == ("3.0.0", "1.0.0")
    assert (await installed(install))["contentHash"] == newest["contentHash"]


async def test_the_newest_is_the_highest_and_not_the_last_published(install: Install) -> None:
    for version in ("1.10.0", "1.9.0", "2.0.0-rc.1"):
        await publish(install, SYNC, version=version)

    assert (await upgrade(install)).json()["version"] == "1.10.0"


async def test_a_lower_version_is_fine_if_it_is_named(install: Install) -> None:
    old = (await installed(install))["versionId"]
    await publish(install, SYNC)
    await upgrade(install)

    assert (await upgrade(install, versionId=old)).json()["version"] == "1.0.0"


async def test_without_a_name_it_does_not_go_back(install: Install) -> None:
    candidate = await publish(install, SYNC, version="2.0.0-rc.1")
    await upgrade(install, versionId=candidate["versionId"])

    answer = await upgrade(install)

    shown = answer.json()
    assert (answer.status_code, shown["version"], shown["previousVersion"]) == (
        200,
        "2.0.0-rc.1",
        "2.0.0-rc.1",
    )


async def test_a_schedule_runs_the_new_versions_handler_at_the_time_it_had(
    install: Install, fake_runner: FakeRunner
) -> None:
    schedule_id = await install.create(name="Hourly", payload={"full": True})
    published = await publish(install, REPORT, SYNC)

    answer = await upgrade(install)
    await install.alga.pass_time(hours=1)

    assert answer.json()["schedulesRemapped"] == 1
    [asked] = fake_runner.asked
    assert (asked["http"]["method"], asked["http"]["path"]) == ("POST", "/sync")
    assert asked["context"]["version_id"] == published["versionId"]
    assert asked["context"]["content_hash"] == published["contentHash"]
    assert [run["status"] for run in await install.runs(schedule_id)] == ["success"]


async def test_a_disabled_schedule_goes_with_it_and_stays_disabled(install: Install) -> None:
    schedule_id = await install.create(enabled=False)
    await publish(install, SYNC)

    await upgrade(install)
    assert (await install.get(schedule_id))["enabled"] is False
    enabled = await install.call("update", scheduleId=schedule_id, enabled=True)

    assert enabled.status_code == 200


async def test_a_path_written_otherwise_is_the_same_endpoint(install: Install) -> None:
    await install.create()
    await publish(install, {**SYNC, "method": "post", "path": "sync"})

    assert (await upgrade(install)).json()["schedulesRemapped"] == 1


@pytest.mark.parametrize("there", [REPORT, {**SYNC, "method": "GET"}], ids=["other path", "other method"])
async def test_a_missing_endpoint_blocks_and_names_every_schedule(
    install: Install, there: dict[str, str]
) -> None:
    first, second = await install.create(name="a"), await install.create(name="b", enabled=False)
    await install.create(name="c", endpoint="/report")
    await publish(
        install, there, {**REPORT, "path": "/report"} if there is not REPORT else SYNC | {"path": "/x"}
    )

    response = await upgrade(install)

    assert response.status_code == 409
    assert response.json() == {
        "error": BLOCKED,
        "code": "SCHEDULE_REMAP_FAILED",
        "details": None,
        "missing": [
            {"scheduleId": missing, "method": "POST", "path": "/sync"} for missing in (first, second)
        ],
    }


async def test_a_blocked_update_changes_nothing(install: Install, fake_runner: FakeRunner) -> None:
    await install.create(name="a")
    await install.create(name="b", endpoint="/report")
    await publish(install, REPORT)
    before, schedules = await installed(install), await admin_view(install)

    await upgrade(install)

    assert (await installed(install), await admin_view(install)) == (before, schedules)
    await install.alga.pass_time(hours=1)
    assert {request["context"]["version_id"] for request in fake_runner.asked} == {before["versionId"]}
    assert len(fake_runner.asked) == 2


async def test_on_request_what_lost_its_endpoint_is_disabled_with_the_reason(
    install: Install, fake_runner: FakeRunner
) -> None:
    lost, kept = await install.create(name="a"), await install.create(name="b", endpoint="/report")
    await publish(install, REPORT)

    answer = (await upgrade(install, disableMissingSchedules=True)).json()
    await install.alga.pass_time(hours=1)

    assert answer["schedulesDisabled"] == [{"scheduleId": lost, "method": "POST", "path": "/sync"}]
    schedules = await admin_view(install)
    assert (schedules[lost]["enabled"], schedules[lost]["lastError"]) == (False, WHY)
    assert schedules[lost]["nextRunAt"] is None
    assert schedules[kept]["enabled"] is True
    assert [request["http"]["path"] for request in fake_runner.asked] == ["/report"]


async def test_what_lost_its_endpoint_cannot_be_enabled_but_can_be_sent_elsewhere(install: Install) -> None:
    lost = await install.create()
    await publish(install, REPORT)
    await upgrade(install, disableMissingSchedules=True)

    refused = await install.call("update", scheduleId=lost, enabled=True)
    moved = await install.call("update", scheduleId=lost, enabled=True, endpoint="/report")

    assert refused.json()["fieldErrors"] == {
        "enabled": "Schedule endpoint does not belong to installed version"
    }
    assert moved.status_code == 200


async def test_a_schedule_that_stopped_earlier_does_not_block_and_comes_back_to_its_endpoint(
    install: Install,
) -> None:
    lost = await install.create()
    await publish(install, REPORT, version="2.0.0")
    await upgrade(install, disableMissingSchedules=True)
    await publish(install, REPORT, version="3.0.0", capabilities=["cap:scheduler.manage"])
    assert (await upgrade(install)).status_code == 200

    await publish(install, SYNC, version="4.0.0")
    assert (await upgrade(install)).status_code == 200

    assert (await install.get(lost))["enabled"] is False
    assert (await install.call("update", scheduleId=lost, enabled=True)).status_code == 200


async def test_the_same_version_is_no_change(install: Install) -> None:
    before = await installed(install)

    answer = await upgrade(install)

    assert answer.status_code == 200
    assert answer.json() == before | {
        "warmup": answer.json()["warmup"],
        "previousVersion": "1.0.0",
        "grantsEnded": [],
        "schedulesRemapped": 0,
        "schedulesDisabled": [],
    }


async def test_nothing_new_is_granted_and_what_is_not_declared_ends(alga: Alga) -> None:
    install = await alga.install("tenant-a", grants=("cap:scheduler.manage", "cap:storage.kv"))
    await publish(install, SYNC, capabilities=["cap:scheduler.manage", "cap:secrets.get"])

    answer = (await upgrade(install)).json()

    assert answer["grants"] == ["cap:scheduler.manage"]
    assert answer["grantsEnded"] == ["cap:storage.kv"]


async def test_a_disabled_install_can_be_moved_and_stays_disabled(
    install: Install, fake_runner: FakeRunner
) -> None:
    await install.create()
    await install.alga.admin("PATCH", install.admin_path, json={"enabled": False})
    await publish(install, SYNC)

    assert (await upgrade(install)).json()["enabled"] is False
    await install.alga.pass_time(hours=1)
    assert fake_runner.asked == []


async def test_a_run_under_way_ends_as_it_began(install: Install, fake_runner: FakeRunner) -> None:
    schedule_id = await install.create()
    old = (await installed(install))["contentHash"]
    await publish(install, SYNC)
    fake_runner.hold()
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: install.alga.pass_time(hours=1))
        await fake_runner.was_asked(1)
        assert (await upgrade(install)).status_code == 200
        fake_runner.let_go()

    assert [run["status"] for run in await install.runs(schedule_id)] == ["success"]
    await install.alga.pass_time(hours=1)
    assert [request["context"]["content_hash"] == old for request in fake_runner.asked] == [True, False]


async def test_another_tenants_install_stays_where_it_is(alga: Alga, install: Install) -> None:
    theirs = await alga.install("tenant-b")
    schedule_id = await theirs.create()
    before = await admin_view(theirs)
    await publish(install, SYNC)

    await upgrade(install)

    assert (await installed(theirs))["version"] == "1.0.0"
    assert await admin_view(theirs) == before
    assert set(before) == {schedule_id}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"versionId": "00000000-0000-4000-8000-000000000000"}, 404, "not_found"),
        ({"versionId": 7}, 400, "validation_failed"),
        ({"disableMissingSchedules": "yes"}, 400, "validation_failed"),
        ({"version": "2.0.0"}, 400, "validation_failed"),
    ],
)
async def test_a_request_that_cannot_be_carried_out(
    install: Install, body: dict[str, Any], status: int, code: str
) -> None:
    response = await upgrade(install, **body)

    assert (response.status_code, response.json()["code"]) == (status, code)


async def test_a_version_of_another_extension_is_unknown(install: Install) -> None:
    other = await install.alga.publish(name="com.example.other")

    assert (await upgrade(install, versionId=other["versionId"])).status_code == 404


@pytest.mark.parametrize("path", ["tenant-b/installs/{id}", "tenant-a/installs/nothing"])
async def test_an_install_that_is_not_the_tenants_is_unknown(alga: Alga, install: Install, path: str) -> None:
    url = f"/api/admin/tenants/{path.format(id=install.id)}/upgrade"

    response = await alga.admin("POST", url, json={})

    assert (response.status_code, response.json()["error"]) == (404, "Install not found")


async def test_every_statement_names_the_tenant_and_the_install(install: Install) -> None:
    await install.create(name="a")
    await install.create(name="b", endpoint="/report")
    await publish(install, REPORT)
    seen: list[str] = []

    def keep(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "tenant_extension_schedule" in statement:
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", keep)
    try:
        await upgrade(install, disableMissingSchedules=True)
    finally:
        event.remove(Engine, "before_cursor_execute", keep)

    ours = [text for text in seen if "extension_api_endpoint" in text or text.startswith("UPDATE")]
    assert len(ours) == 3
    assert [text for text in ours if "tenant_id" not in text or "install_id" not in text] == []


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "bundles"


class TestBundles:
    @pytest.fixture
    def settings(self, settings: ServerSettings, root: Path) -> ServerSettings:
        return settings.model_copy(update={"bundle_store": root})

    def archives(self, root: Path) -> set[str]:
        return {f"sha256:{archive.parent.name}" for archive in root.rglob("bundle.tar.zst")}

    async def test_the_new_bundle_is_there_and_the_old_one_stays_for_what_runs(
        self, install: Install, root: Path
    ) -> None:
        old = (await installed(install))["contentHash"]
        new = (await publish(install, SYNC))["contentHash"]

        await upgrade(install)

        assert self.archives(root) == {old, new}

    async def test_a_blocked_update_leaves_no_bundle(self, install: Install, root: Path) -> None:
        await install.create()
        await publish(install, REPORT)

        await upgrade(install)

        assert self.archives(root) == {(await installed(install))["contentHash"]}

    async def test_a_bundle_that_cannot_be_written_changes_nothing(
        self, install: Install, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await publish(install, SYNC)

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)

        assert (await upgrade(install)).status_code == 503
        assert (await installed(install))["version"] == "1.0.0"

    async def test_uninstalling_removes_the_bundles_of_every_version(
        self, install: Install, root: Path
    ) -> None:
        await publish(install, SYNC)
        await upgrade(install)

        await install.alga.admin("DELETE", install.admin_path)

        assert self.archives(root) == set()
