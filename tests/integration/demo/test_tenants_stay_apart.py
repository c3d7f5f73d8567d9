"""Two installs that try to reach each other through every operation: neither finds, changes or learns anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from alga_runner.bundles import Bundle, read_bundle
from alga_runner.testing import Alga, Call, Extension

Install = Callable[..., Extension]
Attempt = Callable[..., dict[str, Any]]

DEMO = Path(__file__).parents[3] / "sample-extensions" / "scheduler-demo"
SCHEDULER = "cap:scheduler.manage"
EXTRA_ENDPOINT = {"method": "GET", "path": "/theirs", "handler": "dist/main"}
GOOD = {"endpoint": "/sync", "cron": "0 * * * *"}

BY_ID: list[dict[str, Any]] = [
    {"operation": "get"},
    {"operation": "update", "cron": "0 3 * * *"},
    {"operation": "update", "enabled": False},
    {"operation": "update", "name": None, "payload": None},
    {"operation": "update", "endpoint": "/setup"},
    {"operation": "update", "cron": "* * * * *"},
    {"operation": "update", "name": "Hourly sync"},
    {"operation": "delete"},
]
"""Every host call that names a schedule."""


@pytest.fixture(params=["another tenant", "another extension of the same tenant"])
def theirs(request: pytest.FixtureRequest, alga: Alga, install: Install) -> Extension:
    """Another install, with schedules."""
    if request.param == "another tenant":
        other = install("globex")
    else:
        other = alga.install(_renamed("com.example.other"), grant=[SCHEDULER])
    other.call("POST", "/setup")
    return other


@pytest.mark.parametrize("members", BY_ID, ids=lambda members: "-".join(map(str, members.values())))
def test_a_schedule_of_another_is_answered_like_one_that_does_not_exist(
    demo: Extension, theirs: Extension, attempt: Attempt, members: dict[str, Any]
) -> None:
    before = theirs.schedules()

    known = attempt(demo, **members, scheduleId=before[0].id)
    unknown = attempt(demo, **members, scheduleId=str(uuid4()))

    assert known == unknown
    assert known == {"ok": None} or known["error"]["code"] == "not-found"
    assert theirs.schedules() == before


def test_a_list_holds_only_ones_own(demo: Extension, theirs: Extension, attempt: Attempt) -> None:
    created = attempt(demo, "create", **GOOD)["ok"]["scheduleId"]

    assert [schedule["id"] for schedule in attempt(demo, "list")["ok"]] == [created]


def test_a_create_adds_nothing_to_another(demo: Extension, theirs: Extension, attempt: Attempt) -> None:
    before = theirs.schedules()

    created = attempt(demo, "create", **GOOD, name="Hourly sync")

    assert "ok" in created, "a name that another install uses is free"
    assert theirs.schedules() == before


def test_a_full_quota_of_another_does_not_count(demo: Extension, theirs: Extension, attempt: Attempt) -> None:
    theirs.call_many([Call("POST", "/try", json={"operation": "create", **GOOD})] * 48)

    assert "error" in attempt(theirs, "create", **GOOD)
    assert "ok" in attempt(demo, "create", **GOOD)


def test_endpoints_are_those_of_ones_own_manifest(
    demo: Extension, theirs: Extension, attempt: Attempt
) -> None:
    seen = {(endpoint["method"], endpoint["path"]) for endpoint in attempt(demo, "get-endpoints")["ok"]}

    assert seen == {(endpoint.method, endpoint.path) for endpoint in demo.manifest.endpoints}


def test_a_cleanup_deletes_only_ones_own(demo: Extension, theirs: Extension) -> None:
    before = theirs.schedules()
    demo.call("POST", "/setup")

    assert demo.call("POST", "/cleanup").json() == {"deleted": 2}
    assert theirs.schedules() == before


def test_an_uninstall_leaves_another_alone(demo: Extension, theirs: Extension) -> None:
    before = theirs.schedules()
    demo.call("POST", "/setup")

    demo.uninstall()

    assert theirs.schedules() == before


def test_a_grant_counts_for_one_install_only(install: Install, theirs: Extension, attempt: Attempt) -> None:
    demo = install(grant=())

    assert attempt(demo, "list")["error"]["code"] == "denied"


def test_a_caller_cannot_speak_for_another_tenant(demo: Extension, theirs: Extension, alga: Alga) -> None:
    before = theirs.schedules()

    demo.call(
        "POST",
        "/cleanup",
        headers={"X-Alga-Tenant": theirs.tenant, "x-ext-install-id": theirs.install_id},
        query={"tenantId": theirs.tenant, "installId": theirs.install_id},
        json={"tenantId": theirs.tenant, "installId": theirs.install_id},
    )

    assert theirs.schedules() == before


def test_installs_that_work_at_once_keep_their_own(
    demo: Extension, theirs: Extension, attempt: Attempt
) -> None:
    before = theirs.schedules()

    demo.call_many([("POST", "/setup"), ("POST", "/cleanup")] * 10)

    assert theirs.schedules() == before
    listed = {schedule["id"] for schedule in attempt(demo, "list")["ok"]}
    assert listed == {schedule.id for schedule in demo.schedules()}


def _renamed(name: str) -> Bundle:
    """The demo under another name and with one endpoint more: another extension with the same module."""
    files = dict(read_bundle(DEMO).files)
    manifest = {**json.loads(files["manifest.json"]), "name": name}
    manifest["api"] = {"endpoints": [*manifest["api"]["endpoints"], EXTRA_ENDPOINT]}
    files["manifest.json"] = json.dumps(manifest).encode()
    return Bundle.from_files(files)
