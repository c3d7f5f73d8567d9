"""Occurrences that passed while no server ran: skip them, run the latest, or run all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from alga_server.firing import misfires
from alga_server.firing.misfires import MAX_COUNTED, MAX_MADE_UP, MisfirePolicy, Plan
from alga_server.schedules.occurrences import after, following
from alga_server.schedules.policies import MISFIRE_KINDS
from tests.support.firing import HOURLY, fire_during_runs
from tests.support.server import FakeRunner, Install

pytestmark = pytest.mark.anyio

GRACE = timedelta(minutes=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-01-01T{text}Z")


def planned(
    kind: Any, now: datetime, *, cron: str = HOURLY, window: timedelta | None = None, zone: str = "UTC"
) -> Plan:
    """What a schedule that was live from midnight on does at ``now``."""
    first = next(after(cron, zone, at("00:00")))
    return misfires.plan(cron, zone, first, now, MisfirePolicy(kind, window, GRACE))


def summary(plan: Plan) -> tuple[str, bool, int, bool, str]:
    return (
        plan.occurrence.due_at.strftime("%H:%M"),
        plan.runs,
        plan.missed,
        plan.made_up,
        plan.then.due_at.strftime("%H:%M"),
    )


@pytest.mark.parametrize("kind", MISFIRE_KINDS)
@pytest.mark.parametrize("now", ["01:00", "01:01"])
def test_what_is_at_most_the_grace_late_is_on_time_under_every_policy(kind: str, now: str) -> None:
    assert summary(planned(kind, at(now))) == ("01:00", True, 0, False, "02:00")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("skip", ("03:00", False, 3, False, "04:00")),
        ("latest", ("03:00", True, 2, True, "04:00")),
        ("all", ("01:00", True, 0, True, "02:00")),
    ],
)
def test_what_passed_unseen(kind: str, expected: Any) -> None:
    assert summary(planned(kind, at("03:30"))) == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("skip", ("03:00", True, 2, True, "04:00")),
        ("latest", ("03:00", True, 2, True, "04:00")),
        ("all", ("01:00", True, 0, True, "02:00")),
    ],
)
def test_what_passed_unseen_until_the_next_time_has_just_come(kind: str, expected: Any) -> None:
    assert summary(planned(kind, at("03:00"))) == expected


@pytest.mark.parametrize(
    ("kind", "minutes", "expected"),
    [
        ("latest", 29, ("03:00", False, 3, False, "04:00")),
        ("latest", 30, ("03:00", True, 2, True, "04:00")),
        ("all", 29, ("03:00", False, 3, False, "04:00")),
        ("all", 90, ("02:00", True, 1, True, "03:00")),
        ("all", 600, ("01:00", True, 0, True, "02:00")),
    ],
)
def test_a_window_says_how_late_a_time_may_run(kind: str, minutes: int, expected: Any) -> None:
    assert summary(planned(kind, at("03:30"), window=timedelta(minutes=minutes))) == expected


def test_times_on_one_instant_are_passed_over_each() -> None:
    first = next(after("0,30 2 * * *", "Europe/Berlin", datetime(2026, 3, 29, tzinfo=UTC)))

    plan = misfires.plan(
        "0,30 2 * * *",
        "Europe/Berlin",
        first,
        datetime(2026, 3, 29, 5, tzinfo=UTC),
        MisfirePolicy("skip", None, GRACE),
    )

    assert (plan.runs, plan.missed) == (False, 2)
    assert plan.occurrence.nominal_time == "2026-03-29T02:30:00.000+01:00"
    assert plan.then.nominal_time == "2026-03-30T02:00:00.000+02:00"


def test_all_is_bounded_to_the_latest_and_the_rest_is_counted() -> None:
    plan = planned("all", at("00:00") + timedelta(hours=MAX_MADE_UP + 7))

    assert plan.missed == 7
    assert plan.occurrence.due_at == at("08:00")


@pytest.mark.parametrize("cron", ["*/5 * * * *", "0,30 9-17 * * 1-5", "*/5 * * 2 *"])
@pytest.mark.parametrize("kind", MISFIRE_KINDS)
def test_a_server_that_was_away_for_years_is_back_quickly(cron: str, kind: str) -> None:
    now = datetime(2036, 6, 4, 12, 3, tzinfo=UTC)

    plan = planned(kind, now, cron=cron, zone="Europe/Berlin")

    assert plan.missed >= MAX_COUNTED - 1
    assert next(following(cron, "Europe/Berlin", plan.occurrence)) == plan.then
    if kind == "all":
        coming = after(cron, "Europe/Berlin", plan.occurrence.due_at)
        assert sum(1 for _ in iter(lambda: next(coming).due_at <= now, False)) == MAX_MADE_UP - 1


# ---- Through the server


def history(runs: list[dict[str, Any]]) -> list[tuple[str, str, str | None, int]]:
    return [(run["nominalTime"][11:16], run["status"], run["reason"], run["missed"]) for run in runs]


async def test_skip_records_what_passed_and_runs_nothing(install: Install, fake_runner: FakeRunner) -> None:
    schedule_id = await install.create_by_admin(missedRuns="skip")

    await install.alga.pass_time(hours=3, minutes=30)

    assert fake_runner.asked == []
    assert history(await install.runs(schedule_id)) == [("03:00", "skipped", "missed", 3)]
    shown = await install.alga.metrics()
    assert "alga_server_schedule_missed_total 3.0" in shown
    assert 'alga_server_schedule_skipped_total{reason="missed"} 1.0' in shown
    assert (await install.get(schedule_id))["lastRunStatus"] is None
    await install.alga.pass_time(minutes=30)
    assert fake_runner.nominal_times() == ["2026-01-01T04:00:00.000Z"]


async def test_latest_runs_once_and_is_the_default(install: Install, fake_runner: FakeRunner) -> None:
    schedule_id = await install.create_by_admin()

    await install.alga.pass_time(hours=3, minutes=30)

    assert history(await install.runs(schedule_id)) == [("03:00", "success", "missed", 2)]
    assert "alga_server_schedule_made_up_total 1.0" in await install.alga.metrics()


async def test_a_single_time_that_runs_late_says_so(install: Install, fake_runner: FakeRunner) -> None:
    schedule_id = await install.create_by_admin()

    await install.alga.pass_time(hours=1, minutes=30)

    assert history(await install.runs(schedule_id)) == [("01:00", "success", "missed", 0)]


async def test_all_runs_each_time_in_order_one_at_a_time(install: Install, fake_runner: FakeRunner) -> None:
    schedule_id = await install.create_by_admin(missedRuns="all")

    await install.alga.pass_time(hours=3, minutes=30)

    assert [time[11:16] for time in fake_runner.nominal_times()] == ["01:00", "02:00", "03:00"]
    assert fake_runner.most_running == 1
    assert history(await install.runs(schedule_id)) == [
        (hour, "success", "missed", 0) for hour in ("01:00", "02:00", "03:00")
    ]
    assert "alga_server_schedule_missed_total 0.0" in await install.alga.metrics()


async def test_with_all_a_time_that_comes_during_a_run_overlaps_as_ever(
    install: Install, fake_runner: FakeRunner
) -> None:
    schedule_id = await install.create_by_admin(missedRuns="all")
    fake_runner.hold()
    await fire_during_runs(install, fake_runner)

    assert history(await install.runs(schedule_id)) == [
        ("01:00", "success", None, 0),
        ("02:00", "skipped", "overlap", 0),
    ]


async def test_a_restart_goes_on_where_it_was(install: Install, fake_runner: FakeRunner) -> None:
    await install.create_by_admin(missedRuns="all")
    fake_runner.hold()
    install.alga.clock.advance(timedelta(hours=3))
    dispatcher = install.alga.server.dispatcher
    async with anyio.create_task_group() as group:
        group.start_soon(dispatcher.run_due)
        await fake_runner.was_asked(1)
        group.cancel_scope.cancel()
    fake_runner.let_go()

    await install.alga.pass_time()

    assert [time[11:16] for time in fake_runner.nominal_times()] == ["01:00", "02:00", "03:00"]


async def test_the_policy_is_shown_and_can_be_changed(install: Install, fake_runner: FakeRunner) -> None:
    schedule_id = await install.create_by_admin(missedRuns="all", missedWindowSeconds=3600)
    path = f"{install.admin_path}/schedules/{schedule_id}"
    before = (await install.alga.admin("GET", f"{install.admin_path}/schedules")).json()["schedules"][0]

    after_it = await install.alga.admin(
        "PATCH", path, json={"missedRuns": "skip", "missedWindowSeconds": None}
    )

    assert (before["missedRuns"], before["missedWindowSeconds"]) == ("all", 3600)
    assert (after_it.json()["missedRuns"], after_it.json()["missedWindowSeconds"]) == ("skip", None)
    assert after_it.json()["nextRunAt"] == before["nextRunAt"]


async def test_what_extensions_see_of_a_schedule_has_not_changed(install: Install) -> None:
    seen = await install.get(await install.create_by_admin(missedRuns="all"))

    assert not {"missedRuns", "missedWindowSeconds"} & set(seen)


async def test_a_window_is_a_whole_number_however_json_writes_it(install: Install) -> None:
    body = {"endpoint": "/sync", "cron": HOURLY, "missedWindowSeconds": 60.0}

    response = await install.alga.admin("POST", f"{install.admin_path}/schedules", json=body)

    assert response.json()["missedWindowSeconds"] == 60
