"""Instants and durations as text, read in one way everywhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from alga_common.time import parse_duration, parse_instant, parse_since

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-03-29T02:30:00Z", datetime(2026, 3, 29, 2, 30, tzinfo=UTC)),
        ("2026-03-29T02:30:00+02:00", datetime(2026, 3, 29, 0, 30, tzinfo=UTC)),
        (" 2026-03-29 02:30 ", datetime(2026, 3, 29, 2, 30, tzinfo=UTC)),
        ("2026-03-29", datetime(2026, 3, 29, tzinfo=UTC)),
    ],
)
def test_an_instant_is_utc_where_it_names_no_offset(text: str, instant: datetime) -> None:
    assert parse_instant(text) == instant


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-01", "0001-01-01T00:00:00+14:00", "1h"])
def test_other_text_is_no_instant(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_instant(text)


def test_an_instant_without_an_offset_can_be_refused() -> None:
    with pytest.raises(ValueError, match="has no offset from UTC: write 2026-03-29T02:30Z"):
        parse_instant("2026-03-29T02:30", zone=None)


@pytest.mark.parametrize(
    ("text", "duration"),
    [("6h", timedelta(hours=6)), ("1d12H30m", timedelta(days=1.5, minutes=30)), (" 0s ", timedelta())],
)
def test_a_duration_has_units(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "h", "6", "6 h", "1h1h", "-1h", "1.5h", "٣h", "9" * 30 + "d"])
def test_other_text_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "instant"), [("1h", NOW - timedelta(hours=1)), ("2026-02-28", NOW - timedelta(days=1.5))]
)
def test_since_is_a_duration_before_now_or_an_instant(text: str, instant: datetime) -> None:
    assert parse_since(text, NOW) == instant


@pytest.mark.parametrize("text", ["yesterday", "", "999999999d"])
def test_since_names_what_it_takes(text: str) -> None:
    with pytest.raises(ValueError, match=r"is neither a duration such as 1h nor|is longer than any time"):
        parse_since(text, NOW)
