"""When schedules fire: Debian's rule, instant by instant; the table is the one in docs/scheduling.md."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from alga_server.firing import misfires
from alga_server.schedules import next_run
from alga_server.schedules.cron import _names
from alga_server.schedules.occurrences import Occurrence, after, following

DOCUMENT = Path(__file__).parents[4] / "docs" / "scheduling.md"
ZONES = sorted(_names())
EXPRESSIONS = [
    "0 * * * *",
    "*/20 * * * *",
    "7,37 * * * *",
    "*/30 2 * * *",
    "0 */2 * * *",
    "30 2 * * *",
    "0,30 0-3 * * *",
    "0 0 * * *",
    "45 23 * * *",
    "15 1 * * 0",
    "5 0 1 * *",
]
DAY = timedelta(days=1)


def first(expression: str, zone: str, instant: str, count: int = 1) -> list[tuple[str, str]]:
    """Instant and nominal time of the next occurrences."""
    occurrences = islice(after(expression, zone, datetime.fromisoformat(instant)), count)
    return [
        (occurrence.due_at.strftime("%Y-%m-%dT%H:%M:%SZ"), occurrence.nominal_time)
        for occurrence in occurrences
    ]


def within(expression: str, zone: str, start: datetime, span: timedelta) -> list[Occurrence]:
    return list(
        takewhile(lambda occurrence: occurrence.due_at <= start + span, after(expression, zone, start))
    )


def documented() -> list[tuple[str, str, str, str]]:
    """Zone, expression, nominal time and instant, from the rows of the document."""
    rows = []
    zone = expression = ""
    for line in DOCUMENT.read_text().splitlines():
        cells = [cell.strip(" `") for cell in line.split("|")[1:-1]]
        if len(cells) == 5 and re.match(r"\d{4}-", cells[2]):
            zone, expression = cells[0] or zone, cells[1] or expression
            rows.append((zone, expression, cells[2], cells[3]))
    return rows


def test_the_document_has_the_rows_that_matter() -> None:
    assert {zone for zone, *_ in documented()} >= {
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Pacific/Apia",
    }


@pytest.mark.parametrize(("zone", "expression", "nominal_time", "instant"), documented())
def test_it_fires_when_the_document_says(zone: str, expression: str, nominal_time: str, instant: str) -> None:
    due_at = datetime.fromisoformat(instant)

    occurrences = within(expression, zone, due_at - timedelta(hours=12), DAY)

    assert nominal_time in [
        occurrence.nominal_time for occurrence in occurrences if occurrence.due_at == due_at
    ]


@pytest.mark.parametrize(
    ("expression", "zone", "instant", "expected"),
    [
        ("0 4 * * *", "UTC", "2026-01-01T03:59:59Z", "2026-01-01T04:00:00Z"),
        ("0 4 * * *", "UTC", "2026-01-01T04:00:00Z", "2026-01-02T04:00:00Z"),
        ("0 4 * * *", "UTC", "2026-01-01T04:00:00.000001Z", "2026-01-02T04:00:00Z"),
        ("0 4 * * *", "Europe/Berlin", "2026-01-01T00:00:00Z", "2026-01-01T03:00:00Z"),
        ("0 4 * * *", "Europe/Berlin", "2026-07-01T00:00:00Z", "2026-07-01T02:00:00Z"),
        ("0 4 * * *", "America/New_York", "2026-01-01T00:00:00Z", "2026-01-01T09:00:00Z"),
        ("30 2 * * *", "Europe/Berlin", "2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z"),
        ("30 2 * * *", "Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"),
        # In the second of the two hours, 02:30 is over though the clock shows 02:10.
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", "2026-10-26T01:30:00Z"),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"),
    ],
)
def test_the_next_one_is_on_the_clocks_of_the_zone(
    expression: str, zone: str, instant: str, expected: str
) -> None:
    assert first(expression, zone, instant)[0][0] == expected


def test_an_interval_shows_the_hour_that_comes_twice_twice() -> None:
    assert first("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:15:00Z", 4) == [
        ("2026-10-25T00:30:00Z", "2026-10-25T02:30:00.000+02:00"),
        ("2026-10-25T01:00:00Z", "2026-10-25T02:00:00.000+01:00"),
        ("2026-10-25T01:30:00Z", "2026-10-25T02:30:00.000+01:00"),
        ("2026-10-25T02:00:00Z", "2026-10-25T03:00:00.000+01:00"),
    ]


def test_an_interval_follows_half_an_hour_that_comes_twice() -> None:
    assert first("*/20 * * * *", "Australia/Lord_Howe", "2026-04-04T14:30:00Z", 4) == [
        ("2026-04-04T14:40:00Z", "2026-04-05T01:40:00.000+11:00"),
        ("2026-04-04T15:10:00Z", "2026-04-05T01:40:00.000+10:30"),
        ("2026-04-04T15:30:00Z", "2026-04-05T02:00:00.000+10:30"),
        ("2026-04-04T15:50:00Z", "2026-04-05T02:20:00.000+10:30"),
    ]


def test_an_interval_in_a_named_hour_is_whole_where_half_an_hour_comes_twice() -> None:
    # cronsim itself leaves out 02:00 here: it steps from 01:00 by the hour.
    assert first("*/30 2 * * *", "Australia/Lord_Howe", "2026-04-04T13:00:00Z", 2) == [
        ("2026-04-04T15:30:00Z", "2026-04-05T02:00:00.000+10:30"),
        ("2026-04-04T16:00:00Z", "2026-04-05T02:30:00.000+10:30"),
    ]


def test_an_interval_leaves_out_a_day_that_does_not_exist() -> None:
    assert first("0 */12 * * *", "Pacific/Apia", "2011-12-29T22:30:00Z", 2) == [
        ("2011-12-30T10:00:00Z", "2011-12-31T00:00:00.000+14:00"),
        ("2011-12-30T22:00:00Z", "2011-12-31T12:00:00.000+14:00"),
    ]


def test_occurrences_that_share_an_instant_follow_one_another() -> None:
    [one] = islice(after("0,30 2,3 * * *", "Europe/Berlin", datetime(2026, 3, 28, 22, tzinfo=UTC)), 1)

    [two, three, four] = islice(following("0,30 2,3 * * *", "Europe/Berlin", one), 3)

    assert [fired.nominal.strftime("%H:%M") for fired in (one, two, three, four)] == [
        "02:00",
        "02:30",
        "03:00",
        "03:30",
    ]
    assert one.due_at == two.due_at == three.due_at == four.due_at - timedelta(minutes=30)


def test_an_occurrence_comes_back_from_its_columns() -> None:
    [one] = islice(after("30 2 * * *", "Europe/Berlin", datetime(2026, 3, 29, tzinfo=UTC)), 1)
    held = next_run.columns(one)

    again = next_run.read(held["next_run_at"], held["next_nominal_time"])

    expected = list(islice(following("30 2 * * *", "Europe/Berlin", one), 3))
    assert list(islice(following("30 2 * * *", "Europe/Berlin", again), 3)) == expected


INSTANTS = st.integers(0, 3 * 365 * 86_400).map(
    lambda seconds: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)


@given(st.sampled_from(EXPRESSIONS), st.sampled_from(ZONES), INSTANTS)
def test_in_every_zone_occurrences_are_in_order_and_no_two_alike(
    expression: str, zone: str, start: datetime
) -> None:
    occurrences = within(expression, zone, start, 3 * DAY)

    assert all(occurrence.due_at > start for occurrence in occurrences)
    assert [occurrence.due_at for occurrence in occurrences] == sorted(
        occurrence.due_at for occurrence in occurrences
    )
    assert len({occurrence.nominal_time for occurrence in occurrences}) == len(occurrences)


@given(st.sampled_from(EXPRESSIONS), st.sampled_from(ZONES), INSTANTS)
def test_in_every_zone_starting_anywhere_gives_the_same_occurrences(
    expression: str, zone: str, start: datetime
) -> None:
    occurrences = within(expression, zone, start, 2 * DAY)

    for occurrence in occurrences[:20]:
        rest = [one for one in occurrences if one.due_at > occurrence.due_at]
        assert within(expression, zone, occurrence.due_at, start + 2 * DAY - occurrence.due_at) == rest


@given(st.sampled_from(EXPRESSIONS), st.sampled_from(ZONES), INSTANTS)
def test_in_every_zone_the_instants_are_those_of_cronsim(expression: str, zone: str, start: datetime) -> None:
    if zone.endswith(("Lord_Howe", "/LHI")):
        return  # see the named hour above
    ours = {occurrence.due_at for occurrence in within(expression, zone, start, 3 * DAY)}

    theirs = takewhile(
        lambda it: it <= start + 3 * DAY, CronSim(expression, start.astimezone(ZoneInfo(zone)))
    )
    assert ours == {instant.astimezone(UTC) for instant in theirs if instant > start}


def due(expression: str, start: str, now: str, zone: str = "UTC") -> tuple[str, int, str]:
    first_one = next(after(expression, zone, datetime.fromisoformat(start)))
    decision = misfires.due(expression, zone, first_one, datetime.fromisoformat(now))
    return decision.fire.nominal_time, decision.missed, decision.then.nominal_time


def test_what_is_due_on_time_fires_and_nothing_was_missed() -> None:
    assert due("0 * * * *", "2026-01-01T00:30Z", "2026-01-01T01:00Z") == (
        "2026-01-01T01:00:00.000Z",
        0,
        "2026-01-01T02:00:00.000Z",
    )


def test_of_several_the_latest_fires_and_the_others_are_counted() -> None:
    assert due("0 * * * *", "2026-01-01T00:30Z", "2026-01-01T05:59Z") == (
        "2026-01-01T05:00:00.000Z",
        4,
        "2026-01-01T06:00:00.000Z",
    )


def test_occurrences_on_the_latest_instant_are_not_missed() -> None:
    assert due("0,30 1,2 * * *", "2026-03-28T23:30Z", "2026-03-29T01:00Z", "Europe/Berlin") == (
        "2026-03-29T02:00:00.000+01:00",
        2,
        "2026-03-29T02:30:00.000+01:00",
    )


def test_occurrences_on_an_earlier_instant_are_missed_each() -> None:
    assert due("0,30 1,2 * * *", "2026-03-28T23:30Z", "2026-03-29T23:15Z", "Europe/Berlin") == (
        "2026-03-30T01:00:00.000+02:00",
        4,
        "2026-03-30T01:30:00.000+02:00",
    )


@pytest.mark.parametrize("expression", ["*/5 * * * *", "0,30 9-17 * * 1-5", "*/5 * * 2 *"])
def test_a_server_that_was_away_for_years_is_back_quickly(expression: str) -> None:
    now = datetime(2036, 6, 4, 12, 2, tzinfo=UTC)
    first_one = next(after(expression, "Europe/Berlin", datetime(2026, 1, 1, tzinfo=UTC)))

    decision = misfires.due(expression, "Europe/Berlin", first_one, now)

    assert decision.missed == misfires.MAX_COUNTED
    assert decision.fire.due_at <= now < decision.then.due_at
    assert next(following(expression, "Europe/Berlin", decision.fire)) == decision.then
