"""Which cron expressions a schedule may have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise, product

import pytest
from cronsim import CronSim
from hypothesis import example, given, settings
from hypothesis import strategies as st

from alga_server.errors import FieldRefused
from alga_server.schedules.cron import check_cron

FIELDS = "Invalid cron expression (expected 5 fields: m h dom mon dow)"
CHARACTERS = "Invalid cron expression (unsupported characters)"
BOTH_DAYS = "Cron cannot set both day-of-month and day-of-week"
FREQUENT = "Cron too frequent (minimum interval is 5 minutes)"
NEVER = "Cron never fires (no month has such a day)"


def bad(field: str) -> str:
    return f"Invalid cron expression (bad {field})"


ACCEPTED = [
    "*/5 * * * *",
    "0 * * * *",
    "59 * * * *",
    "0,5,10 * * * *",
    "*/5 9-17 * * 1-5",
    "  0 4 * * *  ",
    "0  4\t* * *",
    "0 0 29 2 *",
    "0 0 31 * *",
    "0 0 31 1,2 *",
    "0 0 * * 0",
    "0 0 * * 7",
    "0 0 * * SUN",
    "0 0 * * mon-fri",
    "0 0 1 jan *",
    "0 0 1 JAN-MAR,dec *",
    "0 0 * feb mon",
    "058 1 * * *",
    "5/10 * * * *",
    "58,1 9 * * *",
    "58,1 9,11 * * *",
    "58 23 * * *",
    "58,1 0,23 * * 1,3,5",
    "58,1 23,0 1 * *",
    "58,1 0,23 31 1 *",
    "58,1 0,23 28 2 *",
    "58,1 0,23 1,30 3 *",
    "3,58 * * * *",
    "*/100 * * * *",
]

REFUSED = {
    # the shape
    "": FIELDS,
    "   ": FIELDS,
    "0 * * *": FIELDS,
    "0 0 * * * *": FIELDS,
    "@daily": FIELDS,
    "@every 5m": FIELDS,
    "0 0 * * * 2030": FIELDS,
    "0 " + "0," * 70 + "0 * * *": "Cron expression too long",
    # the characters
    "0 0 L * *": CHARACTERS,
    "0 0 LW * *": CHARACTERS,
    "0 0 15W * *": CHARACTERS,
    "0 0 ? * *": CHARACTERS,
    "0 0 * * 5L": CHARACTERS,
    "0 0 * * 1#2": CHARACTERS,
    "0 0 * * MONDAY": CHARACTERS,
    "0 0 * MON *": CHARACTERS,
    "JAN 0 * * *": CHARACTERS,
    "0 0 MON * *": CHARACTERS,
    "0 0 * * H": CHARACTERS,
    "0 0 * * *;": CHARACTERS,
    "\N{ARABIC-INDIC DIGIT ZERO} 0 * * *": CHARACTERS,
    "0 0 * * \0": CHARACTERS,
    "0.5 0 * * *": CHARACTERS,
    # both days
    "0 0 1 * 1": BOTH_DAYS,
    "0 0 */2 * 1": BOTH_DAYS,
    "0 0 1 * 0-6": BOTH_DAYS,
    # the ranges
    "99 99 * * *": bad("minute"),
    "60 0 * * *": bad("minute"),
    "0 24 * * *": bad("hour"),
    "0 0 0 * *": bad("day-of-month"),
    "0 0 32 * *": bad("day-of-month"),
    "0 0 * 0 *": bad("month"),
    "0 0 * 13 *": bad("month"),
    "0 0 * JANFEB *": bad("month"),
    "0 0 * * 8": bad("day-of-week"),
    "-1 0 * * *": bad("minute"),
    "5-1 0 * * *": bad("minute"),
    "*/0 * * * *": bad("minute"),
    "/5 * * * *": bad("minute"),
    "*/ * * * *": bad("minute"),
    "0, 0 * * *": bad("minute"),
    ", 0 * * *": bad("minute"),
    "1-2-3 0 * * *": bad("minute"),
    "*5 0 * * *": bad("minute"),
    "999999999999999999999 0 * * *": bad("minute"),
    # the interval, by every road around a pattern (alga-contract 7, fault 30)
    "* * * * *": FREQUENT,
    "*/1 * * * *": FREQUENT,
    "*/4 * * * *": FREQUENT,
    "*/04 * * * *": FREQUENT,
    "*/7 * * * *": FREQUENT,  # 56, then 0: four minutes
    "0-59 * * * *": FREQUENT,
    "0-59/2 * * * *": FREQUENT,
    "* */1 * * *": FREQUENT,
    "* 0-23 * * *": FREQUENT,
    "* * * * 0-6": FREQUENT,
    "* 9 * * *": FREQUENT,
    "* * 1 * *": FREQUENT,
    "* * * 1 *": FREQUENT,
    "* * * * 1": FREQUENT,
    "0,1,2 * * * *": FREQUENT,
    "0,1,2,3,4 * * * *": FREQUENT,
    "0,4 9 1 1 *": FREQUENT,
    "58,1 * * * *": FREQUENT,
    "58,1 9,10 * * *": FREQUENT,
    "2,58 9-17/1 * * *": FREQUENT,
    # over midnight
    "58,1 0,23 * * *": FREQUENT,
    "59,0 23,0 1,2 * *": FREQUENT,
    "58,1 0,23 * * 1,2": FREQUENT,
    "58,1 0,23 * * 6,0": FREQUENT,
    "58,1 0,23 * * 6,7": FREQUENT,
    "58,1 0,23 1,31 1,2 *": FREQUENT,
    "58,1 0,23 1,31 12,1 *": FREQUENT,
    "58,1 0,23 1,28 2,3 *": FREQUENT,
    "58,1 0,23 1,29 2,3 *": FREQUENT,
    "58,1 0,23 28,29 2 *": FREQUENT,
    "58,1 0,23 1,30 4,5 *": FREQUENT,
    # never
    "0 0 31 2 *": NEVER,
    "0 0 30 2 *": NEVER,
    "0 0 30,31 2 *": NEVER,
    "0 0 31 2,4,6,9,11 *": NEVER,
}


@pytest.mark.parametrize("expression", ACCEPTED)
def test_a_schedule_may_have(expression: str) -> None:
    assert check_cron(expression) == expression.strip()


@pytest.mark.parametrize(("expression", "message"), REFUSED.items())
def test_a_schedule_may_not_have(expression: str, message: str) -> None:
    with pytest.raises(FieldRefused) as refusal:
        check_cron(expression)

    assert str(refusal.value) == message


def test_the_longest_expression_is_128_characters() -> None:
    expression = "0," * 59 + "59 0 * * *"

    assert len(expression) == 128
    assert check_cron(expression) == expression


def test_a_seam_between_days_that_never_meet_is_no_seam() -> None:
    assert check_cron("58,1 0,23 1,31 1,3 *")
    assert check_cron("58,1 0,23 1,30 1,2 *")
    assert check_cron("58,1 0,23 30,1 2,3 *")


def test_the_interval_is_a_setting() -> None:
    assert check_cron("* * * * *", min_interval_minutes=1)
    with pytest.raises(FieldRefused, match="minimum interval is 30 minutes"):
        check_cron("*/15 * * * *", min_interval_minutes=30)


def numbers(low: int, high: int) -> st.SearchStrategy[str]:
    one = st.integers(low, high).map(str)
    span = st.tuples(st.integers(low, high), st.integers(low, high)).map(
        lambda ends: f"{min(ends)}-{max(ends)}"
    )
    step = st.tuples(st.one_of(st.just("*"), one, span), st.integers(1, high)).map(
        lambda parts: f"{parts[0]}/{parts[1]}"
    )
    items = st.lists(st.one_of(one, span, step), min_size=1, max_size=4).map(",".join)
    return st.one_of(st.just("*"), items)


EXPRESSIONS = st.one_of(
    st.tuples(numbers(0, 59), numbers(0, 23), numbers(1, 31), numbers(1, 12), st.just("*")),
    st.tuples(numbers(0, 59), numbers(0, 23), st.just("*"), numbers(1, 12), numbers(0, 7)),
    st.tuples(st.just("58,1"), st.just("0,23"), numbers(1, 31), numbers(1, 12), st.just("*")),
    st.tuples(st.just("58,1"), st.just("0,23"), st.just("*"), numbers(1, 12), numbers(0, 7)),
).map(" ".join)


def members(text: str, low: int, high: int) -> set[int]:
    """What a field means, read again by other means: by asking of each number whether it belongs."""
    numbers = set()
    for term in text.split(","):
        base, _, step = term.partition("/")
        first, _, last = base.partition("-")
        start, end = (low, high) if base == "*" else (int(first), int(last or first))
        if start == end and step:
            end = high
        numbers |= {n for n in range(start, end + 1) if (n - start) % int(step or 1) == 0}
    return numbers


def smallest_gap(expression: str) -> int | None:
    """Minutes between the two closest firings on a plain calendar, by laying out every one of them."""
    minute, hour, day, month, weekday = expression.split()
    times = sorted(h * 60 + m for h, m in product(members(hour, 0, 23), members(minute, 0, 59)))
    weekdays = {number % 7 for number in members(weekday, 0, 7)}
    days, months = members(day, 1, 31), members(month, 1, 12)
    # Two years of which one has a 29th of February, and the two turns of the year around them.
    calendar = [datetime(2023, 12, 1, tzinfo=UTC) + timedelta(days=n) for n in range(800)]
    fires = [
        number
        for number, date in enumerate(calendar)
        if date.day in days and date.month in months and date.isoweekday() % 7 in weekdays
    ]
    if not fires:
        return None
    gaps = [later - earlier for earlier, later in pairwise(times)]
    gaps += [(later - earlier) * 1440 + times[0] - times[-1] for earlier, later in pairwise(fires)]
    return min(gaps, default=10**9)


@settings(max_examples=400, database=None)
@given(EXPRESSIONS)
@example("58,1 0,23 1,29 2,3 *")
@example("58,1 0,23 1,28 2,3 *")
@example("0 0 31 2 *")
def test_the_interval_rule_is_what_the_calendar_says(expression: str) -> None:
    gap = smallest_gap(expression)

    if gap is not None and gap >= 5:
        assert check_cron(expression) == expression
    else:
        with pytest.raises(FieldRefused, match="never fires" if gap is None else "too frequent"):
            check_cron(expression)


@settings(max_examples=100, database=None)
@given(EXPRESSIONS)
def test_an_accepted_expression_fires_no_closer_than_five_minutes(expression: str) -> None:
    try:
        check_cron(expression)
    except FieldRefused:
        return
    firings = CronSim(expression, datetime(2024, 2, 28, tzinfo=UTC))

    first = [next(firings) for _ in range(50)]

    assert min(later - earlier for earlier, later in pairwise(first)) >= timedelta(minutes=5)
