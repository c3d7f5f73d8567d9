"""Installs, their grants and their schedules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.support.server_cli import NAME, TOKEN, Run, document, done, refused, write_manifest


def test_installing_grants_what_was_named_and_says_what_is_withheld(
    alga: Run, published: dict[str, Any]
) -> None:
    shown = done(alga("install", NAME, "--tenant", "acme", "--grant", "cap:storage.kv", "--config", "a=b=c"))

    assert shown.startswith(f"Installed {NAME} 1.0.0 for tenant acme.\n")
    assert "granted  cap:storage.kv\n" in shown
    assert "asks for cap:scheduler.manage\n" in shown
    [install] = document(alga("installs", "--tenant", "acme", "--json"))["installs"]
    assert (install["grants"], install["config"]) == (["cap:storage.kv"], {"a": "b=c"})


def test_an_extension_can_be_named_by_its_id(alga: Run, published: dict[str, Any]) -> None:
    made = document(alga("install", published["extensionId"], "--tenant", "acme", "--json"))

    assert made["extensionName"] == NAME


def test_a_version_can_be_named(alga: Run, folder: Path, published: dict[str, Any]) -> None:
    write_manifest(folder, version="2.0.0")
    alga("publish", str(folder))

    assert document(alga("install", NAME, "--tenant", "a", "--json"))["version"] == "2.0.0"
    older = document(alga("install", NAME, "--tenant", "b", "--version", "1.0.0", "--json"))
    assert older["version"] == "1.0.0"
    said = refused(alga("install", NAME, "--tenant", "c", "--version", "3.0.0"), "not_found")
    assert "hint: It has 1.0.0, 2.0.0." in said


def test_a_name_of_two_publishers_must_be_an_id(alga: Run, folder: Path, published: dict[str, Any]) -> None:
    write_manifest(folder, publisher="Another")
    other = document(alga("publish", str(folder), "--json"))

    said = refused(alga("install", NAME, "--tenant", "acme"), "ambiguous")

    assert f"{published['extensionId']} (Example)" in said
    assert f"{other['extensionId']} (Another)" in said


@pytest.mark.parametrize("extension", ["nothing", "00000000-0000-0000-0000-000000000000", "../tenants"])
def test_an_unknown_extension_is_not_found(alga: Run, extension: str) -> None:
    refused(alga("install", extension, "--tenant", "acme"), "not_found")


def make_schedule(app: Any, installed: dict[str, Any]) -> str:
    """A schedule for ``POST /sync`` of the install; its id."""

    async def make() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
            return await client.post(
                f"/api/admin/tenants/acme/installs/{installed['installId']}/schedules",
                json={"endpoint": "/sync", "cron": "0 * * * *"},
                headers={"authorization": f"Bearer {TOKEN}"},
            )

    made: str = anyio.run(make).json()["id"]
    return made


def publish_next(alga: Run, folder: Path, path: str, **changes: Any) -> None:
    endpoints = [{"method": "POST", "path": path, "handler": "sync"}]
    write_manifest(folder, version="2.0.0", api={"endpoints": endpoints}, **changes)
    done(alga("publish", str(folder)))


def test_an_upgrade_says_from_where_to_where_and_what_came_along(
    alga: Run, app: Any, folder: Path, installed: dict[str, Any]
) -> None:
    make_schedule(app, installed)
    publish_next(alga, folder, "/sync", capabilities=["cap:secrets.get"])

    said = done(alga("upgrade", NAME, "--tenant", "acme"))

    assert f"{NAME} is at 2.0.0 for tenant acme; it was at 1.0.0." in said
    assert "1 schedule went with it" in said
    assert f"alga-server grant {NAME} --tenant acme --grant cap:secrets.get" in said


def test_an_upgrade_that_is_blocked_lists_the_schedules_and_how_to_go_on(
    alga: Run, app: Any, folder: Path, installed: dict[str, Any]
) -> None:
    schedule_id = make_schedule(app, installed)
    publish_next(alga, folder, "/other")

    said = refused(alga("upgrade", NAME, "--tenant", "acme"), "SCHEDULE_REMAP_FAILED")

    assert f"schedule {schedule_id}: POST /sync" in said
    assert "--disable-missing-schedules" in said.partition("hint:")[2]


def test_an_upgrade_that_disables_lists_what_it_disabled(
    alga: Run, app: Any, folder: Path, installed: dict[str, Any]
) -> None:
    schedule_id = make_schedule(app, installed)
    publish_next(alga, folder, "/other")

    said = done(alga("upgrade", NAME, "--tenant", "acme", "--disable-missing-schedules"))

    assert f"disabled  schedule {schedule_id}: no POST /sync" in said


def test_an_upgrade_to_where_it_is_says_so(alga: Run, installed: dict[str, Any]) -> None:
    assert "is at 1.0.0 for tenant acme already." in done(alga("upgrade", NAME, "--tenant", "acme"))


def test_an_upgrade_to_a_version_that_is_not_there_lists_those_that_are(
    alga: Run, installed: dict[str, Any]
) -> None:
    said = refused(alga("upgrade", NAME, "--tenant", "acme", "--version", "9.0.0"), "not_found")

    assert "hint: It has 1.0.0." in said


def test_installing_twice_is_refused(alga: Run, installed: dict[str, Any]) -> None:
    refused(alga("install", NAME, "--tenant", "acme"), "already_installed")


def test_what_the_manifest_does_not_declare_cannot_be_granted(alga: Run, published: dict[str, Any]) -> None:
    said = refused(alga("install", NAME, "--tenant", "acme", "--grant", "secrets.get"), "validation_failed")

    assert "Not declared by the extension's manifest: cap:secrets.get" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["install", NAME, "--tenant", "acme", "--grant", "scheduler.mange"],
            "nearest known one is cap:scheduler",
        ),
        (["install", NAME, "--tenant", "a/../b"], "cannot be a tenant's id"),
        (["install", NAME, "--tenant", "acme", "--config", "novalue"], "is not NAME=VALUE"),
        (["install", NAME], "Missing option '--tenant'"),
        (["grant", NAME, "--tenant", "acme"], "Missing option '--grant'"),
        (["extensions", "--server", "localhost:8090"], "is not the URL of a server"),
        (["extensions", "--server", "ftp://localhost"], "is not the URL of a server"),
        (["extensions", "--server", "http://[::1"], "is not the URL of a server"),
        (["extensions", "--server", "http://admin:hunter2@localhost"], "tokens come from the environment"),
        (["nonsense"], "No such command"),
    ],
)
def test_bad_usage_has_status_2_and_says_what_is_wrong(alga: Run, arguments: list[str], said: str) -> None:
    result = alga(*arguments)

    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert "hunter2" not in result.output


def test_granting_adds_and_revoking_takes_away(alga: Run, installed: dict[str, Any]) -> None:
    both = document(alga("grant", NAME, "--tenant", "acme", "--grant", "storage.kv", "--json"))
    one = document(alga("revoke", NAME, "--tenant", "acme", "--grant", "scheduler.manage", "--json"))

    assert both["grants"] == ["cap:scheduler.manage", "cap:storage.kv"]
    assert one["grants"] == ["cap:storage.kv"]
    shown = done(alga("revoke", installed["installId"], "--tenant", "acme", "--grant", "storage.kv"))
    assert shown == f"{NAME} is granted nothing for tenant acme.\n"


def test_granting_twice_and_revoking_what_is_not_granted_are_fine(
    alga: Run, installed: dict[str, Any]
) -> None:
    for _ in range(2):
        done(alga("grant", NAME, "--tenant", "acme", "--grant", "storage.kv"))
    for _ in range(2):
        done(alga("revoke", NAME, "--tenant", "acme", "--grant", "storage.kv"))


def test_what_every_execution_has_cannot_be_revoked(alga: Run, installed: dict[str, Any]) -> None:
    result = alga("revoke", NAME, "--tenant", "acme", "--grant", "log.emit")

    assert result.exit_code == 0
    assert result.stderr == "hint: Every execution has cap:log.emit; that cannot be revoked.\n"


def test_granting_what_is_not_declared_changes_nothing(alga: Run, installed: dict[str, Any]) -> None:
    refused(
        alga("grant", NAME, "--tenant", "acme", "--grant", "storage.kv", "--grant", "secrets.get"),
        "validation_failed",
    )

    [install] = document(alga("installs", "--tenant", "acme", "--json"))["installs"]
    assert install["grants"] == ["cap:scheduler.manage"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["grant", NAME, "--grant", "storage.kv"],
        ["revoke", NAME, "--grant", "storage.kv"],
        ["enable", NAME],
        ["disable", NAME],
        ["uninstall", NAME],
        ["schedules", "--install", NAME],
    ],
)
def test_another_tenant_s_install_is_not_found(
    alga: Run, installed: dict[str, Any], arguments: list[str]
) -> None:
    by_name = refused(alga(*arguments, "--tenant", "other"), "not_found")
    by_id = [installed["installId"] if word == NAME else word for word in arguments]

    assert "It has no installs at all; check --tenant." in by_name
    refused(alga(*by_id, "--tenant", "other"), "not_found")


def test_disabling_and_enabling_show_in_the_list(alga: Run, installed: dict[str, Any]) -> None:
    assert done(alga("disable", NAME, "--tenant", "acme")) == f"{NAME} is disabled for tenant acme.\n"
    assert "  disabled  " in done(alga("installs", "--tenant", "acme"))

    assert document(alga("enable", NAME, "--tenant", "acme", "--json"))["enabled"] is True


def add_schedule(app: Any, install: dict[str, Any], **members: Any) -> dict[str, Any]:
    async def create() -> dict[str, Any]:
        transport = httpx.ASGITransport(app)
        path = f"/api/admin/tenants/{install['tenantId']}/installs/{install['installId']}/schedules"
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            made = await client.post(
                path,
                json={"endpoint": "/sync", "cron": "0 * * * *", **members},
                headers={"authorization": f"Bearer {TOKEN}"},
            )
        assert made.status_code == 201, made.text
        schedule: dict[str, Any] = made.json()
        return schedule

    return anyio.run(create)


def test_schedules_are_shown_with_their_next_run(alga: Run, app: Any, installed: dict[str, Any]) -> None:
    assert done(alga("schedules", "--tenant", "acme")) == "Tenant acme has no schedules.\n"
    add_schedule(app, installed, name="Hourly")
    nameless = add_schedule(app, installed, cron="30 2 * * *", timezone="Europe/Berlin", enabled=False)

    lines = done(alga("schedules", "--tenant", "acme")).splitlines()

    assert len(lines) == 3
    assert lines[1].split("  ")[0] == "Hourly"
    assert "POST /sync" in lines[1]
    assert "2026-01-01 01:00:00" in lines[1]
    assert lines[2].startswith(nameless["id"])
    assert "Europe/Berlin  disabled" in lines[2]


def test_schedules_of_one_install_only(alga: Run, app: Any, folder: Path, installed: dict[str, Any]) -> None:
    write_manifest(folder, name="com.example.other")
    alga("publish", str(folder))
    other = document(alga("install", "com.example.other", "--tenant", "acme", "--json"))
    add_schedule(app, installed, name="mine")
    add_schedule(app, other, name="other")

    every = document(alga("schedules", "--tenant", "acme", "--json"))["schedules"]
    one = document(alga("schedules", "--tenant", "acme", "--install", NAME, "--json"))["schedules"]

    assert sorted(schedule["name"] for schedule in every) == ["mine", "other"]
    assert [schedule["name"] for schedule in one] == ["mine"]


def test_an_unknown_tenant_has_no_schedules(alga: Run, app: Any, installed: dict[str, Any]) -> None:
    add_schedule(app, installed)

    assert document(alga("schedules", "--tenant", "other", "--json")) == {"schedules": []}


def test_uninstalling_takes_the_schedules_along_and_says_how_many(
    alga: Run, app: Any, installed: dict[str, Any]
) -> None:
    add_schedule(app, installed)

    shown = done(alga("uninstall", NAME, "--tenant", "acme"))

    assert shown == f"Uninstalled {NAME} 1.0.0 from tenant acme, and 1 schedule with it.\n"
    assert done(alga("installs", "--tenant", "acme")) == "Tenant acme has no installs.\n"
    assert document(alga("schedules", "--tenant", "acme", "--json")) == {"schedules": []}


def test_what_a_terminal_would_obey_is_escaped(alga: Run, app: Any, installed: dict[str, Any]) -> None:
    add_schedule(app, installed, name="\x1b]0;owned\x07 \u202eevil")

    shown = done(alga("schedules", "--tenant", "acme"))

    assert "\\x1b]0;owned\\x07 \\u202eevil" in shown
    assert "\x1b" not in shown
