"""``alga.clock``, ``alga.runs()`` and ``ext.run_now``: which runs fire, in which order, and their records."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_plus

import msgpack
import pytest

from alga_runner.bundles import Bundle
from alga_runner.errors import AdminRefused, GuestTrap
from alga_runner.testing import Alga, Extension
from alga_server.firing import time_travel

DEMO = Path(__file__).parents[3] / "sample-extensions" / "scheduler-demo"
SCHEDULER = "cap:scheduler.manage"
START = datetime(2026, 1, 1, tzinfo=UTC)

Bundles = Callable[..., Bundle]


@pytest.fixture
def demo(alga: Alga) -> Extension:
    return alga.install(DEMO, grant=[SCHEDULER])


def schedule(demo: Extension, cron: str = "0 * * * *", endpoint: str = "/sync", **members: Any) -> str:
    """A schedule that the extension makes; its id."""
    job = {"operation": "create", "endpoint": endpoint, "cron": cron, **members}
    created: str = demo.call("POST", "/try", json=job).json()["ok"]["scheduleId"]
    return created


def test_every_test_starts_at_the_same_instant(alga: Alga) -> None:
    assert alga.clock.now() == START
    assert repr(alga.clock) == "<Clock at 2026-01-01T00:00:00+00:00>"


def test_the_clock_stands_still(alga: Alga, demo: Extension) -> None:
    demo.call("POST", "/setup")

    assert alga.clock.now() == START


def test_a_step_is_a_timedelta_or_named_parts_or_both(alga: Alga) -> None:
    alga.clock.advance(timedelta(days=1), days=1, hours=2, minutes=3, seconds=4.5)

    assert alga.clock.now() - START == timedelta(days=2, hours=2, minutes=3, seconds=4.5)


@pytest.mark.parametrize(
    "instant",
    [
        "2026-03-29T01:00:00Z",
        "2026-03-29T03:00:00.000+02:00",
        datetime(2026, 3, 29, 1, tzinfo=UTC),
        datetime(2026, 3, 28, 20, tzinfo=timezone(timedelta(hours=-5))),
    ],
)
def test_an_instant_is_text_or_a_datetime_in_any_zone(alga: Alga, instant: str | datetime) -> None:
    alga.clock.travel_to(instant)

    assert alga.clock.now() == datetime(2026, 3, 29, 1, tzinfo=UTC)


def test_the_clock_does_not_go_back(alga: Alga) -> None:
    with pytest.raises(ValueError, match="does not go back: it is 2026-01-01T00:00:00"):
        alga.clock.travel_to("2025-12-31T23:59:59Z")
    with pytest.raises(ValueError, match="does not go back: -60 seconds"):
        alga.clock.advance(minutes=-1)
    assert alga.clock.now() == START


@pytest.mark.parametrize("instant", ["2026-02-01", "2026-02-01T12:00:00", datetime(2026, 2, 1)])  # noqa: DTZ001
def test_an_instant_names_its_offset(alga: Alga, instant: str | datetime) -> None:
    with pytest.raises(ValueError, match="has no offset from UTC"):
        alga.clock.travel_to(instant)


def test_an_instant_that_is_none_is_refused(alga: Alga) -> None:
    with pytest.raises(ValueError, match="Invalid isoformat string"):
        alga.clock.travel_to("tomorrow")


def test_years_pass_in_one_go(alga: Alga) -> None:
    assert alga.clock.advance(days=3000) == []
    assert alga.clock.now() - START == timedelta(days=3000)


def test_each_run_has_the_clock_at_its_own_instant(alga: Alga, demo: Extension) -> None:
    schedule(demo, "*/20 * * * *", name="often")
    schedule(demo, "30 * * * *", name="seldom")

    runs = alga.clock.advance(hours=1)

    assert [(run.name, run.started_at[11:16]) for run in runs] == [
        ("often", "00:20"),
        ("seldom", "00:30"),
        ("often", "00:40"),
        ("often", "01:00"),
    ]


def test_runs_of_one_instant_fire_in_the_order_in_which_they_were_made(alga: Alga, demo: Extension) -> None:
    for name in ("first", "second", "third"):
        schedule(demo, name=name)

    assert [run.name for run in alga.clock.advance(hours=1)] == ["first", "second", "third"]


def test_what_a_run_schedules_fires_on_the_way(alga: Alga, demo: Extension) -> None:
    schedule(demo, "30 0 * * *", endpoint="/setup", name="sets up")

    runs = alga.clock.advance(hours=2)

    assert [run.name for run in runs] == ["sets up", "Hourly sync", "Nightly full sync", "Hourly sync"]


def test_a_schedule_that_deletes_itself_fired_once(alga: Alga, demo: Extension) -> None:
    schedule(demo, endpoint="/cleanup", name="once")

    assert [run.name for run in alga.clock.advance(days=1)] == ["once"]
    assert alga.schedules() == []


def test_a_schedule_without_a_name_has_none(alga: Alga, demo: Extension) -> None:
    schedule_id = schedule(demo)

    (run,) = alga.clock.advance(hours=1)

    assert (run.name, run.schedule_id) == (None, schedule_id)
    assert repr(run) == f"<Run of {schedule_id} at 2026-01-01T01:00:00.000Z: success 200>"


def test_a_journey_on_which_too_much_fires_at_once_is_continued(
    alga: Alga, demo: Extension, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_travel, "MAX_FIRED", 3)
    schedule(demo)

    runs = alga.clock.advance(hours=10)

    assert len(runs) == 10
    assert alga.clock.now() - START == timedelta(hours=10)


def test_a_travel_longer_than_a_year_misses_no_run(alga: Alga, demo: Extension) -> None:
    schedule(demo, "0 0 1 * *")

    runs = alga.clock.advance(days=800)

    assert [run.started_at[:7] for run in runs][10:13] == ["2026-12", "2027-01", "2027-02"]
    assert {run.missed for run in runs} == {0}


def test_runs_of_all_installs_are_in_one_order_and_each_install_has_its_own(
    alga: Alga, demo: Extension
) -> None:
    other = alga.install(DEMO, tenant="globex", grant=[SCHEDULER])
    schedule(demo)
    schedule(other, "30 * * * *")

    alga.clock.advance(hours=2)

    assert [run.tenant for run in alga.runs()] == ["globex", "acme", "globex", "acme"]
    assert [run.started_at[11:16] for run in other.runs()] == ["00:30", "01:30"]
    assert [run.install_id for run in demo.runs()] == [demo.install_id] * 2


def test_log_and_host_calls_of_a_run_are_its_own_and_the_tests(alga: Alga, demo: Extension) -> None:
    schedule(demo, endpoint="/setup")
    schedule(demo, "30 * * * *")
    before = len(alga.host_calls), len(alga.log)

    sync, setup = alga.clock.advance(hours=1)

    assert (len(sync.host_calls), len(sync.log)) == (0, 1)
    assert [call.operation for call in setup.host_calls][-1] == "scheduler.create"
    assert alga.host_calls[before[0] :] == setup.host_calls
    assert alga.log[before[1] :] == [*sync.log, *setup.log]


def test_a_failed_run_does_not_raise_and_is_told_in_words(alga: Alga, demo: Extension) -> None:
    schedule(demo, "30 * * * *")
    schedule(demo, endpoint="/configure", name="lost its way", payload={"intervalHours": 99})

    runs = alga.clock.advance(hours=1)

    assert len(runs) == 2
    assert repr(runs.failed) == (
        "[<Run of lost its way at 2026-01-01T01:00:00.000Z: "
        "error handler_status: The handler POST /configure answered 400>]"
    )


@pytest.fixture
def breaks(extension: Bundles) -> Bundle:
    """An extension that schedules itself, logs a line and traps."""
    job = msgpack.packb({"endpoint": "/run", "cron": "0 * * * *", "name": "broken"})
    imports = """
        (import "alga:scheduler" "create" (func $create (param i32 i32 i32 i32) (result i32)))
        (import "alga:log" "emit" (func $emit (param i32 i32 i32)))"""
    handler = f"""
        (drop (call $create (i32.const 1024) (i32.const {len(job)}) (i32.const 0) (i32.const 0)))
        (call $emit (i32.const 1) (i32.const {1024 + len(job)}) (i32.const 6))
        unreachable"""
    return extension(handler, imports=imports, data=job + b"so far")


def test_a_run_that_traps_has_the_runners_error_and_what_the_guest_did(alga: Alga, breaks: Bundle) -> None:
    alga.install(breaks, grant=[SCHEDULER]).call("POST", "/run", check=False)

    (run,) = alga.clock.advance(hours=1).failed

    assert (run.status, run.error_code) == ("error", "guest_trap")
    assert run.error is not None
    assert "unreachable" in run.error
    assert [line.message for line in run.log] == ["so far"]
    assert [call.operation for call in run.host_calls] == ["scheduler.create"]
    assert run.response is not None
    with pytest.raises(GuestTrap) as trapped:
        run.response.raise_for_error()
    assert trapped.value.__notes__[0] == "in the schedule broken at 2026-01-01T01:00:00.000Z"


def test_a_run_now_is_one_of_the_runs_in_its_place(alga: Alga, demo: Extension) -> None:
    demo.call("POST", "/setup")
    hourly = demo.schedules()[0]
    alga.clock.advance(hours=1)

    run = demo.run_now(hourly.id)
    alga.clock.advance(hours=1)

    assert run.started_at == "2026-01-01T01:00:00.000Z"
    assert [other.trigger for other in demo.runs()] == ["schedule", "run_now", "schedule", "schedule"]
    assert run.log[0] in alga.log


def test_a_run_now_that_fails_does_not_raise(alga: Alga, demo: Extension) -> None:
    run = demo.run_now(schedule(demo, endpoint="/configure", payload={"intervalHours": 99}))

    assert (run.status, run.http_status) == ("error", 400)


def test_a_disabled_schedule_is_skipped_by_run_now(alga: Alga, demo: Extension) -> None:
    run = demo.run_now(schedule(demo, enabled=False))

    assert (run.status, run.reason, run.response) == ("skipped", "schedule_disabled", None)
    assert (run.log, run.host_calls, demo.runs().failed) == ([], [], [])


@pytest.mark.parametrize("schedule_id", ["nonsense", "../..", "", "5d3a8f6e-0000-4000-8000-000000000000"])
def test_an_unknown_schedule_cannot_be_run(demo: Extension, schedule_id: str) -> None:
    with pytest.raises(AdminRefused, match="refused to run the schedule"):
        demo.run_now(schedule_id)


def test_a_get_handler_gets_its_payload_in_the_url_for_any_decoder(alga: Alga, creating: Bundles) -> None:
    payload = {"name": "a + b & c = 1/2 % 夜間", "list": [1.5, None, True]}
    create = {"endpoint": "GET /report", "cron": "0 * * * *", "payload": payload}
    reporter = alga.install(creating(create, "POST /run", "GET /report"), grant=[SCHEDULER])
    reporter.call("POST", "/run")

    run = alga.clock.advance(hours=1)[0]

    url = msgpack.unpackb(run.response.body)["http"]["url"]
    path, _, query = url.partition("?payload=")
    assert path == "/report"
    assert json.loads(unquote(query)) == json.loads(unquote_plus(query)) == payload
    assert query.isascii()


def test_a_handler_gets_its_times_in_utc_and_the_zone_of_its_schedule(alga: Alga, creating: Bundles) -> None:
    create = {"endpoint": "POST /run", "cron": "30 2 * * *", "timezone": "Europe/Berlin"}
    nightly = alga.install(creating(create, "POST /run"), grant=[SCHEDULER])
    alga.clock.travel_to("2026-03-28T12:00:00Z")
    nightly.call("POST", "/run")

    run = alga.clock.advance(days=1)[0]

    context = msgpack.unpackb(run.response.body)["context"]
    assert run.nominal_time == "2026-03-29T02:30:00.000+01:00"
    assert context["nominalTime"] == context["startedAt"] == "2026-03-29T01:00:00.000Z"
    assert context["scheduleTimezone"] == "Europe/Berlin"
