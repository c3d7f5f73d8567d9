"""A clean path names a file below the pages' folder, of any bytes that a visitor sends (alga-contract 2)."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alga_runner.service.ui.paths import CONTENT_TYPES, clean_path

SEGMENT = st.one_of(
    st.sampled_from(
        ["", ".", "..", ".git", "a", "a.js", "a.php", "a.", "\\", "\0", "%2e%2e", "c:", "\u202e"]
    ),
    st.text(max_size=6),
)


@settings(max_examples=50)
@given(st.lists(SEGMENT, max_size=6).map("/".join))
def test_a_clean_path_neither_climbs_nor_hides(path: str) -> None:
    clean = clean_path(path)

    if clean is not None:
        parts = PurePosixPath(clean).parts
        assert not clean.startswith("/")
        assert not any(
            part.startswith(".") or "\\" in part or not part.isprintable() for part in parts if part.isascii()
        )
        assert clean_path(clean) == clean


@pytest.mark.parametrize("extension", sorted(CONTENT_TYPES))
def test_every_extension_of_a_page_may_be_in_capitals(extension: str) -> None:
    assert clean_path(f"a/b.{extension.upper()}") == f"a/b.{extension.upper()}"


def test_the_empty_path_is_the_root() -> None:
    assert clean_path("") == ""
