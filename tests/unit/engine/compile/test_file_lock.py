"""One process writes a file at a time; what a killed one leaves is the next one's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alga_runner.engine.compile.file_lock import FileLock, remove_if_abandoned

CLAIM_AND_WAIT = """
import os, sys, time
from alga_runner.engine.compile.file_lock import FileLock
lock = FileLock(os.open(sys.argv[1], os.O_RDONLY), "file")
print(lock.attempt(), flush=True)
os.write(lock.descriptor, b"half")
print("written", flush=True)
sys.stdin.read()
"""

Other = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, which has the lock and has begun to write."""
    with subprocess.Popen(
        [sys.executable, "-c", CLAIM_AND_WAIT, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["True\n", "written\n"]
        yield process
        process.kill()


def test_a_file_that_was_not_renamed_is_removed_on_release(folder: int, tmp_path: Path) -> None:
    lock = FileLock(folder, "file")
    assert lock.attempt()
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600

    lock.release()

    assert list(tmp_path.iterdir()) == []


def test_a_renamed_file_stays(folder: int, tmp_path: Path) -> None:
    lock = FileLock(folder, "file")
    lock.attempt()
    (tmp_path / "file").rename(tmp_path / "entry")

    lock.release()

    assert [path.name for path in tmp_path.iterdir()] == ["entry"]


def test_a_file_that_another_process_made_under_the_name_stays(folder: int, tmp_path: Path) -> None:
    first, second = FileLock(folder, "file"), FileLock(folder, "file")
    first.attempt()
    (tmp_path / "file").rename(tmp_path / "entry")
    assert second.attempt()

    first.release()

    assert (tmp_path / "file").exists()
    second.release()


def test_two_locks_of_one_process_exclude_each_other(folder: int) -> None:
    first, second = FileLock(folder, "file"), FileLock(folder, "file")
    assert first.attempt()
    assert not second.attempt()

    first.release()

    assert second.attempt()
    second.release()


def test_another_process_s_lock_holds(folder: int, other: subprocess.Popen[str]) -> None:
    lock = FileLock(folder, "file")

    assert not lock.attempt()
    assert not remove_if_abandoned(folder, "file")


def test_a_killed_process_s_lock_passes_to_the_next_with_an_empty_file(
    folder: int, tmp_path: Path, other: subprocess.Popen[str]
) -> None:
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert (tmp_path / "file").read_bytes() == b"half"
    lock = FileLock(folder, "file")

    assert lock.attempt()

    assert os.fstat(lock.descriptor).st_size == 0
    lock.release()


def test_a_finished_file_that_was_not_renamed_passes_to_the_next(folder: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"whole")
    (tmp_path / "file").chmod(0o400)
    lock = FileLock(folder, "file")

    assert lock.attempt()

    lock.release()


def test_a_released_lock_cannot_be_attempted_again(folder: int, tmp_path: Path) -> None:
    lock = FileLock(folder, "file")
    lock.release()

    with pytest.raises(OSError, match="canceled"):
        lock.attempt()

    assert list(tmp_path.iterdir()) == []


def test_a_link_is_removed_and_not_followed(folder: int, tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "file").symlink_to("precious")
    lock = FileLock(folder, "file")

    assert lock.attempt()

    assert not (tmp_path / "file").is_symlink()
    assert (tmp_path / "precious").read_bytes() == b"precious"
    lock.release()
