"""Only bytes sealed whole, for that module and engine and with that key, are taken for compiled code."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from alga_runner.engine.compile.code_seal import KEY_BYTES, SEAL_BYTES, BrokenSeal, copy_sealed, verify

KEY = bytes(range(KEY_BYTES))
CODE = bytes(range(256)) * 5


@pytest.fixture
def entry() -> Iterator[int]:
    """An entry in memory, sealed as ``module``."""
    source, target = (os.memfd_create(name) for name in ("source", "target"))
    os.write(source, CODE)
    copy_sealed(source, target, "module", KEY)
    yield target
    os.close(source)
    os.close(target)


def content(entry: int) -> bytes:
    return os.pread(entry, 1 << 20, 0)


def test_the_code_stands_in_front_as_it_was(entry: int) -> None:
    assert content(entry)[:-SEAL_BYTES] == CODE


def test_sealed_code_verifies(entry: int) -> None:
    verify(entry, "module", KEY)


def test_a_large_entry_verifies() -> None:
    source, target = (os.memfd_create(name) for name in ("source", "target"))
    os.truncate(source, 5_000_001)
    copy_sealed(source, target, "module", KEY)

    verify(target, "module", KEY)

    os.close(source)
    os.close(target)


def test_a_flipped_bit_anywhere_is_found(entry: int) -> None:
    whole = content(entry)
    passed = []
    for place, byte in enumerate(whole):
        os.pwrite(entry, bytes([byte ^ 1 << place % 8]), place)
        try:
            verify(entry, "module", KEY)
            passed.append(place)
        except BrokenSeal:
            os.pwrite(entry, bytes([byte]), place)

    assert passed == []


def test_a_truncation_anywhere_is_found(entry: int) -> None:
    passed = []
    for size in reversed(range(len(content(entry)))):
        os.truncate(entry, size)
        try:
            verify(entry, "module", KEY)
            passed.append(size)
        except BrokenSeal:
            continue

    assert passed == []


@pytest.mark.parametrize(
    ("name", "key"),
    [
        pytest.param("another", KEY, id="another name"),
        pytest.param("module\0", KEY, id="a longer name"),
        pytest.param("module", bytes(KEY_BYTES), id="another key"),
    ],
)
def test_a_seal_of_another_name_or_key_is_broken(entry: int, name: str, key: bytes) -> None:
    with pytest.raises(BrokenSeal, match="checksum"):
        verify(entry, name, key)


def test_appended_bytes_break_the_seal(entry: int) -> None:
    os.pwrite(entry, b"more", len(content(entry)))

    with pytest.raises(BrokenSeal):
        verify(entry, "module", KEY)


def test_two_sealed_entries_in_a_row_are_not_one(entry: int) -> None:
    whole = content(entry)
    os.pwrite(entry, whole, len(whole))

    with pytest.raises(BrokenSeal):
        verify(entry, "module", KEY)
