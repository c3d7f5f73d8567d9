"""Which version is the newest: SemVer 2.0.0, 11, for every number that a manifest may have."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alga_runner.models.manifest import parse_manifest
from alga_server.catalog.versions import Version, newest, next_patch, precedence

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
NUMBERS = st.from_regex(
    r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(-[0-9A-Za-z.-]{1,12})?(\+[0-9A-Za-z.-]{1,6})?", fullmatch=True
)


def versions(*numbers: str) -> list[Version]:
    return [Version(number, number, "sha256:0", [], NOON) for number in numbers]


@pytest.mark.parametrize(
    "rising",
    [
        ["1.0.0", "2.0.0", "2.1.0", "2.1.1"],
        [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
        ],
        ["1.9.0", "1.10.0", "1.10.1-0", "1.10.1-1", "1.10.1-a", "1.10.1"],
        ["1.0.0-A", "1.0.0-a", "1.0.0-a-b", "1.0.0-a0"],
    ],
    ids=["numbers", "the specification's pre-releases", "not as text", "identifiers in ASCII order"],
)
def test_precedence_is_semvers(rising: list[str]) -> None:
    assert all(precedence(lower) < precedence(higher) for lower, higher in pairwise(rising))


def test_build_metadata_does_not_count() -> None:
    assert precedence("1.0.0+zz") == precedence("1.0.0+1") == precedence("1.0.0")
    assert precedence("1.0.0-rc.1+a") == precedence("1.0.0-rc.1")


@given(NUMBERS)
@settings(max_examples=50)
def test_every_version_that_a_manifest_may_have_has_a_precedence(number: str) -> None:
    parse_manifest({"name": "x", "version": number, "runtime": "wasm-js@1"})

    assert precedence(number) <= precedence(number.partition("-")[0])


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        (["2.0.0", "1.0.1"], "2.0.0"),
        (["1.9.0", "1.10.0", "1.2.0"], "1.10.0"),
        (["1.0.0", "2.0.0-rc.1"], "1.0.0"),
        (["2.0.0-rc.2", "2.0.0-rc.10", "2.0.0-beta"], "2.0.0-rc.10"),
        (["1.0.0+a", "1.0.0+b", "0.9.0"], "1.0.0+b"),
    ],
    ids=["a late patch", "not as text", "releases first", "pre-releases alone", "equals: the last published"],
)
def test_the_newest_is_the_highest_release(published: list[str], expected: str) -> None:
    assert newest(versions(*published)).version == expected


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        ([], "1.4.0"),
        (["1.4.0", "1.4.9", "1.5.3", "1.40.7"], "1.4.10"),
        (["1.4.2+build"], "1.4.3"),
        (["1.4.1", "1.4.2-rc.1"], "1.4.2"),
    ],
    ids=["none", "the highest", "with build metadata", "after a pre-release"],
)
def test_the_next_patch_comes_after_all_of_its_line(taken: list[str], expected: str) -> None:
    assert next_patch("1.4.", taken) == expected
