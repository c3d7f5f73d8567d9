"""A failed run is tried again by its schedule's policy: when, how often, under which key, and what gets in its way."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio
import httpx
import pytest

from alga_server import ManualClock, Server, ServerSettings
from alga_server.firing import claims
from alga_server.firing.due import DueSchedule
from alga_server.firing.recording import Worker
from alga_server.schedules.policies import RetryPolicy
from tests.support.firing import fire_during_runs
from tests.support.server import Alga, FakeRunner, Install

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

THRICE = {"maxAttempts": 3, "retryDelaySeconds": 60}


async def shown(install: Install) -> dict[str, Any]:
    response = await install.alga.admin("GET", f"{install.admin_path}/schedules")
    schedule: dict[str, Any] = response.json()["schedules"][0]
    return schedule


def history(runs: list[dict[str, Any]]) -> list[tuple[str, int, str, str | None]]:
    return [(run["nominalTime"][11:16], run["attempt"], run["status"], run["reason"]) for run in runs]


@pytest.mark.parametrize(
    ("policy", "waits"),
    [
        (RetryPolicy(), [None]),
        (RetryPolicy(3, 60, 2), [60, 120, None]),
        (RetryPolicy(3, 10, 1), [10, 10, None]),
        (RetryPolicy(4, 60, 10), [60, 600, 6000, None]),
        (RetryPolicy(3, 86_400, 10), [86_400, 86_400, None]),
    ],
)
def test_the_waits_grow_by_their_factor_to_a_day(policy: RetryPolicy, waits: list[int | None]) -> None:
    expected = [None if seconds is None else timedelta(seconds=seconds) for seconds in waits]

    assert [policy.wait_after(attempt) for attempt in range(1, len(waits) + 1)] == expected


async def test_without_a_policy_a_failed_run_is_not_tried_again(
    install: Install, fake_runner: FakeRunner
) -> None:
    fake_runner.status = 500
    await install.create_by_admin()
    await install.alga.pass_time(hours=1)

    assert (await shown(install))["retryAt"] is None
    assert await install.alga.pass_time(minutes=59) == []


async def test_a_failed_run_is_tried_again_after_each_wait_and_no_more_than_it_may(
    install: Install, fake_runner: FakeRunner
) -> None:
    fake_runner.status = 500
    schedule_id = await install.create_by_admin(**THRICE)
    await install.alga.pass_time(hours=1)
    assert (await shown(install))["retryAt"] == "2026-01-01T01:01:00.000Z"

    assert await install.alga.pass_time(seconds=59) == []
    assert [run.attempt for run in await install.alga.pass_time(seconds=1)] == [2]
    assert await install.alga.pass_time(seconds=119) == []
    assert [run.attempt for run in await install.alga.pass_time(seconds=1)] == [3]

    assert (await shown(install))["retryAt"] is None
    assert history(await install.runs(schedule_id)) == [("01:00", n, "error", None) for n in (1, 2, 3)]
    assert (await install.get(schedule_id))["lastRunStatus"] == "error"


async def test_a_success_ends_it(install: Install, fake_runner: FakeRunner) -> None:
    fake_runner.status = 500
    schedule_id = await install.create_by_admin(**THRICE)
    await install.alga.pass_time(hours=1)
    fake_runner.status = 200

    await install.alga.pass_time(minutes=1)

    assert await install.alga.pass_time(minutes=30) == []
    assert history(await install.runs(schedule_id))[-1] == ("01:00", 2, "success", None)
    assert (await install.get(schedule_id))["lastError"] is None


async def test_every_attempt_has_the_same_key_and_nominal_time_and_a_request_id_of_its_own(
    install: Install, fake_runner: FakeRunner
) -> None:
    fake_runner.status = 500
    schedule_id = await install.create_by_admin(**THRICE)
    await install.alga.pass_time(hours=1)
    await install.alga.pass_time(minutes=1)

    assert [headers["x-idempotency-key"] for headers in fake_runner.headers] == [
        f"{schedule_id}:schedule:2026-01-01T01:00:00.000Z"
    ] * 2
    assert fake_runner.nominal_times() == ["2026-01-01T01:00:00.000Z"] * 2
    assert [request["context"]["attempt"] for request in fake_runner.asked] == [1, 2]
    assert [request["context"]["started_at"][11:16] for request in fake_runner.asked] == ["01:00", "01:01"]
    assert len({request["context"]["request_id"] for request in fake_runner.asked}) == 2


async def test_a_runner_that_is_down_is_tried_again_too(install: Install, fake_runner: FakeRunner) -> None:
    fake_runner.answer = httpx.Response(503)
    await install.create_by_admin(**THRICE)
    await install.alga.pass_time(hours=1)
    fake_runner.answer = None

    [run] = await install.alga.pass_time(minutes=1)

    assert (run.attempt, run.status) == (2, "success")


async def test_run_now_is_not_tried_again(install: Install, fake_runner: FakeRunner) -> None:
    fake_runner.status = 500
    schedule_id = await install.create_by_admin(**THRICE)

    await install.run_now(schedule_id)

    assert (await shown(install))["retryAt"] is None


async def test_the_next_time_takes_the_place_of_an_attempt_that_waits_and_says_so(
    install: Install, fake_runner: FakeRunner
) -> None:
    fake_runner.status = 500
    schedule_id = await install.create_by_admin(maxAttempts=2, retryDelaySeconds=3600)
    await install.alga.pass_time(hours=1)
    fake_runner.status = 200

    await install.alga.pass_time(hours=1)

    assert history(await install.runs(schedule_id)) == [
        ("01:00", 1, "error", None),
        ("01:00", 2, "skipped", "superseded"),
        ("02:00", 1, "success", None),
    ]
    assert 'alga_server_schedule_skipped_total{reason="superseded"} 1.0' in await install.alga.metrics()


async def test_with_all_the_next_time_waits_for_the_attempts(
    install: Install, fake_runner: FakeRunner
) -> None:
    fake_runner.status = 500
    schedule_id = await install.create_by_admin(maxAttempts=2, retryDelaySeconds=3600 + 60, missedRuns="all")
    await install.alga.pass_time(hours=1)
    fake_runner.status = 200
    assert await install.alga.pass_time(hours=1) == []

    await install.alga.pass_time(minutes=1)

    assert history(await install.runs(schedule_id)) == [
        ("01:00", 1, "error", None),
        ("01:00", 2, "success", None),
        ("02:00", 1, "success", None),
    ]


async def test_a_time_that_comes_during_an_attempt_overlaps_it(
    install: Install, fake_runner: FakeRunner
) -> None:
    fake_runner.status = 500
    schedule_id = await install.create_by_admin(maxAttempts=2, retryDelaySeconds=59 * 60)
    await install.alga.pass_time(hours=1)
    fake_runner.hold()
    await fire_during_runs(
        install, fake_runner, first=timedelta(minutes=59), asked=2, then=timedelta(minutes=1), runs=3
    )

    assert history(await install.runs(schedule_id))[-1] == ("02:00", 1, "skipped", "overlap")


async def test_an_attempt_waits_while_an_admins_run_is_under_way(
    install: Install, fake_runner: FakeRunner
) -> None:
    fake_runner.status = 500
    schedule_id = await install.create_by_admin(**THRICE)
    await install.alga.pass_time(hours=1)
    fake_runner.hold()
    async with anyio.create_task_group() as group:
        group.start_soon(install.run_now, schedule_id)
        await fake_runner.was_asked(2)
        install.alga.clock.advance(timedelta(minutes=1))
        assert await install.alga.server.dispatcher.run_due() == []
        fake_runner.let_go()

    [run] = await install.alga.pass_time()
    assert (run.trigger, run.attempt) == ("schedule", 2)


@pytest.mark.parametrize("what", ["schedule", "install"])
async def test_disabling_ends_the_attempts(install: Install, fake_runner: FakeRunner, what: str) -> None:
    fake_runner.status = 500
    schedule_id = await install.create_by_admin(**THRICE)
    await install.alga.pass_time(hours=1)
    path = install.admin_path + (f"/schedules/{schedule_id}" if what == "schedule" else "")

    await install.alga.admin("PATCH", path, json={"enabled": False})
    await install.alga.admin("PATCH", path, json={"enabled": True})

    assert await install.alga.pass_time(minutes=30) == []


async def test_a_schedule_that_was_disabled_during_its_run_is_not_tried_again(
    install: Install, fake_runner: FakeRunner
) -> None:
    fake_runner.status = 500
    fake_runner.hold()
    schedule_id = await install.create_by_admin(**THRICE)
    install.alga.clock.advance(timedelta(hours=1))
    async with anyio.create_task_group() as group:
        group.start_soon(install.alga.server.dispatcher.run_due)
        await fake_runner.was_asked(1)
        await install.call("update", scheduleId=schedule_id, enabled=False)
        fake_runner.let_go()

    assert (await shown(install))["retryAt"] is None


async def test_deleting_the_schedule_ends_the_attempts(install: Install, fake_runner: FakeRunner) -> None:
    fake_runner.status = 500
    schedule_id = await install.create_by_admin(**THRICE)
    await install.alga.pass_time(hours=1)

    await install.call("delete", scheduleId=schedule_id)

    assert await install.alga.pass_time(minutes=30) == []


async def test_attempts_are_counted_apart_from_firings(install: Install, fake_runner: FakeRunner) -> None:
    fake_runner.status = 500
    await install.create_by_admin(**THRICE)
    await install.alga.pass_time(hours=1)
    await install.alga.pass_time(minutes=1)

    text = await install.alga.metrics()
    assert 'alga_server_schedule_fired_total{trigger="schedule"} 1.0' in text
    assert "alga_server_schedule_retries_total 1.0" in text
    assert (
        'alga_server_schedule_runs_total{code="handler_status",status="error",trigger="schedule"} 2.0' in text
    )
    assert "alga_server_schedule_lag_seconds_count 1.0" in text


async def test_putting_the_clock_forward_meets_each_attempt_at_its_own_instant(
    alga: Alga, settings: ServerSettings, fake_runner: FakeRunner
) -> None:
    fake_runner.status = 500
    settings = settings.model_copy(update={"development": True})
    carrier = httpx.MockTransport(fake_runner)
    async with Server(settings, clock=ManualClock(), runner_transport=carrier, allow_clock=True) as server:
        transport = httpx.ASGITransport(server.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            install = await type(alga)(server, client, ManualClock()).install("tenant-a")
            await install.create_by_admin(**THRICE)

            moved = await install.alga.admin("POST", "/api/admin/clock", json={"advance": {"minutes": 90}})

    assert [(run["attempt"], run["startedAt"][11:19]) for run in moved.json()["fired"]] == [
        (1, "01:00:00"),
        (2, "01:01:00"),
        (3, "01:03:00"),
    ]


async def test_a_run_whose_worker_died_is_tried_again(install: Install, fake_runner: FakeRunner) -> None:
    schedule_id = await install.create_by_admin(**THRICE)
    install.alga.clock.advance(timedelta(hours=1))
    dead = Worker("dead", timedelta(seconds=60))
    due = DueSchedule(install.tenant, install.id, schedule_id, running=False)
    await install.alga.server._services.database.write(
        lambda c: claims.claim_many(c, [due], dead, install.alga.clock, room=1)
    )

    await install.alga.pass_time(minutes=1)
    [again] = await install.alga.pass_time(minutes=1)

    assert (again.attempt, again.status) == (2, "success")
    assert history(await install.runs(schedule_id))[0] == ("01:00", 1, "lost", "lease_expired")


async def test_an_attempt_survives_a_restart(
    alga: Alga, settings: ServerSettings, fake_runner: FakeRunner, database_url: str
) -> None:
    """A stopped server's run is lost; the next server tries it again."""
    changes = {"database_url": database_url, "shutdown_grace_seconds": 0}
    settings = settings.model_copy(update=changes)
    clock, carrier = ManualClock(), httpx.MockTransport(fake_runner)
    fake_runner.hold()
    async with Server(settings, clock=clock, runner_transport=carrier) as first:
        transport = httpx.ASGITransport(first.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            install = await type(alga)(first, client, clock).install("tenant-a")
            await install.create_by_admin(**THRICE)
        clock.advance(timedelta(hours=1))
        async with anyio.create_task_group() as group:
            group.start_soon(first.dispatcher.run_due)
            await fake_runner.was_asked(1)
            group.cancel_scope.cancel()
    fake_runner.let_go()

    async with Server(settings, clock=clock, runner_transport=carrier) as second:
        clock.advance(timedelta(minutes=1))
        again = await second.dispatcher.run_due()

    assert [(run.attempt, run.status) for run in again] == [(2, "success")]
