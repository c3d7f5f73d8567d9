"""The rules of zones, endpoint selectors, names and payloads."""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass
from typing import Any

import pytest

from alga_server.errors import FieldRefused
from alga_server.schedules.cron import _names as zone_names
from alga_server.schedules.cron import check_zone
from alga_server.schedules.endpoint_ref import Selector
from alga_server.schedules.validation import check_enabled, check_name, check_payload


@dataclass(frozen=True)
class Row:
    method: str
    path: str


ROWS = [
    Row("POST", "/sync"),
    Row("GET", "/both"),
    Row("POST", "/both"),
    Row("GET", "/mixed"),
    Row("DELETE", "/mixed"),
    Row("DELETE", "/gone"),
    Row("GET", "/items/:id"),
    Row("GET", "/things/{id}"),
    Row("GET", "/"),
]


@pytest.mark.parametrize(
    "zone", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "GMT"]
)
def test_a_zone_is_an_iana_name(zone: str) -> None:
    assert check_zone(zone) == zone


@pytest.mark.parametrize("blank", ["", "  ", "\t\n"])
def test_a_blank_zone_is_utc(blank: str) -> None:
    assert check_zone(blank) == "UTC"


def test_a_zone_is_trimmed() -> None:
    assert check_zone(" Europe/Berlin ") == "Europe/Berlin"


@pytest.mark.parametrize(
    "zone",
    [
        "europe/berlin",
        "EUROPE/BERLIN",
        "utc",
        "Europe/Atlantis",
        "Europe",
        "Europe/",
        "/Europe/Berlin",
        "../zoneinfo/UTC",
        "Europe/../UTC",
        "/usr/share/zoneinfo/UTC",
        "/etc/localtime",
        "posixrules",
        "localtime",
        "Factory",
        "posix/UTC",
        "right/UTC",
        "zone.tab",
        "tzdata.zi",
        "+02:00",
        "UTC+2",
        "CET-1CEST",
        "Europe\\Berlin",
        "Europe/Berlin\0",
        "\ud800",
        "__init__.py",
    ],
)
def test_anything_else_is_no_zone(zone: str) -> None:
    with pytest.raises(FieldRefused, match=r"^Invalid timezone$"):
        check_zone(zone)


def test_a_zone_of_more_than_64_characters_is_too_long() -> None:
    with pytest.raises(FieldRefused, match=r"^Timezone too long$"):
        check_zone("A" * 65)
    with pytest.raises(FieldRefused, match=r"^Invalid timezone$"):
        check_zone("A" * 64)


def test_every_zone_that_is_accepted_can_be_loaded() -> None:
    for name in zone_names():
        zoneinfo.ZoneInfo(name)


@pytest.mark.parametrize(
    ("selector", "row"),
    [
        ("/sync", Row("POST", "/sync")),
        ("sync", Row("POST", "/sync")),
        (" //sync ", Row("POST", "/sync")),
        ("POST /sync", Row("POST", "/sync")),
        ("post   sync", Row("POST", "/sync")),
        ("GET /both", Row("GET", "/both")),
        ("POST\t/both", Row("POST", "/both")),
        ("/mixed", Row("GET", "/mixed")),
        ("/", Row("GET", "/")),
    ],
)
def test_a_selector_finds_its_endpoint(selector: str, row: Row) -> None:
    assert Selector.parse(selector).choose(ROWS) == row


@pytest.mark.parametrize(
    "selector",
    [
        "",
        "  ",
        "/unknown",
        "/SYNC",
        "/sync/",
        "/sync?x=1",
        "GET /sync",
        "DELETE /gone",
        "/gone",
        "DELETE /mixed",
        "/items/:id",
        "/items/1",
        "GET /items/:id",
        "/things/{id}",
        "FETCH /sync",
        "POST",
        "POST /sync extra",
        "/" + "a" * 256,
        "/\ud800",
        "/sync\0",
    ],
)
def test_a_selector_that_finds_none_is_refused(selector: str) -> None:
    with pytest.raises(FieldRefused, match=r"^Endpoint not found or not schedulable$"):
        Selector.parse(selector).choose(ROWS)


def test_a_path_with_two_methods_says_how_to_choose() -> None:
    with pytest.raises(FieldRefused, match='choose with "GET /both" or "POST /both"'):
        Selector.parse("/both").choose(ROWS)


@pytest.mark.parametrize(
    ("given", "kept"), [(None, None), ("", None), ("  ", None), (" Nightly ", "Nightly")]
)
def test_a_name_is_trimmed_and_blank_is_none(given: str | None, kept: str | None) -> None:
    assert check_name(given) == kept


@pytest.mark.parametrize("name", ["n" * 128, "  " + "n" * 128 + "  ", "\N{ROCKET}" * 64])
def test_a_name_has_up_to_128_utf16_units(name: str) -> None:
    assert check_name(name) == name.strip()


@pytest.mark.parametrize("name", ["n" * 129, "\N{ROCKET}" * 65])
def test_a_longer_name_is_refused(name: str) -> None:
    with pytest.raises(FieldRefused, match=r"^Name too long$"):
        check_name(name)


@pytest.mark.parametrize("name", ["\ud800", "a\0b"])
def test_a_name_that_a_database_cannot_hold_is_refused(name: str) -> None:
    with pytest.raises(FieldRefused, match="cannot be stored"):
        check_name(name)


@pytest.mark.parametrize("value", [None, {}, [], [[]], {"a": [1, 2.5, None, True, "\0", "\ufffe"]}])
def test_a_payload_is_an_object_an_array_or_nothing(value: Any) -> None:
    assert check_payload(value) == value


@pytest.mark.parametrize("scalar", ["text", "", 0, 1.5, True, False])
def test_a_scalar_payload_is_refused(scalar: Any) -> None:
    with pytest.raises(FieldRefused, match=r"^Payload must be a JSON object or array$"):
        check_payload(scalar)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([float("nan")], "holds a number that is not finite"),
        ({"a": float("inf")}, "holds a number that is not finite"),
        ([2**53 + 1], r"holds an integer beyond 2\^53"),
        ([b"bytes"], "holds binary data"),
        ([object()], "holds a object"),
        ({1: 2}, "has a key that is not a string"),
        (["\ud800"], "holds half of a surrogate pair"),
        ({"\udfff": 1}, "holds half of a surrogate pair"),
    ],
)
def test_a_payload_that_would_not_come_back_the_same_is_refused_with_the_reason(
    value: Any, reason: str
) -> None:
    with pytest.raises(FieldRefused, match=f"^Payload must be JSON-serializable; it {reason}"):
        check_payload(value)


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def test_a_payload_nests_as_deep_as_the_reply_of_list_can_hold() -> None:
    assert check_payload(nested(28)) == nested(28)


@pytest.mark.parametrize("levels", [29, 1_000])
def test_a_payload_that_nests_too_deeply_is_refused(levels: int) -> None:
    with pytest.raises(FieldRefused, match=r"^Payload must be JSON-serializable; it nests deeper than 28"):
        check_payload(nested(levels))


@pytest.mark.parametrize("letter", ["a", "ä"])
def test_the_payload_limit_counts_utf16_units_of_its_json(letter: str) -> None:
    assert check_payload([letter * 99_996])
    with pytest.raises(FieldRefused, match=r"^Payload too large$"):
        check_payload([letter * 99_997])


def test_a_character_outside_the_first_plane_counts_twice() -> None:
    assert check_payload(["\N{ROCKET}" * 49_998])
    with pytest.raises(FieldRefused, match=r"^Payload too large$"):
        check_payload(["\N{ROCKET}" * 49_999])


@pytest.mark.parametrize("value", ["true", 1, 0, []])
def test_enabled_is_a_boolean_and_nothing_like_one(value: Any) -> None:
    with pytest.raises(FieldRefused, match=r"^Expected boolean$"):
        check_enabled(value)
