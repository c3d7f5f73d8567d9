"""The columns of a schedule's next time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from alga_server.schedules import next_run
from alga_server.schedules.occurrences import after

ZONES = ("UTC", "Asia/Kathmandu", "Australia/Lord_Howe", "Europe/Berlin")
NEAR_A_CHANGE_OF_CLOCKS = datetime(2026, 10, 25, 0, 55, tzinfo=UTC)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("expression", ["*/5 * * * *", "0 * * * *", "0 2 * * *", "59 23 31 12 *"])
def test_the_first_time_is_the_next_after_any_instant_of_a_minute(expression: str, zone: str) -> None:
    for minutes in (0, 4, 5, 6, 64, 65):
        start = NEAR_A_CHANGE_OF_CLOCKS + timedelta(minutes=minutes)
        for within in (timedelta(), timedelta(microseconds=1), timedelta(seconds=59, microseconds=999_999)):
            instant = start + within

            columns = next_run.first_columns(expression, zone, instant)

            assert columns["next_run_at"] == next(after(expression, zone, instant)).due_at
