"""The code cache's folder: the entries it gives, those it discards, and those it removes first."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alga_runner.engine.compile.code_cache import CodeCache, Discarded
from alga_runner.engine.compile.code_seal import SEAL_BYTES
from alga_runner.errors import CodeCacheUnusable

ROOM = 1_000_000

Store = Callable[..., bool]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "code"


@pytest.fixture
def cache(folder: Path) -> Iterator[CodeCache]:
    cache = CodeCache(folder, ROOM)
    yield cache
    cache.close()


@pytest.fixture
def store(cache: CodeCache) -> Store:
    """Keep ``code`` as ``name``."""

    def keep(name: str = "module", code: bytes = b"code", into: CodeCache = cache) -> bool:
        source = os.memfd_create("code")
        os.write(source, code)
        lock = into.lock(name)
        try:
            assert lock.attempt()
            kept = into.store(name, lock, source)
        finally:
            lock.release()
            os.close(source)
        into.tidy()
        return kept

    return keep


def read(cache: CodeCache, name: str = "module") -> bytes | None:
    """The code kept as ``name``."""
    entry = cache.find(name)
    if entry is None:
        return None
    try:
        return os.pread(entry, ROOM, 0)[:-SEAL_BYTES]
    finally:
        os.close(entry)


def entries(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.cwasm"))


def test_a_stored_entry_is_found(cache: CodeCache, store: Store) -> None:
    assert store()

    assert read(cache) == b"code"


def test_another_process_s_cache_finds_it_too(folder: Path, cache: CodeCache, store: Store) -> None:
    store()
    program = (
        "import os, sys; from pathlib import Path; from alga_runner.engine.compile.code_cache import CodeCache\n"
        "print(os.pread(CodeCache(Path(sys.argv[1]), 1).find('module'), 4, 0))"
    )

    shown = subprocess.run(
        [sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=True
    )

    assert shown.stdout == "b'code'\n"


def test_a_missing_entry_is_not_found(cache: CodeCache) -> None:
    assert read(cache) is None


def test_an_entry_can_only_be_read_and_by_its_user_alone(
    folder: Path, cache: CodeCache, store: Store
) -> None:
    store()

    assert {path.name: oct(path.stat().st_mode & 0o777) for path in folder.iterdir()} == {
        "key": "0o400",
        "module.cwasm": "0o400",
    }


def test_an_entry_that_is_open_outlives_its_replacement_unchanged(cache: CodeCache, store: Store) -> None:
    store(code=b"first")
    entry = cache.find("module")
    assert entry is not None

    store(code=b"second")

    assert os.pread(entry, 5, 0) == b"first"
    assert read(cache) == b"second"
    os.close(entry)


def damage(folder: Path, name: str = "module.cwasm") -> None:
    """Write a file like the one there, but for one bit."""
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).unlink()
    (folder / name).write_bytes(content)
    (folder / name).chmod(0o400)


def link(folder: Path) -> None:
    (folder / "module.cwasm").rename(folder / "elsewhere")
    (folder / "module.cwasm").symlink_to("elsewhere")


def rename_another(folder: Path) -> None:
    (folder / "another.cwasm").rename(folder / "module.cwasm")


def make_pipe(folder: Path) -> None:
    (folder / "module.cwasm").unlink()
    os.mkfifo(folder / "module.cwasm", 0o400)


def empty(folder: Path) -> None:
    (folder / "module.cwasm").unlink()
    (folder / "module.cwasm").touch(0o400)


def change_key(folder: Path) -> None:
    damage(folder, "key")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (damage, "its checksum does not match"),
        (empty, "it is cut off"),
        (rename_another, "its checksum does not match"),
        (link, "it was a link"),
        (make_pipe, "it is not a file of this user's with mode 0400"),
        (change_key, "its checksum does not match"),
    ],
)
def test_a_changed_entry_is_discarded(
    folder: Path, cache: CodeCache, store: Store, change: Callable[[Path], None], why: str
) -> None:
    store()
    store("another", b"another's code")
    change(folder)
    with CloseAfter(CodeCache(folder, ROOM)) as changed:
        with pytest.raises(Discarded, match=why):
            changed.find("module")

        assert changed.find("module") is None


class CloseAfter:
    def __init__(self, cache: CodeCache) -> None:
        self._cache = cache

    def __enter__(self) -> CodeCache:
        return self._cache

    def __exit__(self, *_: object) -> None:
        self._cache.close()


@pytest.mark.parametrize("mode", [0o600, 0o440, 0o404, 0o444, 0o666, 0o500])
def test_an_entry_with_another_mode_is_discarded(
    folder: Path, cache: CodeCache, store: Store, mode: int
) -> None:
    store()
    (folder / "module.cwasm").chmod(mode)

    with pytest.raises(Discarded, match="mode 0400"):
        cache.find("module")

    assert entries(folder) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_an_entry_of_another_user_is_discarded(folder: Path, cache: CodeCache, store: Store) -> None:
    store()
    os.chown(folder / "module.cwasm", 12_345, -1)

    with pytest.raises(Discarded, match="this user's"):
        cache.find("module")


def test_an_entry_of_another_folder_is_discarded(
    tmp_path: Path, folder: Path, cache: CodeCache, store: Store
) -> None:
    with CloseAfter(CodeCache(tmp_path / "foreign", ROOM)) as foreign:
        store(into=foreign)
    shutil.copy2(tmp_path / "foreign" / "module.cwasm", folder / "module.cwasm")

    with pytest.raises(Discarded, match="checksum"):
        cache.find("module")


@pytest.mark.parametrize(
    ("content", "mode"),
    [
        pytest.param(b"short", 0o400, id="too short"),
        pytest.param(bytes(33), 0o400, id="too long"),
        pytest.param(bytes(32), 0o444, id="not private"),
    ],
)
def test_a_key_that_cannot_be_trusted_is_replaced_and_with_it_all_that_it_sealed(
    folder: Path, cache: CodeCache, store: Store, content: bytes, mode: int
) -> None:
    store()
    (folder / "key").unlink()
    (folder / "key").write_bytes(content)
    (folder / "key").chmod(mode)

    with CloseAfter(CodeCache(folder, ROOM)) as renewed:
        assert len((folder / "key").read_bytes()) == 32
        with pytest.raises(Discarded, match="checksum"):
            renewed.find("module")


def test_many_that_open_a_new_cache_concurrently_share_one_key(folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from alga_runner.engine.compile.code_cache import CodeCache\n"
        "print(flush=True); sys.stdin.readline(); print(CodeCache(Path(sys.argv[1]), 1)._key.hex())"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    keys = {process.communicate("\n")[0] for process in processes}

    assert keys == {(folder / "key").read_bytes().hex() + "\n"}
    assert [path.name for path in folder.iterdir()] == ["key"]


def size(code: bytes) -> int:
    return len(code) + SEAL_BYTES


def test_the_entry_unused_for_longest_is_evicted_first(folder: Path, store: Store) -> None:
    code = bytes(1_000)
    with CloseAfter(CodeCache(folder, 3 * size(code))) as small:
        for age, name in ((30, "b"), (40, "a"), (20, "c")):
            store(name, code, into=small)
            os.utime(folder / f"{name}.cwasm", ns=(0, 10**18 - age * 10**9))

        store("d", code, into=small)

    assert entries(folder) == ["b", "c", "d"]


def test_being_found_counts_as_use(folder: Path, store: Store) -> None:
    code = bytes(1_000)
    with CloseAfter(CodeCache(folder, 2 * size(code))) as small:
        for age, name in ((30, "a"), (20, "b")):
            store(name, code, into=small)
            os.utime(folder / f"{name}.cwasm", ns=(0, 10**18 - age * 10**9))
        read(small, "a")

        store("c", code, into=small)

    assert entries(folder) == ["a", "c"]


def test_several_small_ones_make_room_for_a_large_one(folder: Path, store: Store) -> None:
    with CloseAfter(CodeCache(folder, size(bytes(3_000)))) as small:
        for name in ("a", "b"):
            store(name, bytes(500), into=small)

        store("c", bytes(3_000), into=small)

    assert entries(folder) == ["c"]


def test_one_that_alone_is_too_large_is_not_kept_and_evicts_nothing(folder: Path, store: Store) -> None:
    with CloseAfter(CodeCache(folder, size(bytes(1_000)))) as small:
        store("a", bytes(1_000), into=small)

        assert not store("b", bytes(1_001), into=small)

    assert entries(folder) == ["a"]
    assert list(folder.glob("*.partial")) == []


def test_an_evicted_entry_that_is_open_stays_readable(folder: Path, store: Store) -> None:
    code = bytes(1_000)
    with CloseAfter(CodeCache(folder, size(code))) as small:
        store("a", code, into=small)
        entry = small.find("a")
        assert entry is not None

        store("b", code, into=small)

    assert entries(folder) == ["b"]
    assert os.pread(entry, len(code), 0) == code
    os.close(entry)


def test_the_files_of_killed_writers_are_removed(folder: Path, cache: CodeCache, store: Store) -> None:
    (folder / "killed.partial").write_bytes(b"half")
    (folder / "finished.partial").touch(0o400)
    lock = cache.lock("under-way")
    lock.attempt()

    store()

    assert [path.name for path in folder.glob("*.partial")] == ["under-way.partial"]
    lock.release()


def test_files_that_are_not_the_cache_s_are_left_alone(folder: Path, store: Store) -> None:
    with CloseAfter(CodeCache(folder, size(b"code"))) as small:
        (folder / "notes.txt").write_bytes(bytes(10_000))

        store(into=small)

    assert (folder / "notes.txt").exists()


@pytest.fixture
def read_only(folder: Path, cache: CodeCache, store: Store) -> Iterator[CodeCache]:
    """A cache with one entry in a folder that allows no writing."""
    store()
    folder.chmod(0o500)
    opened = CodeCache(folder, ROOM)
    yield opened
    opened.close()
    folder.chmod(0o700)


def test_a_folder_that_allows_no_writing_is_read(read_only: CodeCache) -> None:
    assert read(read_only) == b"code"


def test_a_folder_that_allows_no_writing_is_not_written_to(read_only: CodeCache) -> None:
    with pytest.raises(OSError, match="Read-only"):
        read_only.lock("another")


def test_an_empty_folder_that_allows_no_writing_is_of_no_use(folder: Path) -> None:
    folder.mkdir(mode=0o500)

    with pytest.raises(CodeCacheUnusable, match="cannot be used: Read-only file system"):
        CodeCache(folder, ROOM)

    assert list(folder.iterdir()) == []


def test_a_full_disk_leaves_no_entry(folder: Path) -> None:
    program = """
import os, resource, sys
from pathlib import Path
from alga_runner.engine.compile.code_cache import CodeCache
cache = CodeCache(Path(sys.argv[1]), 1 << 20)
code = os.memfd_create("code")
os.write(code, bytes(100_000))
lock = cache.lock("module")
lock.attempt()
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    cache.store("module", lock, code)
except OSError as error:
    print(error.strerror)
lock.release()
"""

    shown = subprocess.run(
        [sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=True
    )

    assert shown.stdout == "File too large\n"
    assert [path.name for path in folder.iterdir()] == ["key"]
