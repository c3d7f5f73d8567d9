"""The primary flows of the requirements, from an admin's install to the schedules on the server (PRD, "Users and
Primary Flows")."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest

from alga_runner.errors import AdminRefused, ExtensionNotAvailable
from alga_runner.testing import Alga, Extension

SCHEDULER = "cap:scheduler.manage"

Install = Callable[..., Extension]


# Set up schedules on extension install


def test_the_manifest_declares_the_capability(demo: Extension) -> None:
    assert SCHEDULER in demo.manifest.capabilities


def test_setup_lists_first_and_creates_what_is_missing(alga: Alga, demo: Extension) -> None:
    response = demo.call("POST", "/setup")

    operations = [call.operation for call in alga.host_calls]
    assert response.status == 200
    assert operations.index("scheduler.list") < operations.index("scheduler.create")
    assert len(response.json()["created"]) == operations.count("scheduler.create") == 2


def test_after_setup_the_schedules_are_active(demo: Extension) -> None:
    demo.call("POST", "/setup")

    hourly, nightly = demo.schedules()
    assert (hourly.endpoint_method, hourly.endpoint_path, hourly.cron) == ("POST", "/sync", "0 * * * *")
    assert (nightly.timezone, nightly.payload) == ("Europe/Berlin", {"full": True})
    assert all(each.enabled and each.next_run_at for each in (hourly, nightly))


def test_a_schedule_made_by_the_extension_says_so(demo: Extension) -> None:
    demo.call("POST", "/setup")

    assert [each.trigger for each in demo.schedules()] == ["host_api", "host_api"]


def test_setup_creates_only_what_is_missing(demo: Extension) -> None:
    demo.call("POST", "/setup")
    demo.call("POST", "/try", json={"operation": "delete", "scheduleId": demo.schedules()[0].id})

    again = demo.call("POST", "/setup").json()

    assert [each["name"] for each in again["created"]] == ["Hourly sync"]
    assert [each["name"] for each in again["existing"]] == ["Nightly full sync"]


def test_setups_of_two_tenants_at_once_do_not_meet(install: Install) -> None:
    ours, theirs = install("acme"), install("globex")

    ours.call_many([("POST", "/setup")] * 5)
    theirs.call_many([("POST", "/setup")] * 5)

    assert len(ours.schedules()) == len(theirs.schedules()) == 2
    assert {each.id for each in ours.schedules()}.isdisjoint(each.id for each in theirs.schedules())


def test_the_capability_is_not_granted_by_default(alga: Alga, install: Install) -> None:
    demo = install(grant=())

    assert demo.call("POST", "/setup").status == 403
    assert [call.status for call in alga.host_calls] == ["denied"]


def test_an_admin_can_grant_the_capability_later(install: Install) -> None:
    demo = install(grant=())
    demo.grant(SCHEDULER)

    assert demo.call("POST", "/setup").status == 200


def test_an_admin_cannot_grant_what_the_manifest_does_not_declare(demo: Extension) -> None:
    with pytest.raises(AdminRefused, match=r"Not declared by the extension's manifest: cap:storage\.kv"):
        demo.grant("cap:storage.kv")


def test_the_server_counts_host_calls_by_operation_and_status(alga: Alga, demo: Extension) -> None:
    demo.call("POST", "/setup")

    metrics = alga.server_metrics()

    assert 'extension_scheduler_api_calls_total{operation="create",status="success"} 2.0' in metrics
    assert 'extension_scheduler_api_calls_total{operation="list",status="success"} 1.0' in metrics


# Modify a schedule based on user configuration


def test_a_new_interval_changes_the_schedule_and_its_next_run(demo: Extension) -> None:
    demo.call("POST", "/setup")
    before = demo.schedules()

    demo.configure({"intervalHours": "6"})
    response = demo.call("POST", "/configure")

    after = demo.schedules()
    assert response.status == 200
    assert after[0].cron == "0 */6 * * *"
    assert _hour(after[0].next_run_at) in {0, 6, 12, 18}
    assert after[1] == before[1]


def test_an_update_changes_what_was_given_and_nothing_else(demo: Extension) -> None:
    demo.call("POST", "/setup")
    before = demo.schedules()[0]

    demo.call("POST", "/try", json={"operation": "update", "scheduleId": before.id, "enabled": False})

    after = demo.schedules()[0]
    assert after == before.model_copy(update={"enabled": False, "next_run_at": None})


def test_a_name_and_a_payload_can_be_cleared(demo: Extension) -> None:
    demo.call("POST", "/setup")
    schedule_id = demo.schedules()[1].id

    demo.call(
        "POST",
        "/try",
        json={"operation": "update", "scheduleId": schedule_id, "name": None, "payload": None},
    )

    cleared = demo.schedules()[1]
    assert (cleared.id, cleared.name, cleared.payload) == (schedule_id, None, None)


def test_a_refused_update_leaves_the_schedule_as_it_was(demo: Extension) -> None:
    demo.call("POST", "/setup")
    before = demo.schedules()

    seen = demo.call(
        "POST",
        "/try",
        json={"operation": "update", "scheduleId": before[0].id, "cron": "* * * * *", "enabled": False},
    ).json()

    assert seen["error"]["code"] == "validation-failed"
    assert demo.schedules() == before


# Clean up schedules on extension disable or uninstall


def test_cleanup_lists_and_deletes_each_schedule(alga: Alga, demo: Extension) -> None:
    demo.call("POST", "/setup")
    ids = [each.id for each in demo.schedules()]

    response = demo.call("POST", "/cleanup")

    deleted = [
        call.arguments["scheduleId"] for call in alga.host_calls if call.operation == "scheduler.delete"
    ]
    assert response.json() == {"deleted": 2}
    assert deleted == ids
    assert demo.schedules() == []


def test_an_uninstall_takes_the_schedules_along(install: Install) -> None:
    demo = install()
    demo.call("POST", "/setup")
    demo.uninstall()

    assert install().call("GET", "/schedules").json() == {"schedules": []}


def test_an_uninstalled_extension_is_not_called(demo: Extension) -> None:
    demo.uninstall()

    with pytest.raises(ExtensionNotAvailable, match="is not installed for tenant acme any more"):
        demo.call("POST", "/cleanup")


def test_a_disabled_extension_is_not_called_and_keeps_its_schedules(demo: Extension) -> None:
    demo.call("POST", "/setup")
    before = demo.schedules()

    demo.disable()

    with pytest.raises(ExtensionNotAvailable, match="is disabled"):
        demo.call("POST", "/cleanup")
    assert demo.schedules() != []
    demo.enable()
    assert demo.schedules() == before


def _hour(instant: str | None) -> int:
    assert instant is not None
    return datetime.fromisoformat(instant).hour
