"""The primary flows, from an admin's install to the schedules on the server (docs/scheduling.md)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from alga_runner.errors import AdminRefused, ExtensionNotAvailable
from alga_runner.testing import Alga, Extension

pytestmark = pytest.mark.postgres

SCHEDULER = "cap:scheduler.manage"

Install = Callable[..., Extension]
Attempt = Callable[..., dict[str, Any]]


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
    assert all(schedule.enabled and schedule.next_run_at for schedule in (hourly, nightly))


def test_a_schedule_made_by_the_extension_says_so(demo: Extension) -> None:
    demo.call("POST", "/setup")

    assert [schedule.trigger for schedule in demo.schedules()] == ["host_api", "host_api"]


def test_setup_creates_only_what_is_missing(demo: Extension) -> None:
    demo.call("POST", "/setup")
    demo.call("POST", "/try", json={"operation": "delete", "scheduleId": demo.schedules()[0].id})

    again = demo.call("POST", "/setup").json()

    assert [schedule["name"] for schedule in again["created"]] == ["Hourly sync"]
    assert [schedule["name"] for schedule in again["existing"]] == ["Nightly full sync"]


def test_concurrent_setups_of_two_tenants_do_not_meet(install: Install) -> None:
    ours, theirs = install("acme"), install("globex")

    ours.call_many([("POST", "/setup")] * 5)
    theirs.call_many([("POST", "/setup")] * 5)

    assert len(ours.schedules()) == len(theirs.schedules()) == 2
    assert {schedule.id for schedule in ours.schedules()}.isdisjoint(
        schedule.id for schedule in theirs.schedules()
    )


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


# Schedules fire


def test_a_schedule_runs_its_handler_as_the_tenant_that_installed_it(alga: Alga, install: Install) -> None:
    ours, theirs = install("acme"), install("globex")
    ours.call("POST", "/setup")

    runs = alga.clock.advance(hours=1)

    assert [(run.tenant, run.install_id, run.status) for run in runs] == [
        ("acme", ours.install_id, "success")
    ]
    assert theirs.runs() == []


def test_the_schedule_shows_how_its_last_run_went(alga: Alga, demo: Extension) -> None:
    demo.call("POST", "/setup")
    alga.clock.advance(hours=1)

    hourly = demo.schedules()[0]

    assert (hourly.last_run_at, hourly.last_run_status, hourly.last_error) == (
        "2026-01-01T01:00:00.000Z",
        "success",
        None,
    )
    assert hourly.next_run_at == "2026-01-01T02:00:00.000Z"


def test_a_run_has_the_grants_of_its_own_moment(alga: Alga, demo: Extension, attempt: Attempt) -> None:
    attempt(demo, "create", endpoint="/setup", cron="0 * * * *")
    demo.revoke(SCHEDULER)
    denied = alga.clock.advance(hours=1)
    demo.grant(SCHEDULER)
    granted = alga.clock.advance(hours=1)

    assert [(run.http_status, run.host_calls[0].status) for run in denied] == [(403, "denied")]
    assert granted[0].http_status == 200


def test_a_run_has_the_configuration_of_its_own_moment(alga: Alga, demo: Extension, attempt: Attempt) -> None:
    demo.call("POST", "/setup")
    attempt(demo, "create", endpoint="/configure", cron="30 0 * * *")
    demo.configure({"intervalHours": "8"})

    runs = alga.clock.travel_to("2026-01-01T16:00:00Z")

    hourly = [run.started_at[11:16] for run in runs if run.name == "Hourly sync"]
    assert hourly == ["08:00", "16:00"]


def test_host_calls_of_a_scheduled_run_carry_its_execution_token(alga: Alga, demo: Extension) -> None:
    """The server requires one, so what the run did on the server shows that it had it."""
    demo.call("POST", "/try", json={"operation": "create", "endpoint": "/cleanup", "cron": "0 * * * *"})

    (run,) = alga.clock.advance(hours=1)

    assert [(call.operation, call.status) for call in run.host_calls] == [
        ("scheduler.list", "ok"),
        ("scheduler.delete", "ok"),
    ]
    assert demo.schedules() == []


def test_the_server_counts_runs_by_status_and_trigger(alga: Alga, demo: Extension) -> None:
    demo.call("POST", "/setup")
    demo.run_now(demo.schedules()[0])
    alga.clock.advance(hours=2)

    metrics = alga.server_metrics()

    assert 'alga_server_schedule_runs_total{code="none",status="success",trigger="run_now"} 1.0' in metrics
    assert 'alga_server_schedule_runs_total{code="none",status="success",trigger="schedule"} 3.0' in metrics


# Clean up schedules on extension disable or uninstall


def test_cleanup_lists_and_deletes_each_schedule(alga: Alga, demo: Extension) -> None:
    demo.call("POST", "/setup")
    ids = [schedule.id for schedule in demo.schedules()]

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
