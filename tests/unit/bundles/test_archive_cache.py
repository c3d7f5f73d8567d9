"""The cache of fetched archives: bounded, shared, and never in the way of an execution."""

from __future__ import annotations

import fcntl
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from alga_runner.bundles.stores import ArchiveCache

KIB = 1024
A, B, C = (letter * 64 for letter in "abc")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def filled(folder: Path, *digits: str, max_bytes: int = 30 * KIB) -> ArchiveCache:
    """A cache with an archive of 10 KiB for each of ``digits``, the first one unused for longest."""
    cache = ArchiveCache(folder, max_bytes)
    for age, name in enumerate(reversed(digits)):
        cache.add(name, "acme", "ext", name[:1].encode() * 10 * KIB)
        os.utime(folder / f"{name}.tar.zst", (10_000 - age, 10_000 - age))
    return cache


def archives(folder: Path) -> set[str]:
    return {path.name[:64] for path in folder.glob("*.tar.zst")}


def test_an_archive_is_kept_for_the_pair_that_it_was_fetched_for(folder: Path) -> None:
    cache = filled(folder, A)

    assert cache.read(A) == b"a" * 10 * KIB
    assert cache.is_for(A, "acme", "ext")
    assert not cache.is_for(A, "globex", "ext")
    assert not cache.is_for(A, "acme", "other")


def test_a_pair_is_no_other_pair_whose_names_join_to_the_same_text(folder: Path) -> None:
    cache = filled(folder, A)
    cache.bind(A, "ab", "c")

    assert not cache.is_for(A, "a", "bc")


def test_a_pair_is_not_remembered_for_an_archive_that_is_not_there(folder: Path) -> None:
    cache = filled(folder, A)
    cache.bind(B, "acme", "ext")

    assert not cache.is_for(B, "acme", "ext")


def test_the_archive_unused_for_longest_goes_first(folder: Path) -> None:
    cache = filled(folder, A, B)
    cache.read(A)

    cache.add(C, "acme", "ext", b"c" * 15 * KIB)

    assert archives(folder) == {A, C}


def test_what_goes_takes_its_pairs_along(folder: Path) -> None:
    cache = filled(folder, A, B)
    cache.add(C, "acme", "ext", b"c" * 15 * KIB)

    assert list(folder.glob(f"{A}.*")) == []
    assert not cache.is_for(A, "acme", "ext")


def test_an_archive_that_is_being_read_stays(folder: Path) -> None:
    cache = filled(folder, A, B)

    with (folder / f"{A}.tar.zst").open("rb") as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        cache.add(C, "acme", "ext", b"c" * 15 * KIB)

    assert archives(folder) == {A, C}


def test_an_archive_larger_than_the_cache_is_not_kept_and_removes_nothing(folder: Path) -> None:
    cache = filled(folder, A)

    cache.add(C, "acme", "ext", b"c" * 31 * KIB)

    assert archives(folder) == {A}


def test_many_tiny_archives_are_bounded_in_number(folder: Path) -> None:
    cache = ArchiveCache(folder, 40 * KIB)
    for number in range(20):
        cache.add(f"{number:064x}", "acme", "ext", b"1")

    assert len(archives(folder)) == 10


def test_what_a_crash_left_is_replaced_and_never_read(folder: Path) -> None:
    cache = filled(folder, A)
    (folder / ".incoming").write_bytes(b"half")
    (folder / f"{B}.{'0' * 64}").touch()

    assert cache.read(B) is None
    cache.add(C, "acme", "ext", b"c")

    assert cache.read(C) == b"c"
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith((".inc", B))) == []


def test_processes_that_add_at_the_same_time_lose_nothing(folder: Path) -> None:
    def add(number: int) -> None:
        cache = ArchiveCache(folder, 1 << 20)
        for name in (A, B, C):
            cache.add(name, f"tenant-{number}", "ext", name[:1].encode() * 8 * KIB)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(8)))

    cache = ArchiveCache(folder, 1 << 20)
    assert [cache.read(name) for name in (A, B, C)] == [letter * 8 * KIB for letter in (b"a", b"b", b"c")]
    assert all(cache.is_for(name, f"tenant-{number}", "ext") for name in (A, B, C) for number in range(8))


def test_the_folder_is_made_for_its_owner_alone(folder: Path) -> None:
    filled(folder, A)

    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o077 for path in folder.iterdir()} == {0}


@pytest.mark.parametrize("kind", ["open to others", "a link", "a file"])
def test_a_folder_that_others_could_change_is_not_used_and_logged_once(
    folder: Path, tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    if kind == "open to others":
        folder.mkdir(mode=0o755)
    elif kind == "a link":
        (tmp_path / "other").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "other")
    else:
        folder.touch()
    cache = ArchiveCache(folder, 1 << 20)

    for _ in range(2):
        cache.add(A, "acme", "ext", b"a")

    assert cache.read(A) is None
    assert not cache.writable()
    assert [record.action for record in caplog.records] == ["bundle_cache_unusable"]


def test_a_link_in_place_of_an_archive_is_not_followed(folder: Path, tmp_path: Path) -> None:
    cache = filled(folder, A)
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / f"{B}.tar.zst").symlink_to(tmp_path / "secret")

    assert cache.read(B) is None


def test_trying_to_write_leaves_nothing_behind(folder: Path) -> None:
    cache = ArchiveCache(folder, 1 << 20)

    assert cache.writable()
    assert list(folder.iterdir()) == []
